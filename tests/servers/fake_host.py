"""A websocket host that does what a test tells it, connection by connection.

It remembers how it was asked, and what it sent.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

Act = Callable[[ServerConnection, int | None], Awaitable[None]]
"""What one connection does, given the cursor it was asked for. When it returns, the connection closes with 1000."""


class FakeHost:
    """The nth connection plays the nth act, later ones the last. An act may be an HTTP error (status, body)."""

    def __init__(self, acts: Sequence[Act | tuple[int, str]], *, files: Mapping[str, bytes] | None = None) -> None:
        """`files` are given for a plain GET of their path."""
        self.acts = acts
        self.files = files or {}
        self.asked: list[str] = []
        self.sent: list[bytes] = []
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        sent = self.sent

        class Noted(ServerConnection):
            async def send(self, message: Any, *, text: bool | None = None) -> None:
                await super().send(message, text=text)
                sent.append(message.encode() if isinstance(message, str) else message)

        self._server = await serve(
            self._play,
            "127.0.0.1",
            0,
            create_connection=Noted,
            process_request=self._greet,
            max_size=None,
            ping_interval=None,
            close_timeout=0.2,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def cursors(self) -> list[int | None]:
        """The cursor of each connection that was asked for."""
        return [cursor_of(path) for path in self.asked]

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path in self.files:
            body = self.files[request.path]
            return Response(200, "OK", Headers({"Content-Length": str(len(body)), "Connection": "close"}), body)
        self.asked.append(request.path)
        act = self._act()
        if isinstance(act, tuple):
            return connection.respond(HTTPStatus(act[0]), act[1])
        return None

    async def _play(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        act = self._act()
        assert not isinstance(act, tuple)
        await act(connection, cursor_of(connection.request.path))

    def _act(self) -> Act | tuple[int, str]:
        return self.acts[min(len(self.asked), len(self.acts)) - 1]


def cursor_of(path: str) -> int | None:
    values = parse_qs(urlsplit(path).query).get("cursor")
    return int(values[0]) if values else None


def sends(*messages: bytes | str, then: int | None = None) -> Act:
    """Send messages whatever the cursor, then close with a code, or stay open and silent."""

    async def act(connection: ServerConnection, _cursor: int | None) -> None:
        for message in messages:
            await connection.send(message)
        await end(connection, then)

    return act


ABRUPT = 1006
"""As a close code: no close frame at all."""


async def end(connection: ServerConnection, code: int | None) -> None:
    """Close with a code, without a word, or leave it open and silent."""
    if code is None:
        await connection.wait_closed()
    elif code == ABRUPT:
        connection.transport.abort()
    else:
        await connection.close(code)
