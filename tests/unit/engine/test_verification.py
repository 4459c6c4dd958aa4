"""The verifier passes what is sound and names what is not."""

from dataclasses import replace

import pytest
import torch

from engine.builtin import ATTENTION, BUILT_IN, CASCADE, PANIC
from engine.crowds import crowd
from engine.games import game_of
from engine.indicators import Indicator
from engine.verification import Check, verify
from tests.reference import REFERENCES

FEW_ORDERS = 300


def failures(indicator: Indicator) -> list[Check]:
    return [check for check in verify(indicator, permutations=FEW_ORDERS) if not check.passed]


@pytest.mark.parametrize("indicator", [ATTENTION, CASCADE, PANIC], ids=lambda indicator: indicator.name)
def test_a_sound_indicator_holds(indicator):
    checks = list(verify(indicator, permutations=FEW_ORDERS))
    assert [check for check in checks if not check.passed] == []
    assert len(checks) == 1 + 4 * len(indicator.baselines)


def test_a_jump_on_the_path_is_found():
    jumping = replace(CASCADE, name="jumping", F=lambda m: CASCADE.F(m) + (m[0] > 0.37 * m[1]).double())
    assert ("F is smooth on the path", "neutral") in {(check.subject, check.baseline) for check in failures(jumping)}


def test_a_derivative_that_autodiff_cannot_see_is_found():
    blind = replace(CASCADE, name="blind", F=lambda m: torch.log1p(m[0].detach() / m[1]))
    assert [check.subject for check in failures(blind)] == ["F is smooth on the path"] * 2


def test_contributions_that_look_at_others_are_found():
    nosy = replace(ATTENTION, name="nosy", g=lambda x: (x.received / x.received.max(), x.received), neutral=None)
    assert failures(nosy)[0].subject == "contributions are each agent's own"


def test_an_indicator_that_raises_fails_its_checks_with_its_own_words_and_nothing_else():
    def broken(_: object) -> None:
        raise KeyError("no such mood")

    found = failures(replace(CASCADE, name="broken", g=broken))
    assert len(found) == 3
    assert all("no such mood" in check.found for check in found)


def test_totals_without_a_finite_value_are_found():
    infinite = replace(CASCADE, name="infinite", F=lambda m: torch.log(m[0] - m[0]))
    assert len(failures(infinite)) == 2


@pytest.mark.parametrize("name", REFERENCES)
def test_the_game_that_is_verified_is_the_one_of_the_design(name):
    indicator = next(each for each in BUILT_IN if each.name == name)
    state, before = crowd(40, 1), crowd(40, 2)
    for baseline in (None, before):
        ours = game_of(indicator, state, baseline)
        table = REFERENCES[name].game(state.columns.numpy(), None if baseline is None else baseline.columns.numpy())
        torch.testing.assert_close(ours.present, table.present, rtol=1e-12, atol=0)
        torch.testing.assert_close(ours.absent, table.absent, rtol=1e-12, atol=0)
        torch.testing.assert_close(ours.values(ours.start + ours.delta), table.values(table.start + table.delta))
