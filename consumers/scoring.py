"""The tone of a post as one number in [-1, 1], by a scorer that can be replaced.

A scorer is `(text, langs) -> float | None`; None: not scored. `vader` (default) and `none` are built in; others
register under the entry point group `starlingd.scorers` as a function without arguments that returns a scorer.
The text goes no further than the scorer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

GROUP = "starlingd.scorers"


class ScorerError(Exception):
    """No such scorer, or it cannot be loaded; the message is one sentence that says what to do."""


class Scorer(Protocol):
    """Gives a post's text its valence."""

    def __call__(self, text: str, langs: Sequence[str]) -> float | None:
        """Return the valence in [-1, 1], or None where this scorer does not judge (another language, no text)."""


def is_english(langs: Sequence[str]) -> bool:
    """Tell whether any language tag is `en` or `en-…`."""
    return any(lang == "en" or lang.startswith("en-") for lang in langs)


def no_score(text: str, langs: Sequence[str]) -> float | None:  # noqa: ARG001 - the form of a scorer
    """Score nothing."""
    return None


class Vader:
    """VADER's compound on English posts (Hutto & Gilbert 2014); its lexicon is read when the first one comes."""

    def __init__(self) -> None:
        self._polarity: Callable[[str], dict[str, float]] | None = None

    def __call__(self, text: str, langs: Sequence[str]) -> float | None:
        """Return the compound of an English post, None for others."""
        if not is_english(langs):
            return None
        if self._polarity is None:
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

            self._polarity = SentimentIntensityAnalyzer().polarity_scores
        return self._polarity(text)["compound"]


@dataclass(slots=True)
class Guarded:
    """A scorer that cannot stop the stream: what it raises, or returns outside [-1, 1], is no score, and counted."""

    scorer: Scorer
    failures: int = 0

    def __call__(self, text: str, langs: Sequence[str]) -> float | None:
        """Return the scorer's valence if it is one."""
        try:
            valence = self.scorer(text, langs)
            if valence is None or -1.0 <= valence <= 1.0:
                return valence if valence is None else float(valence)
        except Exception:  # noqa: BLE001 - a user's scorer may raise anything
            self.failures += 1
            return None
        self.failures += 1
        return None


def load_scorer(name: str = "vader") -> Guarded:
    """Return the scorer of that name. Raises `ScorerError` where there is none or it does not load."""
    builders: dict[str, Callable[[], Scorer]] = {"vader": Vader, "none": lambda: no_score}
    if name in builders:
        return Guarded(builders[name]())
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted({*builders, *found}))
        raise ScorerError(f"There is no scorer {name!r}; choose one of {known}, or install one under {GROUP!r}.")
    try:
        builder: Any = found[name].load()
        scorer = builder()
    except Exception as error:
        raise ScorerError(
            f"The scorer {name!r} could not be loaded ({error}); mend or uninstall its package."
        ) from error
    if not callable(scorer):
        raise ScorerError(f"The scorer {name!r} returned no function; it must return (text, langs) -> float | None.")
    return Guarded(scorer)
