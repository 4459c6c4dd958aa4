"""Letters listed and tried again by the command, on the embedded log and a real Kafka, of recordings and live hosts."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner, Result

from consumers.bridge.bridge import Bridge
from consumers.sources import Source
from consumers.sources.recording import RecordedSource
from consumers.windows.group import Windows
from consumers.windows.shape import Shape
from daemon.commands import cli
from daemon.config.loading import load, parse_assignment
from daemon.config.model import Config
from daemon.offline.mending import Report, listed, retried
from daemon.service import building
from daemon.service.claims import claim
from tests.servers.fake_host import FakeHost, sends
from tests.servers.fake_jetstream import replays_v1, replays_v2
from tests.servers.fake_relay import info_frame, replays
from tests.unit.consumers.frames import ACTOR, LIKE, TIME_US, commit_frame, like, like_line, post_uri, v2_message

NOW = TIME_US + 1_000_000


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def log_settings(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Assignments that name a log of the test's own."""
    mine = [f"state_dir={tmp_path}/state", "log.partitions=3"]
    if request.param == "kafka":
        broker = request.getfixturevalue("kafka")
        mine += ["log.kind=kafka", f"log.bootstrap={broker.bootstrap}", f"log.prefix=dead-{uuid4().hex[:8]}"]
    return mine


def configuration(assignments: Sequence[str]) -> Config:
    return load(None, {}, [parse_assignment(one) for one in assignments]).config


def command(settings: Sequence[str], *arguments: str) -> Result:
    options = [part for one in settings for part in ("--set", one)]
    return CliRunner().invoke(cli, ["deadletters", *arguments[:1], *options, *arguments[1:]])


async def carry(config: Config, source: Source, until: Callable[[Bridge], bool] = lambda _bridge: False) -> Bridge:
    """Read a source into the log until it ends, or `until` says so."""
    topics, wanted = building.topics_of(config)
    async with building.log_of(config) as log:
        await log.ensure(wanted)
        bridge = Bridge(source, log, topics, config.log.partitions, None, now=lambda: NOW)
        stop = asyncio.Event()
        running = asyncio.ensure_future(bridge.run(stop))
        while not (running.done() or until(bridge)):  # noqa: ASYNC110 - the bridge's counters set no event
            await asyncio.sleep(0.01)
        stop.set()
        await running
        return bridge


async def events(config: Config) -> list[dict]:
    """Every agent event of the log."""
    topics, _ = building.topics_of(config)
    found: list[dict] = []
    async with building.log_of(config, read_only=True) as log:
        ends = await log.end_offsets(topics.events)
        reader = await log.reader(topics.events, await log.begin_offsets(topics.events))
        while any(reader.positions[partition] < end for partition, end in ends.items()):
            found += [orjson.loads(value) for chunk in await reader.poll() for value in chunk.values if value]
        await reader.close()
    return [one for one in found if one["kind"] not in ("bridge", "gap")]


def told(found: list[dict]) -> Counter[tuple[str, ...]]:
    return Counter((one["agent"], one["role"], one["kind"], one["rev"], one["uri"]) for one in found)


def lines(count: int, damaged: Sequence[int] = ()) -> bytes:
    """A recording of likes; the damaged lines, counted from 1, are cut in half."""
    whole = [like_line(rkey=f"3mptbyplj{number:04d}", time_us=TIME_US + number) for number in range(count)]
    return b"\n".join(line[:90] if number in damaged else line for number, line in enumerate(whole, 1)) + b"\n"


def recordings(tmp_path: Path, count: int, damaged: Sequence[int], *, still: Sequence[int] = ()) -> tuple[Path, Path]:
    """The same recording as it was when it could not be read, and as it can be now."""
    paths = []
    for folder, bad in (("before", damaged), ("after", still)):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "monday.jsonl")
        paths[-1].write_bytes(lines(count, bad))
    return paths[0], paths[1]


