"""Followers through the real atproto client from a local AppView, and into the tiers of a running daemon."""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import crc32

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from consumers.followers import MOST, AskError, FollowersError, Reply
from consumers.followers.appview import LONGEST_PAUSE, AppView, pause_in
from daemon.commands import REFUSALS
from daemon.config.loading import load, parse_assignment
from daemon.service.composition import Service
from engine.results import TIERS
from tests.servers.fake_appview import FakeAppView, fails, profile, says

NOW = 1_800_000_000.0
PATIENCE = 120.0
ANN, BOB, CYD = (f"did:plc:{name * 6}" for name in ("anna", "bobb", "cydd"))
FOLLOWERS = {ANN: 3, BOB: 50_000}


@pytest.fixture
async def server() -> AsyncIterator[FakeAppView]:
    async with FakeAppView(FOLLOWERS.get) as serving:
        yield serving


@pytest.fixture
async def appview(server: FakeAppView) -> AsyncIterator[AppView]:
    asking = AppView(server.url, timeout=5.0, clock=lambda: NOW)
    yield asking
    await asking.close()


async def refusal(appview: AppView) -> tuple[str, float]:
    with pytest.raises(AskError) as refused:
        await appview([ANN])
    return refused.value.cause, refused.value.pause


async def test_it_gives_the_followers_of_those_whom_the_server_knows(server: FakeAppView, appview: AppView) -> None:
    assert await appview([ANN, BOB, CYD]) == Reply({ANN: 3, BOB: 50_000})
    assert server.asked == [[ANN, BOB, CYD]]
    assert server.askers == {f"starlingd/{version('starlingd')}"}


async def test_a_full_request_is_understood(server: FakeAppView, appview: AppView) -> None:
    await appview([f"did:plc:{number:024d}" for number in range(MOST)])
    assert len(server.asked[0]) == MOST


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (429, {"retry_after": "90"}, ("rate_limited", 90.0)),
        (429, {"retry_after": "Fri, 15 Jan 2027 08:01:00 GMT"}, ("rate_limited", 60.0)),
        (429, {"ratelimit_reset": str(round(NOW) + 120), "ratelimit_remaining": "0"}, ("rate_limited", 120.0)),
        (429, {}, ("rate_limited", 0.0)),
        (500, {}, ("server_error", 0.0)),
        (503, {"retry_after": "30"}, ("server_error", 30.0)),
        (502, {}, ("network", 0.0)),
        (400, {}, ("refused", 0.0)),
        (401, {}, ("unauthorized", 0.0)),
        (404, {}, ("server_error", 0.0)),
    ],
)
async def test_what_the_server_refuses_is_told_with_how_long_to_wait(
    server: FakeAppView, appview: AppView, status: int, headers: dict[str, str], told: tuple[str, float]
) -> None:
    server.acts = [fails(status, **headers)]
    assert await refusal(appview) == told
    assert (await appview([ANN])).followers == {ANN: 3}


async def test_a_good_answer_that_spends_what_remains_says_to_wait(server: FakeAppView, appview: AppView) -> None:
    server.headers = {"RateLimit-Limit": "3000", "RateLimit-Remaining": "1", "RateLimit-Reset": str(round(NOW) + 40)}
    assert (await appview([ANN])).pause == 0.0
    server.headers["RateLimit-Remaining"] = "0"
    assert (await appview([ANN])).pause == 40.0


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"ratelimit-remaining": "0", "ratelimit-reset": "17"}, 17.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "1000000001"}, 0.0),
        ({"retry-after": "1e300"}, LONGEST_PAUSE),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "tomorrow"}, 0.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "soon"}, 0.0),
        ({"ratelimit-remaining": "0"}, 0.0),
    ],
)
def test_strange_headers_make_no_strange_pauses(headers: dict[str, str], pause: float) -> None:
    assert pause_in(headers, NOW) == pause


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}", b'{"profiles":7}', b'{"profiles":{"a":1}}', b"[" * 100_000],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
async def test_garbage_is_no_answer(server: FakeAppView, appview: AppView, body: bytes, content_type: str) -> None:
    server.acts = [says(body, content_type)]
    assert await refusal(appview) == ("unreadable", 0.0)


async def test_an_odd_profile_does_not_cost_the_others_theirs(server: FakeAppView, appview: AppView) -> None:
    odd: list[Any] = [7, None, {}, {"did": 5, "followersCount": 1}]
    odd += [{**profile(CYD, 1), "followersCount": count} for count in (-1, "9", 1.5, True, None, 1 << 80)]
    odd += [{**profile(ANN, 3), "handle": "not a handle", "labels": "none", "$type": 9}]

    async def act(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"profiles": odd})

    server.acts = [act]
    assert (await appview([ANN, CYD])).followers == {ANN: 3}


