"""A real one-node Apache Kafka on loopback, for tests and for people.

Maven copies the broker's jars once into the user's cache; the version stands in kafka.pom.xml. Each node has its own
data directory and free ports, so nodes do not meet. `python -m tests.servers.kafka` starts one until Ctrl-C.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from uuid import uuid4
from xml.etree import ElementTree as ET

POM = Path(__file__).with_name("kafka.pom.xml")
READY = "Kafka Server started"
START_SECONDS = 90.0
STOP_SECONDS = 30.0


class KafkaMissingError(Exception):
    """Kafka cannot be had on this machine; the message says what is missing."""


class KafkaFailedError(Exception):
    """A broker did not come up; the message ends with its own words."""


def version() -> str:
    """Return the version of Apache Kafka that the pom names."""
    return ET.parse(POM).findtext(".//{*}kafka.version") or ""


def jars() -> Path:
    """Return the folder of the broker's jars, fetching them where they are absent."""
    if shutil.which("java") is None:
        raise KafkaMissingError("Kafka needs Java 17 or newer (the command `java` was not found).")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starlingd"
    folder = cache / f"kafka-{version()}"
    if folder.is_dir():
        return folder
    if shutil.which("mvn") is None:
        raise KafkaMissingError("Fetching Kafka needs Maven (the command `mvn` was not found).")
    cache.mkdir(parents=True, exist_ok=True)
    print(f"Fetching Apache Kafka {version()} with Maven, once: 43 MB into {folder}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as scratch:
        command = [
            "mvn",
            "-B",
            "-q",
            "-f",
            str(POM),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={scratch}/jars",
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise KafkaMissingError(f"Maven could not fetch Kafka: {(done.stdout + done.stderr).strip()[:500]}")
        try:
            Path(scratch, "jars").rename(folder)
        except OSError:  # another process was first
            if not folder.is_dir():
                raise
    return folder


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether nothing listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Kafka:
    """One broker that is its own controller. It keeps its ports and data when it is stopped and started again.

    A `brief` one starts with a third less work of the processor and is slower at full load: right for a test.
    """

    def __init__(
        self, folder: Path, *, port: int | None = None, brief: bool = False, extra: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._controller_port = free_port()
        self._brief = brief
        self._extra = dict(extra or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_file(self) -> Path:
        """Where the broker writes what it does."""
        return self.folder / "broker.log"

    def __enter__(self) -> Self:
        self.format()
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def format(self, *arguments: str) -> None:
        """Write the configuration and prepare the data directory; `arguments` go to the storage tool."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configure()
        cluster = uuid4().hex[:22]
        tool = [
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            "-t",
            cluster,
            "-c",
            str(self._properties),
            *arguments,
        ]
        done = subprocess.run(self._java(*tool), check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise KafkaFailedError(f"Kafka could not format {self.folder}: {(done.stdout + done.stderr)[-500:]}")

    def configure(self) -> None:
        """Write the configuration."""
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dir": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.retention.check.interval.ms": "500",
            "log.initial.task.delay.ms": "500",
            "log.segment.delete.delay.ms": "100",
        } | self._extra
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def configure_listeners(self, ports: Mapping[str, int], extra: Mapping[str, str]) -> None:
        """Listen on these named ports of loopback instead, as `extra` sets them up."""
        named = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
        controller = f"CONTROLLER://127.0.0.1:{self._controller_port}"
        self._extra |= {"listeners": f"{named},{controller}", "advertised.listeners": named, **extra}

    def start(self) -> None:
        """Start the broker and wait until it says that it is ready."""
        self.log_file.write_bytes(b"")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that a Ctrl-C reaches us alone, and we stop it in order
            )
        deadline = time.monotonic() + START_SECONDS
        while READY not in self.log_file.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = self.log_file.read_text(errors="replace")[-1_500:]
                raise KafkaFailedError(f"Kafka did not start; its log {self.log_file} ends with: {tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the broker in order; kill it where that takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the broker at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Make the broker hang: its port stays open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _java(self, *arguments: str) -> list[str]:
        options = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", f"-XX:TieredStopAtLevel={1 if self._brief else 4}"]
        options += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=info", f"-Duser.dir={self.folder}"]
        return ["java", *options, "-cp", f"{jars()}/*", *arguments]


def main() -> int:
    """Run one broker on 127.0.0.1:9092 until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="starlingd-kafka-") as folder:
        kafka = Kafka(Path(folder), port=9092)
        if not is_free(kafka.port):
            print(f"Something listens on {kafka.bootstrap} already: stop it first.", file=sys.stderr)
            return 2
        print(f"Starting Apache Kafka {version()} …", flush=True)
        try:
            with kafka:
                print(f"Kafka is ready on {kafka.bootstrap}; its data is in {folder} and goes when it stops.")
                print(f"In another terminal: starlingd run --log kafka --bootstrap {kafka.bootstrap}")
                print("Ctrl-C stops it.", flush=True)
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                signal.pause()
        except (KafkaMissingError, KafkaFailedError) as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
