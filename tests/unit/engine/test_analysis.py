"""A run says of every indicator and baseline all that follows, as attributions alone would; one fails alone."""

import itertools

import pytest
import torch

from engine.analysis import analyse
from engine.attribution import attribute
from engine.builtin import BUILT_IN
from engine.columns import COLUMNS, INDEX
from engine.errors import StateError
from engine.indicators import Indicator
from engine.meeting import Meeting
from engine.panic import PanicMemory
from engine.ranking import strata
from engine.registry import get
from engine.results import Attribution, Concentration, Finding
from engine.state import State
from tests.populations import crowd
from tests.unit.engine.together import together

NAMES = [indicator.name for indicator in BUILT_IN]


def made(n: int, seed: int) -> State:
    return State(torch.from_numpy(crowd(n, seed)))


def good(finding: Finding) -> tuple[Attribution, Concentration]:
    assert finding.failure is None
    assert finding.attribution is not None
    assert finding.concentration is not None
    return finding.attribution, finding.concentration


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return analyse(made(2000, 1), made(2000, 2), indicators=NAMES, panel_sizes=(50, 200, 5000), seed=3)


def test_every_indicator_meets_every_baseline_it_supports(findings: list[Finding]) -> None:
    expected = [(indicator.name, baseline) for indicator in BUILT_IN for baseline in indicator.baselines]
    assert [(finding.indicator, finding.baseline) for finding in findings] == expected
    assert [finding.failure for finding in findings] == [None] * len(expected)


def test_a_run_gives_what_single_attributions_give(findings: list[Finding]) -> None:
    for finding in findings:
        found, _ = good(finding)
        before = made(2000, 2) if finding.baseline == "preceding" else None
        alone = attribute(get(finding.indicator), made(2000, 1), before, gap=True)
        assert torch.equal(found.phi, alone.phi)
        # Sums of products over other stacks of games are rounded otherwise.
        assert found.finite_gap == pytest.approx(alone.finite_gap, rel=1e-9, abs=1e-12)
        assert found.ok


def test_parts_sum_to_the_rise(findings: list[Finding]) -> None:
    for finding in findings:
        found, _ = good(finding)
        if finding.indicator != "panic":
            assert sum(finding.parts.values()) == pytest.approx(found.sum_phi, rel=1e-9, abs=1e-12)


def test_activity_and_synchrony_are_split_by_behaviour_and_by_bucket(findings: list[Finding]) -> None:
    x = made(2000, 1)
    level = next(each for each in findings if (each.indicator, each.baseline) == ("activity", "neutral"))
    found, _ = good(level)
    for behaviour in ("posts", "likes", "follows"):
        expected = found.sum_phi * float(x[behaviour].sum() / x.acts.sum())
        assert level.parts[behaviour] == pytest.approx(expected)
    buckets = next(each for each in findings if each.indicator == "synchrony")
    assert sorted(buckets.parts) == [f"phase_{index:02d}" for index in range(12)]


def test_concentration_agrees_with_phi(findings: list[Finding]) -> None:
    for finding in findings:
        found, concentrated = good(finding)
        size = found.phi.abs()
        assert concentrated.effective_contributors == pytest.approx(float(size.sum() ** 2 / (size**2).sum()))
        assert concentrated.positive_mass == pytest.approx(float(found.phi.clamp(min=0).sum()))
        assert concentrated.negative_mass == pytest.approx(float(-found.phi.clamp(max=0).sum()))
        assert sum(concentrated.tier_shares.values()) == pytest.approx(1.0)
        assert concentrated.lorenz[-1] == pytest.approx(1.0)


