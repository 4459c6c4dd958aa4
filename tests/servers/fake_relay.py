"""A relay that keeps its frames, and one that has faults: `com.atproto.sync.subscribeRepos` on loopback."""

from collections.abc import Mapping

from libipld import encode_dag_cbor
from websockets.asyncio.server import ServerConnection

from tests.servers.fake_host import Act, end


def replays(frames: Mapping[int, bytes], *, upto: int | None = None, then: int | None = None) -> Act:
    """Send the frames after the cursor, as a relay does, up to a seq; then close with a code, or stay open."""

    async def act(connection: ServerConnection, cursor: int | None) -> None:
        for seq, frame in sorted(frames.items()):
            if (cursor is None or seq > cursor) and (upto is None or seq <= upto):
                await connection.send(frame)
        await end(connection, then)

    return act


def error_frame(name: str) -> bytes:
    return encode_dag_cbor({"op": -1}) + encode_dag_cbor({"error": name, "message": "as the test wants it"})


def info_frame(name: str) -> bytes:
    return encode_dag_cbor({"op": 1, "t": "#info"}) + encode_dag_cbor({"name": name, "message": "as the test wants it"})
