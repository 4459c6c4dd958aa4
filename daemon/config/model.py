"""What can be configured, with its default, bounds and description; `config print` and the docs derive from here.

How the file, the environment and the flags come together is in `daemon.config.loading`.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr, field_validator
from pydantic import model_validator as validate_model
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from consumers.durations import format_duration, parse_duration
from daemon.runs.publisher import Policy

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PHASES = 12


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    raise PydanticCustomError("duration", "should be a duration such as 90s or 1h30m, in quotes")


def _listed(value: object) -> object:
    """Read a list that came through the environment or a flag, where it is written with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


DURATION = BeforeValidator(_duration, json_schema_input_type=str)
Duration = Annotated[int, DURATION, PlainSerializer(format_duration)]
"""Held in microseconds, written as `1h30m`."""

Listed = BeforeValidator(_listed)


def conflict(keys: str, sentence: str) -> PydanticCustomError:
    """Return the error of values that are each right but not together; `keys` is `section.key,section.key`."""
    return PydanticCustomError("conflict", "{sentence}", {"sentence": sentence, "keys": keys})


class Section(BaseModel):
    """A table of the configuration: unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Simulator(Section):
    """The synthetic network, when `source.kind` is `simulator`."""

    accounts: int = Field(default=100_000, ge=100, le=10_000_000, description="accounts of the synthetic network")
    seed: int = Field(default=1, ge=0, lt=2**32, description="the same seed gives the same bytes")
    speed: float = Field(default=1.0, ge=0, description="multiple of real time; 0 means as fast as it goes")
    rate: float | None = Field(
        default=None, gt=0, le=20_000, description="operations a simulated second; unset, as many accounts really do"
    )
    start: int | None = Field(default=None, ge=0, description="first instant, µs since 1970; unset, 2026-07-04T12:00Z")
    duration: Duration | None = Field(default=None, ge=SECOND, description="end of the simulation; unset, it goes on")
    plants: Annotated[list[Literal["cascade", "polarization", "burst"]], Listed] = Field(
        default=[], description="phenomena planted in it: cascade, polarization, burst"
    )
    storm: Duration = Field(
        default=HOUR, ge=SECOND, description="the plants unfold in the second half of this time, when it has no end"
    )


class Source(Section):
    """Where the events come from."""

    kind: Literal["relay", "jetstream2", "jetstream1", "simulator", "recording"] = Field(
        default="jetstream2", description="the protocol spoken"
    )
    hosts: Annotated[list[str], Listed] = Field(
        default=[],
        max_length=8,
        description="its hosts, the preferred first: when one falls silent the next is read; "
        "`ws://` understood; empty, the public one",
    )
    paths: Annotated[list[Path], Listed] = Field(
        default=[], description="recorded files, in order, when `kind` is `recording`"
    )
    dense: bool = Field(
        default=True, description="the relay's numbers have no holes (a PDS's have), so that a jump is a gap"
    )
    compress: bool = Field(
        default=False, description="ask a Jetstream v2 for frames compressed with its own zstd dictionary"
    )
    check_cids: bool = Field(default=False, description="hold each record of a relay against the hash that names it")
    silence: Duration = Field(default=30 * SECOND, ge=SECOND, description="reconnect after so long without a frame")
    patience: Duration = Field(
        default=60 * SECOND, ge=SECOND, description="read the next host after so long without a frame"
    )
    simulator: Simulator = Simulator()

    @validate_model(mode="after")
    def _recording_has_paths(self) -> Self:
        if self.kind == "recording" and not self.paths:
            raise conflict("source.kind,source.paths", "a recording needs at least one path")
        return self


class Tls(Section):
    """Encryption of the connection to Kafka."""

    enabled: bool = Field(default=False, description="speak TLS to the brokers")
    ca: Path | None = Field(default=None, description="PEM file of the authority; unset, the system's")
    certificate: Path | None = Field(default=None, description="PEM file of the client's own certificate")
    key: Path | None = Field(default=None, description="PEM file of the client's own key")


class Sasl(Section):
    """Who the daemon is to Kafka."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="unset, no SASL"
    )
    username: str | None = Field(default=None, description="the account")
    password: SecretStr | None = Field(
        default=None, description="its password; better in the environment than in a file"
    )

    @validate_model(mode="after")
    def _complete(self) -> Self:
        if self.mechanism and not (self.username and self.password):
            raise conflict("log.sasl.mechanism,log.sasl.username,log.sasl.password", "SASL needs a name and a password")
        return self


class LogSection(Section):
    """The log that holds events, attributions and runs."""

    kind: Literal["sqlite", "kafka"] = Field(default="sqlite", description="embedded, or a Kafka cluster")
    path: Path | None = Field(default=None, description="SQLite file; unset, log.db in `state_dir`")
    bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka brokers, host:port with commas between")
    prefix: str = Field(
        default="starlingd", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="first part of the topics' names"
    )
    partitions: int = Field(
        default=12, ge=1, le=4096, description="partitions of each topic, when the daemon creates it"
    )
    replication: int | None = Field(
        default=None, ge=1, le=16, description="copies of each Kafka topic; unset, the brokers' own"
    )
    retention: Duration = Field(
        default=6 * HOUR, ge=SECOND, description="how long events stay; at least two windows and a margin"
    )
    results_retention: Duration = Field(
        default=7 * DAY, ge=SECOND, description="how long attributions, runs and dead letters stay"
    )
    tls: Tls = Tls()
    sasl: Sasl = Sasl()


