"""The HTTP surface over real sockets: probes, status, metrics, API, and what it refuses."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter

from daemon.config.outlets import Http
from daemon.errors import ListenError
from daemon.http.server import FILES, PAGE, Server, Surface
from daemon.runs.attributions import Attributions
from daemon.runs.latest import Latest, Results
from daemon.service.health import Health

AGENTS = ["did:plc:a", "did:plc:b", "did:web:example.com:c"]


def results(run: str = "all-1") -> Results:
    record = {"id": run, "lens": "all", "indicators": {"activity": {"neutral": {"value": 1.0}}}}
    phi = {("activity", "neutral"): np.array([0.25, -0.5, 0.125])}
    return Results(record, Attributions(AGENTS, phi, np.array([2, 0, 1], np.uint8), np.array([1, 9, 3])))


@pytest.fixture
def surface() -> Surface:
    registry = CollectorRegistry()
    Counter("starlingd_tries", "Tries.", registry=registry).inc()
    return Surface(Latest(), Health(), registry, lambda: {"role": "all", "seen": np.int64(3)})


@pytest.fixture
async def client(surface: Surface) -> AsyncIterator[aiohttp.ClientSession]:
    async with Server(Http(port=0), surface) as server, aiohttp.ClientSession(server.address) as session:
        yield session


async def ask(client: aiohttp.ClientSession, path: str, **options: Any) -> tuple[int, Any]:
    async with client.get(path, **options) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def test_the_probes_give_their_reasons(client: aiohttp.ClientSession, surface: Surface) -> None:
    surface.health.require(lambda: "the windows are being restored")
    assert await ask(client, "/livez") == (200, {"ok": True, "reasons": []})
    assert await ask(client, "/readyz") == (503, {"ok": False, "reasons": ["the windows are being restored"]})
    surface.health.watch("worker", -1)
    status, body = await ask(client, "/livez")
    assert status == 503
    assert body["reasons"][0].startswith("the worker has not advanced")


async def test_status_and_metrics_are_asked_at_each_request(client: aiohttp.ClientSession) -> None:
    assert await ask(client, "/status") == (200, {"role": "all", "seen": 3})
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert "starlingd_tries_total 1.0" in await response.text()
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as response:
        assert (await response.text()).endswith("# EOF\n")


async def test_before_the_first_run_there_is_nothing_to_read(client: aiohttp.ClientSession) -> None:
    none = (404, {"error": "no window has closed yet, so there is no run"})
    assert await ask(client, "/api/v1/runs/latest") == none
    assert await ask(client, "/api/v1/agents") == none
    assert await ask(client, f"/api/v1/agents/{AGENTS[0]}") == none
    assert await ask(client, "/api/v1/runs") == (200, {"runs": []})


async def test_runs_are_newest_first(client: aiohttp.ClientSession, surface: Surface) -> None:
    for number in range(3):
        surface.latest.swap(results(f"all-{number}"))
    assert (await ask(client, "/api/v1/runs/latest"))[1]["id"] == "all-2"
    _, body = await ask(client, "/api/v1/runs?limit=2")
    assert [run["id"] for run in body["runs"]] == ["all-2", "all-1"]


async def test_top_agents_are_those_of_greatest_phi(client: aiohttp.ClientSession, surface: Surface) -> None:
    surface.latest.swap(results())
    status, body = await ask(client, "/api/v1/agents?indicator=activity&baseline=neutral&limit=2")
    assert status == 200
    assert body["run"] == "all-1"
    assert [(agent["agent"], agent["phi"], agent["tier"]) for agent in body["agents"]] == [
        ("did:plc:b", -0.5, "head"),
        ("did:plc:a", 0.25, "tail"),
    ]
    assert (await ask(client, "/api/v1/agents"))[1]["indicator"] == "activity"


async def test_one_agent_has_its_newest_record(client: aiohttp.ClientSession, surface: Surface) -> None:
    surface.latest.swap(results())
    status, body = await ask(client, f"/api/v1/agents/{AGENTS[2]}")
    assert (status, body["level"], body["tier"]) == (200, {"activity": 0.125}, "middle")
    said = "'did:plc:z' was not active in either window of the newest run"
    assert await ask(client, "/api/v1/agents/did:plc:z") == (404, {"error": said})


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("limit=0", 400, "limit is a whole number from 1 to 1000, not '0'"),
        ("limit=1e3", 400, "limit is a whole number from 1 to 1000, not '1e3'"),
        ("limit=" + "9" * 5000, 400, "limit is a whole number from 1 to 1000, not '" + "9" * 40 + "'"),
        ("baseline=level", 400, "baseline is one of neutral, preceding, not 'level'"),
        ("indicator=mood", 404, "the newest run has no 'mood' against neutral; it has activity"),
        ("baseline=preceding", 404, "the newest run has no 'activity' against preceding; it has activity"),
    ],
)
async def test_a_wrong_question_is_told_what_is_right(
    client: aiohttp.ClientSession, surface: Surface, query: str, status: int, said: str
) -> None:
    surface.latest.swap(results())
    assert await ask(client, f"/api/v1/agents?{query}") == (status, {"error": said})


async def test_nothing_can_be_written(client: aiohttp.ClientSession) -> None:
    async with client.post("/api/v1/runs", json={}) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD"
        assert await response.json() == {"error": "method not allowed: POST /api/v1/runs"}
    assert await ask(client, "/nothing") == (404, {"error": "not found: GET /nothing"})


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", ""])
async def test_a_name_that_was_rebound_to_the_loopback_is_refused(client: aiohttp.ClientSession, host: str) -> None:
    status, body = await ask(client, "/status", headers={"Host": host})
    assert (status, body) == (421, {"error": f"{host!r} is not a name of this server"})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3:8080"])
async def test_our_names_and_all_addresses_are_answered(client: aiohttp.ClientSession, host: str) -> None:
    assert (await ask(client, "/status", headers={"Host": host}))[0] == 200


async def test_behind_a_proxy_its_name_is_ours(surface: Surface) -> None:
    settings = Http(port=0, allowed_hosts=["Starlings.example"])
    async with Server(settings, surface) as server, aiohttp.ClientSession(server.address) as client:
        assert (await ask(client, "/status", headers={"Host": "starlings.example"}))[0] == 200
        assert (await ask(client, "/status", headers={"Host": "evil.example"}))[0] == 421


async def test_every_answer_forbids_what_the_page_does_not_need(client: aiohttp.ClientSession) -> None:
    for path in ("/livez", "/status", "/metrics", "/nothing", "/api/v1/runs/latest"):
        async with client.get(path) as response:
            assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_and_its_parts_are_served_and_nothing_beside_them(client: aiohttp.ClientSession) -> None:
    for name in FILES:
        async with client.get(f"/{name}") as response:
            assert response.status == 200
            assert await response.read() == (PAGE / name).read_bytes()
    async with client.get("/") as response:
        assert response.content_type == "text/html"
    assert (await ask(client, "/__init__.py"))[0] == 404


async def test_a_taken_port_is_one_sentence(surface: Surface) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as refused:
            async with Server(Http(port=port), surface):
                pass
    assert str(refused.value) == (
        f"127.0.0.1:{port} is taken by another process; stop it, or choose another port with --port"
    )


async def test_an_address_that_is_not_ours_is_one_sentence(surface: Surface) -> None:
    with pytest.raises(ListenError, match=r"^cannot listen on 192\.0\.2\.1:1: .*; choose another address"):
        async with Server(Http(host="192.0.2.1", port=1), surface):
            pass
