"""An ordered list of hosts read as one source, on real sockets."""

import asyncio
import time
from collections.abc import Callable

import pytest

from consumers.scoring import no_score
from consumers.sources import Delivery, SourceError
from consumers.sources.failover import PLACES, FailoverSource
from consumers.sources.jetstream import JetstreamV1Source, JetstreamV2Source
from consumers.sources.relay import RelaySource
from consumers.sources.websocket import SocketOptions
from tests.deliveries import until
from tests.servers.fake_host import FakeHost, sends
from tests.servers.fake_jetstream import replays_v1, replays_v2
from tests.servers.fake_relay import replays
from tests.unit.consumers.frames import TIME_US, commit_frame, like_line, v2_message

QUICK = SocketOptions(backoff_first=0.01, backoff_most=0.05)


def now() -> int:
    return time.time_ns() // 1000


def moment(second: int) -> str:
    return f"2026-07-04T14:00:{second:02d}.000Z"


def commits(seconds: range, first_seq: int) -> dict[int, bytes]:
    """One commit a second, numbered by the host from `first_seq` on; the same commit has the same key on every host."""
    return {
        first_seq + n: commit_frame(seq=first_seq + n, time=moment(second), rev=f"3mptbyplu{second:04d}")
        for n, second in enumerate(seconds)
    }


def says(second: int) -> Callable[[Delivery], bool]:
    """Whether the commit of that second has come."""
    return lambda delivery: any(event.rev == f"3mptbyplu{second:04d}" for event in delivery.events)


def revs(delivery: Delivery) -> list[int]:
    return [int(event.rev[-4:]) for event in delivery.events if event.role == "actor"]


def relays(*hosts: FakeHost, **changes: float) -> FailoverSource:
    sources = [RelaySource(host.address, score=no_score, options=QUICK) for host in hosts]
    return FailoverSource(sources, now=now, **{"patience": 0.4, "return_after": 60.0} | changes)


async def test_when_a_relay_falls_silent_the_next_is_read_and_the_time_between_is_a_gap():
    first, second = sends(*commits(range(3), 10).values()), sends(*commits(range(8, 11), 700).values())
    async with FakeHost([first]) as one, FakeHost([second]) as two:
        source = relays(one, two)
        whole = await until(source, says(10), cursor=9)
    assert revs(whole) == [0, 1, 2, 8, 9, 10]
    assert [(gap.cause, gap.end - gap.start) for gap in whole.gaps] == [("host_change", 6_000_000)]
    assert whole.cursor == PLACES + 702
    assert len({event.src for event in whole.events}) == 2
    assert source.stats.gaps == {"host_change": 1}


async def test_a_cursor_goes_on_at_the_host_that_gave_it():
    async with FakeHost([replays(commits(range(3), 10))]) as one, FakeHost([replays(commits(range(9), 700))]) as two:
        whole = await until(relays(one, two), says(8), cursor=PLACES + 705)
        assert two.cursors == [705]
        assert one.cursors == []
    assert revs(whole) == [6, 7, 8]
    assert not whole.gaps


async def test_a_host_that_nobody_was_read_after_goes_on_from_its_own_cursor():
    kept = commits(range(6), 10)
    async with FakeHost([replays(kept, upto=12), replays(kept)]) as one, FakeHost([(503, "busy")]) as two:
        whole = await until(relays(one, two), says(5), cursor=9)
        assert one.cursors == [9, 12]
    assert revs(whole) == [0, 1, 2, 3, 4, 5]
    assert not whole.gaps


async def test_the_way_back_to_the_first_host_has_no_gap():
    back = asyncio.Event()

    async def live(connection, _cursor):
        await back.wait()
        for frame in commits(range(5, 9), 15).values():
            await connection.send(frame)
        await connection.wait_closed()

    async def second(connection, _cursor):
        for seq, frame in commits(range(1, 8), 701).items():
            await connection.send(frame)
            if seq == 705:
                back.set()
            await asyncio.sleep(0.05)
        await connection.wait_closed()

    async with FakeHost([(503, "busy"), live]) as one, FakeHost([second]) as two:
        sources = [RelaySource(host.address, score=no_score, options=QUICK) for host in (one, two)]
        sources[0]._options = SocketOptions(backoff_first=0.6, backoff_most=0.6)
        source = FailoverSource(sources, now=now, patience=0.5, return_after=0.01)
        whole = await until(source, says(8))
    assert set(revs(whole)) == set(range(1, 9))
    assert not whole.gaps
    assert whole.cursor == 18


async def test_the_next_jetstream_is_asked_for_what_came_since_and_nothing_is_missed():
    old = {n: v2_message(seq=n, time=moment(n), rev=f"3mptbyplu{n:04d}") for n in range(1, 4)}
    new = {n + 70: v2_message(seq=n + 70, time=moment(n), rev=f"3mptbyplu{n:04d}") for n in range(1, 8)}
    async with FakeHost([replays_v2(old)]) as one, FakeHost([replays_v2(new)]) as two:
        hosts = [JetstreamV2Source(host.address, score=no_score, options=QUICK, overlap=2.0) for host in (one, two)]
        whole = await until(FailoverSource(hosts, patience=0.4, now=now), says(7), cursor=1)
        assert one.cursors == [1]
        assert two.cursors == [1_783_173_601_000_000]
    assert set(revs(whole)) == set(range(1, 8))
    assert not whole.gaps


async def test_jetstreams_of_the_first_kind_change_hosts_by_time_as_well():
    lines = {TIME_US + n: like_line(time_us=TIME_US + n, rkey=f"k{n}") for n in range(5)}
    first = {t: line for t, line in lines.items() if t <= TIME_US + 1}
    async with FakeHost([replays_v1(first)]) as one, FakeHost([replays_v1(lines)]) as two:
        hosts = [JetstreamV1Source(host.address, score=no_score, options=QUICK) for host in (one, two)]
        source = FailoverSource(hosts, patience=0.4, now=now)
        await until(source, lambda d: len({event.uri for event in d.events}) == 5)
        assert two.cursors == [TIME_US + 1 - 5_000_000]
    assert source.name.startswith("jetstream1:127.0.0.1:")


def test_a_list_of_no_hosts_is_one_clear_sentence():
    with pytest.raises(SourceError, match="list one to 8"):
        FailoverSource([])
