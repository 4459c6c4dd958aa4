"""Metrics at scrape time: the live counters of the parts, read when Prometheus asks, in a registry of one instance.

The parts count in plain dataclasses and know nothing of Prometheus; `daemon.metrics.readings` says which counter is
which metric.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from daemon.metrics import declared as m
from daemon.metrics.declared import RUN_PHASES, Metric

Reading = tuple[Metric, tuple[str, ...], float]
"""A metric, the values of its labels in their order, and its value now."""

Reader = Callable[[], Iterable[Reading]]

MOST_VALUES = 64
"""More values than this of one label are a mistake or an attack: further ones become `other`."""

_NUMBERED = frozenset({"partition"})
"""Labels that are bounded by the configuration instead."""


class Readings(Collector):
    """Asks every reader at each scrape. Readings of one metric with the same labels add up."""

    def __init__(self) -> None:
        self._readers: list[Reader] = []
        self._seen: dict[tuple[str, str], set[str]] = {}

    def add(self, reader: Reader) -> None:
        """Ask this reader from now on."""
        self._readers.append(reader)

    def collect(self) -> Iterator[Family]:
        """Yield the families that have readings now."""
        values: dict[Metric, dict[tuple[str, ...], float]] = {}
        for reader in self._readers:
            for metric, labels, value in reader():
                kept = self._bounded(metric, labels)
                family = values.setdefault(metric, {})
                family[kept] = family.get(kept, 0.0) + value
        for metric, samples in values.items():
            yield _family(metric, samples)

    def describe(self) -> Iterator[Family]:
        """Yield nothing: what is there to scrape depends on what runs."""
        yield from ()

    def _bounded(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Return the labels with every value beyond the bound, and every agent's name, as `other`."""
        assert len(labels) == len(metric.labels), metric.name
        kept = []
        for name, value in zip(metric.labels, labels, strict=True):
            seen = self._seen.setdefault((metric.name, name), set())
            known = name in _NUMBERED or value in seen or len(seen) < MOST_VALUES
            plain = known and not value.startswith("did:")
            if plain and name not in _NUMBERED:
                seen.add(value)
            kept.append(value if plain else "other")
        return tuple(kept)


def _family(metric: Metric, samples: Mapping[tuple[str, ...], float]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: Any = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    found: Family = family
    return found


class Instruments:
    """The registry of one daemon: its readings, its histograms, and what Prometheus knows of any Python process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.readings = Readings()
        self.registry.register(self.readings)
        self._phases = Histogram(
            RUN_PHASES.name, RUN_PHASES.help, RUN_PHASES.labels, buckets=RUN_PHASES.buckets, registry=self.registry
        )
        self._written: Counter[tuple[Metric, tuple[str, ...]]] = Counter()
        self.readings.add(lambda: [(metric, labels, count) for (metric, labels), count in self._written.items()])
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        if hasattr(gc, "get_stats"):
            GCCollector(registry=self.registry)

    def ran(self, record: Mapping[str, Any]) -> None:
        """Count a run by its record."""
        lens = record["lens"]
        self._written[m.RUNS, (lens,)] += 1
        self._written[m.PUBLISHED, (lens,)] += record["attributions"]
        self._written[m.TOMBSTONES, (lens,)] += record["tombstones"]
        for failure in record["failures"]:
            self._written[m.FAILURES, (lens, failure["indicator"])] += 1
        for phase, seconds in record["timings"].items():
            self._phases.labels(lens, phase).observe(seconds)
