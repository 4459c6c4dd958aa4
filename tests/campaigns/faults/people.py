"""The faults of a real PDS: what it does to who is too slow, comes too late, or knows a future that is not its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from consumers.bridge.cursors import CursorFile, Position, Waypoint
from consumers.log import Topics
from consumers.log.sqlite import SqliteLog
from consumers.scoring import no_score
from consumers.sources.relay import RelaySource
from consumers.sources.websocket import SocketOptions
from tests.campaigns.faults.outcome import Outcome, account, cover, found_in
from tests.campaigns.faults.script import Record
from tests.campaigns.faults.trial import PARTITIONS, QUICK, Tap, carry
from tests.deliveries import until
from tests.servers.pds import Pds
from tests.servers.pds_accounts import Account, Ref, accounts


@dataclass
class Stage:
    """A PDS, somebody who posts there, and a source whose bridge will begin in a folder."""

    pds: Pds
    author: Account
    folder: Path
    made: dict[Record, int] = field(default_factory=dict)
    """The posts, with the time just before each, µs."""

    def __post_init__(self) -> None:
        self.source = self._source()
        self.tap = Tap(self.source, lambda _events: False)

    def _source(self) -> RelaySource:
        options = SocketOptions(**QUICK)
        return RelaySource(self.pds.host, dense=False, score=no_score, options=options, random=Random(1))

    async def post(self) -> Ref:
        before = time.time_ns() // 1000
        ref = await self.author.post("Nobody can stand this awful, hateful weather.")
        self.made[ref.rev, ref.uri] = before
        return ref

    async def left_after(self, ref: Ref, cursor: int | None = None) -> None:
        """Leave the place of a bridge that ended once it had this post, or the cursor of a host that is no more."""
        heard = await until(self._source(), lambda d: any(event.uri == ref.uri for event in d.events), cursor=0)
        t = max(event.t for event in heard.events)
        trail = [Waypoint(t, dict.fromkeys(range(PARTITIONS), 0))]
        CursorFile(self.folder, self.source.name).save(Position(cursor or heard.cursor, t, trail))
        del self.made[ref.rev, ref.uri]

    async def goes_on(self) -> None:
        """Post until a post comes in: from then on the stream is whole."""
        while True:
            ref = await self.post()
            for _ in range(20):
                if any(event.uri == ref.uri for event in self.tap.heard.events):
                    self.tap.enough.set()
                    return
                await asyncio.sleep(0.05)


async def on_time(stage: Stage) -> None:
    """Come back at once."""
    await stage.left_after(await stage.post())


async def flood(stage: Stage) -> None:
    """`maxSubscriptionBuffer=2`: posts come faster than one frame after the other can be sent."""
    while not stage.source.stats.notices["ConsumerTooSlow"] and len(stage.made) < 2_000:
        await asyncio.gather(*[stage.post() for _ in range(20)])


async def outdated(stage: Stage) -> None:
    """`repoBackfillLimitMs=1000`: who comes later than that has missed something."""
    await stage.left_after(await stage.post())
    await stage.post()
    await asyncio.sleep(1.5)  # the PDS's own clock decides what is too old


async def future(stage: Stage) -> None:
    """The cursor is of a host that had more than this one; what this one said before we came to it is not asked for."""
    await stage.left_after(await stage.post(), cursor=99_999_999)
    await stage.post()
    await asyncio.sleep(1.5)  # what it said a moment ago still comes


async def nothing(_stage: Stage) -> None:
    """Nothing more."""


@dataclass(frozen=True)
class Said:
    """What a real PDS says of a stream. `before` and `during` are what people do as to the bridge."""

    name: str
    before: Callable[[Stage], Awaitable[None]]
    during: Callable[[Stage], Awaitable[None]] = nothing
    causes: tuple[str, ...] = ()
    options: dict[str, int] = field(default_factory=dict)


SAID = (
    Said("ConsumerTooSlow", on_time, flood, options={"maxSubscriptionBuffer": 2}),
    Said("OutdatedCursor", outdated, causes=("outdated_cursor",), options={"repoBackfillLimitMs": 1_000}),
    Said("FutureCursor", future, causes=("future_cursor",)),
)


async def told(said: Said, pds: Pds, folder: Path) -> Outcome:
    """Let people act on a PDS, carry its stream into a log, and hold the log to what they did."""
    outcome = Outcome("PDS", f"{said.name} of a real PDS")
    async with accounts(pds) as home, SqliteLog(folder / "log.db", synchronous="normal") as log:
        stage = Stage(pds, await home.sign_up("somebody"), folder)
        await said.before(stage)
        carrying = asyncio.create_task(carry(stage.tap, log, folder))
        await said.during(stage)
        await stage.goes_on()
        bridge = await carrying
        found = await found_in(log, Topics())
    outcome.connections = stage.source.stats.connects
    account(outcome, stage.tap.heard, bridge, found)
    cover(outcome, {record: found.times.get(record, t) for record, t in stage.made.items()}, found)
    outcome.check(stage.source.stats.notices[said.name] > 0, f"the PDS never said {said.name}")
    outcome.check(
        tuple(outcome.gaps) == said.causes and outcome.lost >= len(said.causes),
        f"gaps of {set(outcome.gaps)}, not {said.causes}",
    )
    return outcome
