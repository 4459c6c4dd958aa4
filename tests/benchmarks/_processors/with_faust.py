"""Faust: a tumbling table by agent, role and kind, by the time in the event; in memory, with its changelog topic."""

import asyncio
import tempfile

import faust
from task import BUCKET_MS, COUNTED, Counts, Task

task = Task()
app = faust.App(
    "faust",
    broker=f"kafka://{task.bootstrap}",
    store="memory://",
    topic_partitions=task.partitions,
    datadir=tempfile.mkdtemp(),
    web_enabled=False,
)


class Event(faust.Record, serializer="json"):
    """What of an agent event is asked for."""

    agent: str
    role: str
    kind: str
    t: int


topic = app.topic(task.topic, value_type=Event, partitions=task.partitions)
table = app.Table("counts", default=int).tumbling(BUCKET_MS / 1000).relative_to(lambda event: event.value.t / 1e6)


@app.agent(topic)
async def count(events: faust.StreamT[Event]) -> None:
    left = task.events
    async for event in events:
        if event.kind in COUNTED:
            table[f"{event.agent} {event.role} {event.kind}"] += 1
        left -= 1
        if not left:
            task.done(counts())
            asyncio.get_running_loop().call_soon(ended.set)


def counts() -> Counts:
    found: Counts = {}
    for (key, (start, _)), number in table.table.items():
        agent, name = key.split(" ", 1)
        found.setdefault((agent, round(start * 1000)), {})[name] = number
    return found


async def main() -> None:
    await app.start()
    await ended.wait()
    await app.stop()


ended = asyncio.Event()
asyncio.run(main())
