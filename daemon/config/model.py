"""The whole configuration, with its defaults, and what its parts ask of each other; `config print` derives from it.

How the file, the environment and the flags come together is in `daemon.config.loading`.
"""

import os
from pathlib import Path
from typing import Self

from pydantic import Field
from pydantic import model_validator as validate_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from consumers.durations import format_duration
from daemon.config.attributing import Checkpoints, Engine, Followers, Windows
from daemon.config.log import LogSection
from daemon.config.outlets import Http, Logging, Publish
from daemon.config.source import DeadLetters, Source
from daemon.config.values import MINUTE, SECOND, Duration, conflict


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
