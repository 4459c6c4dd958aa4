"""Indicators are found by name: the built-in ones, and those of packages installed beside starlingd."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.attribution import attribute
from engine.builtin import BUILT_IN
from engine.errors import IndicatorError
from engine.indicators import Indicator, ratio
from engine.registry import ENTRY_POINTS, get, registry
from engine.state import State
from tests.populations import population

EXAMPLE = Path(__file__).parents[2] / "packages" / "generosity"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the example package where this process finds it, offline and leaving nothing in its folder."""
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for file in EXAMPLE.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    command = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, *command, "--target", str(target), str(source)], check=True)
    monkeypatch.syspath_prepend(str(target))


@pytest.mark.usefixtures("installed")
def test_a_users_package_is_found_and_attributed() -> None:
    assert "generosity" in registry()
    x = State(torch.from_numpy(population(1000, 1)))
    found = attribute(get("generosity"), x, None)
    assert found.ok
    assert found.value == pytest.approx(float(x.total("reposts", "likes").sum() / x.acts.sum()))
    assert torch.allclose(found.phi, x.total("reposts", "likes") / found.end[1])


def test_the_six_of_the_design_are_built_in() -> None:
    names = [indicator.name for indicator in BUILT_IN]
    assert names == ["polarization", "attention", "cascade", "activity", "synchrony", "panic"]
    assert list(registry())[:6] == names
    assert [get(name) for name in names] == list(BUILT_IN)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(IndicatorError, match="no indicator 'boredom'; the known ones are polarization, attention"):
        get("boredom")


class Point:
    """An entry point that loads what it is given, or raises it."""

    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.value, self._loaded = name, "package:THING", loaded

    def load(self) -> object:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (ImportError("no module named rain"), "cannot be loaded from package:THING: no module named rain"),
        ("not one", "package:THING is not an Indicator named 'rain'"),
        (Indicator("snow", lambda x: (x["likes"],), lambda m: m[0]), "is not an Indicator named 'rain'"),
    ],
)
def test_a_package_that_cannot_be_loaded_says_why_and_hides_no_other(
    loaded: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(*, group: str, name: str = "rain") -> list[Point]:
        return [Point("rain", loaded)] if (group, name) == (ENTRY_POINTS, "rain") else []

    monkeypatch.setattr("engine.registry.entry_points", entry_points)
    with pytest.raises(IndicatorError, match=message):
        get("rain")
    assert "rain" not in registry()
    assert "cascade" in registry()


def test_ratio_of_an_empty_denominator_is_zero_and_so_is_its_slope() -> None:
    top, bottom = torch.tensor([3.0, 4.0], requires_grad=True), torch.tensor([0.0, 2.0], requires_grad=True)
    divided = ratio(top, bottom)
    divided.sum().backward()
    assert divided.tolist() == [0.0, 2.0]
    assert top.grad is not None
    assert bottom.grad is not None
    assert (top.grad.tolist(), bottom.grad.tolist()) == ([0.0, 0.5], [0.0, -1.0])
