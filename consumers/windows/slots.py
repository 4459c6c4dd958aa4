"""Which slot holds which agent: names to integers, slots of those who left reused, an order by name kept at hand."""

import numpy as np
from numpy.typing import NDArray

_FIRST_CAPACITY = 1024


class Slots:
    """Agents of one partition. Slots are below `used`; a freed one is given to the next who comes."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.names: NDArray[np.object_] = np.full(_FIRST_CAPACITY, None)
        self.used = 0
        self._free: list[int] = []
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._ordered: NDArray[np.bool_] = np.zeros(_FIRST_CAPACITY, np.bool_)
        self._fresh: list[int] = []

    def __len__(self) -> int:
        return len(self.of)

    @property
    def capacity(self) -> int:
        """How many slots there is room for now."""
        return len(self.names)

    def take(self, agent: str) -> int:
        """Give a slot to an agent who has none."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = self.used
            self.used += 1
            if slot == self.capacity:
                self._grow(slot + slot // 2)
        self.of[agent] = slot
        self.names[slot] = agent
        self._fresh.append(slot)
        return slot

    def _grow(self, capacity: int) -> None:
        """Make room for `capacity` slots."""
        names = np.full(capacity, None)
        names[: len(self.names)] = self.names
        ordered = np.zeros(capacity, np.bool_)
        ordered[: len(self._ordered)] = self._ordered
        self.names, self._ordered = names, ordered

    def free(self, slot: int) -> None:
        """Take back the slot of an agent."""
        del self.of[self.names[slot]]
        self.names[slot] = None
        self._ordered[slot] = False
        self._free.append(slot)

    def by_name(self) -> NDArray[np.int64]:
        """Return the slots in use, ascending by name.

        Only who came since the last call is sorted, and put in its place among the others: sorting 1.67 million
        names anew at every close would cost more than the engine does.
        """
        kept = self._order[self._ordered[self._order]]
        names = self.names
        fresh = {slot for slot in self._fresh if names[slot] is not None and not self._ordered[slot]}
        new = np.array(sorted(fresh, key=names.__getitem__), np.int64)
        places = np.searchsorted(names[kept], names[new]) if kept.size and new.size else np.zeros(new.size, np.int64)
        self._order = np.insert(kept, places, new)
        self._ordered[new] = True
        self._fresh = []
        return self._order

    def restore(self, slots: NDArray[np.integer], names: list[str]) -> None:
        """Fill an empty table: `names[i]` has `slots[i]`."""
        self.used = int(slots.max()) + 1 if len(names) else 0
        if self.used >= self.capacity:
            self._grow(self.used + self.used // 2)
        numbers = slots.tolist()
        self.of = dict(zip(names, numbers, strict=True))
        if len(self.of) != len(names):
            raise ValueError("an agent stands twice")
        self.names[slots] = names
        taken = np.zeros(self.used, np.bool_)
        taken[slots] = True
        if int(taken.sum()) != len(names):
            raise ValueError("a slot stands twice")
        self._free = np.flatnonzero(~taken)[::-1].tolist()
        self._fresh = numbers
