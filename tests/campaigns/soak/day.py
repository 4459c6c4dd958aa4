"""A day of the network as agent events, made in NumPy and appended to Kafka as fast as it takes them, and its recount.

The mix of kinds is the network's of mid 2026 and agents have heavy tails, as in the simulator, whose lines cost too
much to make 30 million of. Times are out of order by a second, some batches are appended twice, accounts are deleted,
and there is a silent stretch.

`python -m tests.campaigns.soak.day BOOTSTRAP TOPIC PARTITIONS EVENTS ANSWER` is the process that feeds.
"""

import asyncio
import re
import sys
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from aiokafka import AIOKafkaProducer
from numpy.typing import NDArray

from consumers.events import Event, Kind, Role
from tests.campaigns.soak.recount import BUCKET, END, KINDS, SECOND, SILENCE, START, UNSCORED, Ints, Recount

MIX = (0.06, 0.05, 0.03, 0.11, 0.67, 0.08)
"""Of `KINDS`."""

_SRC = "relay:soak"
_DELETED = 20
_REPEATED = 2_000
_FIRST_SEQ = 10_000_000_000

Records = tuple[Ints, list[bytes]]
"""Agents by number, and what is said of each."""


@dataclass
class Operations:
    """What some accounts did, in order. Of a post `target` means nothing; `tone` is the valence × 10⁴."""

    actor: Ints
    target: Ints
    kind: Ints
    t: Ints
    seq: Ints
    tone: Ints


