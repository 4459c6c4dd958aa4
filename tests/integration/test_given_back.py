"""After each run of the daemon what it freed goes back to the system."""

import asyncio
from pathlib import Path

import pytest

from daemon.config.loading import load, parse_assignment
from daemon.service import attributing
from daemon.service.composition import Service
from tests.integration.simulated import SIMULATED


async def test_each_run_gives_back_what_it_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    config = load(None, {}, [parse_assignment(one) for one in (*SIMULATED, f"state_dir={tmp_path}")]).config
    stop = asyncio.Event()
    async with Service(config) as service:
        monkeypatch.setattr(attributing, "give_back", lambda: runs.append(len(service.latest.runs(1_000))))
        running = asyncio.ensure_future(service.run(stop))
        async with asyncio.timeout(60):
            while len(runs) < 3:
                assert not running.done()
                await asyncio.sleep(0.05)
        stop.set()
        await running
    assert runs[:3] == [1, 2, 3]
