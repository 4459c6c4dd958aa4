"""Whose turn it is to write a source's events: of several bridges that run at once, the log counts the newest alone.

On start a bridge claims its source with a record in every partition that holds an epoch greater than any before, and
each of its events carries this epoch. After a claim whoever folds the log drops what an older epoch wrote. What it
wrote before the claim stands, and the new bridge, which reads the log back after its claim, knows it.

Partition 0 gets the claim first: as long as none is there, everything that the bridge before it wrote counts. So that
bridge looks there before it saves its place, and ends where another has come.
"""

from collections.abc import Mapping
from secrets import token_hex
from typing import Any, Final

import orjson

from consumers.log import Entry, Log, Reader

WATCHED = 0
"""The partition that a claim reaches first."""

CLAIM_KEY: Final = b"bridge"
"""The key of every claim; no agent has this name."""

_HEAD = b'{"v":1,"kind":"bridge",'


class SupersededError(Exception):
    """Another bridge has claimed the source; the message is one sentence."""


def ids_of(name: str) -> list[str]:
    """Return the source ids under which a source writes: an ordered list of hosts has one for each beside its own."""
    protocol, _, where = name.partition(":")
    hosts = [] if where.startswith("file:") else where.split(",")
    return list(dict.fromkeys([name, *(f"{protocol}:{host}" for host in hosts)]))


def claim_record(srcs: list[str], epoch: int, holder: str) -> bytes:
    """Return the log record of a claim; `holder` tells two that chose the same epoch apart."""
    return orjson.dumps({"v": 1, "kind": "bridge", "src": srcs, "epoch": epoch, "holder": holder})


def read_claim(record: Mapping[str, Any]) -> tuple[list[str], int]:
    """Return the source ids and the epoch of a claim; raises KeyError, TypeError or ValueError where it is none."""
    srcs, epoch = record["src"], record["epoch"]
    if type(srcs) is not list or type(epoch) is not int or not all(type(src) is str for src in srcs):
        raise ValueError("a claim has a list of source ids and an integer epoch")
    return srcs, epoch


class Tenure:
    """One bridge's turn at one source."""

    def __init__(self, log: Log, topic: str, partitions: int, name: str) -> None:
        self.epoch = 0
        self.holder = token_hex(8)
        self.name = name
        self.srcs = ids_of(name)
        self._log, self._topic, self._partitions = log, topic, partitions
        self._reader: Reader | None = None

    async def claim(self, epoch: int) -> None:
        """Write the claim into every partition; from the first one on it is looked for others. Raises LogError."""
        if self._reader is None:
            ends = await self._log.end_offsets(self._topic)
            self._reader = await self._log.reader(self._topic, {WATCHED: ends[WATCHED]})
        self.epoch = epoch
        record = claim_record(self.srcs, epoch, self.holder)
        entries = [Entry(CLAIM_KEY, record, partition) for partition in range(self._partitions)]
        await self._log.append(self._topic, entries[:1])
        if entries[1:]:
            await self._log.append(self._topic, entries[1:])

    async def check(self) -> None:
        """Return where all that was appended until now counts. Raises SupersededError, LogError."""
        if self._reader is None:
            return
        end = (await self._log.end_offsets(self._topic))[WATCHED]
        while self._reader.positions[WATCHED] < end:
            for chunk in await self._reader.poll():
                for value in chunk.values:
                    if value is not None and value.startswith(_HEAD):
                        self._hold_against(orjson.loads(value))

    def _hold_against(self, record: Mapping[str, Any]) -> None:
        srcs, epoch = read_claim(record)
        if epoch >= self.epoch and record.get("holder") != self.holder and not set(srcs).isdisjoint(self.srcs):
            raise SupersededError(
                f"Another bridge has begun to read {self.name} into this log, and the events of this one no "
                "longer count: run one bridge for a source."
            )

    async def close(self) -> None:
        """Stop looking for others."""
        if self._reader is not None:
            await self._reader.close()
            self._reader = None
