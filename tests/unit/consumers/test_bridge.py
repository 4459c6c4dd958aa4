"""The bridge on a real SQLite log: each event once, the cursor never ahead of the log, bad input told within limits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.bridge import bridge as bridging
from consumers.bridge.bridge import Bridge
from consumers.bridge.cursors import CursorFile
from consumers.bridge.deadletters import Limits
from consumers.bridge.identity import HORIZON
from consumers.events import Event
from consumers.log import Entry, LogError, Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.sources import Delivery, Gap, Rejected

TOPICS = Topics()
PARTITIONS = 3
CLAIMS = 2
"""Appends by which a bridge claims its source before its first events."""
START = 1_700_000_000_000_000


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Script:
    """A source that delivers a list, from after a cursor, which is a seq; `back` of them come again."""

    def __init__(self, deliveries: Sequence[Delivery], name: str = "relay:test", back: int = 0) -> None:
        self.name = name
        self.asked: list[int | None] = []
        self._script = deliveries
        self._back = back

    async def deliveries(self, cursor: int | None) -> AsyncIterator[Delivery]:
        self.asked.append(cursor)
        for delivery in self._script:
            if (delivery.cursor or 0) > (cursor or 0) - self._back:
                yield delivery


class FailingLog:
    """A real log whose n-th append fails, after having written the first `kept` entries."""

    def __init__(self, log: SqliteLog, fail_at: int, kept: int) -> None:
        self._log, self._left, self._kept = log, fail_at, kept

    def __getattr__(self, name: str):
        return getattr(self._log, name)

    async def append(self, topic: str, entries: Sequence[Entry]) -> None:
        if self._left == 0:
            await self._log.append(topic, entries[: self._kept])
            raise LogError("The log is gone: bring it back.")
        self._left -= 1
        await self._log.append(topic, entries)


def like(number: int, src: str = "relay:test") -> list[Event]:
    """An operation's two events."""
    actor, target = f"did:plc:a{number % 7}", f"did:plc:t{number % 5}"
    uri = f"at://{actor}/app.bsky.feed.like/{number}"
    t = START + number * 1_000
    return [
        Event(actor, "actor", "like", target, t, src, number, f"rev{number}", 0, uri),
        Event(target, "target", "like", actor, t, src, number, f"rev{number}", 0, uri),
    ]


def script(count: int, size: int = 2, src: str = "relay:test") -> list[Delivery]:
    """Deliveries of `size` operations each; the cursor is the last seq, as on a relay."""
    return [
        Delivery(
            cursor=(index + 1) * size,
            frames=size,
            operations=size,
            accepted=size,
            events=[event for op in range(size) for event in like(index * size + op + 1, src)],
        )
        for index in range(count)
    ]


async def opened(log: SqliteLog) -> SqliteLog:
    await log.ensure([Topic(TOPICS.events, PARTITIONS, 10**12), Topic(TOPICS.deadletters, 1, 10**12)])
    return log


async def held(log: SqliteLog, topic: str = TOPICS.events) -> list[dict]:
    reader = await log.reader(topic, await log.begin_offsets(topic))
    ends = await log.end_offsets(topic)
    values = []
    while any(reader.positions[partition] < end for partition, end in ends.items()):
        values += [orjson.loads(value) for chunk in await reader.poll() for value in chunk.values]
    await reader.close()
    return [value for value in values if value.get("kind") != "bridge"]


def counted(records: list[dict]) -> Counter:
    return Counter((record["agent"], record["role"], record["uri"]) for record in records)


EXPECTED = Counter((event.agent, event.role, event.uri) for d in script(8) for event in d.events)


async def test_every_event_is_appended_once_and_the_cursor_saved_at_the_end(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Script(script(8)), log, TOPICS, PARTITIONS, tmp_path, now=Clock())
        await bridge.run(asyncio.Event())
        assert counted(await held(log)) == EXPECTED
        assert CursorFile(tmp_path, "relay:test").load().cursor == 16
        assert bridge.stats.operations == bridge.stats.accepted == 16
        assert bridge.stats.events == {"like": 32}


