"""Ready: all parts there, the source connected, the windows restored and not behind what they are about."""

from types import SimpleNamespace
from typing import Any

from consumers.sources.live import SourceStats
from consumers.windows.shape import Shape
from consumers.worker.checkpoints import CheckpointStats
from daemon.service.health import Health
from daemon.service.readiness import connected, fresh, require, restored

SECOND = 1_000_000
SHAPE = Shape(length=3600 * SECOND, bucket=60 * SECOND, lateness=5 * SECOND, idle_timeout=30 * SECOND)


def worker(watermark: int | None = None, *, restored: bool = True) -> Any:
    windows = SimpleNamespace(head=None if watermark is None else 1, shape=SHAPE)
    return SimpleNamespace(windows=windows, stats=SimpleNamespace(restored=restored, watermark=watermark))


def service(*, opened: bool = True, kind: str = "relay", **parts: Any) -> Any:
    config = SimpleNamespace(source=SimpleNamespace(kind=kind))
    absent = {"bridges": [], "worker": None, "checkpoints": None}
    return SimpleNamespace(config=config, health=Health(), opened=opened, **{**absent, **parts})


def bridge(stats: object) -> Any:
    return SimpleNamespace(source=SimpleNamespace(name="relay:x", stats=stats))


def test_a_live_source_must_be_connected_and_any_other_need_not_be() -> None:
    assert connected(service(bridges=[bridge(SourceStats())])) == "there is no connection to relay:x"
    assert connected(service(bridges=[bridge(SourceStats(connected=True))])) is None
    assert connected(service(bridges=[bridge(None)])) is None


def test_the_windows_must_be_restored_where_there_are_any() -> None:
    assert restored(service(worker=worker(restored=False))) == "the windows are being restored"
    reading = SimpleNamespace(stats=CheckpointStats(read=3 << 20, to_read=9 << 20))
    told = restored(service(worker=worker(restored=False), checkpoints=reading))
    assert told == "the windows are being restored (3 of 9 MB)"
    assert restored(service(worker=worker())) is None
    assert restored(service()) is None


def test_events_must_have_come() -> None:
    assert fresh(service(worker=worker()), wall=0) == "no event has been read yet"
    assert fresh(service(worker=worker(5)), wall=5) is None
    assert fresh(service(), wall=0) is None


def test_windows_about_the_present_must_not_be_behind_it_by_more_than_they_wait_and_a_minute() -> None:
    limit = (2 * 60 + 5 + 30 + 60) * SECOND
    assert fresh(service(worker=worker(7)), wall=7 + limit) is None
    assert fresh(service(worker=worker(7)), wall=8 + limit) == "the windows are 215 s behind the network"
    assert fresh(service(kind="simulator", worker=worker(7)), wall=8 + limit) is None


def test_until_all_parts_are_there_the_daemon_is_starting() -> None:
    daemon = service(opened=False)
    require(daemon)
    assert daemon.health.unready() == ["the daemon is starting"]
    daemon.opened = True
    assert daemon.health.unready() == []
