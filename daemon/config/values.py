"""The kinds of values that settings have, and what a table of them is.

A value that is wrong alone is an error of its own kind; values that are right alone and not together are a conflict.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic_core import PydanticCustomError

from consumers.durations import format_duration, parse_duration

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    raise PydanticCustomError("duration", "should be a duration such as 90s or 1h30m, in quotes")


def _listed(value: object) -> object:
    """Read a list that came through the environment or a flag, where it is written with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


DURATION = BeforeValidator(_duration, json_schema_input_type=str)
Duration = Annotated[int, DURATION, PlainSerializer(format_duration)]
"""Held in microseconds, written as `1h30m`."""

Listed = BeforeValidator(_listed)


def conflict(keys: str, sentence: str) -> PydanticCustomError:
    """Return the error of values that are each right but not together; `keys` is `section.key,section.key`."""
    return PydanticCustomError("conflict", "{sentence}", {"sentence": sentence, "keys": keys})


class Section(BaseModel):
    """A table of the configuration: unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