class Day:
    """Gives the entries of one stretch after another, and recounts them."""

    def __init__(self, events: int, partitions: int, seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        agents = max(1_000, events // 60)
        letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
        self.names = np.unique(letters[self.random.integers(0, 32, (agents, 24))], axis=0)
        self.keys = [b"did:plc:" + name.tobytes() for name in self.names]
        self.partition = np.array([crc32(key) % partitions for key in self.keys])
        self.recount = Recount(len(self.keys))
        self._acting, self._received = (
            np.cumsum(self.random.permutation(np.exp(self.random.normal(0, sigma, len(self.keys)))))
            for sigma in (1.5, 2.5)
        )
        self.stretches = [t for t in range(START, END + BUCKET // 2, BUCKET // 2) if not SILENCE[0] <= t < SILENCE[1]]
        self._operations = round(events / len(self.stretches) / (2 - MIX[0]))
        self._seq = _FIRST_SEQ

    def stretch(self, start: int) -> Records:
        """Return the records of half a bucket; in the middle of each, some accounts are deleted."""
        agents, values = self._events(self._operations_of(start))
        if (start - START) % BUCKET == 0:
            self.recount.close(start)
            gone = self.random.choice(len(self.keys), _DELETED, replace=False)
            self.recount.delete(gone)
            agents = np.concatenate((agents, gone))
            values += [self._deletion(agent, start + BUCKET // 2) for agent in gone.tolist()]
        return agents, values

    def _operations_of(self, start: int) -> Operations:
        count, random = self._operations, self.random
        actor, target = (
            np.searchsorted(sums, random.uniform(0, sums[-1], count)) for sums in (self._acting, self._received)
        )
        target = np.where(target == actor, (target + 1) % len(self.keys), target)
        kind = random.choice(len(KINDS), count, p=MIX)
        late = random.integers(-SECOND, SECOND, count)
        t = np.maximum(START, start + np.arange(count) * (BUCKET // 2) // count + late)
        seq = np.arange(self._seq, self._seq + count)
        self._seq += count
        tone = np.rint(np.clip(random.normal(0.1, 0.45, count), -0.9999, 0.9999) * 10_000).astype(np.int64)
        tone[(kind > 2) | (random.random(count) < 0.4)] = UNSCORED
        return Operations(actor, target, kind, t, seq, tone)

    def _events(self, done: Operations) -> Records:
        """Return each operation's event for its actor, then the one for its target."""
        aimed = np.flatnonzero(done.kind > 0)
        self.recount.add(done.actor, done.kind, done.t, done.tone)
        self.recount.add(done.target[aimed], done.kind[aimed] + 5, done.t[aimed], np.full(len(aimed), UNSCORED))
        values = np.full(2 * len(done.kind), None, object)
        for kind in range(len(KINDS)):
            of_kind = done.kind == kind
            for scored, sign in ((False, ""), (True, ""), (True, "-")):
                some = of_kind & ((done.tone != UNSCORED) == scored) & (not scored or (done.tone < 0) == (sign == "-"))
                rows = np.flatnonzero(some)
                values[2 * rows] = self._encoded(done, rows, "actor", KINDS[kind], f"{sign}0.4444" if scored else None)
            if kind:
                rows = np.flatnonzero(of_kind)
                values[2 * rows + 1] = self._encoded(done, rows, "target", KINDS[kind], None)
        agents = np.column_stack((done.actor, done.target)).reshape(-1)
        held = values != None  # noqa: E711 - of each element
        return agents[held], values[held].tolist()

    def _encoded(self, done: Operations, rows: Ints, role: Role, kind: Kind, valence: str | None) -> list[bytes]:
        """Return events of one form: only what has a fixed width differs from one to the next."""
        actor, peer = "did:plc:" + "A" * 24, None if kind == "post" else "did:plc:" + "P" * 24
        given = {"t": int("1" * 16), "src": _SRC, "seq": int("2" * 11), "rev": "3l" + "3" * 11}
        given |= {"uri": f"at://{actor}/app.bsky.feed.{kind}/3l{'3' * 11}", "valence": valence and float(valence)}
        agent, other = (actor, peer) if role == "actor" else (peer, actor)
        form = Event(agent, role, kind, other, **given).encode()
        lines = np.tile(np.frombuffer(form, np.uint8), (len(rows), 1))
        for mark, filling in (
            (b"A" * 24, self.names[done.actor[rows]]),
            (b"P" * 24, self.names[done.target[rows]]),
            (b"1" * 16, digits(done.t[rows], 16)),
            (b"2" * 11, digits(done.seq[rows], 11)),
            (b"3" * 11, digits(done.seq[rows], 11)),
            (b"4444", digits(np.abs(done.tone[rows]), 4)),
        ):
            for found in re.finditer(mark, form):
                lines[:, found.start() : found.end()] = filling
        blob, width = lines.tobytes(), len(form)
        return [blob[at : at + width] for at in range(0, len(blob), width)]

    def _deletion(self, agent: int, t: int) -> bytes:
        self._seq += 1
        name = self.keys[agent].decode()
        return Event(name, "actor", "account", None, t, _SRC, self._seq - 1, status="deleted").encode()


def digits(values: Ints, width: int) -> NDArray[np.uint8]:
    """Return numbers as ASCII digits, [N, width]."""
    return (values[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10 + ord("0")).astype(np.uint8)


async def feed(bootstrap: str, topic: str, day: Day) -> None:
    """Append the whole day, in order, as the log's own producer is set up but without its care for failures."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=1 << 20,
    ) as producer:
        for number, start in enumerate(day.stretches):
            agents, values = day.stretch(start)
            if number % 7 == 3:  # as a bridge does that has not heard that they are there
                day.recount.repeats += len(values[-_REPEATED:])
                agents, values = np.concatenate((agents, agents[-_REPEATED:])), values + values[-_REPEATED:]
            await append(producer, topic, day, agents, values)


async def append(producer: AIOKafkaProducer, topic: str, day: Day, agents: Ints, values: list[bytes]) -> None:
    """Append records in their order and wait until the broker has them."""
    futures, keys, partitions = [], day.keys, day.partition[agents]
    for partition in np.unique(partitions).tolist():
        rows = np.flatnonzero(partitions == partition)
        batch = producer.create_batch()
        for row, agent in zip(rows.tolist(), agents[rows].tolist(), strict=True):
            if batch.append(key=keys[agent], value=values[row], timestamp=None) is None:
                futures.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=keys[agent], value=values[row], timestamp=None)
        futures.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*futures)


def main() -> None:
    """Feed a topic and write the recount down."""
    bootstrap, topic, partitions, events, answer = sys.argv[1:]
    day = Day(int(events), int(partitions))
    asyncio.run(feed(bootstrap, topic, day))
    day.recount.save(answer, day.keys)


if __name__ == "__main__":
    main()
