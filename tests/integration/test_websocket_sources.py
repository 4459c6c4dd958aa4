"""The live sources against hosts with faults, on real sockets: each fault is survived, counted, and no gap unsaid."""

import asyncio
from contextlib import aclosing
from random import Random

import pytest
import zstandard

from consumers.events import Event
from consumers.scoring import no_score
from consumers.sources import Delivery, SourceError
from consumers.sources.decoding.reading import MAX_SEQ
from consumers.sources.jetstream import OLDEST, JetstreamV1Source, JetstreamV2Source
from consumers.sources.relay import RelaySource
from consumers.sources.websocket import SocketOptions
from tests.deliveries import until
from tests.servers.fake_host import ABRUPT, FakeHost, sends
from tests.servers.fake_jetstream import cursor_too_old, replays_v1, replays_v2, v2_error, v2_info
from tests.servers.fake_relay import error_frame, info_frame, replays
from tests.unit.consumers.frames import TIME_US, commit_frame, like_line, v2_message

QUICK = SocketOptions(backoff_first=0.01, backoff_most=0.05, stall_after=30.0, heartbeat=0.05, open_timeout=5.0)
NOW = TIME_US + 3_600_000_000


def options(**changes: float) -> SocketOptions:
    return SocketOptions(**({name: getattr(QUICK, name) for name in QUICK.__slots__} | changes))


def relay(host: FakeHost, quick: SocketOptions = QUICK, *, dense: bool = True) -> RelaySource:
    return RelaySource(host.address, dense=dense, score=no_score, options=quick, now=lambda: NOW, random=Random(1))


def v1(host: FakeHost, **more) -> JetstreamV1Source:
    return JetstreamV1Source(
        host.address, score=no_score, now=lambda: NOW, random=Random(1), **{"options": QUICK} | more
    )


def v2(host: FakeHost, **more) -> JetstreamV2Source:
    return JetstreamV2Source(host.address, score=no_score, options=QUICK, now=lambda: NOW, random=Random(1), **more)


def seqs(events: list[Event]) -> list[int]:
    return [event.seq for event in events if event.role == "actor"]


def reasons(delivery: Delivery) -> list[str]:
    return [rejected.reason for rejected in delivery.rejected]


def commits(first: int, last: int) -> dict[int, bytes]:
    """Commits of which each comes a second after the one before."""
    return {
        n: commit_frame(seq=n, time=f"2026-07-04T14:{n // 60 % 60:02d}:{n % 60:02d}.000Z")
        for n in range(first, last + 1)
    }


@pytest.mark.parametrize("code", [1000, 1001, ABRUPT, 1008, 1011, 1012])
async def test_a_close_of_any_kind_is_resumed_from_the_newest_cursor(code):
    frames = commits(1, 20)
    async with FakeHost([replays(frames, upto=12, then=code), replays(frames)]) as host:
        source = relay(host)
        whole = await until(source, lambda d: d.cursor == 20, cursor=5)
    assert seqs(whole.events) == list(range(6, 21))
    assert host.cursors == [5, 12]
    assert source.stats.disconnects == {f"close_{code}": 1}
    assert source.stats.connects == 2
    assert not whole.gaps
    assert not source.stats.connected


@pytest.mark.parametrize("dense", [True, False])
async def test_a_frame_that_cannot_be_received_at_all_is_stepped_over(dense):
    places = [1, 2, 3, 4] if dense else [1, 2, 13, 100]
    frames = {place: commits(place, place)[place] for place in places}
    frames[places[2]] = commit_frame(seq=places[2], blob=b"x" * 300_000)
    async with FakeHost([replays(frames)]) as host:
        source = relay(host, options(hard_frame_bytes=200_000), dense=dense)
        whole = await until(source, lambda d: d.cursor == places[3], cursor=0)
    assert seqs(whole.events) == [1, 2, places[3]]
    assert set(reasons(whole)) == {"oversize_frame"}
    assert source.stats.disconnects["oversize_frame"] == len(whole.rejected)
    # Where seqs have holes, more may have gone with it, and that is said.
    assert [gap.cause for gap in whole.gaps] == ([] if dense else ["stepped_over"])


