"""What Kafka alone asks of the log: brokers that restart, hang or are not there, others' topics, TLS and SASL."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from consumers.log import Entry, Log, LogError, Topic
from consumers.log.kafka import KafkaLog
from consumers.log.kafka_options import KafkaOptions, client_arguments
from tests.servers.kafka import Kafka, free_port

pytestmark = pytest.mark.kafka
DAY_MS = 86_400_000


async def make_topic(log: Log, partitions: int = 3) -> str:
    name = f"kafka-{uuid4().hex[:12]}"
    await log.ensure([Topic(name, partitions, DAY_MS)])
    return name


async def values_of(log: Log, topic: str, partitions: int) -> dict[int, list[bytes | None]]:
    ends = await log.end_offsets(topic)
    reader = await log.reader(topic, dict.fromkeys(range(partitions), 0))
    held: dict[int, list[bytes | None]] = {partition: [] for partition in range(partitions)}
    while dict(reader.positions) != ends:
        for chunk in await reader.poll(wait=1.0):
            held[chunk.partition] += chunk.values
    await reader.close()
    return held


@pytest.mark.parametrize("crash", [False, True], ids=["in-order", "kill-9"])
async def test_a_broker_restarted_while_appending_loses_and_doubles_nothing(own_kafka, crash):
    async with KafkaLog(KafkaOptions(own_kafka.bootstrap)) as log:
        topic = await make_topic(log)
        written: dict[int, list[bytes]] = {partition: [] for partition in range(3)}
        warm, down = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            batch = since = 0
            while since < 5:
                entries = [Entry(b"k", b"%d-%d" % (batch, n), n % 3) for n in range(300)]
                await log.append(topic, entries)
                for entry in entries:
                    written[entry.partition].append(entry.value)
                batch += 1
                since += down.is_set()
                if batch == 5:
                    warm.set()

        writing = asyncio.create_task(write())
        await warm.wait()
        await asyncio.to_thread(own_kafka.kill if crash else own_kafka.stop)
        down.set()
        await asyncio.to_thread(own_kafka.start)
        await writing
        assert log.stats.retries > 0, "the restart was not felt"
        assert await values_of(log, topic, 3) == written


async def test_a_reader_goes_on_after_its_broker_was_restarted(own_kafka):
    async with KafkaLog(KafkaOptions(own_kafka.bootstrap)) as log:
        topic = await make_topic(log, 1)
        await log.append(topic, [Entry(b"k", b"before")])
        reader = await log.reader(topic, {0: 0})
        assert [c.values for c in await reader.poll(wait=10.0)] == [[b"before"]]
        await asyncio.to_thread(own_kafka.kill)
        assert await reader.poll(wait=0.2) == []
        await asyncio.to_thread(own_kafka.start)
        await log.append(topic, [Entry(b"k", b"after")])
        chunks = []
        while not chunks:
            chunks = await reader.poll(wait=1.0)
        assert [c.values for c in chunks] == [[b"after"]]


async def test_an_append_that_no_broker_takes_fails_within_its_time_and_the_log_stays_failed(own_kafka, caplog):
    async with KafkaLog(KafkaOptions(own_kafka.bootstrap, delivery_seconds=2.0)) as log:
        topic = await make_topic(log, 1)
        await log.append(topic, [Entry(b"k", b"acknowledged")])
        own_kafka.kill()
        with pytest.raises(LogError, match=r"did not take 1 records .*no acknowledgement within 2 s"):
            await log.append(topic, [Entry(b"k", b"v")])
        with pytest.raises(LogError, match="an earlier append failed"):
            await log.append(topic, [Entry(b"k", b"v")])
        with pytest.raises(LogError, match="did not give offsets"):
            await log.end_offsets(topic)
        assert log.stats.appended == 1
        assert log.stats.last_error is not None
    assert len([record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]) < 20


async def test_a_broker_that_hangs_is_not_waited_for_longer_than_said(own_kafka):
    async with KafkaLog(KafkaOptions(own_kafka.bootstrap, delivery_seconds=2.0)) as log:
        topic = await make_topic(log, 1)
        own_kafka.pause()
        try:
            with pytest.raises(LogError, match="no acknowledgement within 2 s"):
                await log.append(topic, [Entry(b"k", b"v")])
        finally:
            own_kafka.resume()


async def test_no_broker_is_one_sentence_and_no_noise(caplog):
    with pytest.raises(LogError) as raised:
        async with KafkaLog(KafkaOptions(f"127.0.0.1:{free_port()}")):
            pass
    assert "cannot be reached" in str(raised.value)
    assert "start a broker there or correct its address" in str(raised.value)
    assert not caplog.records


async def test_a_port_where_nobody_answers_is_given_up(caplog):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        options = KafkaOptions(f"127.0.0.1:{silent.getsockname()[1]}", connect_seconds=0.5)
        with pytest.raises(LogError, match=r"no answer within 0\.5 s"):
            async with KafkaLog(options):
                pass
    assert not caplog.records


async def test_a_topic_of_too_short_a_retention_is_said(kafka):
    async with KafkaLog(KafkaOptions(kafka.bootstrap)) as log:
        topic = await make_topic(log)
        await log.ensure([Topic(topic, 3, DAY_MS // 2)])
        with pytest.raises(LogError, match=f"retention {DAY_MS} ms, less than"):
            await log.ensure([Topic(topic, 3, DAY_MS * 2)])


async def test_asking_for_an_absent_topic_does_not_create_it(kafka):
    absent = f"absent-{uuid4().hex}"
    for _ in range(2):
        async with KafkaLog(KafkaOptions(kafka.bootstrap)) as log:
            with pytest.raises(LogError, match="is not in Kafka"):
                await log.append(absent, [Entry(b"k", b"v")])


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_goes_through(kafka, compression):
    async with KafkaLog(KafkaOptions(kafka.bootstrap, compression=compression)) as log:
        topic = await make_topic(log, 1)
        written = [Entry(b"k", b"value %d" % n) for n in range(500)]
        await log.append(topic, written)
        assert await values_of(log, topic, 1) == {0: [entry.value for entry in written]}


PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def secured(kafka_folder: Callable[[], Path]) -> Iterator[tuple[Kafka, Path, int]]:
    """A broker that besides its plain port speaks SASL over TLS, with a certificate of its own; and that port."""
    if shutil.which("openssl") is None:
        pytest.skip("a certificate needs openssl (the command was not found)")
    folder = kafka_folder()
    key, cert, store = folder / "key.pem", folder / "cert.pem", folder / "broker.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    store.write_text(key.read_text() + cert.read_text())
    port = free_port()
    broker = Kafka(folder / "broker", brief=True)
    login = "org.apache.kafka.common.security"
    listeners = {"PLAINTEXT": broker.port, "SECURE": port}
    broker.configure_listeners(
        listeners,
        {
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
            "listener.name.secure.ssl.keystore.type": "PEM",
            "listener.name.secure.ssl.keystore.location": str(store),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.secure.plain.sasl.jaas.config": (
                f'{login}.plain.PlainLoginModule required user_alice="{PASSWORD}";'
            ),
            "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        },
    )
    broker.format("--add-scram", f"SCRAM-SHA-512=[name=alice,password={PASSWORD}]")
    broker.start()
    yield broker, cert, port
    broker.stop()


@pytest.mark.parametrize("sasl", ["PLAIN", "SCRAM-SHA-512"])
async def test_tls_and_sasl_let_in_who_knows_the_password(secured, sasl):
    _, cert, port = secured
    options = KafkaOptions(
        f"127.0.0.1:{port}", tls=True, ca_file=str(cert), sasl=sasl, username="alice", password=PASSWORD
    )
    async with KafkaLog(options) as log:
        topic = await make_topic(log, 1)
        await log.append(topic, [Entry(b"k", b"v")])
        assert await values_of(log, topic, 1) == {0: [b"v"]}


@pytest.mark.parametrize(
    "change", [{"password": "wrong"}, {"ca_file": None}, {"tls": False}], ids=["password", "certificate", "no-tls"]
)
async def test_a_wrong_way_in_is_said_without_the_password(secured, change):
    _, cert, port = secured
    right = {"tls": True, "ca_file": str(cert), "sasl": "PLAIN", "username": "alice", "password": PASSWORD}
    with pytest.raises(LogError, match="cannot be reached") as raised:
        async with KafkaLog(KafkaOptions(f"127.0.0.1:{port}", connect_seconds=5.0, **(right | change))):
            pass
    assert PASSWORD not in str(raised.value)
    assert "wrong" not in str(raised.value)


def test_certificates_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(LogError, match=r"absent\.pem"):
        client_arguments(KafkaOptions("127.0.0.1:9092", tls=True, ca_file=str(tmp_path / "absent.pem")))


def test_sasl_without_a_password_is_said():
    with pytest.raises(LogError, match="needs a user name and a password"):
        client_arguments(KafkaOptions("127.0.0.1:9092", sasl="PLAIN", username="alice"))


def test_printing_the_options_shows_no_password():
    assert PASSWORD not in repr(KafkaOptions("127.0.0.1:9092", sasl="PLAIN", username="alice", password=PASSWORD))
