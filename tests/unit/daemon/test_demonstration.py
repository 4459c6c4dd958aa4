import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from daemon.errors import ConfigError
from daemon.runs.records import RunRecord
from daemon.views.board import Board
from daemon.views.demonstration import ROUNDS, Scale, configuration, network, planted
from daemon.views.picture import picture
from tests.runs import finding, results

SCALE = Scale(accounts=1_000, rate=5.0, seed=3)


def test_the_configuration_is_the_daemons_own_with_windows_small_enough_to_watch(tmp_path: Path) -> None:
    config = configuration(SCALE, tmp_path, "0", "error")
    assert config.state_dir == tmp_path
    assert config.log.kind == "sqlite"
    assert config.http.host == "127.0.0.1"
    assert config.windows.length // config.windows.bucket == 12
    assert config.windows.bucket / 1e6 / SCALE.speed == 1.0


def test_a_wrong_port_is_named_by_its_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--port"):
        configuration(SCALE, tmp_path, "http", "error")


def test_each_round_plants_three_phenomena_whose_culprits_have_names() -> None:
    plants = planted(network(SCALE))
    assert [plant.phenomenon for plant in plants] == ["cascade", "polarization", "burst"] * ROUNDS
    assert [plant.indicator for plant in plants[:3]] == ["cascade", "polarization", "synchrony"]
    for plant in plants:
        assert plant.start < plant.end
        assert all(name.startswith("did:plc:") for name in plant.names)


def test_the_first_storm_comes_after_a_window_and_before_a_minute_is_over() -> None:
    source = network(SCALE)
    begins = [(plant.start - source.start) / 1e6 / SCALE.speed for plant in planted(source)[:3]]
    assert min(begins) >= 12
    assert max(begins) < 45


def test_a_picture_is_an_svg_that_asks_for_nothing_from_elsewhere() -> None:
    run = RunRecord.model_validate(results([finding("polarization", "neutral")]).record)
    drawn = picture(Board("demo", [run]).render(), "demo")
    assert ET.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
    assert "did:plc:bob" in drawn
    assert drawn.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert "url(" not in drawn.replace("url(#", "")
