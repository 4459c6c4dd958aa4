"""Durations as people write them: `90s`, `1h`, `1h30m`, `500ms`. Held as whole microseconds or as seconds."""

import re

_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST = 10 * 366 * _UNITS["d"]


class DurationError(ValueError):
    """A duration that cannot be read; the message is one sentence with an example."""


def parse_duration(text: str) -> int:
    """Return a duration such as `1h`, `90s`, `1h30m` or `0s` in microseconds; raise DurationError if it is none."""
    stripped = text.strip()
    if not _WHOLE.fullmatch(stripped):
        raise DurationError(
            f"{text!r} is not a duration; write a number and a unit (us, ms, s, m, h, d) such as 90s or 1h30m"
        )
    total = sum(_microseconds(number, unit) for number, unit in _PART.findall(stripped))
    if total > _LONGEST:
        raise DurationError(f"{text!r} is longer than ten years")
    return total


def format_duration(microseconds: int) -> str:
    """Return the shortest text that `parse_duration` reads back as the same duration, `0s` for none."""
    if microseconds < 0:
        raise DurationError(f"{microseconds} µs is negative, and a duration is not")
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, microseconds = divmod(microseconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _microseconds(number: str, unit: str) -> int:
    """Exact for whole numbers of any size; a fraction is rounded to the microsecond."""
    return int(number) * _UNITS[unit] if number.isdigit() else round(float(number) * _UNITS[unit])
