"""Frames a second from a socket on loopback to deliveries: our loop, the bare websocket beside it."""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import aclosing
from multiprocessing.connection import Connection

import pytest
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from consumers.scoring import no_score
from consumers.sources.jetstream import JetstreamV1Source
from consumers.sources.relay import RelaySource
from consumers.sources.websocket import SocketOptions
from tests.servers.fake_host import FakeHost, sends
from tests.unit.consumers.corpus import raw_frames, v1_lines

COUNT = 30_000


async def _serve(messages: Sequence[bytes], pipe: Connection) -> None:
    async with FakeHost([sends(*(messages[n % len(messages)] for n in range(COUNT)))]) as host:
        pipe.send(host.address)
        await asyncio.to_thread(pipe.recv)


def serve(messages: Sequence[bytes], pipe: Connection) -> None:
    """Run the host in a process of its own."""
    asyncio.run(_serve(messages, pipe))


async def bare(address: str) -> None:
    async with connect(address, ping_interval=None, max_size=None, compression=None) as socket:
        for _ in range(COUNT):
            await socket.recv(decode=False)


async def ours(source: RelaySource | JetstreamV1Source) -> None:
    frames = 0
    async with aclosing(source.deliveries(None)) as deliveries:
        async for delivery in deliveries:
            frames += delivery.frames
            if frames >= COUNT:
                return


def rates(messages: Sequence[bytes], kind: str) -> tuple[float, float]:
    """Return frames a second, and a second of our own processor time: the host needs the other core."""
    here, there = multiprocessing.Pipe()
    host = multiprocessing.get_context("spawn").Process(target=serve, args=(messages, there))
    host.start()
    address = here.recv()
    options = SocketOptions(compression=False)
    began, worked = time.perf_counter(), time.process_time()
    if kind == "bare":
        asyncio.run(bare(address))
    elif kind == "relay":
        asyncio.run(ours(RelaySource(address, score=no_score, options=options)))
    else:
        asyncio.run(ours(JetstreamV1Source(address, score=no_score, options=options)))
    elapsed, spent = time.perf_counter() - began, time.process_time() - worked
    here.send(None)
    host.join()
    return COUNT / elapsed, COUNT / spent


def main() -> None:
    try:
        frames, lines = raw_frames(), v1_lines()
    except pytest.skip.Exception as absent:
        print(absent)
        return
    table = Table(
        "from a socket",
        "frames a second",
        "a second of one core",
        title=f"{COUNT:,} real frames, sent by another process",
    )
    for name, messages, kind in (
        ("relay → deliveries", frames, "relay"),
        ("  bare websocket, nothing decoded", frames, "bare"),
        ("Jetstream v1 → deliveries", lines, "jetstream1"),
        ("  bare websocket, nothing decoded", lines, "bare"),
    ):
        table.add_row(name, *(f"{rate:,.0f}" for rate in rates(messages, kind)))
    Console().print(table)


if __name__ == "__main__":
    main()