def test_panels_are_what_their_members_would_say_alone(findings: list[Finding]) -> None:
    x, y = made(2000, 1), made(2000, 2)
    members = torch.argsort(x.received, descending=True, stable=True)[:50]
    for finding in findings:
        found, _ = good(finding)
        panel = next(each for each in finding.panels if (each.kind, each.size) == ("visible", 50))
        if finding.indicator == "panic":
            continue
        before = y.pick(members) if finding.baseline == "preceding" else None
        alone = attribute(get(finding.indicator), x.pick(members), before).phi
        full = found.phi[members]
        factor = float(full @ alone / (alone @ alone))
        assert panel.factor == pytest.approx(factor, rel=1e-8)
        assert panel.residual == pytest.approx(float((full - factor * alone).norm() / full.norm()), rel=1e-6, abs=1e-9)


def test_panels_larger_than_the_population_are_left_out(findings: list[Finding]) -> None:
    for finding in findings:
        assert [(each.kind, each.size) for each in finding.panels] == [
            ("visible", 50),
            ("visible", 200),
            ("uniform", 50),
            ("uniform", 200),
        ]


def test_one_moment_is_exactly_rescalable_and_several_are_not(findings: list[Finding]) -> None:
    assert {finding.rescalable for finding in findings} == {False}
    single = Indicator("likes", lambda x: (x["likes"],), lambda m: torch.log1p(m[0]), lambda _: (0.0,))
    finding = analyse(made(500, 1), None, indicators=[single], panel_sizes=(20,))[0]
    assert finding.rescalable is True
    assert [panel.residual for panel in finding.panels] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_the_seed_chooses_the_uniform_panel() -> None:
    panels = [
        analyse(made(500, 1), None, indicators=["polarization"], panel_sizes=(20,), seed=seed)[0].panels
        for seed in (1, 1, 2)
    ]
    assert panels[0] == panels[1]
    assert panels[0] != panels[2]
    assert panels[0][0] == panels[2][0]


def test_without_a_preceding_window_there_is_no_change() -> None:
    findings = analyse(made(100, 1), None, indicators=NAMES)
    assert [(finding.indicator, finding.baseline) for finding in findings] == [
        (name, "neutral") for name in NAMES if name != "panic"
    ]


def test_what_fails_fails_alone_and_says_why() -> None:
    def raises(_: State) -> tuple[torch.Tensor]:
        raise RuntimeError("out of ideas")

    broken = [
        Indicator("raises", raises, lambda m: m[0]),
        Indicator("nan", lambda x: (x["likes"] / x["likes"] - x["posts"] / 0,), lambda m: m[0]),
        Indicator("late", lambda x: (x["likes"],), lambda m: torch.sqrt(m[0] - 1e12)),
    ]
    findings = analyse(made(300, 1), made(300, 2), indicators=["cascade", *broken, "nowhere", "attention"])
    by_name = {(finding.indicator, finding.baseline): finding for finding in findings}
    assert by_name["raises", "preceding"].failure == "g of 'raises' failed: out of ideas"
    assert "totals of 'nan' are not finite" in str(by_name["nan", "preceding"].failure)
    assert "F of 'late' is nan" in str(by_name["late", "preceding"].failure)
    assert "there is no indicator 'nowhere'" in str(by_name["nowhere", "neutral"].failure)
    for name in ("cascade", "attention"):
        for baseline in ("neutral", "preceding"):
            assert by_name[name, baseline].failure is None  # type: ignore[index]


@pytest.mark.parametrize(
    ("visibility", "message"),
    [
        (torch.zeros(3), "has the shape"),
        (torch.full((100,), float("nan")), "not a whole number"),
        (torch.full((100,), -1), "negative"),
    ],
)
def test_visibility_that_cannot_rank_is_refused(visibility: torch.Tensor, message: str) -> None:
    with pytest.raises(StateError, match=message):
        analyse(made(100, 1), None, indicators=["cascade"], ranking=strata(visibility))


def test_visibility_given_decides_the_tiers() -> None:
    x = made(1000, 1)
    found, concentrated = good(analyse(x, None, indicators=["activity"], ranking=strata(torch.arange(1000)))[0])
    assert concentrated.tier_shares["head"] == pytest.approx(float(found.phi[990:].sum() / found.phi.sum()))


