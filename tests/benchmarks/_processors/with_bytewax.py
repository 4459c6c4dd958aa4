"""Bytewax: `fold_window` over tumbling windows of event time, keyed by agent, read to the topic's end by one worker."""

from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import orjson
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.operators.windowing import EventClock, TumblingWindower
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from task import BUCKET_MS, COUNTED, Counts, Task

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Collected(DynamicSink, StatelessSinkPartition):
    """A sink that keeps what closes."""

    def __init__(self) -> None:
        self.counts: Counts = {}

    def build(self, *_: object) -> "Collected":
        return self

    def write_batch(self, items: list) -> None:
        for agent, (window, kinds) in items:
            self.counts[agent, window * BUCKET_MS] = kinds


def count(kinds: dict[str, int], event: dict) -> dict[str, int]:
    name = f"{event['role']} {event['kind']}"
    kinds[name] = kinds.get(name, 0) + 1
    return kinds


def merge(kinds: dict[str, int], others: dict[str, int]) -> dict[str, int]:
    return {name: kinds.get(name, 0) + others.get(name, 0) for name in kinds | others}


def flow(task: Task, sink: Collected) -> Dataflow:
    graph = Dataflow("counts")
    read = kafka.input("read", graph, brokers=[task.bootstrap], topics=[task.topic], tail=False)
    events = op.map("load", read.oks, lambda message: orjson.loads(message.value))
    acts = op.filter("counted", events, lambda event: event["kind"] in COUNTED)
    keyed = op.key_on("agent", acts, lambda event: event["agent"])
    clock = EventClock(
        lambda event: datetime.fromtimestamp(event["t"] / 1e6, UTC),
        timedelta(seconds=5),
        to_system_utc=lambda _: None,  # the stream is of the past: by the clock every key would be due at every batch
    )
    minutes = TumblingWindower(timedelta(milliseconds=BUCKET_MS), EPOCH)
    counted = windowing.fold_window("count", keyed, clock, minutes, dict, count, merge)
    op.output("collect", counted.down, sink)
    return graph


task, sink = Task(), Collected()
cli_main(flow(task, sink))
task.done(sink.counts)
