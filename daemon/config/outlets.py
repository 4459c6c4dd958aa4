"""The settings of what goes out, and to whom: records, answers over HTTP, and what the daemon says of itself."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator
from pydantic import model_validator as validate_model

from daemon.config.values import Listed, Section, conflict
from daemon.runs.publisher import Policy


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
