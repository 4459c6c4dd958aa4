"""Keeps aiokafka's own log lines to a few, counts its retries, and remembers why it could not connect.

The client has no signal for either: while a broker is away it logs several errors a second and goes on trying.
"""

import logging
import time
from collections.abc import Callable

from consumers.log import LogStats

_LOGGERS = (
    "aiokafka",  # where its client.py logs
    "aiokafka.conn",
    "aiokafka.cluster",
    "aiokafka.producer.sender",
    "aiokafka.consumer.fetcher",
)
_SECONDS_BETWEEN = 30.0


class Noise(logging.Filter):
    """Lets a message of one kind through once in half a minute, and none at all while `quiet`."""

    def __init__(self, stats: LogStats, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.quiet = True
        self.last = ""
        self._stats = stats
        self._clock = clock
        self._said: dict[str, float] = {}

    def install(self) -> None:
        """Begin to filter. A filter on a parent would not see the records of its children, so each gets it."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        """Stop filtering."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record goes on to the log."""
        if record.levelno < logging.WARNING:
            return True
        self.last = record.getMessage()
        if record.name == "aiokafka.producer.sender":
            self._stats.retries += 1
        now = self._clock()
        if self.quiet or now - self._said.get(str(record.msg), -_SECONDS_BETWEEN) < _SECONDS_BETWEEN:
            return False
        self._said[str(record.msg)] = now
        return True
