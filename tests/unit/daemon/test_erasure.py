"""Where an account's name is, and that it is gone from there after the next run and the next checkpoint.

The table is in `consumers/erasure.md`. The whole is real: embedded log on disk, windows, cycle, checkpoints.
"""

from pathlib import Path

import orjson
import pytest

from consumers.events import GONE, Event
from consumers.log import Entry, Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Snapshot
from consumers.windows.shape import Shape
from consumers.worker.checkpoints import Checkpoints
from consumers.worker.saving import Saving
from consumers.worker.worker import Worker
from daemon.runs.cycle import Cycle, Plan
from daemon.runs.pseudonyms import Pseudonyms
from daemon.runs.recall import published
from tests.unit.consumers.factories import SECOND, START, event

TOPICS = Topics("t")
SHAPE = Shape(length=12 * SECOND, bucket=SECOND, lateness=0, idle_timeout=3600 * SECOND)
VICTIM = "did:plc:victimvictimvictimvictim"
OTHERS = [f"did:plc:other{number:02d}" for number in range(8)]
INDICATORS = ("attention", "panic")


class Daemon:
    """Windows and cycle over one partition, with checkpoints; nothing of it turns by itself."""

    def __init__(self, log: SqliteLog, directory: Path, pseudonyms: Pseudonyms | None = None) -> None:
        self.log, self.directory, self.now = log, directory, START
        plan = Plan(INDICATORS, device="cpu", panels=(4,))
        self.cycle = Cycle(log, TOPICS, plan, pseudonyms=pseudonyms, clock=None, now=None)
        self.checkpoints = Checkpoints(directory, SHAPE.fingerprint())
        saving = Saving(
            self.checkpoints,
            every=10**15,
            dump=self.cycle.dump,
            load=self.cycle.load,
        )
        self.worker = Worker(log, TOPICS.events, SHAPE, [0], self._close, now=lambda: self.now, saving=saving)
        self.closed: list[Snapshot] = []

    async def _close(self, snapshot: Snapshot) -> None:
        self.closed.append(snapshot)
        await self.cycle(snapshot)

    async def hear(self, *events: Event) -> None:
        """Append events and fold them, closing what they close; the clock is theirs."""
        self.now = max(self.now, *(one.t for one in events))
        await self.log.append(TOPICS.events, [Entry(one.agent.encode(), one.encode()) for one in events])
        while await self.worker.step(wait=0):
            pass

    async def second(self, at: int, *more: str) -> None:
        """One second in which everyone named, and the others, do something."""
        people = [*OTHERS, *more]
        await self.hear(*(event(one, "post", at=at, valence=-0.7 if at % 3 else 0.3) for one in people))
        await self.hear(*(event(one, "like", at=at + 0.2, role="target") for one in people[3:]))

    def on_disk(self) -> dict[str, bytes]:
        """Every file under the checkpoints' directory."""
        return {str(path): path.read_bytes() for path in self.directory.rglob("*") if path.is_file()}


@pytest.fixture
async def log(tmp_path: Path):
    async with SqliteLog(tmp_path / "log.db") as opened:
        await opened.ensure(
            [
                Topic(TOPICS.events, 1, 10**12),
                Topic(TOPICS.attributions, 1, 10**12, "compact,delete"),
                Topic(TOPICS.runs, 1, 10**12),
            ]
        )
        yield opened


def gone(at: float, status: str = "deleted") -> Event:
    return event(VICTIM, "account", at=at, status=status)


@pytest.mark.parametrize("status", sorted(GONE))
async def test_an_erased_account_is_in_no_byte_of_any_checkpoint_after_a_run_and_a_checkpoint(
    log: SqliteLog, tmp_path: Path, status: str
) -> None:
    daemon = Daemon(log, tmp_path / "checkpoints")
    await daemon.worker.start()
    for at in range(30):
        await daemon.second(at, VICTIM)
        if at % 10 == 9:
            await daemon.worker.checkpoint()
    held = [path for path, content in daemon.on_disk().items() if VICTIM.encode() in content]
    assert {Path(path).name for path in held} == {"partition-00000.images", "partition-00000.carried"}
    assert len({Path(path).parent for path in held}) == 2, "both generations name the account before it is erased"
    assert VICTIM in daemon.cycle._publisher.published.names

    await daemon.hear(gone(29.9, status))
    assert daemon.worker.windows.parts[0].state.slots.of.keys() == set(OTHERS)
    await daemon.worker.checkpoint()
    await daemon.second(30)
    await daemon.second(31)
    assert VICTIM in daemon.closed[-2].erased
    assert VICTIM not in (await published(log, TOPICS.attributions, [0])).names
    await daemon.worker.checkpoint()
    assert len(list(daemon.directory.iterdir())) == 2, "there is still one to fall back to"
    assert [path for path, content in daemon.on_disk().items() if VICTIM.encode() in content] == []
    assert all(len(list(checkpoint.images)) == 1 for checkpoint in daemon.checkpoints.load())
    assert daemon.checkpoints.stats.damaged == 0
    daemon.cycle.close()


