"""Agent events and drives for tests of windows: times in seconds after START."""

from consumers.events import Event
from consumers.snapshot import Snapshot
from consumers.windows.group import Windows
from engine.columns import INDEX

START = 1_700_000_000_000_000 // 3_600_000_000 * 3_600_000_000
SECOND = 1_000_000

_seq = iter(range(1 << 40))


def event(agent: str, kind: str = "like", at: float = 0, role: str = "actor", **fields: object) -> Event:
    """An event of a source whose seq says nothing, unless `src` and `seq` are given."""
    number = next(_seq)
    given = {"peer": None, "src": "sim:1", "seq": number, "rev": f"r{number}", "uri": f"at://{number}"} | fields
    return Event(agent=agent, role=role, kind=kind, t=START + round(at * SECOND), **given)


def feed(windows: Windows, events: list[Event], partition: int = 0) -> list[Snapshot]:
    """Fold events into one partition, closing what they close."""
    values: list[bytes | None] = [one.encode() for one in events]
    if windows.head is None:
        windows.begin(events[0].t)
    snapshots = []
    done = 0
    while True:
        done = windows.fold(partition, values, done)
        top = windows.parts[partition].top
        if top is None or top < windows.limit:
            return snapshots
        if (snapshot := windows.close(top)) is not None:
            snapshots.append(snapshot)


def count(snapshot: Snapshot, agent: str, column: str, *, preceding: bool = False) -> int:
    """One number of a snapshot; 0 for an agent who is not in it."""
    if agent not in snapshot.agents:
        return 0
    table = snapshot.preceding if preceding else snapshot.current
    assert table is not None
    return int(table[INDEX[column], snapshot.agents.index(agent)])
