"""Agent events: what one operation of the network changes, said once for each agent it changes.

An event is keyed by the agent it changes, so that a partition of the log holds all that its agents need.
The form is the wire form of topic `events.v1`; the text of a post is never part of it.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

VERSION = 1
Role = Literal["actor", "target"]
Kind = Literal["post", "reply", "quote", "repost", "like", "follow", "retract", "account", "identity"]

ACTIONS: tuple[Kind, ...] = ("post", "reply", "quote", "repost", "like", "follow")
"""The kinds that count in a window; the others are kept in the log and counted in metrics."""

GONE = frozenset({"deleted", "takendown", "suspended", "deactivated"})
"""The statuses whose accounts leave the state at once."""

MONOTONIC_PROTOCOLS = frozenset({"relay", "jetstream2"})
"""Protocols whose `seq` only grows on one host. A source id is `protocol:where`."""


@dataclass(slots=True)
class Event:
    """One agent event. `t` is the network's receipt time in µs; `op` the index of the operation in its commit."""

    agent: str
    role: Role
    kind: Kind
    peer: str | None
    t: int
    src: str
    seq: int
    rev: str | None = None
    op: int = 0
    uri: str | None = None
    valence: float | None = None
    status: str | None = None
    lens: list[str] = field(default_factory=lambda: ["all"])
    epoch: int = 0
    """The turn of the bridge that wrote it; 0 where none claimed the source."""

    def encode(self) -> bytes:
        """Return the event as JSON; `status` is present on `account` events only, `epoch` where it is not 0."""
        document: dict[str, Any] = {
            "v": VERSION,
            "agent": self.agent,
            "role": self.role,
            "kind": self.kind,
            "peer": self.peer,
            "t": self.t,
            "src": self.src,
            "seq": self.seq,
            "rev": self.rev,
            "op": self.op,
            "uri": self.uri,
            "valence": self.valence,
            "lens": self.lens,
        }
        if self.kind == "account":
            document["status"] = self.status
        if self.epoch:
            document["epoch"] = self.epoch
        return orjson.dumps(document)


def is_monotonic(src: str) -> bool:
    """Tell whether `seq` of this source only grows, so that a mark of the greatest one tells repeats."""
    return src.partition(":")[0] in MONOTONIC_PROTOCOLS
