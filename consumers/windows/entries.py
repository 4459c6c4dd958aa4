"""What events add to windows, in bulk: each in its own column, an act in a phase too, a valence in up to three more."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from consumers.windows.delta import WIDTH, Ints
from consumers.windows.shape import Shape
from engine.columns import ACTS, ALARM_VALENCE, INDEX, PHASES, VALENCE_SCALE

_SCORED: Final = INDEX["scored"]
_VALENCE: Final = INDEX["valence"]
_ALARM: Final = INDEX["alarm"]
_PHASE: Final = INDEX[PHASES[0]]


def entries(
    counted: Sequence[int], times: Sequence[int], spoken: Sequence[int], valences: Sequence[float], shape: Shape
) -> tuple[Ints, Ints, Ints]:
    """Return bucket, cell and amount of everything that some events add.

    `counted` is each event's cell and `times` its time, µs; `valences[i]` is the valence of event `spoken[i]`.
    """
    cells = np.array(counted, np.int64)
    buckets = np.array(times, np.int64) // shape.bucket
    columns = cells % WIDTH
    acts = columns < len(ACTS)
    acted = buckets[acts]
    phases = (cells - columns)[acts] + _PHASE + acted // shape.phase_buckets % len(PHASES)
    whose = np.array(spoken, np.int64)
    tones = np.array(valences, np.float64)
    rows = (cells - columns)[whose]
    when = buckets[whose]
    alarming = tones <= ALARM_VALENCE
    return (
        np.concatenate((buckets, acted, when, when, when[alarming])),
        np.concatenate((cells, phases, rows + _SCORED, rows + _VALENCE, rows[alarming] + _ALARM)),
        np.concatenate(
            (
                np.ones(len(cells) + len(phases) + len(rows), np.int64),
                np.rint(tones * VALENCE_SCALE).astype(np.int64),
                np.ones(int(alarming.sum()), np.int64),
            )
        ),
    )


def by_bucket(buckets: Ints, cells: Ints, amounts: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield each bucket with what was added in it, cells and amounts in the order given."""
    first = buckets[0]
    if (buckets == first).all():
        yield int(first), cells, amounts
        return
    order = np.argsort(buckets, kind="stable")
    buckets, cells, amounts = buckets[order], cells[order], amounts[order]
    cuts = np.flatnonzero(buckets[1:] != buckets[:-1]) + 1
    pieces = zip(np.split(buckets, cuts), np.split(cells, cuts), np.split(amounts, cuts), strict=True)
    for own, some, values in pieces:
        yield int(own[0]), some, values
