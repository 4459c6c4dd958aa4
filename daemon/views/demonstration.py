"""The demo's world: a small simulated network with storms in it, windows small enough to watch, an embedded log.

The composition is the daemon's own; only the configuration and the source are the demo's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from consumers.sources.simulator import Plant, SimulatedSource, default_plant
from daemon.config.loading import load
from daemon.config.model import Config
from daemon.views.planted import Planted

BUCKET = "1m"
LENGTH = "12m"
INDICATORS = ("polarization", "attention", "cascade", "activity", "synchrony")
ROUNDS = 3
ROUND_SECONDS = 45.0
"""Seconds of a viewer's time from one round of storms to the next; after the last the network is calm."""
CALM_SECONDS = 12.0
"""Seconds before the first round, in which a window fills."""


@dataclass(frozen=True)
class Scale:
    """How large and how fast: `rate` is operations a simulated second, `speed` simulated seconds a second."""

    accounts: int = 20_000
    rate: float = 20.0
    speed: float = 60.0
    seed: int = 1


def configuration(scale: Scale, state: Path, port: str, level: str) -> Config:
    """Return the daemon's configuration for the demo, its state in a directory of its own."""
    flags = {
        "state_dir": str(state),
        "source.kind": "simulator",
        "source.simulator.accounts": str(scale.accounts),
        "source.simulator.seed": str(scale.seed),
        "source.simulator.speed": str(scale.speed),
        "source.simulator.rate": str(scale.rate),
        "log.kind": "sqlite",
        "log.partitions": "4",
        "windows.length": LENGTH,
        "windows.bucket": BUCKET,
        "engine.indicators": ",".join(INDICATORS),
        "engine.panels": "100,1000",
        "http.port": port,
        "logging.level": level,
    }
    named = {"http.port": "--port", "source.simulator.accounts": "--accounts", "source.simulator.speed": "--speed"}
    return load(None, {}, [(named.get(key, key), key, value) for key, value in flags.items()]).config


def network(scale: Scale) -> SimulatedSource:
    """Return the network, with a cascade, a polarizing camp and a coordinated burst in each round."""
    return SimulatedSource(
        accounts=scale.accounts, seed=scale.seed, rate=scale.rate, speed=scale.speed, plants=list(_storms(scale))
    )


def _storms(scale: Scale) -> Iterator[Plant]:
    horizon = ROUND_SECONDS * scale.speed
    for number in range(ROUNDS):
        begins = (CALM_SECONDS + number * ROUND_SECONDS) * scale.speed - horizon / 2
        for phenomenon in ("cascade", "polarization", "burst"):
            plant = default_plant(phenomenon, scale.accounts, horizon)
            yield replace(plant, after=plant.after + begins)


def planted(source: SimulatedSource) -> list[Planted]:
    """Return what is planted, with the culprits' names, to hold the runs against."""
    return [
        Planted(told.phenomenon, told.indicator, told.start, told.end, frozenset(told.dids)) for told in source.culprits
    ]