def test_torch_has_its_threads_back_after_a_run() -> None:
    before = torch.get_num_threads()
    analyse(made(50, 1), None, indicators=["cascade"])
    assert torch.get_num_threads() == before


def shared(cuts: list[slice], order: torch.Tensor) -> list[list[Finding]]:
    """Two runs, one after the other, on ranks that hold these agents; each rank's findings of the second."""
    windows = [torch.from_numpy(crowd(3000, seed))[:, order] for seed in (1, 2, 3)]
    identity = torch.arange(3000)[order] * 7919 % 3001

    def rank(meeting: Meeting, mine: slice) -> list[Finding]:
        memory: dict[str, PanicMemory] = {}
        states = [State(window[:, mine].contiguous()) for window in windows]
        for before, now in itertools.pairwise(states):
            found = analyse(
                now,
                before,
                indicators=NAMES,
                panel_sizes=(50, 200),
                seed=3,
                identity=identity[mine],
                memory=memory,
                meeting=meeting,
            )
        return found

    return together(rank, cuts)


def test_ranks_find_what_one_finds_however_agents_are_shared() -> None:
    ordered, shuffled = torch.arange(3000), torch.randperm(3000, generator=torch.Generator().manual_seed(1))
    (whole,) = shared([slice(0, 3000)], ordered)
    parts = shared([slice(0, 100), slice(100, 2500), slice(2500, 2500), slice(2500, 3000)], shuffled)
    for index, expected in enumerate(whole):
        alone, spread = good(expected)
        phi = torch.empty(3000, dtype=torch.float64)
        phi[shuffled] = torch.cat([good(part[index])[0].phi for part in parts])
        assert float((phi - alone.phi).norm() / alone.phi.norm()) < 1e-12
        for part in parts:
            found, carried = good(part[index])
            assert found.ok
            assert (found.value, found.baseline_value) == pytest.approx((alone.value, alone.baseline_value), rel=1e-12)
            assert found.sum_phi == pytest.approx(alone.sum_phi, rel=1e-9, abs=1e-12)
            assert found.finite_gap == pytest.approx(alone.finite_gap, rel=1e-9)
            assert carried.tier_shares == pytest.approx(spread.tier_shares, rel=1e-9)
            assert carried.lorenz == pytest.approx(spread.lorenz, rel=1e-9, abs=1e-12)
            assert carried.effective_contributors == pytest.approx(spread.effective_contributors, rel=1e-9)
            assert part[index].parts == pytest.approx(expected.parts, rel=1e-9, abs=1e-12)
            assert len(part[index].panels) == len(expected.panels) == 4
            for panel, one in zip(part[index].panels, expected.panels, strict=True):
                assert (panel.kind, panel.size) == (one.kind, one.size)
                assert (panel.factor, panel.residual) == pytest.approx((one.factor, one.residual), rel=1e-7)
                assert panel.tier_shares == pytest.approx(one.tier_shares, rel=1e-9)


def test_an_indicator_that_fails_on_one_rank_fails_on_all_and_leaves_the_rest() -> None:
    def touchy(x: State) -> list[torch.Tensor]:
        if bool((x["likes"] > 100).any()):
            raise ValueError("too many likes")
        return [x["likes"], x["posts"]]

    fussy = Indicator("fussy", g=touchy, F=lambda m: m[0] / (1 + m[1]), neutral=lambda _: (0.0, 0.0))
    columns = torch.zeros((len(COLUMNS), 40), dtype=torch.int32)
    columns[INDEX["likes"]] = torch.arange(40)
    columns[INDEX["likes"], 39] = 1000

    def rank(meeting: Meeting, mine: slice) -> list[Finding]:
        state = State(columns[:, mine].contiguous())
        return analyse(state, None, indicators=[fussy, "activity"], panel_sizes=(5,), meeting=meeting)

    for number, (failed, found) in enumerate(together(rank, [slice(0, 20), slice(20, 40)])):
        assert failed.failure is not None
        assert ("too many likes" in failed.failure) == (number == 1)
        assert good(found)[0].ok