async def test_a_stalled_connection_is_dropped_by_the_watchdog_and_resumed():
    frames = commits(1, 4)
    async with FakeHost([replays(frames, upto=2), replays(frames)]) as host:
        source = relay(host, options(stall_after=0.3))
        whole = await until(source, lambda d: d.cursor == 4, cursor=0)
    assert seqs(whole.events) == [1, 2, 3, 4]
    assert source.stats.disconnects == {"stall": 1}
    assert host.cursors == [0, 2]


async def test_a_slow_reader_bounds_the_queue_and_loses_nothing():
    count = 600
    frames = commits(1, count)
    async with FakeHost([replays(frames)]) as host:
        source = relay(host, options(queue_frames=50, stall_after=0.4))
        got: list[int] = []
        async with asyncio.timeout(20), aclosing(source.deliveries(0)) as deliveries:
            async for delivery in deliveries:
                got += seqs(delivery.events)
                assert source.stats.queued_frames <= 50
                if len(got) == count:
                    break
                if len(got) < 200:
                    await asyncio.sleep(0.6)  # longer than the watchdog's patience, which must not bite meanwhile
    assert got == list(range(1, count + 1))
    assert source.stats.paused > 0
    assert source.stats.connects == 1


async def test_repeated_stretches_are_handed_on_but_move_nothing_back():
    frames = commits(1, 6)
    twice = [frames[n] for n in (1, 2, 3, 2, 3, 4, 5, 6)]
    async with FakeHost([sends(*twice)]) as host:
        whole = await until(relay(host), lambda d: d.frames == 8, cursor=0)
    assert whole.cursor == 6
    assert seqs(whole.events) == [1, 2, 3, 2, 3, 4, 5, 6]
    assert not whole.gaps


async def test_a_jump_is_a_gap_on_a_dense_host_only():
    frames = commits(1, 3) | commits(10, 11)
    for dense, expected in ((True, [("seq_jump", 7_000_000)]), (False, [])):
        async with FakeHost([replays(frames)]) as host:
            whole = await until(relay(host, dense=dense), lambda d: d.cursor == 11, cursor=0)
        assert [(gap.cause, gap.end - gap.start) for gap in whole.gaps] == expected


async def test_a_first_frame_beyond_the_cursor_is_a_gap_whose_beginning_is_not_known():
    async with FakeHost([replays(commits(50, 51))]) as host:
        whole = await until(relay(host), lambda d: d.cursor == 51, cursor=7)
    assert [(gap.cause, gap.start) for gap in whole.gaps] == [("seq_jump", 0)]


async def test_an_outdated_cursor_is_a_gap():
    late = [info_frame("OutdatedCursor"), *commits(50, 51).values()]
    async with FakeHost([sends(*commits(1, 2).values(), then=1012), sends(*late)]) as host:
        source = relay(host, dense=False)
        whole = await until(source, lambda d: d.cursor == 51)
    assert [(gap.cause, gap.end - gap.start) for gap in whole.gaps] == [("outdated_cursor", 48_000_000)]
    assert source.stats.notices == {"OutdatedCursor": 1}
    assert whole.ignored["info"] == 1


async def test_a_slow_consumer_error_is_counted_and_resumed():
    frames = commits(1, 4)
    first = sends(frames[1], frames[2], error_frame("ConsumerTooSlow"), then=1008)
    async with FakeHost([first, replays(frames)]) as host:
        source = relay(host)
        whole = await until(source, lambda d: d.cursor == 4, cursor=0)
    assert source.stats.notices == {"ConsumerTooSlow": 1}
    assert seqs(whole.events) == [1, 2, 3, 4]
    assert whole.ignored["error_frame"] == 1


