"""The family of errors that the engine raises, each message one sentence: what was wrong, where, what to do."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class EngineError(Exception):
    """Something the engine cannot answer for."""


class StateError(EngineError):
    """A table of agents that is not one: a wrong shape or type, a negative count, a value that is not an integer."""


class IndicatorError(EngineError):
    """An indicator that cannot be evaluated: unknown, of a wrong shape, raising, or not finite."""


def attempt(work: Callable[..., T], *given: Any) -> T | IndicatorError:
    """Do it with what is given, or give the failure: the first among what is given, else the work's own."""
    for each in given:
        if isinstance(each, IndicatorError):
            return each
    try:
        return work(*given)
    except IndicatorError as error:
        return error
