"""The HTTP surface: probes, metrics, status, a read-only API and the page. It listens on the loopback by default.

It only reads: GET and HEAD, JSON out, every refusal a JSON object with one sentence. A browser that asks under a
name which is not ours is refused, so that a page from elsewhere cannot read it by rebinding its own name to 127.0.0.1.
"""

import errno
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from daemon.config.outlets import Http
from daemon.errors import ListenError
from daemon.runs.attributions import FACE, TOP_KEPT
from daemon.runs.latest import Latest
from daemon.service.health import Health

PAGE = Path(__file__).parent / "page"
FILES = ("index.html", "app.js", "style.css", "icon.svg")
MAX_RUNS = 240

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(slots=True)
class Surface:
    """What the server shows; each part is asked at the moment of the request."""

    latest: Latest
    health: Health
    registry: CollectorRegistry
    status: Callable[[], Mapping[str, Any]]


@dataclass(slots=True)
class Server:
    """The listening server; use it as an async context manager. `address` is its base URL once it listens."""

    settings: Http
    surface: Surface
    address: str = field(default="", init=False)
    _runner: web.AppRunner = field(init=False)

    async def __aenter__(self) -> Self:
        """Listen; raise ListenError where that cannot be."""
        self._runner = web.AppRunner(
            application(self.settings, self.surface), handle_signals=False, access_log=None, shutdown_timeout=1.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(_refusal(self.settings, error)) from error
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()


class _RefusedError(Exception):
    """A request that is not answered as asked; the message is one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def application(settings: Http, surface: Surface) -> web.Application:
    """Return the application: its routes read `surface`, its middleware guards them."""
    app = web.Application(middlewares=[_guard(settings)])
    handlers = _Handlers(surface)
    app.router.add_get("/", handlers.page)
    for name in FILES:
        app.router.add_get(f"/{name}", handlers.page)
    app.router.add_get("/livez", handlers.livez)
    app.router.add_get("/readyz", handlers.readyz)
    app.router.add_get("/status", handlers.status)
    app.router.add_get("/metrics", handlers.metrics)
    app.router.add_get("/api/v1/runs/latest", handlers.run)
    app.router.add_get("/api/v1/runs", handlers.runs)
    app.router.add_get("/api/v1/agents", handlers.agents)
    app.router.add_get("/api/v1/agents/{agent:.+}", handlers.agent)
    return app


class _Handlers:
    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    async def page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / (request.path.strip("/") or FILES[0]))

    async def livez(self, _request: web.Request) -> web.Response:
        return _probe(self._surface.health.stuck())

    async def readyz(self, _request: web.Request) -> web.Response:
        return _probe(self._surface.health.unready())

    async def status(self, _request: web.Request) -> web.Response:
        return _json(self._surface.status())

    async def metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._surface.registry), headers={"Content-Type": content_type})

    async def run(self, _request: web.Request) -> web.Response:
        return _json(self._newest())

    async def runs(self, request: web.Request) -> web.Response:
        return _json({"runs": self._surface.latest.runs(_limit(request, default=10, most=MAX_RUNS))})

    async def agents(self, request: web.Request) -> web.Response:
        run = self._newest()
        baseline = request.query.get("baseline", "neutral")
        if baseline not in FACE:
            raise _RefusedError(400, f"baseline is one of {', '.join(FACE)}, not {baseline!r}")
        indicator = request.query.get("indicator") or next(iter(run["indicators"]), "")
        top = self._surface.latest.top(indicator, baseline, _limit(request, default=20, most=TOP_KEPT))
        if top is None:
            known = ", ".join(run["indicators"]) or "none"
            raise _RefusedError(404, f"the newest run has no {indicator!r} against {baseline}; it has {known}")
        return _json(
            {"run": run["id"], "lens": run["lens"], "indicator": indicator, "baseline": baseline, "agents": top}
        )

    async def agent(self, request: web.Request) -> web.Response:
        self._newest()
        name = request.match_info["agent"]
        found = self._surface.latest.agent(name)
        if found is None:
            raise _RefusedError(404, f"{name!r} was not active in either window of the newest run")
        return _json(found)

    def _newest(self) -> Mapping[str, Any]:
        run = self._surface.latest.run
        if run is None:
            raise _RefusedError(404, "no window has closed yet, so there is no run")
        return run


def _guard(settings: Http) -> Any:
    names = {"localhost", settings.host.lower(), *(name.lower() for name in settings.allowed_hosts)}
    open_to_all = not (settings.allowed_hosts or _is_loopback(settings.host))

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not (open_to_all or _is_ours(request.host, names)):
            return _json({"error": f"{request.host!r} is not a name of this server"}, 421)
        try:
            response = await handler(request)
        except _RefusedError as refusal:
            response = _json({"error": str(refusal)}, refusal.status)
        except web.HTTPException as refusal:  # the router's own: no such path, no such method
            response = _json({"error": f"{refusal.reason.lower()}: {request.method} {request.path}"}, refusal.status)
            if "Allow" in refusal.headers:
                response.headers["Allow"] = refusal.headers["Allow"]
        response.headers.update(HEADERS)
        return response

    return guard


def _is_ours(host: str, names: set[str]) -> bool:
    """Tell whether a Host header is ours. An address always is: only a name can be rebound."""
    name = (urlsplit(f"//{host}").hostname or "").lower()
    return name in names or _address(name) is not None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _limit(request: web.Request, *, default: int, most: int) -> int:
    text = request.query.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise _RefusedError(400, f"limit is a whole number from 1 to {most}, not {text[:40]!r}")
    return int(text)


def _probe(reasons: list[str]) -> web.Response:
    return _json({"ok": not reasons, "reasons": reasons}, 503 if reasons else 200)


def _json(document: Any, status: int = 200) -> web.Response:
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, status=status, content_type="application/json")


def _refusal(settings: Http, error: OSError) -> str:
    place = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is taken by another process; stop it, or choose another port with --port"
    return f"cannot listen on {place}: {error.strerror or error}; choose another address with --host and --port"