def test_what_a_recording_holds_is_read_again_and_is_in_the_log_once(log_settings: list[str], tmp_path: Path) -> None:
    config = configuration(log_settings)
    before, after = recordings(tmp_path, 40, (3, 7, 40), still=(7,))
    asyncio.run(carry(config, RecordedSource(before, now=NOW)))
    shown = command(log_settings, "list", "--json")
    assert [orjson.loads(line)["where"] for line in shown.output.splitlines()] == [
        f"jetstream1:file:monday.jsonl@{number}" for number in (3, 40, 7)
    ]
    assert "did:" not in shown.output

    unknown = command(log_settings, "retry")
    assert (unknown.exit_code, unknown.output.splitlines()[-1]) == (1, "3 letters tried, 0 agent events appended.")
    assert "3 no_source" in unknown.output

    first = command(log_settings, "retry", "--file", str(after))
    assert first.exit_code == 1, first.output
    assert "2 appended: read now, and appended to the events" in first.output
    assert "1 unreadable: still cannot be read" in first.output
    assert "3 letters tried, 4 agent events appended." in first.output
    assert asyncio.run(listed(config, None, None)).reasons == {"not_json": 1}

    after.write_bytes(lines(40))
    last = command(log_settings, "retry", "--json", "--file", str(after))
    assert (last.exit_code, orjson.loads(last.output)["outcome"]) == (0, "appended")
    again = command(log_settings, "retry", "--file", str(after))
    assert (again.exit_code, again.output) == (0, "0 letters tried, 0 agent events appended.\n")
    found = asyncio.run(events(config))
    assert set(told(found).values()) == {1}
    assert len(found) == 80
    assert Counter(one["src"] for one in found) == {
        "jetstream1:file:monday.jsonl": 74,
        "retry:jetstream1:file:monday.jsonl": 6,
    }


def test_what_came_another_way_meanwhile_is_known_and_not_written_twice(
    log_settings: list[str], tmp_path: Path
) -> None:
    config = configuration(log_settings)
    before, after = recordings(tmp_path, 10, (2, 5))
    asyncio.run(carry(config, RecordedSource(before, now=NOW)))
    (tmp_path / "other.jsonl").write_bytes(b"\n".join(lines(10).splitlines()[1:2]))
    asyncio.run(carry(config, RecordedSource(tmp_path / "other.jsonl", now=NOW)))
    result = command(log_settings, "retry", "--file", str(after))
    assert result.exit_code == 0
    assert "1 known: read now, and in the log already" in result.output
    assert "1 appended" in result.output
    assert told(asyncio.run(events(config))).total() == 20
    assert set(told(asyncio.run(events(config))).values()) == {1}


def test_who_has_left_since_does_not_come_back_by_a_retry(tmp_path: Path) -> None:
    settings = [f"state_dir={tmp_path}/state"]
    config = configuration(settings)
    before, after = recordings(tmp_path, 10, (2, 5))
    left = {"did": ACTOR, "time_us": TIME_US + 50, "kind": "account", "account": {"did": ACTOR, "active": False}}
    left["account"] |= {"status": "deleted"}
    before.write_bytes(before.read_bytes() + orjson.dumps(left) + b"\n")
    asyncio.run(carry(config, RecordedSource(before, now=NOW)))
    result = command(settings, "retry", "--file", str(after))
    assert result.exit_code == 0, result.output
    assert "2 letters tried, 2 agent events appended." in result.output
    again = [one for one in asyncio.run(events(config)) if one["src"].startswith("retry:")]
    assert {one["role"] for one in again} == {"target"}


def test_the_list_is_readable_and_says_how_many_there_are(log_settings: list[str], tmp_path: Path) -> None:
    before, _ = recordings(tmp_path, 40, (3, 7, 40))
    asyncio.run(carry(configuration(log_settings), RecordedSource(before, now=NOW)))
    result = command(log_settings, "list", "--limit", "2")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "2 shown of 3 open: 3 not_json."
    assert "jetstream1:file:monday.jsonl@7" in result.output
    assert command(log_settings, "list", "--reason", "bad_car").output == "0 shown of 3 open: 3 not_json.\n"


def test_a_retry_beside_a_running_bridge_is_refused(tmp_path: Path) -> None:
    settings = [f"state_dir={tmp_path}/state"]
    before, _ = recordings(tmp_path, 4, (3,))
    asyncio.run(carry(configuration(settings), RecordedSource(before, now=NOW)))
    with claim(tmp_path / "state", ["bridge"]):
        result = command(settings, "retry")
    assert result.exit_code == 2
    assert "another starlingd has the bridge role" in result.output


def test_without_a_log_there_is_one_sentence_and_none_is_made(tmp_path: Path) -> None:
    for name in ("list", "retry"):
        result = command([f"state_dir={tmp_path}/state"], name)
        assert result.exit_code == 2
        assert "There is no log at" in result.output
    assert not (tmp_path / "state").exists()


def relay_frames(broken: Sequence[int] = ()) -> dict[int, bytes]:
    """Frames 1 to 30 of a relay, each a commit of two likes; of a broken one the second block is missing."""
    return {
        seq: commit_frame(
            [(LIKE, like(post_uri())), (LIKE, like(post_uri(did=f"did:plc:{'t' * 20}{seq:04d}")))],
            seq=seq,
            rev=f"3mptbypl{seq:05d}",
            drop=1 if seq in broken else None,
        )
        for seq in range(1, 31)
    }


