"""What a run says in words: the one sentence that the page, the demo and the terminal share."""

from collections.abc import Mapping

from daemon.runs.records import Tier


def panel_sentence(
    indicator: str,
    size: int,
    panel_shares: Mapping[Tier, float],
    full_shares: Mapping[Tier, float],
) -> str:
    """Say what a panel of the most visible accounts would have said, and what is so at full scale.

    Shares are of Σ|φ| by tier, in [0, 1]; a tier that is missing carries nothing.
    """
    head = full_shares.get("head", 0.0)
    middle, tail = full_shares.get("middle", 0.0), full_shares.get("tail", 0.0)
    return (
        f"A panel of the {size:,} most visible accounts would give the head "
        f"{percent(panel_shares.get('head', 0.0))} of {indicator}; at full scale it carries {percent(head)}, "
        f"the middle {percent(middle)} and the tail {percent(tail)}."
    )


def percent(share: float) -> str:
    """Return a share as a percentage; one that is neither none nor all is never rounded to either."""
    if 1e-9 < share < 0.01:  # noqa: PLR2004 - one percent, the least that the rounded form can say
        return "under 1 %"
    if 0.99 < share < 1 - 1e-9:  # noqa: PLR2004 - ninety-nine percent, the most that it can say
        return "over 99 %"
    return f"{round(100 * share)} %"
