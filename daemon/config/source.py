"""The settings of what comes in: the network, the one that is simulated, and what of either cannot be read."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field
from pydantic import model_validator as validate_model

from daemon.config.values import HOUR, SECOND, Duration, Listed, Section, conflict


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
