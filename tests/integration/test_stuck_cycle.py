"""A cycle that never comes back: the daemon still answers, says that it is stuck, and shows where."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.config.loading import load, parse_assignment
from daemon.runs import cycle
from daemon.service.composition import Service
from daemon.service.supervision import DrainError
from tests.integration.simulated import SIMULATED

SETTINGS = (*SIMULATED, "stuck=1s", "drain=1s")


async def test_a_stuck_engine_fails_livez_and_its_stack_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reached, release = threading.Event(), threading.Event()

    def analyse_for_ever(*_arguments: Any, **_options: Any) -> Any:
        reached.set()
        release.wait()
        raise ValueError("released")

    monkeypatch.setattr(cycle, "analyse", analyse_for_ever)
    config = load(None, {}, [parse_assignment(one) for one in (*SETTINGS, f"state_dir={tmp_path}")]).config
    stop = asyncio.Event()
    async with Service(config) as service, aiohttp.ClientSession(service.server.address) as client:
        running = asyncio.ensure_future(service.run(stop))
        try:
            await asyncio.to_thread(reached.wait)
            status, reasons = 200, [""]
            while status == 200:
                await asyncio.sleep(0.05)
                async with client.get("/livez") as answer:
                    status, reasons = answer.status, (await answer.json())["reasons"]
            assert reasons[0].startswith("the worker has not advanced for")
            async with client.get("/metrics") as answer:
                assert "starlingd_stuck_loops 1.0" in await answer.text()
            told = ""
            while "analyse_for_ever" not in told:
                await asyncio.sleep(0.05)
                told += capfd.readouterr().err
            stop.set()
            with pytest.raises(DrainError, match=r"^the worker did not end within 1 s$"):
                await running
        finally:
            release.set()
    assert "starlingd is stuck: the worker has not advanced" in told
