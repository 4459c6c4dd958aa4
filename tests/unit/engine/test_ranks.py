"""Ranks under torchrun, with gloo: however the agents are shared, every phi is the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.ranks import RankError, joined

PROGRAM = Path(__file__).with_name("ranks_program.py")
ROOT = PROGRAM.parents[3]
AGENTS, SEED = 20_000, 4


def run_ranks(count: int, out: Path) -> list[dict]:
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
def alone(tmp_path_factory) -> dict:
    return run_ranks(1, tmp_path_factory.mktemp("ranks") / "1")[0]


@pytest.mark.parametrize("count", [2, 4])
def test_phi_is_the_same_on_one_rank_and_on_several(count, alone, tmp_path):
    parts = run_ranks(count, tmp_path / "out")
    assert len(alone) == 20
    for key, whole in alone.items():
        phi = torch.cat([part[key].phi for part in parts])
        assert whole.ok, key
        assert float((phi - whole.phi).norm() / whole.phi.norm()) < 1e-12, key
        for part in parts:
            assert part[key].ok, key
            assert part[key].value == pytest.approx(whole.value, rel=1e-12), key
            assert part[key].sum_phi == pytest.approx(whole.sum_phi, rel=1e-9, abs=1e-12), key
            assert part[key].finite_gap == pytest.approx(whole.finite_gap, rel=1e-9), key


def test_a_process_that_torchrun_did_not_start_is_told_so(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RankError, match="torchrun"), joined():
        pass
