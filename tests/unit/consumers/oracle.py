"""Counts agents the slow way, from the list of all events: what the windows must equal, integer for integer."""

from collections import Counter, defaultdict

from consumers.events import Event
from engine.columns import COLUMNS, COUNTS

RECEIVED_OF = {
    "reply": "replies_in",
    "quote": "quotes_in",
    "repost": "reposts_in",
    "like": "likes_in",
    "follow": "follows_in",
}
ACT_OF = {
    "post": "posts",
    "reply": "replies",
    "quote": "quotes",
    "repost": "reposts",
    "like": "likes",
    "follow": "follows",
}
GONE = ("deleted", "takendown", "suspended", "deactivated")


def table(events: list[Event], start: int, end: int, bucket: int, phase_buckets: int) -> dict[str, Counter[str]]:
    """Return the counts of each agent over the events of [start, end)."""
    agents: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        if not start <= event.t < end:
            continue
        counts = agents[event.agent]
        if event.role == "target":
            counts[RECEIVED_OF[event.kind]] += 1
            continue
        counts[ACT_OF[event.kind]] += 1
        counts[f"phase_{event.t // bucket // phase_buckets % 12:02d}"] += 1
        if event.valence is not None and event.kind in ("post", "reply", "quote"):
            counts["scored"] += 1
            counts["valence"] += round(event.valence * 10_000)
            counts["alarm"] += event.valence <= -0.5
    return {agent: counts for agent, counts in agents.items() if any(counts[name] for name in COUNTS)}


def alive(events: list[Event]) -> list[Event]:
    """Return the actions, in order of arrival, that no later erasure of their agent took away."""
    kept: list[Event] = []
    for event in events:
        if event.kind == "account" and event.status in GONE:
            kept = [other for other in kept if other.agent != event.agent]
        elif event.kind in ACT_OF:
            kept.append(event)
    return kept


def rows(agents: list[str], columns) -> dict[str, Counter[str]]:
    """Return a snapshot's table in the oracle's form; agents without any count are left out."""
    found = {}
    for place, agent in enumerate(agents):
        counts = Counter({name: int(columns[index, place]) for index, name in enumerate(COLUMNS)})
        if any(counts[name] for name in COUNTS):
            found[agent] = Counter({name: value for name, value in counts.items() if value})
    return found


def same(found: dict[str, Counter[str]], expected: dict[str, Counter[str]]) -> None:
    """Fail where two tables differ."""
    assert sorted(found) == sorted(expected)
    for agent, counts in expected.items():
        assert dict(found[agent]) == {name: value for name, value in counts.items() if value}, agent