async def test_after_a_future_cursor_the_host_is_read_from_now_in_a_new_epoch():
    future = sends(error_frame("FutureCursor"), then=1008)
    async with FakeHost([future, future, replays(commits(1, 3))]) as host:
        source = relay(host)
        whole = await until(source, lambda d: len(d.events) >= 6, cursor=1_000)
    assert host.cursors == [1_000, None, None]
    assert seqs(whole.events) == [MAX_SEQ + 1, MAX_SEQ + 2, MAX_SEQ + 3]
    assert [gap.cause for gap in whole.gaps] == ["future_cursor"]
    async with FakeHost([replays(commits(1, 5))]) as host:
        again = await until(relay(host), lambda d: len(d.events) >= 4, cursor=whole.cursor)
    assert host.cursors == [3]
    assert seqs(again.events) == [MAX_SEQ + 4, MAX_SEQ + 5]


async def test_a_host_that_began_its_seqs_anew_without_a_word_stays_monotonic_for_us():
    before = commits(500_000, 500_002)
    after = {n: commit_frame(seq=n, time=f"2026-07-04T15:00:0{n}.000Z") for n in range(1, 4)}
    async with FakeHost([sends(*before.values(), then=1012), sends(*after.values())]) as host:
        source = relay(host)
        whole = await until(source, lambda d: d.frames == 6, cursor=499_999)
    numbers = seqs(whole.events)
    assert numbers == sorted(numbers)
    assert [number % MAX_SEQ for number in numbers] == [500_000, 500_001, 500_002, 1, 2, 3]
    assert [gap.cause for gap in whole.gaps] == ["seq_reset"]
    assert source.stats.resets == 1


async def test_seqs_that_begin_anew_on_one_connection_are_told_from_repeats_and_from_reordering():
    def at(second: int, seq: int) -> bytes:
        return commit_frame(seq=seq, time=f"2026-07-04T14:00:{second:02d}.000Z")

    sent = [at(1, 1_000), at(2, 1_001), at(1, 1_000), at(4, 1_003), at(5, 1_002), at(6, 1), at(7, 2)]
    async with FakeHost([sends(*sent)]) as host:
        source = relay(host, dense=False)
        whole = await until(source, lambda d: d.frames == len(sent), cursor=999)
    assert seqs(whole.events) == [1_000, 1_001, 1_000, 1_003, 1_002, MAX_SEQ + 1, MAX_SEQ + 2]
    assert [gap.cause for gap in whole.gaps] == ["seq_reset"]
    assert whole.cursor == MAX_SEQ + 2


async def test_a_clock_ahead_upstream_hides_no_gap():
    ahead = commit_frame(seq=2, time="2026-07-05T03:00:00Z")
    frames = commits(1, 1) | {2: ahead} | commits(9, 9)
    async with FakeHost([replays(frames)]) as host:
        whole = await until(relay(host), lambda d: d.cursor == 9, cursor=0)
    assert [gap.cause for gap in whole.gaps] == ["seq_jump"]
    assert whole.gaps[0].end > whole.gaps[0].start


async def test_an_unreachable_host_is_tried_again_until_it_is_there():
    source = RelaySource("ws://127.0.0.1:9", score=no_score, options=QUICK, random=Random(1))
    reading = asyncio.create_task(anext(source.deliveries(None)))
    async with asyncio.timeout(10):
        while source.stats.disconnects["unreachable"] < 3:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_refused_handshake_is_tried_again():
    async with FakeHost([(503, "busy"), replays(commits(1, 2))]) as host:
        source = relay(host)
        await until(source, lambda d: d.cursor == 2)
    assert source.stats.disconnects == {"http_5xx": 1}


