"""Ranks under torchrun, with gloo: however the agents are shared, every phi is the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.ranks import RankError, joined
from engine.results import Finding

PROGRAM = Path(__file__).with_name("ranks_program.py")
ROOT = PROGRAM.parents[3]
AGENTS, SEED = 20_000, 4


def run_ranks(count: int, out: Path) -> list[tuple[dict, list[Finding]]]:
    out.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    done = subprocess.run(
        [*command, str(PROGRAM), str(out), str(AGENTS), str(SEED)],
        env={
            "PATH": "",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(out / f"{rank}.pt", weights_only=False) for rank in range(count)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[dict, list[Finding]]:
    return run_ranks(1, tmp_path_factory.mktemp("ranks") / "1")[0]


@pytest.mark.parametrize("count", [2, 4])
def test_one_rank_and_several_find_the_same(count, alone, tmp_path):
    answers, found = alone
    ranks = run_ranks(count, tmp_path / "out")
    parts = [part for part, _ in ranks]
    assert len(answers) == 20
    for key, whole in answers.items():
        phi = torch.cat([part[key].phi for part in parts])
        assert whole.ok, key
        assert float((phi - whole.phi).norm() / whole.phi.norm()) < 1e-12, key
        for part in parts:
            assert part[key].ok, key
            assert part[key].value == pytest.approx(whole.value, rel=1e-12), key
            assert part[key].sum_phi == pytest.approx(whole.sum_phi, rel=1e-9, abs=1e-12), key
            assert part[key].finite_gap == pytest.approx(whole.finite_gap, rel=1e-9), key
    for _, part in ranks:
        for one, expected in zip(part, found, strict=True):
            assert one.concentration.lorenz == pytest.approx(expected.concentration.lorenz, rel=1e-9, abs=1e-12)
            assert one.concentration.tier_shares == pytest.approx(expected.concentration.tier_shares, rel=1e-9)
            for panel, alike in zip(one.panels, expected.panels, strict=True):
                assert (panel.factor, panel.residual) == pytest.approx((alike.factor, alike.residual), rel=1e-7)


def test_a_process_that_torchrun_did_not_start_is_told_so(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RankError, match="torchrun"), joined():
        pass
