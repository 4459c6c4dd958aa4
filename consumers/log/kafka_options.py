"""How to reach a Kafka cluster and what to ask of it."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

from consumers.log import LogError

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Sasl = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(slots=True, frozen=True)
class KafkaOptions:
    """Where the cluster is, how to prove who we are, and how records are sent. Printing it shows no password."""

    bootstrap: str
    """`host:port`, or several with commas between."""
    client_id: str = "starlingd"
    tls: bool = False
    ca_file: str | None = None
    """Certificates to trust, PEM; the system's where it is None."""
    cert_file: str | None = None
    """This client's own certificate, PEM, where the broker asks for one; `key_file` is its key."""
    key_file: str | None = None
    sasl: Sasl | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    compression: Compression = "zstd"
    batch_bytes: int = 960 * 1024
    """The most of one batch before compression, below the 1,048,588 that a broker with its defaults takes.

    One batch per partition is on its way at a time, so small ones cost a round trip each.
    """
    replication_factor: int | None = None
    """Of the topics created; None leaves it to the broker."""
    connect_seconds: float = 10.0
    delivery_seconds: float = 60.0
    """How long an append, or a question for offsets, is retried over restarted brokers and moved leaders."""


def client_arguments(options: KafkaOptions) -> dict[str, Any]:
    """Return what every aiokafka client takes. Raises LogError where certificates cannot be read."""
    arguments: dict[str, Any] = {"bootstrap_servers": options.bootstrap, "client_id": options.client_id}
    arguments["security_protocol"] = ("SASL_" if options.sasl else "") + ("SSL" if options.tls else "PLAINTEXT")
    if options.tls:
        arguments["ssl_context"] = _trust(options)
    if options.sasl:
        if not options.username or options.password is None:
            raise LogError(f"SASL {options.sasl} for Kafka at {options.bootstrap} needs a user name and a password.")
        arguments["sasl_mechanism"] = options.sasl
        arguments["sasl_plain_username"] = options.username
        arguments["sasl_plain_password"] = options.password
    return arguments


def _trust(options: KafkaOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file)
    except OSError as error:  # ssl.SSLError is one
        names = [name for name in (options.ca_file, options.cert_file, options.key_file) if name]
        raise LogError(
            f"The certificates for Kafka ({', '.join(names)}) cannot be read ({error}): give the paths of PEM files."
        ) from error
    return context
