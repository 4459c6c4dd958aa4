"""`starlingd attribute` through the real command line: what it writes, says, and refuses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

from daemon.commands import cli
from daemon.offline.tables import write_state
from engine.fusion import lacks
from engine.oracles import exact
from tests.populations import crowd, names, population
from tests.reference import REFERENCES

KEYS = ["indicator", "method", "n", "value", "baseline_value", "sum_phi", "residual", "lambda_error", "seconds"]
STARLINGD = Path(sys.executable).with_name("starlingd")


def attribute(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["attribute", *map(str, arguments)])


def read(path: Path) -> dict[str, float]:
    table = pq.read_table(path)
    assert table.schema.names == ["agent", "phi"]
    assert table.schema.field("phi").type == pa.float64()
    return dict(zip(table["agent"].to_pylist(), table["phi"].to_pylist(), strict=True))


@pytest.fixture
def state(tmp_path) -> Path:
    write_state(tmp_path / "state.parquet", names(500), population(500, seed=3))
    return tmp_path / "state.parquet"


@pytest.mark.parametrize("indicator", REFERENCES)
@pytest.mark.parametrize("method", ["aumann-shapley", "oceanic"])
def test_it_attributes_each_indicator_and_says_so_in_one_line(state, tmp_path, indicator, method):
    out = tmp_path / "phi.parquet"
    result = attribute(state, "--indicator", indicator, "--method", method, "--out", out)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert list(answer) == KEYS
    assert result.stdout.count("\n") == 1
    assert (answer["indicator"], answer["method"], answer["n"]) == (indicator, method, 500)
    game = REFERENCES[indicator].game(population(500, seed=3), None)
    assert answer["value"] == pytest.approx(float(game.f(game.present.sum(0))), rel=1e-12)
    phi = read(out)
    assert list(phi) == names(500)
    assert sum(phi.values()) == pytest.approx(answer["sum_phi"], rel=1e-9)
    if method == "aumann-shapley":
        assert answer["sum_phi"] == pytest.approx(answer["value"] - answer["baseline_value"], rel=1e-9)
        assert answer["residual"] < 1e-9


def test_the_only_agent_carries_the_whole_change(tmp_path):
    write_state(tmp_path / "a.parquet", ["x"], crowd(1, seed=1))
    write_state(tmp_path / "b.parquet", ["x"], crowd(1, seed=2))
    result = attribute(
        tmp_path / "a.parquet", "--baseline", tmp_path / "b.parquet", "--indicator", "cascade", "--out", tmp_path / "o"
    )
    answer = json.loads(result.stdout)
    assert read(tmp_path / "o") == {"x": pytest.approx(answer["value"] - answer["baseline_value"], rel=1e-9)}


def test_a_baseline_is_met_by_name_and_who_is_in_one_table_only_is_zeros_in_the_other(tmp_path):
    columns = crowd(12, seed=5)
    write_state(tmp_path / "a.parquet", names(12)[:9], columns[:, :9])
    order = [11, 3, 10, 2, 9, 1, 0]
    before = crowd(12, seed=6)
    write_state(tmp_path / "b.parquet", [names(12)[i] for i in order], before[:, order])
    out = tmp_path / "o.parquet"
    result = attribute(
        tmp_path / "a.parquet", "--baseline", tmp_path / "b.parquet", "--indicator", "cascade", "--method", "oceanic",
        "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    phi = read(out)
    expected_order = [*range(9), 11, 10, 9]
    assert list(phi) == [names(12)[i] for i in expected_order]
    current, preceding = columns.copy(), before.copy()
    current[:, 9:] = 0
    preceding[:, [i for i in range(12) if i not in order]] = 0
    truth = exact(REFERENCES["cascade"].game(current, preceding))[expected_order]
    found = torch.tensor(list(phi.values()), dtype=torch.float64)
    assert float((found - truth).norm() / truth.norm()) < 2e-2


def test_absent_columns_are_zeros_and_unknown_ones_are_ignored_with_a_note(tmp_path):
    pq.write_table(
        pa.table({"agent": ["a", "b"], "likes_in": [3, 1], "handle": ["x", "y"]}), tmp_path / "state.parquet"
    )
    result = attribute(tmp_path / "state.parquet", "--indicator", "attention", "--out", tmp_path / "o")
    assert result.exit_code == 0
    assert "ignored the columns handle" in result.stderr
    assert json.loads(result.stdout)["value"] == pytest.approx(10 / 16)


REFUSED = {
    "a missing file": (["none.parquet", "--indicator", "cascade", "--out", "o"], r"none.parquet does not exist"),
    "an unknown indicator": (["state.parquet", "--indicator", "vibes", "--out", "o"], r"no indicator 'vibes'.*cascade"),
    "an output nowhere": (["state.parquet", "--indicator", "cascade", "--out", "no/o"], r"no directory no"),
    "an output onto its input": (
        ["state.parquet", "--indicator", "cascade", "--out", "state.parquet"],
        r"both read and",
    ),
    "a device that is none": (
        ["state.parquet", "--indicator", "cascade", "--device", "abacus", "--out", "o"],
        r"abacus",
    ),
    "a text as baseline": (
        ["state.parquet", "--baseline", "text.csv", "--indicator", "cascade", "--out", "o"],
        r"text.csv is not a readable Parquet file",
    ),
    "a negative count": (["bad.parquet", "--indicator", "cascade", "--out", "o"], r"bad.parquet, row 2: 'posts' is -4"),
    "no rows": (["hollow.parquet", "--indicator", "cascade", "--out", "o"], r"hollow.parquet has no rows"),
    "no neutral baseline": (["state.parquet", "--indicator", "panic", "--out", "o"], r"'panic'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_gets_one_sentence_exit_2_and_no_file(state, monkeypatch, case):
    monkeypatch.chdir(state.parent)
    Path("text.csv").write_text("agent,posts\na,1\n")
    pq.write_table(pa.table({"agent": ["a", "b"], "posts": [1, -4]}), "bad.parquet")
    write_state(Path("hollow.parquet"), [], np.zeros((26, 0), np.int32))
    before = {path: path.read_bytes() for path in Path().iterdir()}
    arguments, message = REFUSED[case]
    result = attribute(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("starlingd: ")
    assert re.search(message, result.stderr)
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_the_installed_command_attributes_and_refuses(state, tmp_path):
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(STARLINGD), "attribute", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    good = run(state, "--indicator", "activity", "--out", tmp_path / "o.parquet")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["n"] == len(read(tmp_path / "o.parquet")) == 500
    bad = run(tmp_path / "none.parquet", "--indicator", "activity", "--out", tmp_path / "p.parquet")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == f"starlingd: {tmp_path / 'none.parquet'} does not exist\n"
    assert not (tmp_path / "p.parquet").exists()


def test_a_users_own_indicator_is_found_once_its_package_is_installed(state, tmp_path):
    package = tmp_path / "generosity"
    package.mkdir()
    for file in (Path(__file__).parents[2] / "packages" / "generosity").iterdir():
        if file.is_file():
            (package / file.name).write_bytes(file.read_bytes())
    site = tmp_path / "site"
    installer = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run(
        [*installer, "--python", sys.executable, "--target", str(site), str(package)], check=True, timeout=120
    )
    done = subprocess.run(
        [str(STARLINGD), "attribute", str(state), "--indicator", "generosity", "--out", str(tmp_path / "o.parquet")],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    columns = population(500, seed=3).astype(np.int64)
    lifted, acts = columns[3:5].sum(0), columns[:6].sum()
    phi = np.array(list(read(tmp_path / "o.parquet").values()))
    np.testing.assert_allclose(phi, lifted / acts, rtol=1e-12, atol=1e-15)
    assert json.loads(done.stdout)["value"] == pytest.approx(lifted.sum() / acts)


@pytest.mark.skipif(lacks("cpu") is not None, reason=str(lacks("cpu")))
def test_compiled_sweeps_say_the_same(tmp_path):
    path = tmp_path / "state.parquet"
    write_state(path, names(3000), population(3000, seed=3))
    said, phi = [], []
    for flags in ((), ("--compile",)):
        result = attribute(path, "--indicator", "cascade", *flags, "--out", tmp_path / "phi.parquet")
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        said.append(json.loads(result.stdout)["sum_phi"])
        phi.append(read(tmp_path / "phi.parquet"))
    assert said[0] == pytest.approx(said[1], rel=1e-12)
    assert phi[0] == pytest.approx(phi[1], rel=1e-12, abs=1e-300)
