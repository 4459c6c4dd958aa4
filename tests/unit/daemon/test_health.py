"""Alive while every loop advances, ready while every condition holds, and stacks when something is stuck."""

from pathlib import Path

from daemon.service.health import Health, Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_is_stuck_when_it_is_silent_longer_than_its_limit() -> None:
    clock = Clock()
    health = Health(clock)
    beat = health.watch("worker", 60)
    clock.now += 60
    assert health.stuck() == []
    clock.now += 1
    assert health.stuck() == ["the worker has not advanced for 61 s (limit 60 s)"]
    beat()
    assert health.stuck() == []


def test_a_loop_that_ended_is_not_waited_for() -> None:
    clock = Clock()
    health = Health(clock)
    health.watch("bridge", 1)
    health.forget("bridge")
    clock.now += 10
    assert health.stuck() == []


def test_ready_needs_every_condition_and_a_life() -> None:
    clock = Clock()
    health = Health(clock)
    state: dict[str, str | None] = {"why": "the windows are being restored"}
    health.require(lambda: state["why"])
    health.watch("event loop", 5)
    assert health.unready() == ["the windows are being restored"]
    state["why"] = None
    assert health.unready() == []
    clock.now += 6
    assert health.unready() == health.stuck() != []


def test_the_watchdog_writes_every_stack_once_until_all_move_again(tmp_path: Path) -> None:
    clock = Clock()
    health = Health(clock)
    beat = health.watch("cycle", 5)
    with (tmp_path / "err").open("w") as out:
        dog = Watchdog(health, out=out)
        assert not dog.look()
        clock.now += 6
        assert dog.look()
        assert not dog.look()
        beat()
        assert not dog.look()
        clock.now += 6
        assert dog.look()
    told = (tmp_path / "err").read_text()
    assert told.count("starlingd is stuck: the cycle has not advanced for 6 s (limit 5 s).") == 2
    assert "test_the_watchdog_writes_every_stack_once" in told
