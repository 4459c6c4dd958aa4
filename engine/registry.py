"""Indicators by name: the built-in ones, and those of packages installed beside starlingd."""

from importlib.metadata import entry_points

from engine.builtin import BUILT_IN
from engine.errors import IndicatorError
from engine.indicators import Indicator

ENTRY_POINTS = "starlingd.indicators"
"""The group of entry points, each the name of an Indicator in a package."""


def registry() -> dict[str, Indicator]:
    """Give every indicator by name: the built-in ones, then those of installed packages that can be loaded.

    A package's entry point names an Indicator. One that cannot be loaded, or that takes another's name, is left out
    here; `get` says why.
    """
    found = {indicator.name: indicator for indicator in BUILT_IN}
    for name in sorted({point.name for point in entry_points(group=ENTRY_POINTS)} - set(found)):
        try:
            found[name] = _load(name)
        except IndicatorError:
            continue
    return found


def get(name: str) -> Indicator:
    """Give the indicator of that name.

    Raises:
        IndicatorError: when there is none, or its package cannot be loaded.
    """
    for indicator in BUILT_IN:
        if indicator.name == name:
            return indicator
    return _load(name)


def _load(name: str) -> Indicator:
    points = list(entry_points(group=ENTRY_POINTS, name=name))
    if not points:
        raise IndicatorError(f"there is no indicator {name!r}; the known ones are {', '.join(registry())}")
    try:
        loaded = points[0].load()
    except Exception as error:
        raise IndicatorError(f"indicator {name!r} cannot be loaded from {points[0].value}: {error}") from error
    if not isinstance(loaded, Indicator) or loaded.name != name:
        raise IndicatorError(
            f"{points[0].value} is not an Indicator named {name!r}; make it one or mend the entry point"
        )
    return loaded
