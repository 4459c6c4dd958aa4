"""What an operator is given: the configuration is good, the unit is one, and rules ask for metrics that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.config.loading import load
from daemon.config.model import Config
from daemon.metrics.declared import METRICS

DEPLOY = Path(__file__).parents[3] / "deploy"
NAMES = {metric.name for metric in METRICS} | {
    f"{metric.name}{part}" for metric in METRICS if metric.kind == "histogram" for part in ("_bucket", "_sum", "_count")
}


def test_the_configuration_for_the_live_network_is_good() -> None:
    config = load(DEPLOY / "starlingd.toml").config
    assert config.log.kind == "kafka"
    assert config.source.kind == "jetstream2"


def test_the_secrets_of_the_example_come_from_the_environment() -> None:
    text = (DEPLOY / "starlingd.toml").read_text("utf-8")
    assert not re.search(r"^\s*#?\s*password\s*=", text, re.MULTILINE)


def test_what_is_commented_out_would_be_good_too(tmp_path: Path) -> None:
    given = (DEPLOY / "starlingd.toml").read_text("utf-8")
    text = re.sub(r"^# (\[|enabled|ca |mechanism|username)", r"\1", given, flags=re.MULTILINE)
    assert "\n[log.sasl]\n" in text
    (tmp_path / "all.toml").write_text(text)
    assert load(tmp_path / "all.toml", {"STARLINGD_LOG__SASL__PASSWORD": "x"}).config.log.sasl.mechanism


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yml")), ids=lambda path: path.name)
def test_every_metric_that_is_asked_for_exists(path: Path) -> None:
    asked = set(re.findall(r"\bstarlingd_[a-z_]+", path.read_text("utf-8")))
    assert asked - NAMES == set()


def test_the_rules_ask_for_metrics() -> None:
    assert len(re.findall(r"expr:.*starlingd_", (DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))) > 5


def test_the_unit_waits_longer_than_the_daemon_drains() -> None:
    unit = (DEPLOY / "systemd" / "starlingd.service").read_text("utf-8")
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(seconds) * 1_000_000 > Config().drain


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not on this machine")
def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "starlingd.service").read_text("utf-8")
    unit = tmp_path / "starlingd.service"
    unit.write_text(text.replace("/opt/starlingd/bin/starlingd", shutil.which("true") or ""), "utf-8")
    told = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