async def test_cancelling_leaves_no_task_behind():
    async with FakeHost([replays(commits(1, 2))]) as host:
        reading = asyncio.create_task(until(relay(host), lambda _: False))
        await asyncio.sleep(0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        left = {task.get_name() for task in asyncio.all_tasks()}
    assert "websocket" not in left


@pytest.mark.parametrize("host", ["", "ftp://relay.example", "relay.example/path", "wss://user@relay.example"])
def test_a_host_that_is_not_one_is_one_clear_sentence(host):
    with pytest.raises(SourceError, match="is not one"):
        RelaySource(host, score=no_score)


def test_a_bare_host_is_spoken_to_over_tls():
    source = RelaySource("relay.example", score=no_score)
    assert source.name == "relay:relay.example"


def lines(*moments: int) -> dict[int, bytes]:
    return {TIME_US + moment: like_line(time_us=TIME_US + moment, rkey=f"k{moment}") for moment in moments}


async def test_v1_resumes_a_little_before_the_newest_time_and_hands_on_what_repeats():
    kept = lines(0, 1_000_000, 2_000_000, 3_000_000)
    async with FakeHost([replays_v1(kept, upto=TIME_US + 2_000_000, then=1001), replays_v1(kept)]) as host:
        whole = await until(v1(host, overlap=1.5), lambda d: d.cursor == TIME_US + 3_000_000, cursor=TIME_US)
    assert host.cursors == [TIME_US - 1_500_000, TIME_US + 500_000]
    assert seqs(whole.events) == [TIME_US + s * 1_000_000 for s in (0, 1, 2, 1, 2, 3)]
    assert not whole.gaps


async def test_v1_asks_for_our_collections_only():
    async with FakeHost([replays_v1(lines(0))]) as host:
        await until(v1(host), lambda d: d.frames == 1)
    assert host.asked[0].count("wantedCollections=") == 4


async def test_v1_says_the_gap_of_a_cursor_that_was_clamped_without_a_word():
    day = 86_400_000_000
    async with FakeHost([replays_v1(lines(0, 1))]) as host:
        whole = await until(v1(host), lambda d: d.frames == 2, cursor=TIME_US - 2 * day)
    assert [(gap.start, gap.end, gap.cause) for gap in whole.gaps] == [(TIME_US - 2 * day, TIME_US, "cursor_clamped")]


async def test_v1_keeps_its_cursor_behind_the_clock_whatever_one_line_says():
    ahead = like_line(time_us=NOW + 1_000_000_000)
    async with FakeHost([sends(ahead.decode())]) as host:
        whole = await until(v1(host), lambda d: d.frames == 1)
    assert whole.accepted == 1
    assert whole.cursor == NOW


async def test_v1_reads_compressed_frames_with_the_hosts_dictionary():
    samples = [like_line(time_us=TIME_US + n, rkey=f"key{n}") for n in range(2_000)]
    dictionary = zstandard.train_dictionary(4_096, samples)
    squeeze = zstandard.ZstdCompressor(dict_data=dictionary).compress
    async with FakeHost([sends(squeeze(samples[0]), b"\x28\xb5\x2f\xfdno", squeeze(samples[1]))]) as host:
        whole = await until(v1(host, dictionary=dictionary.as_bytes()), lambda d: d.frames == 3)
    assert "compress=true" in host.asked[0]
    assert whole.accepted == 2
    assert reasons(whole) == ["undecompressable"]


def test_a_dictionary_that_is_not_one_is_one_clear_sentence():
    with pytest.raises(SourceError, match="dictionary"):
        JetstreamV1Source("jetstream.example", dictionary=b"nonsense", score=no_score)


def messages(first: int, last: int) -> dict[int, bytes]:
    return {
        n: v2_message(seq=n, time=f"2026-07-04T14:{n // 60 % 60:02d}:{n % 60:02d}.123456Z")
        for n in range(first, last + 1)
    }


async def test_v2_resumes_inclusively_from_the_newest_seq():
    kept = messages(1, 6)
    async with FakeHost([replays_v2(kept, upto=4, then=1011), replays_v2(kept)]) as host:
        whole = await until(v2(host), lambda d: d.cursor == 6, cursor=2)
    assert host.cursors == [2, 4]
    assert seqs(whole.events) == [2, 3, 4, 4, 5, 6]
    assert "kinds=" not in host.asked[0]
    assert host.asked[0].count("collections=") == 4


async def test_v2_reads_on_from_the_oldest_after_a_cursor_too_old_and_says_the_gap():
    first = sends(*[message.decode() for message in messages(1, 2).values()], then=1001)
    oldest = sends(v2_info("OutdatedCursor").decode(), *[message.decode() for message in messages(50, 51).values()])
    async with FakeHost([first, cursor_too_old(), oldest]) as host:
        source = v2(host)
        whole = await until(source, lambda d: d.cursor == 51)
    assert host.cursors[:2] == [None, 2]
    assert host.cursors[2] >= OLDEST
    assert [(gap.cause, gap.end - gap.start) for gap in whole.gaps] == [("cursor_too_old", 48_000_000)]
    assert source.stats.notices == {"CursorTooOld": 1, "OutdatedCursor": 1}


DICTIONARY = "/xrpc/network.bsky.jetstream.getZstdDictionary"


async def test_v2_reads_compressed_frames_with_the_dictionary_that_the_host_gives():
    samples = [v2_message(seq=n) for n in range(2_000)]
    dictionary = zstandard.train_dictionary(4_096, samples)
    squeeze = zstandard.ZstdCompressor(dict_data=dictionary).compress
    packed = sends(squeeze(samples[1]), b"\x28\xb5\x2f\xfdno", squeeze(samples[3]))
    async with FakeHost([packed], files={DICTIONARY: dictionary.as_bytes()}) as host:
        whole = await until(v2(host, compress=True), lambda d: d.cursor == 3)
    assert f"zstdDictionary={dictionary.dict_id()}" in host.asked[0]
    assert seqs(whole.events) == [1, 3]
    assert reasons(whole) == ["undecompressable"]


@pytest.mark.parametrize("file", [None, b"nonsense"])
async def test_v2_does_without_a_dictionary_that_the_host_does_not_have(file):
    files = {} if file is None else {DICTIONARY: file}
    async with FakeHost([(404, "none"), replays_v2(messages(1, 2))][file is not None :], files=files) as host:
        await until(v2(host, compress=True), lambda d: d.cursor == 2)
    assert "zstdDictionary" not in host.asked[-1]


async def test_v2_does_without_a_dictionary_that_the_host_has_retired():
    dictionary = zstandard.train_dictionary(4_096, [v2_message(seq=n) for n in range(2_000)])
    unknown = (400, '{"error":"UnknownZstdDictionary","message":"fetch the current one"}')
    files = {DICTIONARY: dictionary.as_bytes()}
    async with FakeHost([unknown, replays_v2(messages(1, 2))], files=files) as host:
        await until(v2(host, compress=True), lambda d: d.cursor == 2)
    assert ["zstdDictionary" in path for path in host.asked] == [True, False]


async def test_v2_counts_an_error_and_resumes():
    kept = messages(1, 4)
    first = sends(kept[1].decode(), v2_error("ConsumerTooSlow").decode(), then=1000)
    async with FakeHost([first, replays_v2(kept)]) as host:
        source = v2(host)
        await until(source, lambda d: d.cursor == 4)
    assert source.stats.notices == {"ConsumerTooSlow": 1}


async def test_v1_steps_over_a_frame_that_cannot_be_received_and_says_so():
    kept = lines(0, 5_000, 9_000_000) | {TIME_US + 6_000: like_line(time_us=TIME_US + 6_000, blob="x" * 300_000)}
    async with FakeHost([replays_v1(kept)]) as host:
        source = v1(host, options=options(hard_frame_bytes=200_000))
        whole = await until(source, lambda d: d.cursor == TIME_US + 9_000_000)
    assert {event.t - TIME_US for event in whole.events} == {0, 5_000, 9_000_000}
    assert set(reasons(whole)) == {"oversize_frame"}
    assert [gap.cause for gap in whole.gaps] == ["stepped_over"]


async def test_a_fault_of_our_own_ends_the_source_loudly(monkeypatch):
    source = RelaySource("relay.example", score=no_score, options=QUICK)
    monkeypatch.setattr(source, "_address", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await until(source, lambda _: False)
