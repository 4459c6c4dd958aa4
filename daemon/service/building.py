"""From the configuration to the parts it asks for. Nothing here opens or starts anything."""

import time
from collections.abc import Callable

from consumers.bridge.deadletters import Limits
from consumers.log import Log, Topic, Topics
from consumers.log.kafka_options import KafkaOptions
from consumers.log.opening import open_log
from consumers.scoring import Scorer, load_scorer
from consumers.sources import Source
from consumers.sources.failover import FailoverSource
from consumers.sources.jetstream import JetstreamV1Source, JetstreamV2Source
from consumers.sources.live import LiveSource, endpoint
from consumers.sources.recording import RecordedSource
from consumers.sources.relay import RelaySource
from consumers.sources.simulator import START, SimulatedSource, default_plant
from consumers.sources.websocket import SocketOptions
from consumers.windows.shape import Shape
from daemon.config.model import Config
from daemon.config.source import Simulator
from daemon.config.source import Source as SourceSection
from daemon.config.values import SECOND

PUBLIC = {
    "relay": "bsky.network",
    "jetstream2": "jetstream.us-east.bsky.network",
    "jetstream1": "jetstream1.us-east.bsky.network",
}
"""The network's own hosts, by protocol."""

TIMELESS_SKEW = 1 << 61
"""Events of the past may lie anywhere before or after our clock."""

LIVE = frozenset(PUBLIC)


def log_of(config: Config, *, read_only: bool = False) -> Log:
    """Return the log, not yet open. `read_only` holds for the embedded one, which another process may be writing."""
    settings = config.log
    if settings.kind == "sqlite":
        return open_log(path=config.log_path, read_only=read_only)
    tls, sasl = settings.tls, settings.sasl
    return open_log(
        kafka=KafkaOptions(
            bootstrap=settings.bootstrap,
            tls=tls.enabled,
            ca_file=str(tls.ca) if tls.ca else None,
            cert_file=str(tls.certificate) if tls.certificate else None,
            key_file=str(tls.key) if tls.key else None,
            sasl=sasl.mechanism,
            username=sasl.username,
            password=sasl.password.get_secret_value() if sasl.password else None,
            replication_factor=settings.replication,
        )
    )


def topics_of(config: Config) -> tuple[Topics, list[Topic]]:
    """Return the topics' names, and what they must be."""
    settings = config.log
    topics, results = Topics(settings.prefix), settings.results_retention // 1000
    return topics, [
        Topic(topics.events, settings.partitions, settings.retention // 1000),
        Topic(topics.attributions, settings.partitions, results, "compact,delete"),
        Topic(topics.runs, 1, results),
        Topic(topics.deadletters, 1, results),
    ]


def limits_of(config: Config) -> Limits:
    """Return how many dead letters may be written, and when too much is refused to go on."""
    settings = config.deadletters
    return Limits(
        per_minute=settings.per_minute,
        share=settings.share,
        stop_share=settings.stop_share,
        stop_over=settings.stop_over,
    )


def sources_of(config: Config) -> list[Source]:
    """Return the sources, to be read one after the other; only recordings are more than one."""
    settings, score = config.source, load_scorer(config.scorer)
    if settings.kind == "recording":
        return [RecordedSource(path.expanduser(), score=score) for path in settings.paths]
    if settings.kind == "simulator":
        return [_simulated(settings.simulator, score)]
    live = [_live(settings, host, score) for host in settings.hosts or [PUBLIC[settings.kind]]]
    return [live[0] if len(live) == 1 else FailoverSource(live, patience=settings.patience / SECOND)]


def host_of(config: Config, protocol: str, where: str, score: Scorer) -> LiveSource:
    """Return the host that a source id names, under the address that the configuration has for it."""
    address = next((host for host in config.source.hosts if endpoint(host)[1] == where), where)
    return _live(config.source.model_copy(update={"kind": protocol}), address, score)


def _live(settings: SourceSection, host: str, score: Scorer) -> LiveSource:
    """Return one host as a source."""
    options = SocketOptions(stall_after=settings.silence / SECOND)
    if settings.kind == "relay":
        return RelaySource(host, dense=settings.dense, check_cids=settings.check_cids, score=score, options=options)
    if settings.kind == "jetstream2":
        return JetstreamV2Source(host, compress=settings.compress, score=score, options=options)
    return JetstreamV1Source(host, score=score, options=options)


def _simulated(settings: Simulator, score: Scorer) -> Source:
    horizon = (settings.duration or settings.storm) / SECOND
    return SimulatedSource(
        accounts=settings.accounts,
        seed=settings.seed,
        start=START if settings.start is None else settings.start,
        rate=settings.rate,
        speed=settings.speed or None,
        duration=None if settings.duration is None else settings.duration / SECOND,
        plants=[default_plant(name, settings.accounts, horizon) for name in settings.plants],
        score=score,
    )


def shape_of(config: Config) -> Shape:
    """Return the shape of the windows. Only live events are held against our clock."""
    windows = config.windows
    live = config.source.kind in LIVE
    given = {} if live else {"skew": TIMELESS_SKEW}
    return Shape(
        length=windows.length,
        bucket=windows.bucket,
        hop=windows.hop or windows.bucket,
        lateness=windows.lateness,
        idle_timeout=windows.idle,
        **given,
    )


def clock_of(config: Config) -> Callable[[], int]:
    """Return the clock, µs, by which the windows tell silence and time for a checkpoint.

    For a live source it is the wall clock, which also closes windows when nothing comes. Events that are simulated or
    recorded have a time of their own: against them the clock only tells how long something takes, and closes nothing.
    """
    if config.source.kind in LIVE:
        return lambda: time.time_ns() // 1000
    began = time.monotonic_ns()
    return lambda: (time.monotonic_ns() - began) // 1000


def settings_of(config: Config) -> dict[str, object]:
    """Return what, outside the cycle's own plan, changes what a run says."""
    return {
        "bucket": config.windows.bucket,
        "hop": config.windows.hop or config.windows.bucket,
        "scorer": config.scorer,
        **({"followers": config.followers.coverage} if config.followers.enabled else {}),
    }
