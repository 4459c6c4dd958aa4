"""From a configuration to parts: what each setting becomes, and what a role does not load."""

import subprocess
import sys
from pathlib import Path

import pytest

from consumers.sources.jetstream import JetstreamV1Source, JetstreamV2Source
from consumers.sources.recording import RecordedSource
from consumers.sources.relay import RelaySource
from consumers.sources.simulator import SimulatedSource
from daemon.config.loading import load, parse_assignment
from daemon.config.model import Config
from daemon.service import building


def configuration(*assignments: str) -> Config:
    return load(None, {}, [parse_assignment(one) for one in assignments]).config


def test_only_attributing_loads_torch() -> None:
    program = "import sys, daemon.service.composition, daemon.commands.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "made", "name"),
    [
        ("relay", RelaySource, "relay:bsky.network"),
        ("jetstream2", JetstreamV2Source, "jetstream2:jetstream.us-east.bsky.network"),
        ("jetstream1", JetstreamV1Source, "jetstream1:jetstream1.us-east.bsky.network"),
        ("simulator", SimulatedSource, "sim:1"),
    ],
)
def test_each_kind_of_source_is_the_public_one_unless_told(kind: str, made: type, name: str) -> None:
    (source,) = building.sources_of(configuration(f"source.kind={kind}"))
    assert isinstance(source, made)
    assert source.name == name


def test_a_host_of_ones_own_is_taken() -> None:
    (source,) = building.sources_of(configuration("source.kind=relay", "source.hosts=ws://127.0.0.1:2583"))
    assert source.name == "relay:127.0.0.1:2583"


def test_recordings_are_read_in_their_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_text("{}\n")
    paths = f"{tmp_path}/b.jsonl,{tmp_path}/a.jsonl"
    sources = building.sources_of(configuration("source.kind=recording", f"source.paths={paths}"))
    assert [source.name for source in sources] == ["jetstream1:file:b.jsonl", "jetstream1:file:a.jsonl"]
    assert all(isinstance(source, RecordedSource) for source in sources)


def test_the_wall_clock_closes_windows_of_the_present_only() -> None:
    live, simulated = configuration("source.kind=relay"), configuration("source.kind=simulator")
    year_2000 = 946_684_800_000_000
    assert building.clock_of(live)() > year_2000
    assert building.clock_of(simulated)() < year_2000
    assert building.shape_of(live).skew < 60_000_000
    assert building.shape_of(simulated).skew > building.clock_of(live)()


def test_windows_close_with_each_bucket_unless_told() -> None:
    assert building.shape_of(configuration()).hop == 60_000_000
    assert building.shape_of(configuration("windows.hop=5m")).hop == 300_000_000


def test_the_topics_are_those_of_the_design() -> None:
    _, topics = building.topics_of(configuration("log.prefix=birds", "log.partitions=5", "log.retention=3h"))
    assert [(topic.name, topic.partitions, topic.cleanup) for topic in topics] == [
        ("birds.events.v1", 5, "delete"),
        ("birds.attributions.v1", 5, "compact,delete"),
        ("birds.runs.v1", 1, "delete"),
        ("birds.deadletters.v1", 1, "delete"),
    ]
    assert topics[0].retention_ms == 3 * 3_600_000
