"""An AppView that knows some accounts, answers `getProfiles` in the lexicon's form, and misbehaves when told to."""

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import web

MOST = 25
Act = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeAppView:
    """Answers with the followers of those it knows and leaves out the others. `acts` come first, one a request.

    `headers` go with every good answer.
    """

    def __init__(self, followers: Callable[[str], int | None], *acts: Act) -> None:
        self.followers = followers
        self.acts = list(acts)
        self.headers: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.askers: set[str] = set()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/xrpc/app.bsky.actor.getProfiles", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        actors = request.query.getall("actors", [])
        self.asked.append(actors)
        self.askers.add(request.headers["User-Agent"])
        if self.acts:
            return await self.acts.pop(0)(request)
        if not 1 <= len(actors) <= MOST or not all(actor.startswith("did:") for actor in actors):
            return fault(400, "InvalidRequest")
        known = [(actor, self.followers(actor)) for actor in actors]
        profiles = [profile(actor, count) for actor, count in known if count is not None]
        return web.json_response({"profiles": profiles}, headers=self.headers)


def profile(did: str, followers: int) -> dict[str, Any]:
    """A `profileViewDetailed` as the public AppView gives it."""
    return {
        "did": did,
        "handle": f"{did.rpartition(':')[2]}.example.com",
        "displayName": "",
        "associated": {"lists": 0, "feedgens": 0, "starterPacks": 0, "labeler": False},
        "labels": [],
        "createdAt": "2024-01-01T00:00:00.000Z",
        "indexedAt": "2024-01-01T00:00:00.000Z",
        "followersCount": followers,
        "followsCount": 3,
        "postsCount": 12,
    }


def fault(status: int, error: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An XRPC error."""
    return web.json_response({"error": error, "message": "no"}, status=status, headers=headers)


def fails(status: int, **headers: str) -> Act:
    """Answer once with an error; `retry_after` becomes the header `Retry-After`."""

    async def act(_request: web.Request) -> web.StreamResponse:
        return fault(status, "Fault", {name.replace("_", "-"): value for name, value in headers.items()})

    return act


def says(body: bytes, content_type: str = "application/json") -> Act:
    """Answer once with these bytes."""

    async def act(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return act
