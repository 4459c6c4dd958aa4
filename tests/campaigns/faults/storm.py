"""Many faults of one host after each other and in each other, by chance: the same seed plans the same storm.

The host loses nothing but what it says or what can be noticed: now and then it forgets its oldest, as far as beyond
where the client is, and answers as each protocol has it.
"""

from collections import Counter
from random import Random

from websockets.asyncio.server import ServerConnection

from tests.campaigns.faults.rows import EVERY, RELAY, V1, V2, Acts, Fault
from tests.campaigns.faults.script import Script
from tests.campaigns.faults.wires import Entry
from tests.servers.fake_host import ABRUPT, end
from tests.servers.fake_jetstream import cursor_too_old

ITEMS = 90
"""For each connection."""

STRETCH = 8
"""Items of a stretch that is sent twice, or out of order."""

BAD = 0.03
"""The share of messages that cannot be read."""

CLOSES = (1000, 1001, ABRUPT, 1008, 1011, 1012, 1013)
FORGOTTEN = 100
"""Items that are forgotten at least: v1 has no word for it, and only more than a minute is noticed."""


class Storm:
    """What the connections to one host do. `acts` grows with them."""

    def __init__(self, script: Script, seed: int, faults: int) -> None:
        self.faults: Counter[str] = Counter()
        self.acts: Acts = [self._act]
        self._script, self._random, self._left = script, Random(seed), faults
        self._floor = 0
        self._outdated = False
        bad = [name for name in script.wire.bad(1) if name != "a frame over 5 MB"]
        for n in range(1, faults * ITEMS + 1):
            if self._random.random() < BAD and n < faults * ITEMS:
                script.bad(n, self._random.choice(bad))
            else:
                script.good(n)

    async def _act(self, connection: ServerConnection, cursor: int | None) -> None:
        """Send a run from the cursor on, with a fault inside and one at its end."""
        script, random = self._script, self._random
        if self._outdated:
            self._outdated = False
            await script.send(connection, script.says("OutdatedCursor"))
        entries = [entry for entry in script.archive if entry.n > self._floor]
        if cursor is not None:
            entries = [entry for entry in entries if script.wire.gives(entry, cursor)]
        if self._left > 0:
            entries = entries[: random.randrange(1, ITEMS)]
        for entry in self._disturbed(entries):
            await script.send(connection, entry.message)
        if self._left > 0:
            self._left -= 1
            self.acts.append(self._act)
            await self._end(connection, entries[-1].n if entries else self._floor)
        else:
            await end(connection, None)

    def _disturbed(self, entries: list[Entry]) -> list[Entry]:
        """Repeat a stretch, or change its order, but for the last one: what follows it is what the cursor says."""
        random = self._random
        if len(entries) < STRETCH + 4 or self._left <= 0:
            return entries
        at = random.randrange(len(entries) - STRETCH - 2)
        chance = random.random()
        if chance < 0.3:
            self.faults["a stretch sent twice"] += 1
            return [*entries[: at + STRETCH], *entries[at:]]
        if chance < 0.5 and self._script.wire.protocol != RELAY:
            self.faults["a stretch out of order"] += 1
            stretch = entries[at : at + STRETCH]
            random.shuffle(stretch)
            return [*entries[:at], *stretch, *entries[at + STRETCH :]]
        return entries

    async def _end(self, connection: ServerConnection, reached: int) -> None:
        script, random, protocol = self._script, self._random, self._script.wire.protocol
        how = random.choice(("closes", "closes", "falls silent", "refuses", "fails", "forgets"))
        code: int | None = random.choice(CLOSES)
        if how == "falls silent":
            code = None
        elif how == "refuses":
            self.acts[-1:] = [(random.choice((429, 500, 503)), "busy"), self._act]
        elif how == "fails" and protocol != V1:
            await script.send(connection, script.fails("ConsumerTooSlow"))
        elif how == "forgets" and reached + 3 * FORGOTTEN < script.archive[-1].n:
            self._floor = reached + FORGOTTEN + random.randrange(FORGOTTEN)
            self._outdated = protocol == V2 or (protocol == RELAY and random.random() < 0.5)
            if protocol == V2:
                self.acts[-1:] = [cursor_too_old(), self._act]
        else:
            how = "closes"
        self.faults[how] += 1
        await end(connection, code)


def storm(faults: int, seed: int) -> Fault:
    """Return a storm of so many connections as one fault."""
    causes = ("outdated_cursor", "seq_jump", "cursor_too_old", "cursor_clamped")
    name = f"a storm of {faults} connections, seed {seed}"
    options = {"stall_after": 0.3}
    return Fault(
        name, EVERY, lambda script: Storm(script, seed, faults).acts, causes, options, slack=STRETCH, exact=False
    )
