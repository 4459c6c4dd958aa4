"""Rows: what happens in one chunk, as columns of integers, before it is written as lines."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from consumers.sources.simulation.identifiers import Integers

ABSENT = -1


@dataclass(slots=True)
class Rows:
    """One row an operation. An account is a number, a post is its author and its moment; `ABSENT` where there is none.

    `moment` is µs since 1970, unique over the whole simulation, and fixes the operation's place in the stream.
    `target` is the engaged post (of an undo: the code and moment of what is undone), `root` the post at the head
    of a reply's thread, `quoted` the post in an embed. `mood` is -4 to 4; of an ACCOUNT row, a status.
    """

    kind: NDArray[np.int8]
    actor: Integers
    moment: Integers
    target: Integers
    target_moment: Integers
    root: Integers
    root_moment: Integers
    quoted: Integers
    quoted_moment: Integers
    mood: NDArray[np.int8]

    @classmethod
    def blank(cls, kind: NDArray[np.int8], actor: Integers, moment: Integers) -> Self:
        """Return rows that refer to nothing."""
        first, second, third, fourth, fifth, sixth = np.full((6, len(kind)), ABSENT, dtype=np.int64)
        mood = np.zeros(len(kind), dtype=np.int8)
        return cls(kind, actor, moment, first, second, third, fourth, fifth, sixth, mood)

    @classmethod
    def merged(cls, parts: list[Self]) -> Self:
        """Return the rows of all parts in the order of their moments."""
        columns = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)}
        order = np.argsort(columns["moment"], kind="stable")
        return cls(**{name: column[order] for name, column in columns.items()})

    def take(self, where: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        """Return some of the rows."""
        return type(self)(*(getattr(self, field.name)[where] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.kind)
