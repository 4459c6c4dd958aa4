"""A real PDS with its PLC directory on loopback, from npm, for tests.

npm installs it once into the user's cache, exactly as locked in `pds/package-lock.json`. Each has its own data
and free ports, and goes when its context ends or the test process dies.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers.kafka import free_port

FOLDER = Path(__file__).with_name("pds")
PACKAGES = ("package.json", "package-lock.json")
OLDEST_NODE = 20
START_SECONDS = 90.0
STOP_SECONDS = 20.0


class PdsMissingError(Exception):
    """A PDS cannot be had on this machine; the message says what is missing."""


class PdsFailedError(Exception):
    """A PDS did not install or come up; the message ends with its own words."""


@dataclass(frozen=True)
class Pds:
    """A running PDS. `host` is where its stream is; `admin_password` opens its admin calls."""

    port: int
    plc_port: int
    admin_password: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


def check() -> None:
    """Raise PdsMissingError where Node or npm is absent or too old."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            raise PdsMissingError(f"A PDS needs Node {OLDEST_NODE} or newer and npm (no command `{command}`).")
    told = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if int(told.lstrip("v").partition(".")[0]) < OLDEST_NODE:
        raise PdsMissingError(f"A PDS needs Node {OLDEST_NODE} or newer; `node` is {told}.")


def installed() -> Path:
    """Return the folder that holds the PDS's packages, installing them where they are absent."""
    check()
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]["@atproto/pds"]
    lock = hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in PACKAGES)).hexdigest()[:8]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starlingd"
    folder = cache / f"pds-{wanted}-{lock}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "pds.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not folder.is_dir():
            _install(folder, wanted)
    return folder


def _install(folder: Path, version: str) -> None:
    print(f"Installing a PDS {version} with npm, once: 250 MB into {folder}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as scratch:
        target = Path(scratch) / "pds"
        target.mkdir()
        for name in PACKAGES:
            shutil.copy(FOLDER / name, target)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, check=False, cwd=target, capture_output=True, text=True)
        if done.returncode != 0:
            raise PdsFailedError(f"npm could not install the PDS: {(done.stdout + done.stderr).strip()[-2_000:]}")
        target.rename(folder)


@contextmanager
def running(**options: object) -> Iterator[Pds]:
    """Run a PDS; `options` override its environment, as `maxSubscriptionBuffer=2`."""
    root = installed()
    with tempfile.TemporaryDirectory(prefix="starlingd-pds-") as data:
        pds = Pds(free_port(), free_port(), "admin-of-tests")
        given = {
            "root": str(root),
            "data": data,
            "pdsPort": pds.port,
            "plcPort": pds.plc_port,
            "adminPassword": pds.admin_password,
            "options": options,
        }
        log = Path(data) / "launch.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["node", str(FOLDER / "launch.mjs"), json.dumps(given)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_health(pds, process, log)
            yield pds
        finally:
            stop(process)


def _await_health(pds: Pds, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{pds.url}/xrpc/_health", timeout=2.0).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise PdsFailedError(f"The PDS did not come up: {log.read_text()[-2_000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server that ends by itself when told to, or else all the same."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdin is not None:
            process.stdin.close()
