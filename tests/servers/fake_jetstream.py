"""A Jetstream that keeps its lines: v1 from a time on, v2 from a seq on (inclusive), on loopback."""

import json

from websockets.asyncio.server import ServerConnection

from tests.servers.fake_host import Act, end


def replays_v1(lines: dict[int, bytes], *, floor: int = 0, upto: int | None = None, then: int | None = None) -> Act:
    """Send the lines from the cursor on, clamped up to `floor` without a word, as v1 does."""
    return _replays(lines, floor, upto, then)


def replays_v2(messages: dict[int, bytes], *, upto: int | None = None, then: int | None = None) -> Act:
    """Send the messages from the cursor's seq on; a cursor of 1e15 or more is a time, and gives all of them."""
    return _replays(messages, 0, upto, then)


def cursor_too_old() -> tuple[int, str]:
    return 400, json.dumps({"error": "CursorTooOld", "message": "the requested cursor is below the floor"})


def v2_info(name: str) -> bytes:
    payload = {"$type": "network.bsky.jetstream.subscribeEvents#info", "name": name}
    return json.dumps({"$type": "message", "payload": payload}).encode()


def v2_error(name: str) -> bytes:
    return json.dumps({"$type": "error", "error": name, "message": "as the test wants it"}).encode()


def _replays(messages: dict[int, bytes], floor: int, upto: int | None, then: int | None) -> Act:
    async def act(connection: ServerConnection, cursor: int | None) -> None:
        first = max(cursor or 0, floor)
        if cursor is not None and cursor >= 10**15 and max(messages, default=0) < 10**15:
            first = 0
        for place, message in sorted(messages.items()):
            if place >= first and (upto is None or place <= upto):
                await connection.send(message.decode())
        await end(connection, then)

    return act
