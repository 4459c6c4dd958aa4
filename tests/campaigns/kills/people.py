"""People on a real PDS, whose stream a campaign reads: they act as far as it has come.

A ledger keeps what they did. It is written from what each called and nothing else, so it is an oracle that shares no
code with what it is held against. The stream is recorded as well, by a client that asks for all of it afterwards.
"""

import asyncio
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from websockets.sync.client import connect

from consumers.log import partition_of
from consumers.windows.shape import SECOND, Shape
from tests.campaigns.producers import PARTITIONS, Given, Producer
from tests.integration.play import PLAIN, Ledger, first_scene, sign_up
from tests.servers.pds import running
from tests.servers.pds_accounts import Accounts, Ref, accounts

PATIENCE = 60.0


class People(Producer):
    """Scenes played one after the other, each by newcomers, in a thread of its own."""

    protocol = "relay"
    shape = Shape(length=3600 * SECOND, bucket=2 * SECOND, lateness=SECOND)
    """A window holds all that happens in a campaign."""

    settings = ("source.dense=false",)
    place = 0

    def __init__(self, scenes: int) -> None:
        super().__init__()
        self.ledger = Ledger()
        self._scenes, self._share = scenes, 0.0
        self._stack = ExitStack()
        self._last: Ref | None = None
        self._closers: set[str] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play()), name="people")

    @classmethod
    def of_kills(cls, kills: int) -> Self:
        """Return people who have enough to do for so many kills."""
        return cls(2 + kills // 2)

    def __enter__(self) -> Self:
        self._pds = self._stack.enter_context(running())
        self.address = self._pds.host
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scenes = 0
        self.release(1.0)
        self._thread.join()
        self._stack.close()

    def release(self, share: float) -> None:
        """Have this share of the scenes begun."""
        self._share = share

    def finish(self, folder: Path) -> Given:
        """Have the play end; ask the PDS for its whole stream."""
        self.release(1.0)
        self._thread.join()
        assert self._last is not None, "the play did not come to its end"
        path = folder / "frames.bin"
        self._record(path, self._last)
        counts = {agent: Counter(dict(counts)) for agent, counts in self.ledger.counts.items()}
        return Given(path, counts, frozenset(self._closers))

    async def _play(self) -> None:
        async with accounts(self._pds) as home:
            scene = 0
            while scene < self._scenes:
                if scene <= self._share * self._scenes:
                    await first_scene(await sign_up(home, f"scene{scene}"), self.ledger)
                    scene += 1
                await asyncio.sleep(0.02)
            await asyncio.sleep((2 * self.shape.bucket + self.shape.lateness) / SECOND)
            self._last = await self._close(home)

    async def _close(self, home: Accounts) -> Ref:
        """Have others act after the last window's end, in each partition, so that it closes; return the last act."""
        awaited = set(range(PARTITIONS))
        number = 0
        while awaited:
            closer = await home.sign_up(f"closer{number}")
            number += 1
            self._closers.add(closer.did)
            last = await closer.post(PLAIN)
            awaited.discard(partition_of(closer.did.encode(), PARTITIONS))
        return last

    def _record(self, path: Path, last: Ref) -> None:
        """Write the frames of the stream, from its first to the one that holds the last act."""
        sought = last.uri.rpartition("/")[2].encode()
        address = f"{self.address}/xrpc/com.atproto.sync.subscribeRepos?cursor=0"
        with connect(address, max_size=None) as stream, path.open("wb") as file:
            frame = b""
            while sought not in frame:
                received = stream.recv(PATIENCE)
                assert isinstance(received, bytes)
                frame = received
                file.write(len(frame).to_bytes(4, "little") + frame)
