"""Numbers, moments and curves as short text."""

from collections.abc import Sequence
from datetime import UTC, datetime

from daemon.runs.records import Measures

_BLOCKS = "▁▂▃▄▅▆▇█"
MICRO = 1_000_000


def figure(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}g}"


def signed(value: float | None) -> str:
    """Return a number with its sign, to three significant digits."""
    return "–" if value is None else f"{value:+.3g}"


def moment(micros: int) -> str:
    """Return the time of day, UTC, of µs since 1970."""
    return f"{datetime.fromtimestamp(micros / MICRO, UTC):%H:%M:%S}"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return the last values as blocks, the least the lowest and the greatest the highest."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high == low:
        return _BLOCKS[0] * len(shown)
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in shown)


def change_of(measures: Measures) -> float | None:
    """Return how far an indicator moved from the preceding window; None until that is covered."""
    moved = measures.get("preceding")
    if moved is None or moved.value is None or moved.baseline_value is None:
        return None
    return moved.value - moved.baseline_value
