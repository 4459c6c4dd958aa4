"""Quix Streams: a tumbling window reduced by the record's key, the agent, by event time; with its changelog topic."""

import tempfile

from quixstreams import Application
from task import BUCKET_MS, COUNTED, Counts, Task


def begin(event: dict) -> dict[str, int]:
    return {f"{event['role']} {event['kind']}": 1}


def count(kinds: dict[str, int], event: dict) -> dict[str, int]:
    name = f"{event['role']} {event['kind']}"
    kinds[name] = kinds.get(name, 0) + 1
    return kinds


task, counts = Task(), Counts()
with tempfile.TemporaryDirectory() as state:
    app = Application(
        broker_address=task.bootstrap,
        consumer_group="quix",
        auto_offset_reset="earliest",
        state_dir=state,
        loglevel="ERROR",
    )
    topic = app.topic(
        task.topic,
        key_deserializer="str",
        value_deserializer="json",
        timestamp_extractor=lambda value, _headers, _timestamp, _kind: value["t"] // 1000,
    )
    events = app.dataframe(topic)
    acts = events[events["kind"].isin(COUNTED)]
    windows = acts.tumbling_window(BUCKET_MS, grace_ms=5_000).reduce(count, begin).current()
    windows.update(lambda window, key, *_: counts.update({(key, window["start"]): window["value"]}), metadata=True)
    app.run(count=task.events)
    task.done(counts)
