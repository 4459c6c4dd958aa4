"""`starlingd deadletters`: the letters of a configured log, listed or tried again."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consumers.bridge.deadletters import Letter, open_letters, settled
from consumers.bridge.retrying import SETTLED, Outcome, retry
from consumers.log import Log
from consumers.scoring import Scorer, load_scorer
from consumers.sources import Source
from daemon.config.model import Config
from daemon.service import building
from daemon.service.claims import claim


@dataclass(slots=True)
class Chosen:
    """Some letters, the newest ones, oldest first; `reasons` and `total` are of all that are open."""

    letters: list[Letter]
    reasons: Counter[str]

    @property
    def total(self) -> int:
        """How many letters are open."""
        return self.reasons.total()


@dataclass(slots=True)
class Report:
    """What became of each letter that was tried, and how many events were appended."""

    outcomes: dict[Letter, Outcome]
    events: int
    counts: Counter[Outcome] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = Counter(self.outcomes.values())


@dataclass(slots=True, frozen=True)
class Configured:
    """Finds sources by the configuration, and recordings among the files that are given."""

    config: Config
    files: Sequence[Path]

    def recording(self, name: str) -> Path | None:
        """Return the path of a recording of this file name, None where none of those known has it."""
        known = (*self.files, *self.config.source.paths)
        return next((path.expanduser() for path in known if path.name == name), None)

    def live(self, protocol: str, host: str) -> Source:
        """Return the source of a host."""
        return building.host_of(self.config, protocol, host, self.scorer())

    def scorer(self) -> Scorer:
        """Return the configured scorer."""
        return load_scorer(self.config.scorer)


async def choose(log: Log, config: Config, reason: str | None, limit: int | None) -> Chosen:
    """Return the open letters of one reason, or of all, at most `limit`, the newest."""
    topics, _ = building.topics_of(config)
    letters = await open_letters(log, topics.deadletters)
    some = [letter for letter in letters if reason is None or letter.reason == reason]
    newest = some if limit is None else some[-limit:]
    return Chosen(newest, Counter(letter.reason for letter in letters))


async def listed(config: Config, reason: str | None, limit: int | None) -> Chosen:
    """Return open letters; the embedded log may be in use. Raises LogError."""
    async with building.log_of(config, read_only=True) as log:
        return await choose(log, config, reason, limit)


async def retried(
    config: Config, reason: str | None, limit: int | None, files: Sequence[Path], patience: float
) -> Report:
    """Try open letters again and settle those that need it no more. No bridge of this state directory may run."""
    topics, _ = building.topics_of(config)
    async with building.log_of(config, read_only=True):
        pass  # where there is no log, none is made
    with claim(config.state, ["bridge"]):
        async with building.log_of(config) as log:
            letters = (await choose(log, config, reason, limit)).letters
            outcomes, events = await retry(log, topics.events, letters, Configured(config, files), patience=patience)
            done = [letter for letter, outcome in outcomes.items() if outcome in SETTLED]
            await log.append(topics.deadletters, settled(done, time.time_ns() // 1000))
            return Report(outcomes, events)
