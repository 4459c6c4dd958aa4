"""Running the daemon's parts together: one that dies takes all down, a signal ends all in order, a second at once."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

_logger = structlog.get_logger(__name__)

FORCED = 130
"""Exit status after a second signal: what was in flight is lost, what was acknowledged is not."""


class PartDiedError(Exception):
    """A part of the daemon ended with an error, this one's cause. `overdue`: others, or its thread, did not end."""

    def __init__(self, part: str, cause: BaseException, *, overdue: bool = False) -> None:
        super().__init__(f"the {part} died: {type(cause).__name__}: {cause}")
        self.part = part
        self.overdue = overdue


class DrainError(Exception):
    """The parts did not end within the budget of a shutdown."""


async def supervise(parts: Mapping[str, Callable[[], Awaitable[None]]], stop: asyncio.Event, *, budget: float) -> None:
    """Run the parts until all have ended.

    A part ends by itself (a recording that is over) or when `stop` is set, which it must heed; then the others
    have `budget` seconds from that moment. The first that raises sets `stop` for the others and is raised as
    PartDiedError once they have ended; parts that do not end within the budget are cancelled, and that is a DrainError.
    """
    tasks = {asyncio.ensure_future(_run(run)): name for name, run in parts.items()}
    stopping = asyncio.ensure_future(stop.wait())
    running = set(tasks)
    try:
        while running and not stop.is_set():
            done, _ = await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            running -= done
            if any(_failed(task) for task in done if task is not stopping):
                stop.set()
        overdue = (await asyncio.wait(running, timeout=budget))[1] if running else set[asyncio.Task[None]]()
    finally:
        await _cancel([*tasks, stopping])
    for task, name in tasks.items():
        if task not in overdue and (cause := _failed(task)):
            raise PartDiedError(name, cause, overdue=bool(overdue) or getattr(cause, "overdue", False)) from cause
    if overdue:
        names = " and ".join(sorted(tasks[task] for task in overdue))
        raise DrainError(f"the {names} did not end within {budget:g} s")


async def _run(run: Callable[[], Awaitable[None]]) -> None:
    await run()


def _failed(task: asyncio.Future[Any]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


async def _cancel(tasks: list[asyncio.Task[None] | asyncio.Task[bool]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def signals(stop: asyncio.Event, *, force: Callable[[int], object] = os._exit) -> Iterator[None]:
    """Set `stop` at the first SIGTERM or SIGINT; at the second, end the process without a word more."""
    loop = asyncio.get_running_loop()
    before: list[str] = []

    def heard(name: str) -> None:
        if before:
            force(FORCED)
        before.append(name)
        _logger.info("stopping", signal=name)
        stop.set()

    kinds = (signal.SIGTERM, signal.SIGINT)
    for kind in kinds:
        loop.add_signal_handler(kind, heard, kind.name)
    try:
        yield
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)


async def after(seconds: float, stop: asyncio.Event) -> None:
    """Set `stop` when so much time has passed, if nothing else did before."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        stop.set()
