"""When the daemon is ready: its windows are restored, its source is there, and what it would answer is fresh."""

import time
from typing import TYPE_CHECKING

from consumers.sources.live import SourceStats
from daemon.config.values import MINUTE
from daemon.service.building import LIVE

if TYPE_CHECKING:
    from daemon.service.composition import Service

MARGIN = MINUTE
"""How far behind the network the windows may be, beyond what their own shape makes them wait."""


def require(service: "Service") -> None:
    """Make the service's readiness depend on the parts that it has."""
    service.health.require(lambda: None if service.opened else "the daemon is starting")
    service.health.require(lambda: connected(service))
    service.health.require(lambda: restored(service))
    service.health.require(lambda: fresh(service, time.time_ns() // 1000))


def connected(service: "Service") -> str | None:
    """Tell which live source has no connection."""
    for bridge in service.bridges:
        stats = getattr(bridge.source, "stats", None)
        if isinstance(stats, SourceStats) and not stats.connected:
            return f"there is no connection to {bridge.source.name}"
    return None


def restored(service: "Service") -> str | None:
    """Tell whether the windows are not there yet."""
    if service.worker is None or service.worker.stats.restored:
        return None
    stats = service.checkpoints.stats if service.checkpoints else None
    progress = f" ({stats.read >> 20} of {stats.to_read >> 20} MB)" if stats and stats.to_read else ""
    return f"the windows are being restored{progress}"


def fresh(service: "Service", wall: int) -> str | None:
    """Tell whether the windows are empty or, where the events are of the present, behind it. `wall` is in µs."""
    worker = service.worker
    if worker is None or not worker.stats.restored:
        return None
    mark = worker.stats.watermark
    if worker.windows.head is None or mark is None:
        return "no event has been read yet"
    shape = worker.windows.shape
    allowed = 2 * shape.hop + shape.lateness + shape.idle_timeout + MARGIN
    if service.config.source.kind in LIVE and wall - mark > allowed:
        return f"the windows are {(wall - mark) // 1_000_000} s behind the network"
    return None