async def test_what_the_upstream_repeats_is_dropped_also_over_a_restart(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        await Bridge(Script(script(5)), log, TOPICS, PARTITIONS, tmp_path, now=Clock()).run(asyncio.Event())
        again = Bridge(Script(script(8), back=8), log, TOPICS, PARTITIONS, tmp_path, now=Clock())
        await again.run(asyncio.Event())
        assert again.source.asked == [10]
        assert again.stats.duplicates == 16
        assert counted(await held(log)) == EXPECTED


async def test_the_same_operations_from_another_host_are_repeats(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        await Bridge(Script(script(8)), log, TOPICS, PARTITIONS, tmp_path, now=Clock()).run(asyncio.Event())
        other = Script(script(8, src="jetstream1:other"), name="jetstream1:other")
        bridge = Bridge(other, log, TOPICS, PARTITIONS, tmp_path, now=Clock())
        await bridge.run(asyncio.Event())
        assert bridge.stats.duplicates == 32
        assert counted(await held(log)) == EXPECTED


@settings(deadline=None)
@given(
    crashes=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.booleans()), max_size=4),
    repeats=st.integers(0, 6),
)
def test_each_event_is_in_the_log_once_wherever_appends_fail_and_whether_the_place_was_saved(
    tmp_path_factory, crashes, repeats
) -> None:
    directory = tmp_path_factory.mktemp("state")

    async def live() -> None:
        async with SqliteLog(":memory:") as log:
            await opened(log)
            for fail_at, kept, saves in crashes:
                source = Script(script(8), back=repeats)
                bridge = Bridge(source, FailingLog(log, fail_at, kept), TOPICS, PARTITIONS, directory, now=Clock())
                with suppress(LogError):
                    await bridge.restore()
                    async for delivery in source.deliveries(bridge.stats.cursor):
                        await bridge.deliver([delivery])
                        if saves:
                            await bridge.save()
            await Bridge(Script(script(8), back=repeats), log, TOPICS, PARTITIONS, directory, now=Clock()).run(
                asyncio.Event()
            )
            assert counted(await held(log)) == EXPECTED

    asyncio.run(live())


async def test_a_lost_place_is_recovered_from_the_log_so_that_nothing_is_missed_or_counted_twice(tmp_path) -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        one_by_one = script(16, size=1)
        await Bridge(Script(one_by_one[:9]), log, TOPICS, PARTITIONS, tmp_path, now=Clock()).run(asyncio.Event())
        CursorFile(tmp_path, "relay:test").path.write_bytes(b"{")
        bridge = Bridge(Script(one_by_one), log, TOPICS, PARTITIONS, tmp_path, now=Clock())
        await bridge.run(asyncio.Event())
        (asked,) = bridge.source.asked
        assert asked is not None
        assert asked < 9
        assert counted(await held(log)) == EXPECTED


async def test_the_cursor_is_saved_at_most_every_second_and_never_before_the_append(tmp_path) -> None:
    clock = Clock()
    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Script([]), FailingLog(log, CLAIMS + 2, 0), TOPICS, PARTITIONS, tmp_path, now=clock)
        await bridge.restore()
        first, second, third = script(3)
        await bridge.deliver([first])
        await bridge.save()
        await bridge.deliver([second])
        with pytest.raises(LogError):
            await bridge.deliver([third])
        assert bridge.stats.cursor == 4
        assert CursorFile(tmp_path, "relay:test").load().cursor == 2


