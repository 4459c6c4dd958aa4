"""Which agents of a run get a record, and the writing of those records to the log.

Every record holds all of its agent's φ, and the agents are those active in the current or the preceding window,
so that under `all` a reader's sums of `level` and of `change` are the run's own.

- `all`: every such agent.
- `top:K`: for each indicator and baseline the K agents of greatest |φ|, ties by name; the union of these.
- `mass:P`: for each indicator and baseline the fewest agents, greatest |φ| first, whose |φ| add up to at least
  P·Σ|φ|; the union of these.

Who was published and is no longer, and who was erased, gets a tombstone. Records are encoded in chunks off the
event loop, the next one while the log takes the last: memory is bounded by two chunks.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from consumers.log import Entry, Log
from consumers.peers import Alone, Peers
from daemon.runs.attributions import Attributions, cut
from daemon.runs.encoding import chunks, entries, tombstones
from daemon.runs.recall import Published

T = TypeVar("T")

CHUNK = 20_000
"""Records encoded at a time: about 7 MB of JSON."""


@dataclass(slots=True, frozen=True)
class Policy:
    """Which agents get a record; `amount` is K or P."""

    kind: Literal["all", "top", "mass"] = "all"
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `all`, `top:K` or `mass:P`; raises ValueError with a sentence."""
        kind, _, amount = text.partition(":")
        if text == "all":
            return cls()
        try:
            if kind == "top" and int(amount) > 0:
                return cls("top", int(amount))
            if kind == "mass" and 0 < float(amount) <= 1:
                return cls("mass", float(amount))
        except ValueError:
            pass
        raise ValueError(f"{text!r} is no publishing policy; use all, top:K with K ≥ 1, or mass:P with 0 < P ≤ 1")

    def __str__(self) -> str:
        if self.kind == "all":
            return self.kind
        return f"{self.kind}:{int(self.amount) if self.kind == 'top' else self.amount}"

    def rows(self, table: Attributions, peers: Peers | None = None) -> NDArray[np.int64]:
        """Return the rows that get a record, in the order of the names. Who does is chosen among all ranks' agents."""
        size = len(table.agents)
        if self.kind == "all":
            return np.arange(size)
        peers = peers or Alone()
        chosen = np.zeros(size, dtype=bool)
        for phi in table.phi.values():
            everyone = np.concatenate(peers.exchange(np.abs(phi)))
            count = int(self.amount) if self.kind == "top" else carriers(everyone, self.amount)
            chosen[_chosen(table.agents, phi, everyone, count, peers)] = True
        return np.flatnonzero(chosen)


def carriers(phi: NDArray[np.float64], mass: float) -> int:
    """Return how few agents, greatest |φ| first, carry at least this share of Σ|φ|; silent ones carry none."""
    sizes = np.sort(np.abs(phi))[::-1]
    sums = np.cumsum(sizes)
    if not sums.size or sums[-1] == 0:
        return 0
    needed = int(np.searchsorted(sums, mass * sums[-1], side="left")) + 1
    return min(needed, int(np.count_nonzero(sizes)))


def _chosen(
    agents: Sequence[str], phi: NDArray[np.float64], everyone: NDArray[np.float64], count: int, peers: Peers
) -> NDArray[np.int64]:
    """Return the rows of those who are among the `count` greatest of everyone's |φ|, ties by name."""
    size = np.abs(phi)
    threshold, above = cut(everyone, count)
    ties = np.flatnonzero(size == threshold)[: count - above]
    named = peers.exchange([agents[row] for row in ties.tolist()])
    last = set(sorted(name for names in named for name in names)[: count - above])
    return np.concatenate(
        (np.flatnonzero(size > threshold), [row for row in ties.tolist() if agents[row] in last])
    ).astype(np.int64)


@dataclass(slots=True)
class Written:
    """What one run wrote, and how long encoding it and the log's taking it lasted, in seconds of the clock."""

    attributions: int = 0
    tombstones: int = 0
    encode: float = 0.0
    publish: float = 0.0


class Publisher:
    """Writes the attributions and tombstones of a run, and remembers who was published."""

    def __init__(
        self,
        log: Log,
        topic: str,
        policy: Policy,
        executor: Executor,
        *,
        peers: Peers | None = None,
        clock: Callable[[], float] = time.perf_counter,
        chunk: int = CHUNK,
    ) -> None:
        """Write to `topic` of an open log; encode in `executor`. With `peers` each rank writes its own agents."""
        self.policy = policy
        self.published = Published()
        self._peers: Peers = peers or Alone()
        self._log = log
        self._topic = topic
        self._executor = executor
        self._clock = clock
        self._chunk = chunk

    async def publish(self, table: Attributions, run: str, lens: str, erased: Collection[str]) -> Written:
        """Append all attributions, then all tombstones; return once all are durable.

        `published` changes only then, so that a run that failed is written again with the same tombstones.
        """
        written = Written()
        rows = await self._in_thread(self.policy.rows, table, self._peers)
        written.attributions = await self._write(
            written, [partial(entries, table, stretch, run, lens) for stretch in chunks(rows, self._chunk)]
        )
        now, gone = await self._in_thread(self._departed, table, rows, erased)
        stretches = [gone[start : start + self._chunk] for start in range(0, len(gone), self._chunk)]
        written.tombstones = await self._write(written, [partial(tombstones, stretch) for stretch in stretches])
        self.published = now
        return written

    async def _write(self, written: Written, batches: Sequence[Callable[[], list[Entry]]]) -> int:
        """Append what each call encodes, in order; one is encoded while the one before is appended."""
        count = 0
        ahead = self._in_thread(batches[0]) if batches else None
        for following in (*batches[1:], None):
            if ahead is None:
                break
            begun = self._clock()
            batch = await ahead
            ready = self._clock()
            ahead = self._in_thread(following) if following else None
            await self._log.append(self._topic, batch)
            written.encode += ready - begun
            written.publish += self._clock() - ready
            count += len(batch)
        return count

    def _departed(
        self, table: Attributions, rows: NDArray[np.int64], erased: Collection[str]
    ) -> tuple[Published, list[str]]:
        """Return who is published now, and who needs a tombstone, in the order of the names.

        Nobody is buried whom another rank publishes: who is kept where may change between two runs.
        """
        now = table.agents if rows.size == len(table.agents) else [table.agents[row] for row in rows.tolist()]
        gone = (set(self.published.names) | set(erased)).difference(now)
        asked = self._peers.exchange(gone)
        others = set[str]().union(*asked[: self._peers.rank], *asked[self._peers.rank + 1 :])
        gone -= set[str]().union(*self._peers.exchange(others.intersection(now) if others else others))
        return Published(now, table.partitions[rows]), sorted(gone)

    def _in_thread(self, call: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, call, *args)
