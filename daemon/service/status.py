"""`/status`: where the daemon stands, for people and scripts. Names no account."""

import time
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from consumers.bridge.bridge import Bridge
from consumers.sources.live import SourceStats

if TYPE_CHECKING:
    from daemon.service.composition import Service


def status(service: "Service") -> dict[str, Any]:
    """Return what is known of each part; a part that this role does not have is absent."""
    document: dict[str, Any] = {
        "version": version("starlingd"),
        "role": service.role,
        **({"rank": service.share.rank, "ranks": service.share.size} if service.share.launched else {}),
        "started": moment(round(service.started * 1_000_000)),
        "uptime_seconds": round(time.time() - service.started, 1),
        "stuck": service.health.stuck(),
        "unready": service.health.unready(),
    }
    if service.opened:
        document["log"] = {"kind": service.config.log.kind, **counters(service.log.stats)}
    if service.bridges:
        document["sources"] = [_source(bridge) for bridge in service.bridges]
    if service.worker:
        document["worker"] = _worker(service)
        document["run"] = _run(service.latest.run)
    if service.followers:
        document["followers"] = counters(service.followers.stats)
    return document


def moment(microseconds: int | None) -> str | None:
    """Return a time as ISO 8601."""
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()


def counters(stats: Any) -> dict[str, Any]:
    """Return the fields of a stats dataclass, as they are."""
    return {field.name: getattr(stats, field.name) for field in fields(stats)}


def _source(bridge: Bridge) -> dict[str, Any]:
    stats = counters(bridge.stats)
    connection = getattr(bridge.source, "stats", None)
    return {
        "name": bridge.source.name,
        **stats,
        "t": moment(bridge.stats.t),
        **({"connection": counters(connection)} if isinstance(connection, SourceStats) else {}),
    }


def _worker(service: "Service") -> dict[str, Any]:
    worker = service.worker
    assert worker is not None
    windows, stats = worker.windows, counters(worker.stats)
    saved = counters(service.checkpoints.stats) if service.checkpoints else {}
    if saved.pop("saved_at", None) is not None and service.checkpoints:
        saved["age_seconds"] = (service.clock() - (service.checkpoints.stats.saved_at or 0)) / 1_000_000
    return {
        **stats,
        "watermark": moment(worker.stats.watermark),
        "partitions": {str(partition): behind for partition, behind in worker.lags.items()},
        "agents": windows.agents,
        "fold": counters(windows.stats),
        "gaps": [
            {"start": moment(gap.start), "end": moment(gap.end), "cause": gap.cause}
            for gap in sorted(windows.gaps.known)
        ],
        "checkpoints": saved,
    }


def _run(run: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {"id": run["id"], "end": moment(run["end"]), "agents": run["agents"], "timings": run["timings"]}