async def test_the_place_of_a_source_that_fell_silent_is_saved_all_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bridging, "_SAVE_EVERY", 10_000)
    clock, stop = Clock(), asyncio.Event()

    class Silent(Script):
        async def deliveries(self, _cursor: int | None) -> AsyncIterator[Delivery]:
            yield script(1)[0]
            await asyncio.Event().wait()

    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Silent([]), log, TOPICS, PARTITIONS, tmp_path, now=clock)
        running = asyncio.create_task(bridge.run(stop))
        async with asyncio.timeout(20):
            while not bridge.stats.accepted:  # noqa: ASYNC110 - the bridge tells nobody what it has done
                await asyncio.sleep(0.01)
            clock.now += 10_000
            while not bridge.stats.saves:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert CursorFile(tmp_path, "relay:test").load().cursor == 2
        stop.set()
        await running


async def test_the_place_says_where_the_log_was_a_horizon_ago_and_how_it_went_on(tmp_path) -> None:
    step = HORIZON // 8
    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Script([]), log, TOPICS, PARTITIONS, tmp_path, now=Clock())
        await bridge.restore()
        for number in range(10):
            for late in (0, step // 2):
                told = replace(like(2 * number)[0], t=START + number * step + late, rev=f"{number} {late}")
                await bridge.deliver([Delivery(cursor=number * step + late + 1, events=[told])])
                await bridge.save()
        place = CursorFile(tmp_path, "relay:test").load()
        assert (place.cursor, place.t) == (9 * step + step // 2 + 1, START + 9 * step + step // 2)
        assert [point.t for point in place.trail] == [START + number * step for number in range(1, 10)]
        assert [sum(point.offsets.values()) for point in place.trail] == [PARTITIONS + 2 * n + 1 for n in range(1, 10)]
        assert {point.epoch for point in place.trail} == {place.epoch} == {bridge._tenure.epoch}


async def test_what_came_and_what_became_of_it_is_counted() -> None:
    def delivery(cursor: int | None, *events: Event) -> Delivery:
        bad = [Rejected("not_json", "at byte 3", f"relay:test@{cursor}", 40)]
        return Delivery(cursor, 3, 4, 1, list(events), Counter(other=2), bad, [Gap(START, START + 1, "seq_jump")])

    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Script([]), log, TOPICS, PARTITIONS, None, now=Clock())
        await bridge.restore()
        await bridge.deliver([])
        await bridge.deliver([delivery(1, *like(9)), delivery(2, *like(2)), delivery(None, *like(9))])
        await bridge.deliver([delivery(None)])
        stats = bridge.stats
        assert (stats.frames, stats.operations, stats.accepted) == (12, 16, 4)
        assert (stats.ignored, stats.rejected, stats.gaps) == ({"other": 8}, {"not_json": 4}, {"seq_jump": 4})
        assert (stats.events, stats.duplicates) == ({"like": 4}, 2)
        assert stats.deadletters + stats.overflow == 4
        assert (stats.cursor, stats.t) == (2, START + 9_000)


async def test_a_slow_log_stops_the_reading_of_the_source() -> None:
    taken = 0
    gate = asyncio.Event()

    class Endless(Script):
        async def deliveries(self, _cursor: int | None) -> AsyncIterator[Delivery]:
            nonlocal taken
            for delivery in script(500):
                taken += 1
                yield delivery

    class Slow(FailingLog):
        async def append(self, topic: str, entries: Sequence[Entry]) -> None:
            if entries[0].key != b"bridge":
                await gate.wait()
            await self._log.append(topic, entries)

    stop = asyncio.Event()
    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Endless([]), Slow(log, 0, 0), TOPICS, PARTITIONS, None, now=Clock())
        running = asyncio.create_task(bridge.run(stop))
        before = -1
        while taken != before or not taken:
            before = taken
            for _ in range(200):
                await asyncio.sleep(0)
            await asyncio.to_thread(int)
        assert taken < 60
        gate.set()
        await running
        assert len(await held(log)) == 2_000


async def test_a_source_that_fails_ends_the_bridge_with_its_error() -> None:
    class Broken(Script):
        async def deliveries(self, _cursor: int | None) -> AsyncIterator[Delivery]:
            yield script(1)[0]
            raise OSError("gone")

    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Broken([]), log, TOPICS, PARTITIONS, None, now=Clock())
        with pytest.raises(OSError, match="gone"):
            await bridge.run(asyncio.Event())
        assert len(await held(log)) == 4