async def tried(config: Config, patience: float = 1.0) -> Report:
    return await retried(config, None, None, [], patience)


def hosts(log_settings: Sequence[str], kind: str, host: FakeHost) -> Config:
    return configuration([*log_settings, f"source.kind={kind}", f"source.hosts={host.address}"])


async def test_a_relay_is_asked_again_from_each_place_and_old_seqs_count_in_the_windows(
    log_settings: list[str],
) -> None:
    acts = [replays(relay_frames((5, 20))), replays(relay_frames((20,))), replays(relay_frames())]
    async with FakeHost(acts) as host:
        config = hosts(log_settings, "relay", host)
        (source,) = building.sources_of(config)
        bridge = await carry(config, source, lambda bridge: bridge.stats.cursor == 30)
        assert bridge.stats.rejected == {"missing_block": 2}
        first = await tried(config)
        assert first.counts == {"appended": 1, "unreadable": 1}
        assert host.cursors[1] == 4
        second = await tried(config)
        assert (second.counts, host.cursors[2]) == ({"appended": 1}, 19)
    found = await events(config)
    assert set(told(found).values()) == {1}
    assert len(found) == 120
    windows = Windows(Shape(), [0])
    windows.begin(TIME_US)
    stream = [one for one in found if not one["src"].startswith("retry:")]
    late = [one for one in found if one["src"].startswith("retry:")]
    stream.sort(key=lambda one: (one["seq"], one["op"], one["role"]))
    windows.fold(0, [orjson.dumps(one) for one in stream + late], 0)
    assert windows.stats.duplicates == 0
    assert windows.stats.events == 120


async def test_a_place_that_the_relay_keeps_no_longer_stays_and_is_said(log_settings: list[str]) -> None:
    kept = {seq: frame for seq, frame in relay_frames().items() if seq > 10}
    acts = [replays(relay_frames((5, 20))), sends(info_frame("OutdatedCursor"), *kept.values())]
    async with FakeHost(acts) as host:
        config = hosts(log_settings, "relay", host)
        (source,) = building.sources_of(config)
        await carry(config, source, lambda bridge: bridge.stats.cursor == 30)
        report = await tried(config)
    assert report.counts == {"gone": 1, "appended": 1}
    assert (await listed(config, None, None)).total == 1


async def test_a_host_that_does_not_answer_leaves_the_letters_as_they_are(tmp_path: Path) -> None:
    async with FakeHost([replays(relay_frames((5,))), sends()]) as host:
        config = hosts([f"state_dir={tmp_path}/state"], "relay", host)
        (source,) = building.sources_of(config)
        await carry(config, source, lambda bridge: bridge.stats.cursor == 30)
        report = await tried(config, patience=0.3)
    assert (report.counts, report.events) == ({"unanswered": 1}, 0)


async def test_jetstream_v2_is_asked_again(tmp_path: Path) -> None:
    whole = {seq: v2_message(seq=seq, rkey=f"3mptbyplj{seq:04d}") for seq in range(1, 41)}
    broken = whole | {7: v2_message("novelty", seq=7), 30: whole[30][:60]}
    async with FakeHost([replays_v2(broken), replays_v2(whole)]) as host:
        config = hosts([f"state_dir={tmp_path}/state"], "jetstream2", host)
        (source,) = building.sources_of(config)
        bridge = await carry(config, source, lambda bridge: bridge.stats.cursor == 40)
        assert bridge.stats.rejected == {"unknown_kind": 1, "not_json": 1}
        report = await tried(config)
    assert report.counts == {"appended": 2}
    assert (len(told(await events(config))), report.events) == (80, 4)


async def test_jetstream_v1_is_asked_again(tmp_path: Path) -> None:
    times = [TIME_US + number * 1_000 for number in range(40)]
    whole = {t: like_line(rkey=f"3mptbyplj{number:04d}", time_us=t) for number, t in enumerate(times)}
    broken = whole | {times[20]: whole[times[20]][:60]}
    async with FakeHost([replays_v1(broken), replays_v1(whole)]) as host:
        config = hosts([f"state_dir={tmp_path}/state"], "jetstream1", host)
        (source,) = building.sources_of(config)
        await carry(config, source, lambda bridge: bridge.stats.frames == 40)
        report = await tried(config)
    assert (report.counts, report.events) == ({"appended": 1}, 2)
    assert set(told(await events(config)).values()) == {1}
