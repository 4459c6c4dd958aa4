"""Who is asked for followers, and when: in the background, at a bounded rate, the most interacted with first.

After each run it is told who is in the windows. Whoever it does not know, or has not asked for during `max_age`, is
asked for, 25 at a time, by what they received. It waits as long as the server says, and ever longer while it fails;
nothing that a server does ends it. Who is erased is forgotten at once, a request under way included.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from consumers.followers import MOST, Ask, AskError
from consumers.followers.cache import UNKNOWN, Cache
from consumers.snapshot import Snapshot

UNKNOWN_AGE = 6 * 3600
"""Seconds after which the server is asked again for an account that it did not know."""
KEPT = 2
"""An answer that is not asked for again, because its account is silent, is dropped after so many times `max_age`."""
LONGEST_BACKOFF = 300.0

_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class FollowerStats:
    """Totals since the start; `pauses`: waits that the server asked for. `backlog`: accounts still to be asked for."""

    requests: int = 0
    asked: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    pauses: int = 0
    backlog: int = 0


class Followers:
    """Keeps the followers of the agents in the windows known. `note` every run, and `run` beside it."""

    def __init__(
        self,
        cache: Cache,
        ask: Ask,
        *,
        rate: float,
        max_age: float,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`rate` in requests a second, `max_age` in seconds; `clock` in Unix seconds; `draw` in [0, 1) is jitter."""
        self.cache = cache
        self.stats = FollowerStats()
        self._ask, self._interval, self._max_age = ask, 1 / rate, max_age
        self._clock, self._sleep, self._draw = clock, sleep, draw
        self._noted: tuple[Sequence[str], NDArray[np.int64]] | None = None
        self._news = asyncio.Event()
        self._queue: list[str] = []
        self._asking: set[str] = set()
        self._size = MOST
        self._failed = 0
        self._resting = False

    @property
    def idle(self) -> bool:
        """Whether nobody is left to be asked for."""
        return self._resting and not self._news.is_set()

    def known(self, agents: Sequence[str]) -> NDArray[np.int64]:
        """Return what is known now, int64 [N]: followers, or -1. From any thread, without waiting."""
        answers, nothing = self.cache.answers, (UNKNOWN, 0)
        return np.fromiter((answers.get(agent, nothing)[0] for agent in agents), np.int64, len(agents))

    async def note(self, snapshot: Snapshot) -> None:
        """Ask from now on for the agents of this window; return when its erased ones are forgotten."""
        self._noted = (snapshot.agents, snapshot.received)
        self._asking.difference_update(snapshot.erased)
        self._news.set()
        await self.cache.forget(snapshot.erased)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set; a request under way is given up. Raises FollowersError."""
        asking, stopping = asyncio.ensure_future(self._ask_on()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asking.result()
        finally:
            for task in (asking, stopping):
                task.cancel()
            await asyncio.gather(asking, stopping, return_exceptions=True)

    async def _ask_on(self) -> None:
        while True:
            batch = await self._next()
            self._asking = set(batch)
            began = self._clock()
            try:
                pause = await self._once(batch)
            except AskError as error:
                pause = await self._after(error, batch)
            spent = min(max(self._clock() - began, 0.0), self._interval)
            await self._sleep(max(self._interval - spent, pause))

    async def _once(self, batch: list[str]) -> float:
        """Ask for a batch and keep the answer; return how long the server asks to be left alone."""
        self.stats.requests += 1
        self.stats.asked += len(batch)
        reply = await self._ask(batch)
        self._failed, self._size = 0, min(2 * self._size, MOST)
        await self._keep({did: reply.followers.get(did, UNKNOWN) for did in self._asking})
        self.stats.pauses += reply.pause > 0
        return reply.pause

    async def _after(self, error: AskError, batch: list[str]) -> float:
        """Return how long to wait after a failure.

        A server refuses a whole batch for one account that it cannot read: the next are smaller, down to the one.
        """
        self.stats.failures[error.cause] += 1
        self.stats.pauses += error.pause > 0
        if self._failed == 0:
            _logger.warning("followers not answered", cause=error.cause, pause=error.pause)
        if error.cause == "refused" and len(batch) == 1:
            await self._keep(dict.fromkeys(self._asking, UNKNOWN))
        else:
            self._queue += [did for did in reversed(batch) if did in self._asking]
            self.stats.backlog = len(self._queue)
            self._size = max(1, self._size // 2) if error.cause == "refused" else self._size
        self._failed += 1
        backoff = min(2.0 ** min(self._failed - 1, 20), LONGEST_BACKOFF)
        return max(error.pause, backoff * (1 + self._draw()) / 2)

    async def _keep(self, counts: dict[str, int]) -> None:
        now = round(self._clock())
        await self.cache.store(counts, now, outdated=now - round(KEPT * self._max_age))

    async def _next(self) -> list[str]:
        """Return the next to be asked for; wait while there is none."""
        while True:
            self._resting = False
            self._news.clear()
            while self._noted is not None:
                noted, self._noted = self._noted, None
                self._queue = await self.cache.on_thread(self._plan, *noted)
            batch = self._queue[: -self._size - 1 : -1]
            del self._queue[len(self._queue) - len(batch) :]
            self.stats.backlog = len(self._queue)
            if batch:
                return batch
            self._resting = True
            await self._news.wait()

    def _plan(self, agents: Sequence[str], received: NDArray[np.int64]) -> list[str]:
        """Return who is due, the most interacted with last; no more than the cache has room for."""
        now = self._clock()
        due = [row for row, agent in enumerate(agents) if agent.startswith("did:") and self._is_due(agent, now)]
        rows = np.array(due, np.int64)
        rows = rows[np.argsort(received[rows], kind="stable")][-self.cache.rows :]
        return [agents[row] for row in rows.tolist()]

    def _is_due(self, did: str, now: float) -> bool:
        answer = self.cache.answers.get(did)
        if answer is None:
            return True
        count, asked = answer
        return now - asked >= (min(UNKNOWN_AGE, self._max_age) if count == UNKNOWN else self._max_age)