async def test_stop_leaves_a_silent_source_and_saves_what_it_gave(tmp_path) -> None:
    class Silent(Script):
        async def deliveries(self, _cursor: int | None) -> AsyncIterator[Delivery]:
            yield script(1)[0]
            await asyncio.Event().wait()

    stop = asyncio.Event()
    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Silent([]), log, TOPICS, PARTITIONS, tmp_path, now=Clock())
        running = asyncio.create_task(bridge.run(stop))
        while not bridge.stats.accepted:  # noqa: ASYNC110 - the bridge tells nobody when it has delivered
            await asyncio.sleep(0)
        stop.set()
        await running
        assert CursorFile(tmp_path, "relay:test").load().cursor == 2


async def test_a_gap_is_in_every_partition_and_one_of_unknown_start_begins_where_the_log_ended() -> None:
    deliveries = script(1)
    gaps = [Gap(START + 5, START + 9, "seq_jump"), Gap(0, START + 10_000, "outdated_cursor")]
    deliveries.append(Delivery(cursor=2, gaps=gaps))
    async with SqliteLog(":memory:") as log:
        await opened(log)
        bridge = Bridge(Script(deliveries), log, TOPICS, PARTITIONS, None, now=Clock())
        await bridge.restore()
        for delivery in deliveries:
            await bridge.deliver([delivery])
        records = [record for record in await held(log) if record["kind"] == "gap"]
        assert {(record["src"], record["epoch"]) for record in records} == {("relay:test", bridge._tenure.epoch)}
        found = Counter((record["start"], record["end"], record["cause"]) for record in records)
        assert found == {
            (START + 5, START + 9, "seq_jump"): PARTITIONS,
            (START + 2_000, START + 10_000, "outdated_cursor"): PARTITIONS,
        }


async def test_a_live_source_without_a_place_says_the_time_since_the_log_ended_as_downtime() -> None:
    async with SqliteLog(":memory:") as log:
        await opened(log)
        await Bridge(Script(script(2), name="sim:1"), log, TOPICS, PARTITIONS, None, now=Clock()).run(asyncio.Event())
        later = Delivery(cursor=1, events=like(9_000, "relay:new"))
        await Bridge(Script([later], name="relay:new"), log, TOPICS, PARTITIONS, None, now=Clock()).run(asyncio.Event())
        found = {(r["start"], r["end"], r["cause"]) for r in await held(log) if r["kind"] == "gap"}
        assert found == {(START + 4_000, START + 9_000_000, "downtime")}


async def test_dead_letters_say_what_and_where_but_no_bytes_and_never_become_the_stream() -> None:
    bad = Rejected("not_json", "at byte 3", "relay:test@7", 40)
    clock = Clock()
    flood = Delivery(cursor=1, frames=1_000, operations=1_000, rejected=[bad] * 1_000)
    async with SqliteLog(":memory:") as log:
        await opened(log)
        limits = Limits(per_minute=50, share=0.01, free=5, stop_share=1.0)
        bridge = Bridge(Script([]), log, TOPICS, PARTITIONS, None, now=clock, limits=limits)
        await bridge.deliver([flood])
        assert (bridge.stats.deadletters, bridge.stats.overflow) == (15, 985)
        for _ in range(9):
            await bridge.deliver([flood])
        assert bridge.stats.deadletters == 50
        clock.now += 60_000_000
        await bridge.deliver([Delivery(cursor=2, operations=1, rejected=[bad])])
        letters = await held(log, TOPICS.deadletters)
        assert len(letters) == 51
        assert letters[-1] == {
            "v": 1, "reason": "not_json", "src": "relay:test", "where": "relay:test@7", "size": 40, "t": clock.now,
        }  # fmt: skip
        assert bridge.stats.rejected == {"not_json": 10_001}