async def test_a_server_that_is_slow_or_gone_is_given_up(server: FakeAppView) -> None:
    released = asyncio.Event()

    async def act(_request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    server.acts = [act]
    hasty = AppView(server.url, timeout=0.05)
    assert await refusal(hasty) == ("timeout", 0.0)
    released.set()
    await hasty.close()
    gone = AppView("http://127.0.0.1:1")
    assert await refusal(gone) == ("network", 0.0)
    await gone.close()


def followers_of(did: str) -> int | None:
    """A heavy tail without ties, that has nothing to do with who is interacted with; one in twenty is not known."""
    number = crc32(did.encode())
    return None if number % 20 == 0 else (1 << 40) // (1 + number)


def service_of(directory: Path, url: str, *more: str) -> Service:
    settings = (
        "source.kind=simulator",
        "source.simulator.accounts=500",
        "source.simulator.rate=100",
        "source.simulator.speed=10",
        "windows.length=12s",
        "windows.bucket=1s",
        "windows.lateness=0s",
        "engine.indicators=attention",
        "engine.panels=10",
        "log.partitions=2",
        "http.port=0",
        "followers.enabled=true",
        f"followers.service={url}",
        "followers.rate=50",
        f"state_dir={directory}",
        *more,
    )
    return Service(load(None, {}, [parse_assignment(one) for one in settings]).config)


class Running:
    """A service that runs inside the block and is stopped, in order, at its end."""

    def __init__(self, service: Service) -> None:
        self._service, self._stop = service, asyncio.Event()

    async def __aenter__(self) -> Service:
        await self._service.__aenter__()
        self._running = asyncio.ensure_future(self._service.run(self._stop))
        return self._service

    async def __aexit__(self, *exc: object) -> None:
        self._stop.set()
        await self._running
        await self._service.__aexit__(*exc)


async def until(found: Callable[[], Any]) -> Any:
    """Return what `found` gives as soon as it is true; give up what does not come."""
    async with asyncio.timeout(PATIENCE):
        while not (value := found()):  # noqa: ASYNC110 - it is looked at from outside
            await asyncio.sleep(0.02)
    return value


async def test_the_daemon_makes_tiers_from_followers_once_enough_are_known(tmp_path: Path) -> None:
    async with (
        FakeAppView(followers_of, fails(429, retry_after="1"), fails(500)) as server,
        Running(service_of(tmp_path, server.url, "followers.coverage=0.6")) as service,
        aiohttp.ClientSession(service.server.address) as client,
    ):
        await until(lambda: [run["visibility"]["measure"] for run in service.latest.runs(99)].count("followers") > 2)
        results, runs = service.latest.results, service.latest.runs(99)
        async with client.get("/metrics") as answer:
            metrics = await answer.text()
        async with client.get("/status") as answer:
            told = (await answer.json())["followers"]
    measures = [run["visibility"]["measure"] for run in reversed(runs)]
    for run, measure in zip(reversed(runs), measures, strict=True):
        assert (run["visibility"]["known"] >= 0.6 * run["agents"]) == (measure == "followers")
    assert measures[0] == "received"
    assert all(len(batch) <= MOST for batch in server.asked)
    assert told["failures"] == {"rate_limited": 1, "server_error": 1}
    for line in (
        'starlingd_follower_failures_total{cause="rate_limited"} 1.0',
        "starlingd_follower_pauses_total 1.0",
        'starlingd_followers_known_agents{lens="all"}',
    ):
        assert line in metrics

    assert results is not None
    table = results.attributions
    known = np.array([followers_of(agent) or -1 for agent in table.agents])
    shown = table.visibility == known
    assert np.count_nonzero(shown) >= results.record["visibility"]["known"]
    tier = np.array(TIERS)[table.tiers]
    order = np.argsort(-table.visibility, kind="stable")
    head = -(-len(order) // 100)
    assert set(tier[order[:head]]) == {"head"}
    assert set(tier[order[head:]]) == {"middle", "tail"}


async def test_what_was_known_is_known_after_a_restart_though_the_server_is_gone(tmp_path: Path) -> None:
    async with FakeAppView(lambda _did: 7) as server:
        url = server.url
        async with Running(service_of(tmp_path, url, "followers.coverage=0.6")) as service:
            keeper = service.followers
            assert keeper is not None
            await until(lambda: len(keeper.cache.answers) > 300)
    async with Running(service_of(tmp_path, url, "followers.coverage=0.6")) as service:
        run = await until(lambda: service.latest.run)
    assert run["visibility"]["measure"] == "followers"


async def test_a_server_that_does_not_answer_holds_up_neither_the_runs_nor_the_end(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def act(_request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with FakeAppView(followers_of, act) as server:
        async with Running(service_of(tmp_path, server.url)) as service:
            await until(lambda: server.asked)
            begun = len(service.latest.runs(99))
            await until(lambda: len(service.latest.runs(99)) > begun + 2)
        released.set()
    assert {run["visibility"]["measure"] for run in service.latest.runs(99)} == {"received"}


async def test_a_cache_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "followers.db").write_bytes(b"a text" * 1000)
    with pytest.raises(FollowersError, match=r"followers\.db failed \(file is not a database\): see "):
        async with service_of(tmp_path, "http://127.0.0.1:1"):
            pass
    assert FollowersError in REFUSALS