class DeadLetters(Section):
    """What becomes of what cannot be read."""

    per_minute: int = Field(default=600, ge=0, description="dead letters written a minute, at most")
    share: float = Field(
        default=0.1, ge=0, le=1, description="share of a minute's operations beyond which, after 60, none is written"
    )
    stop_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="when more of the last operations cannot be read, the bridge ends and its place stays; 1 never",
    )
    stop_over: int = Field(default=10_000, ge=1_000, le=10_000_000, description="how many operations these are")


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
        "minutes, once there are 300,000 agents; on, before the first run",
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


class Publish(Section):
    """Which agents get a record."""

    policy: str = Field(
        default="all", description="all, top:K (the K greatest) or mass:P (those that carry the share P)"
    )
    pseudonyms: bool = Field(
        default=False, description="publish keyed hashes in place of the accounts' names; the key below makes them"
    )
    pseudonym_key: SecretStr | None = Field(
        default=None, description="the key, 32 random characters or more; better in the environment than in a file"
    )
    pseudonym_key_file: Path | None = Field(default=None, description="a file that holds the key and nothing else")

    @field_validator("policy")
    @classmethod
    def _known(cls, text: str) -> str:
        Policy.parse(text)
        return text

    @validate_model(mode="after")
    def _one_key(self) -> Self:
        given = (self.pseudonym_key is not None) + (self.pseudonym_key_file is not None)
        if given > 1 or (self.pseudonyms and not given):
            keys = "publish.pseudonyms,publish.pseudonym_key,publish.pseudonym_key_file"
            raise conflict(keys, "pseudonyms need a key, given once: as itself or as a file")
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


class Http(Section):
    """The page, the probes, the metrics and the API."""

    host: str = Field(
        default="127.0.0.1", description="address listened on; the API knows no users, so think before widening it"
    )
    port: int = Field(default=8080, ge=0, le=65535, description="0 takes any free port and logs it")
    allowed_hosts: Annotated[list[str], Listed] = Field(
        default=[], description="names under which a browser may ask, beside the loopback's, when behind a proxy"
    )


class Logging(Section):
    """What the daemon says of itself on stderr."""

    format: Literal["console", "json"] = Field(default="console", description="for people, or for a collector")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="names of agents only at debug"
    )


class Config(BaseSettings):
    """The whole configuration, from its arguments alone: `loading.load` layers file, environment and flags."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=False)

    state_dir: Path = Field(
        default=Path("~/.local/state/starlingd"),
        description="cursor, checkpoints and the embedded log; made when absent",
    )
    scorer: str = Field(
        default="vader", description="valence of posts: vader, none, or an entry point of `starlingd.scorers`"
    )
    drain: Duration = Field(
        default=20 * SECOND, ge=SECOND, description="how long a shutdown may take before it is forced"
    )
    stuck: Duration = Field(
        default=5 * MINUTE,
        ge=SECOND,
        description="a loop or a cycle silent for so long fails /livez and dumps its stacks",
    )
    source: Source = Source()
    log: LogSection = LogSection()
    deadletters: DeadLetters = DeadLetters()
    windows: Windows = Windows()
    engine: Engine = Engine()
    followers: Followers = Followers()
    publish: Publish = Publish()
    checkpoints: Checkpoints = Checkpoints()
    http: Http = Http()
    logging: Logging = Logging()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings calls with these names
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but the arguments."""
        return (init_settings,)

    @validate_model(mode="after")
    def _retention_covers_windows(self) -> Self:
        needed = 2 * self.windows.length + self.windows.lateness + 2 * self.windows.bucket
        if self.log.retention < needed:
            raise conflict(
                "log.retention,windows.length",
                f"two windows and a margin need {format_duration(needed)}, longer than the log keeps events",
            )
        return self

    @validate_model(mode="after")
    def _pseudonyms_are_not_undone(self) -> Self:
        if self.publish.pseudonyms and self.followers.enabled:
            raise conflict(
                "publish.pseudonyms,followers.enabled",
                "records would hold the number of followers, by which anyone finds the account behind a pseudonym",
            )
        return self

    @property
    def state(self) -> Path:
        """The state directory with `~` resolved."""
        return self.state_dir.expanduser()

    @property
    def log_path(self) -> Path:
        """The file of the embedded log."""
        return (self.log.path or self.state / "log.db").expanduser()

    @property
    def followers_path(self) -> Path:
        """The file of the followers' answers."""
        return (self.followers.path or self.state / "followers.db").expanduser()

    @property
    def checkpoint_place(self) -> str:
        """The directory or URL of the checkpoints."""
        return os.path.expanduser(self.checkpoints.directory or str(self.state / "checkpoints"))  # noqa: PTH111 - or a URL
