"""Reading and attributing as two processes over a real Kafka."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.process import Daemon
from tests.servers.kafka import Kafka

WINDOWS = ("windows.length=1m", "windows.bucket=5s", "windows.lateness=1s", "checkpoints.every=1s", "engine.panels=100")
SIMULATED = ("source.simulator.accounts=2000", "source.simulator.rate=100", "source.simulator.speed=20")


def flags(kafka: Kafka, prefix: str, *settings: str) -> list[str]:
    given = (*WINDOWS, f"log.prefix={prefix}", "log.partitions=3", "log.replication=1", *settings)
    return [
        *("--log", "kafka", "--bootstrap", kafka.bootstrap, "--source", "simulator"),
        *(part for setting in given for part in ("--set", setting)),
    ]


@pytest.mark.kafka
def test_one_process_reads_and_another_attributes(tmp_path: Path, kafka: Kafka) -> None:
    prefix = f"roles-{uuid4().hex[:8]}"
    bridging = ("--role", "bridge", *flags(kafka, prefix, *SIMULATED))
    attributing = ("--role", "attribute", *flags(kafka, prefix))
    with Daemon(tmp_path / "bridge", *bridging) as bridge, Daemon(tmp_path / "attribute", *attributing) as worker:
        run = worker.run_after()
        assert run["agents"] > 100
        bridge.wait_for(lambda: bridge.ask("/readyz")[0] == 200)
        worker.wait_for(lambda: worker.ask("/readyz")[0] == 200)
        assert bridge.ask("/api/v1/runs/latest")[0] == 404
        assert "worker" not in bridge.json("/status")
        assert "sources" not in worker.json("/status")
        assert bridge.stop() == 0
        assert worker.stop() == 0