@pytest.mark.parametrize("pseudonyms", [None, Pseudonyms("0f1e2d3c4b5a69788796a5b4c3d2e1f0")], ids=["names", "hidden"])
async def test_no_memory_of_the_daemon_names_an_erased_account_after_the_next_run(
    log: SqliteLog, tmp_path: Path, pseudonyms: Pseudonyms | None
) -> None:
    daemon = Daemon(log, tmp_path / "checkpoints", pseudonyms)
    shown = pseudonyms.of([VICTIM])[0] if pseudonyms else VICTIM
    await daemon.worker.start()
    for at in range(30):
        await daemon.second(at, VICTIM)
    assert shown.encode() in orjson.dumps(daemon.cycle.latest.runs(240))
    assert daemon.cycle.latest.agent(shown) is not None
    await daemon.hear(gone(29.9))
    await daemon.second(31)
    assert shown.encode() not in orjson.dumps(daemon.cycle.latest.runs(240))
    assert daemon.cycle.latest.agent(shown) is None
    assert shown not in daemon.cycle._publisher.published.names
    assert VICTIM.encode() not in b"".join(a.tobytes() for _, own in daemon.cycle.dump().values() for a in own.values())
    if pseudonyms:
        assert VICTIM not in pseudonyms._known
    await daemon.worker.close()
    daemon.cycle.close()


async def test_the_attributions_topic_ends_with_a_tombstone_also_where_the_crash_came_before_the_checkpoint(
    log: SqliteLog, tmp_path: Path
) -> None:
    first = Daemon(log, tmp_path / "checkpoints")
    await first.worker.start()
    for at in range(20):
        await first.second(at, VICTIM)
    await first.worker.checkpoint()
    await first.hear(gone(19.9))
    await first.second(21)
    first.cycle.close()
    second = Daemon(log, tmp_path / "checkpoints")  # the first one ended without a checkpoint after that run
    await second.worker.start()
    await second.second(22)
    assert VICTIM in second.closed[0].erased or VICTIM in second.closed[1].erased
    assert (await published(log, TOPICS.attributions, [0])).names == OTHERS
    await second.worker.checkpoint()
    assert [path for path, content in second.on_disk().items() if VICTIM.encode() in content] == []
    second.cycle.close()


async def test_an_account_that_comes_back_is_counted_from_then_on(log: SqliteLog, tmp_path: Path) -> None:
    daemon = Daemon(log, tmp_path / "checkpoints")
    await daemon.worker.start()
    for at in range(14):
        await daemon.second(at, VICTIM)
    await daemon.hear(gone(13.9, "deactivated"), event(VICTIM, "account", at=13.95, status="active"))
    await daemon.second(14, VICTIM)
    await daemon.second(15)
    last = daemon.closed[-1]
    assert last.current[0, last.agents.index(VICTIM)] == 1
    assert VICTIM in (await published(log, TOPICS.attributions, [0])).names
    daemon.cycle.close()


async def test_without_an_erasure_the_checkpoint_before_is_another_moment(log: SqliteLog, tmp_path: Path) -> None:
    daemon = Daemon(log, tmp_path / "checkpoints")
    await daemon.worker.start()
    for at in range(12):
        await daemon.second(at)
        if at % 4 == 3:
            await daemon.worker.checkpoint()
    offsets = [checkpoint.offsets[0] for checkpoint in daemon.checkpoints.load()]
    assert len(offsets) == len(set(offsets)) == 2
    daemon.cycle.close()
