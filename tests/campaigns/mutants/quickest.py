"""A pytest plugin for mutation runs: the quickest tests first, the same few examples in every run, and no endless loop.

A mutant dies at its first failing test, so what is quick goes first, and a failing example is not made smaller, for
nobody reads it. No machine is too slow, for then a busy one would kill mutants: a test ends by its own CPU time alone.
"""

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from hypothesis import HealthCheck, Phase, is_hypothesis_test, settings

TIMEOUT = 36
"""The exit code that mutmut takes for a timeout."""

CPU_SECONDS = 3.0
"""What a test may take; one that draws examples, many times as much."""

settings.register_profile(
    "quickest",
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("quickest")


def _draws(item: pytest.Item) -> bool:
    return is_hypothesis_test(getattr(item, "obj", None))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what draws examples after what does not."""
    items.sort(key=_draws)


def _end(_signal: int, _frame: FrameType | None) -> None:
    os._exit(TIMEOUT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process where a test takes more of the CPU than any does."""
    signal.signal(signal.SIGPROF, _end)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS * (4 if _draws(item) else 1))
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
