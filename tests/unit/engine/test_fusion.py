"""Fused sweeps give the plain path's numbers, never hold anybody up, and say why where there are none."""

import threading
from collections.abc import Iterator

import pytest
import torch

from engine import fusion as fusing
from engine import sweep
from engine.analysis import analyse
from engine.attribution import attribute
from engine.builtin import ATTENTION, POLARIZATION, SYNCHRONY
from engine.fusion import Fusion
from engine.indicators import SAME, Indicator
from engine.stack import LANES, Phase, Stack
from engine.state import State
from engine.tracing import Work, work_of
from tests.populations import crowd, population

N = 7 * LANES + 123

needs_compiler = pytest.mark.skipif(fusing.lacks("cpu") is not None, reason=str(fusing.lacks("cpu")))


def made(n: int, seed: int) -> State:
    return State(torch.from_numpy(population(n, seed)))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of two lanes: several of them whole, and a last one that is not."""
    monkeypatch.setattr(sweep, "_MOST", 2 * LANES)
    monkeypatch.setattr(sweep, "_LEAST", 2 * LANES)


@pytest.fixture(scope="module")
def fusion() -> Iterator[Fusion]:
    made = Fusion("on")
    yield made
    made.close()


def agree(indicator: Indicator, state: State, before: State | None, fusion: Fusion, **how: object) -> None:
    fused = attribute(indicator, state, before, fusion=fusion, **how)  # type: ignore[arg-type]
    plain = attribute(indicator, state, before, **how)  # type: ignore[arg-type]
    assert fusion.failures == []
    assert fused.ok
    assert float((fused.phi - plain.phi).abs().max()) <= 1e-12 * float(plain.phi.abs().max())
    assert fused.sum_phi == pytest.approx(plain.sum_phi, rel=1e-12)
    assert fused.weights == pytest.approx(plain.weights, rel=1e-12)
    assert fused.finite_gap == (None if plain.finite_gap is None else pytest.approx(plain.finite_gap, rel=1e-9))


@needs_compiler
def test_fused_sweeps_give_the_plain_numbers_at_every_size(fusion: Fusion) -> None:
    for n in (1, LANES, 2 * LANES - 1, 2 * LANES, N):
        agree(POLARIZATION, made(n, 1), None, fusion)


@needs_compiler
def test_a_mean_over_everyone_is_fused_as_well(fusion: Fusion) -> None:
    for n in (N, 4 * LANES):
        agree(ATTENTION, made(n, 3), None, fusion, gap=True)


@needs_compiler
@pytest.mark.parametrize("whales", [0, 6])
def test_whales_are_the_same_by_either_path(fusion: Fusion, whales: int) -> None:
    agree(POLARIZATION, made(N, 5), made(N, 6), fusion, method="oceanic", whales=whales)


@needs_compiler
def test_many_moments_have_their_products_by_matrices(fusion: Fusion) -> None:
    many = Indicator(
        "many",
        lambda x: x.columns[:5].unbind(),
        lambda m: torch.log1p(m[0]) + (m[1] * m[2]).sqrt() - m[3] / (1 + m[4]),
        lambda _: (0.0, SAME, 1.0, 0.0, 0.0),
    )
    agree(many, made(N, 9), None, fusion, method="oceanic")
    agree(many, made(N, 9), made(N, 10), fusion, method="oceanic")


@needs_compiler
def test_a_run_is_the_same_by_either_path(fusion: Fusion) -> None:
    states, names = (made(N, 7), made(N, 8)), ("polarization", "attention")
    for fused, plain in zip(
        analyse(*states, indicators=names, fusion=fusion), analyse(*states, indicators=names), strict=True
    ):
        assert fused.concentration is not None
        assert plain.concentration is not None
        assert fused.concentration.lorenz == pytest.approx(plain.concentration.lorenz, rel=1e-11)
        assert fused.concentration.effective_contributors == pytest.approx(plain.concentration.effective_contributors)
        assert fused.parts == pytest.approx(plain.parts)


@needs_compiler
def test_a_function_that_cannot_be_traced_stays_on_the_plain_path_and_says_so_once() -> None:
    said: list[str] = []
    branching = Indicator(
        "branching", lambda x: (x["likes"] if float(x["likes"].sum()) > 0 else x["posts"],), lambda m: torch.log1p(m[0])
    )
    fusion = Fusion("on", report=said.append)
    for _ in range(2):
        found = attribute(branching, made(N, 1), made(N, 2), fusion=fusion)
        assert torch.equal(found.phi, attribute(branching, made(N, 1), made(N, 2)).phi)
    assert [reason.split(" are not compiled: ")[0] for reason in said] == [
        "the sums of branching",
        "the delta of branching",
    ]


@needs_compiler
def test_whoever_keeps_a_run_from_being_compiled_is_named() -> None:
    said: list[str] = []
    branching = Indicator(
        "branching", lambda x: (x["likes"] if float(x["likes"].sum()) > 0 else x["posts"],), lambda m: torch.log1p(m[0])
    )
    found = analyse(
        made(N, 1), made(N, 2), indicators=[POLARIZATION, branching], fusion=Fusion("on", report=said.append)
    )
    assert [each.failure for each in found] == [None, None, None]
    assert all("of polarization, branching are not compiled: ValueError: 'branching' cannot" in each for each in said)
    assert len(said) == 2


def test_two_agents_are_enough_to_have_all_compiled_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusing, "lacks", lambda _: None)
    asked: list[str] = []

    def compiled(stack: Stack, phase: Phase, device: torch.device) -> Work:  # noqa: ARG001
        asked.append(phase)
        return work_of(stack, phase)

    monkeypatch.setattr(fusing, "compiled", compiled)
    fusion = Fusion("on")
    for n in (2, N):
        attribute(ATTENTION, made(n, 1), made(n, 2), fusion=fusion)
        assert asked == ["sums", "delta"]


def test_nothing_is_compiled_when_it_is_off_or_for_few() -> None:
    for fusion in (Fusion("off"), Fusion("auto")):
        attribute(SYNCHRONY, made(N, 1), None, fusion=fusion)
        assert fusion.pending == 0
        assert fusion.failures == []


def test_a_missing_compiler_is_said_once_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    said: list[str] = []
    fusion = Fusion("on", report=said.append)
    found = attribute(POLARIZATION, made(N, 1), None, fusion=fusion)
    assert torch.equal(found.phi, attribute(POLARIZATION, made(N, 1), None).phi)
    assert len(said) == 1
    assert "no C++ compiler (no-such-compiler)" in said[0]


def test_auto_compiles_aside_while_the_plain_path_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusing, "lacks", lambda _: None)
    begun, go, called = threading.Event(), threading.Event(), []

    def compiled(stack: object, phase: str, device: object) -> object:  # noqa: ARG001
        begun.set()
        assert go.wait(10)
        called.append(threading.current_thread().name)
        raise RuntimeError("a compiler of ours\nwith a second line")

    monkeypatch.setattr(fusing, "compiled", compiled)
    said: list[str] = []
    fusion = Fusion("auto", worth=1, report=said.append)
    x = State(torch.from_numpy(crowd(N, 1)))
    attribute(POLARIZATION, x, None, fusion=fusion)
    assert fusion.pending == 2
    assert called == []
    assert begun.wait(10)
    go.set()
    fusion.close()
    assert set(called) == {"fusion"}
    assert said[0] == "the sums of polarization are not compiled: RuntimeError: a compiler of ours"


def test_a_table_of_wide_integers_stays_on_the_plain_path() -> None:
    wide = State(made(N, 1).columns.to(torch.int64))
    fusion = Fusion("on")
    attribute(POLARIZATION, wide, None, fusion=fusion)
    attribute(SYNCHRONY, made(N, 1), wide, fusion=Fusion("off"))
    assert fusion.failures == []
