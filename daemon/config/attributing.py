"""The settings of what is made of the log: windows and their checkpoints, and what is attributed over them."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field
from pydantic import model_validator as validate_model

from consumers.durations import format_duration
from daemon.config.values import DAY, HOUR, MINUTE, SECOND, Duration, Listed, Section, conflict

PHASES = 12


class Windows(Section):
    """The rolling windows over event time."""

    length: Duration = Field(
        default=HOUR, ge=PHASES, description="length of a window: a multiple of twelve buckets, at most 14d"
    )
    bucket: Duration = Field(default=MINUTE, ge=1, description="width of a bucket")
    hop: Duration | None = Field(default=None, ge=1, description="how often a window closes; unset, with each bucket")
    lateness: Duration = Field(
        default=5 * SECOND, description="how long the end of a window waits for events out of order"
    )
    idle: Duration = Field(
        default=30 * SECOND, ge=1, description="after this silence a partition no longer holds a window open"
    )

    @validate_model(mode="after")
    def _whole_phases(self) -> Self:
        if self.length > 14 * DAY:
            raise conflict("windows.length", "a window is at most 14d long")
        buckets, rest = divmod(self.length, self.bucket)
        if rest or buckets % PHASES or not buckets:
            said = f"{format_duration(self.length)} in buckets of {format_duration(self.bucket)}"
            raise conflict("windows.length,windows.bucket", f"{said} is not a multiple of {PHASES} buckets")
        if self.hop and (self.hop % self.bucket or self.length % self.hop):
            said = f"a hop of {format_duration(self.hop)} is not a multiple of the bucket that divides the window"
            raise conflict("windows.hop,windows.length,windows.bucket", said)
        return self


class Checkpoints(Section):
    """The windows' state on disk or in an object store."""

    directory: str | None = Field(
        default=None,
        description="a directory, or a URL that fsspec knows (s3://bucket/path wants the package s3fs installed); "
        "unset, `checkpoints` in `state_dir`",
    )
    every: Duration = Field(
        default=MINUTE, ge=SECOND, description="how often the state is saved, and always on shutdown"
    )
    patience: Duration = Field(
        default=5 * MINUTE, ge=SECOND, description="reading one back at the start takes no longer, or the daemon ends"
    )

    @validate_model(mode="after")
    def _no_secret(self) -> Self:
        if self.directory and urlsplit(self.directory).password is not None:
            raise conflict("checkpoints.directory", "a password in it would be printed; give it in the environment")
        return self


class Engine(Section):
    """What is attributed, and how."""

    indicators: Annotated[list[str], Listed] = Field(
        default=["polarization", "attention", "cascade", "activity", "synchrony", "panic"],
        min_length=1,
        description="names of indicators, built in or from the entry point `starlingd.indicators`",
    )
    method: Literal["aumann-shapley", "oceanic"] = Field(
        default="aumann-shapley", description="which value is published"
    )
    whales: int = Field(default=6, ge=0, le=10, description="agents that join as a whole in the oceanic method")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto takes a GPU where there is one")
    compile: Literal["auto", "on", "off"] = Field(
        default="off",
        description="fused sweeps, whose last bits may differ from the plain ones': auto compiles them aside, for "
        "half a minute, once there are 300,000 agents; on, before the first run",
    )
    tiers: Annotated[tuple[float, float], Listed] = Field(
        default=(0.01, 0.10), description="shares of agents at which head ends and middle ends, by visibility"
    )
    panels: Annotated[tuple[int, ...], Listed] = Field(
        default=(100, 1_000, 10_000), description="sizes of the panels held against the full scale"
    )
    seed: int = Field(default=0, ge=0, description="seed of the uniform panels")

    @validate_model(mode="after")
    def _ordered(self) -> Self:
        head, middle = self.tiers
        if not 0 < head < middle < 1:
            raise conflict("engine.tiers", "the two shares must grow and lie between 0 and 1, such as [0.01, 0.1]")
        if any(size < 1 for size in self.panels):
            raise conflict("engine.panels", "the size of a panel is at least 1")
        return self


class Followers(Section):
    """Tiers by followers, asked of an AppView in the background; without it, by interactions received."""

    enabled: bool = Field(default=False, description="ask for the followers of the agents in the windows")
    service: str = Field(
        default="https://public.api.bsky.app",
        pattern=r"^https?://[^/\s]+/?$",
        description="the AppView, which is told their DIDs; it must answer getProfiles without an account",
    )
    rate: float = Field(
        default=5.0,
        gt=0,
        le=50,
        description="requests a second at most, of 25 accounts each; the server may ask for fewer",
    )
    max_age: Duration = Field(default=7 * DAY, ge=MINUTE, description="an account is asked for again after so long")
    coverage: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="share of a window's agents whose followers must be known before tiers are made from them",
    )
    rows: int = Field(
        default=1_000_000, ge=1_000, le=50_000_000, description="answers kept at most, about 300 bytes each in memory"
    )
    path: Path | None = Field(
        default=None, description="SQLite file of the answers; unset, followers.db in `state_dir`"
    )
