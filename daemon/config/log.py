"""The settings of the log: embedded, or a Kafka cluster and how to get into it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr
from pydantic import model_validator as validate_model

from daemon.config.values import DAY, HOUR, SECOND, Duration, Section, conflict


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
