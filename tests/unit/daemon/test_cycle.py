"""The cycle on the real engine and a real embedded log."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from consumers.log import LogError, Topic, Topics
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Coverage, Snapshot
from consumers.sources import Gap
from daemon.runs.cycle import Cycle, Plan
from daemon.runs.publisher import Policy
from daemon.runs.records import AttributionRecord, RunRecord
from tests.populations import population

TOPICS = Topics("t")
MINUTE = 60_000_000
HOUR = 60 * MINUTE
END = 1_783_175_880_000_000
INDICATORS = ("polarization", "attention", "cascade", "activity", "synchrony")


def name(index: int) -> str:
    return f"did:plc:{index:04d}"


def snapshot(
    columns: NDArray[np.int32],
    preceding: NDArray[np.int32] | None = None,
    *,
    agents: list[str] | None = None,
    end: int = END,
    erased: list[str] | None = None,
) -> Snapshot:
    return Snapshot(
        lens="all",
        start=end - HOUR,
        end=end,
        agents=agents if agents is not None else [name(index) for index in range(columns.shape[1])],
        current=columns,
        preceding=preceding,
        coverage=Coverage(0.9, (Gap(end - MINUTE, end, "downtime"),)),
        preceding_coverage=Coverage(1.0),
        watermark=end + MINUTE,
        erased=erased or [],
    )


@pytest.fixture
async def log() -> AsyncIterator[SqliteLog]:
    async with SqliteLog(":memory:") as opened:
        await opened.ensure(
            [
                Topic(TOPICS.attributions, partitions=2, retention_ms=3_600_000, cleanup="compact,delete"),
                Topic(TOPICS.runs, partitions=2, retention_ms=3_600_000),
            ]
        )
        yield opened


@contextmanager
def cycle(log: SqliteLog, *, timed: bool = False, **plan: object) -> Iterator[Cycle]:
    chosen = {"indicators": INDICATORS, "device": "cpu", "panels": (20,), **plan}
    clocks = {} if timed else {"clock": None, "now": None}
    made = Cycle(log, TOPICS, Plan(**chosen), settings={"bucket": MINUTE}, partitions=range(2), **clocks)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


def plain(run: Cycle) -> list[object]:
    """What a cycle carries, so that it compares."""
    return [
        (partition, common, {name: array.tobytes() for name, array in arrays.items()})
        for partition, (common, arrays) in run.dump().items()
    ]


async def written(log: SqliteLog, topic: str) -> list[tuple[str, bytes | None]]:
    """Return (key, value) of a topic, by partition and in order."""
    reader = await log.reader(topic, await log.begin_offsets(topic))
    chunks = await reader.poll(max_records=100_000, wait=0.01)
    await reader.close()
    ordered = sorted(chunks, key=lambda chunk: chunk.partition)
    return [((key or b"").decode(), value) for c in ordered for key, value in zip(c.keys, c.values, strict=True)]


async def test_a_window_becomes_attributions_and_a_run_record_that_add_up(log: SqliteLog) -> None:
    with cycle(log) as run:
        record = await run(snapshot(population(400, 1), population(400, 2)))
        assert record.failures == []
        attributions = [
            AttributionRecord.model_validate_json(value or b"") for _, value in await written(log, TOPICS.attributions)
        ]
        assert len(attributions) == record.attributions == record.agents == 400
        assert {found.run for found in attributions} == {record.id}
        for indicator in INDICATORS:
            for baseline, face in (("neutral", "level"), ("preceding", "change")):
                measure = record.indicators[indicator][baseline]  # type: ignore[index]
                total = sum(getattr(found, face)[indicator] for found in attributions)
                assert total == pytest.approx(measure.sum_phi, rel=1e-9, abs=1e-12)
                assert measure.sum_phi == pytest.approx(measure.value - measure.baseline_value, rel=1e-9, abs=1e-12)
                assert sum(measure.tier_shares.values()) == pytest.approx(1.0)
                assert measure.scale_gap.sentence is not None
                assert measure.finite_gap is not None
        ((key, value),) = await written(log, TOPICS.runs)
        assert key == record.id
        assert RunRecord.model_validate_json(value or b"") == record


async def test_the_record_says_window_coverage_and_plan(log: SqliteLog) -> None:
    with cycle(log, policy=Policy("top", 3)) as run:
        record = await run(snapshot(population(50, 1)))
    assert (record.start, record.end, record.lens) == (END - HOUR, END, "all")
    assert record.id.startswith("all-20260704T143800Z-")
    assert record.coverage.current.fraction == 0.9
    assert [gap.cause for gap in record.coverage.current.gaps] == ["downtime"]
    assert (record.policy, record.method, record.device) == ("top:3", "aumann-shapley", "cpu")
    assert 3 <= record.attributions <= 15


async def test_change_is_absent_until_the_preceding_window_is_covered(log: SqliteLog) -> None:
    with cycle(log) as run:
        record = await run(snapshot(population(50, 1)))
    assert all(list(measures) == ["neutral"] for measures in record.indicators.values())
    for _, value in await written(log, TOPICS.attributions):
        assert "change" not in orjson.loads(value or b"")


async def test_timings_and_lag_are_said_with_clocks_and_left_out_without(log: SqliteLog) -> None:
    with cycle(log) as run:
        record = await run(snapshot(population(20, 1)))
        assert (record.timings, record.watermark_lag) == ({}, None)
    with cycle(log, timed=True) as run:
        record = await run(snapshot(population(20, 1)))
        assert set(record.timings) == {"snapshot", "engine", "encode", "publish"}
        assert record.watermark_lag is not None


async def test_the_same_window_gives_the_same_keys_and_bytes(log: SqliteLog) -> None:
    seen = []
    for _ in range(2):
        with cycle(log) as run:
            await run(snapshot(population(200, 1), population(200, 2)))
        seen.append(await written(log, TOPICS.attributions) + await written(log, TOPICS.runs))
    attributions = seen[0][:-1]
    assert sorted(seen[1]) == sorted(seen[0] * 2)
    assert len(attributions) == 200


async def test_another_configuration_has_another_run_id(log: SqliteLog) -> None:
    ids = set()
    for plan in ({}, {"seed": 1}, {"method": "oceanic"}, {"indicators": ("attention",)}, {"policy": Policy("top", 1)}):
        with cycle(log, **plan) as run:  # type: ignore[arg-type]
            ids.add((await run(snapshot(population(30, 1)))).id)
    assert len(ids) == 5


async def test_a_failing_indicator_is_named_and_leaves_the_rest(log: SqliteLog) -> None:
    with cycle(log, indicators=("attention", "nobody-knows")) as run:
        record = await run(snapshot(population(30, 1)))
    assert [failure.indicator for failure in record.failures] == ["nobody-knows"]
    assert list(record.indicators) == ["attention"]
    _, value = (await written(log, TOPICS.attributions))[0]
    assert list(orjson.loads(value or b"")["level"]) == ["attention"]


async def test_a_finding_out_of_tolerance_is_marked_and_left_out(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daemon.runs import cycle as module

    genuine = module.analyse

    def spoiled(*args: object, **settings: object) -> object:
        findings = genuine(*args, **settings)  # type: ignore[arg-type]
        assert findings[0].attribution is not None
        findings[0].attribution.ok = False
        return findings

    monkeypatch.setattr(module, "analyse", spoiled)
    with cycle(log, indicators=("attention", "activity")) as run:
        record = await run(snapshot(population(30, 1)))
    assert not record.indicators["attention"]["neutral"].ok
    assert [(failure.indicator, failure.baseline) for failure in record.failures] == [("attention", "neutral")]
    for _, value in await written(log, TOPICS.attributions):
        assert list(orjson.loads(value or b"")["level"]) == ["activity"]


async def test_who_went_silent_or_was_erased_gets_a_tombstone_even_after_a_restart(log: SqliteLog) -> None:
    with cycle(log) as run:
        await run(snapshot(population(4, 1)))
        blob = run.dump()
    with cycle(log) as run:
        run.load(blob)
        fewer = snapshot(population(3, 1), end=END + MINUTE, agents=[name(0), name(1), name(9)], erased=[name(7)])
        record = await run(fewer)
    assert record.tombstones == 3
    gone = [key for key, value in await written(log, TOPICS.attributions) if value is None]
    assert sorted(gone) == [name(2), name(3), name(7)]


async def test_without_a_checkpoint_the_topic_says_who_was_published(log: SqliteLog) -> None:
    with cycle(log) as run:
        await run(snapshot(population(4, 1)))
        await run(snapshot(population(3, 1), end=END + MINUTE))
    with cycle(log) as run:
        unknown = run.dump()
    with cycle(log) as run:
        run.load(unknown)
        record = await run(snapshot(population(2, 1), end=END + 2 * MINUTE))
    assert record.tombstones == 1
    gone = [key for key, value in await written(log, TOPICS.attributions) if value is None]
    assert sorted(gone) == [name(2), name(3)]


async def test_a_window_that_closes_again_buries_nobody_of_whom_a_later_one_tells(log: SqliteLog) -> None:
    """The checkpoint before the first run knows that nobody was published then, whatever the topic says by now."""
    first, later = population(50, 1), population(80, 2)
    with cycle(log) as one:
        await one.start()
        before = one.dump()
        run = await one(snapshot(first))
        await one(snapshot(later, end=END + MINUTE))
    with cycle(log) as again:
        again.load(before)
        await again.start()
        assert (await again(snapshot(first))).model_dump() == run.model_dump()


async def test_a_run_that_could_not_be_committed_leaves_what_it_carries_as_it_was(log: SqliteLog) -> None:
    with cycle(log, indicators=("panic",)) as run:
        await run(snapshot(population(30, 1), population(30, 2)))
        before = plain(run)
        run._topics = Topics("absent")
        with pytest.raises(LogError):
            await run(snapshot(population(30, 3), population(30, 1), end=END + MINUTE))
        assert plain(run) == before


async def test_memory_survives_a_restart_to_the_bit(log: SqliteLog) -> None:
    windows = [population(40, seed) for seed in range(4)]
    steps = [
        snapshot(windows[1], windows[0]),
        snapshot(windows[2][:, :39].copy(), windows[1][:, :39].copy(), end=END + MINUTE),
        snapshot(windows[3], windows[2], end=END + 2 * MINUTE),
    ]
    with cycle(log, indicators=("panic", "activity")) as run:
        straight = [await run(step) for step in steps]
    assert straight[-1].failures == []
    assert "neutral" not in straight[-1].indicators["panic"]
    blob, again = None, []
    for step in steps:
        with cycle(log, indicators=("panic", "activity")) as run:
            if blob is not None:
                run.load(blob)
            again.append(await run(step))
            blob = run.dump()
    assert [record.encode() for record in again] == [record.encode() for record in straight]


async def test_of_the_erased_nothing_is_remembered(log: SqliteLog) -> None:
    with cycle(log, indicators=("panic",)) as run:
        await run(snapshot(population(30, 1), population(30, 2)))
        quiet = np.zeros((26, 30), np.int32)
        await run(snapshot(quiet, quiet, end=END + MINUTE, erased=[name(3)]))
        results = run.latest.results
        assert results is not None
        phi = results.attributions.phi["panic", "preceding"]
        assert phi[3] == 0.0
        assert np.count_nonzero(phi) > 0


async def test_a_foreign_dump_is_refused(log: SqliteLog) -> None:
    with cycle(log) as run:
        for plain in ({}, {"v": 99, "memory": {}}):
            with pytest.raises(ValueError, match="version 2"):
                run.load({0: (plain, {}), 1: (plain, {})})


async def test_a_window_without_agents_is_a_run_too(log: SqliteLog) -> None:
    empty = np.zeros((26, 0), np.int32)
    with cycle(log) as run:
        await run(snapshot(population(3, 1)))
        record = await run(snapshot(empty, empty, end=END + MINUTE))
    assert (record.agents, record.attributions, record.tombstones) == (0, 0, 3)


async def test_latest_holds_the_run_that_was_published(log: SqliteLog) -> None:
    with cycle(log) as run:
        record = await run(snapshot(population(60, 1)))
        assert run.latest.run == record.model_dump(mode="json")
        top = run.latest.top("attention", "neutral", 3)
        assert top is not None
        named = record.indicators["attention"]["neutral"].top[:3]
        assert [row["agent"] for row in top] == [row.agent for row in named]
        assert run.stats.runs == 1
        assert run.stats.attributions == 60
