"""Opens the log that a configuration names. Kafka's client is imported only where it is used."""

import time
from collections.abc import Callable
from pathlib import Path

from consumers.log import Log
from consumers.log.kafka_options import KafkaOptions
from consumers.log.sqlite import SqliteLog, Synchronous


def open_log(
    *,
    kafka: KafkaOptions | None = None,
    path: str | Path | None = None,
    synchronous: Synchronous = "full",
    read_only: bool = False,
    clock: Callable[[], float] = time.time,
) -> Log:
    """Return the log on Kafka where its options are given, else the embedded one at `path` (`:memory:` holds no file).

    It is not open yet: enter it with `async with`. `synchronous`, `read_only` and `clock` (Unix seconds, by which
    retention counts) are the embedded log's.
    """
    if kafka is not None:
        from consumers.log.kafka import KafkaLog

        return KafkaLog(kafka)
    return SqliteLog(
        path if path is not None else ":memory:", synchronous=synchronous, read_only=read_only, clock=clock
    )
