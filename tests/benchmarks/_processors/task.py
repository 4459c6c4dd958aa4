"""What each stream processor is asked to do, and how it says what it took: imported by the programs beside this.

They run in environments of their own, so this imports nothing of the project.
"""

import sys
import time
from pathlib import Path

import orjson

BUCKET_MS = 60_000
COUNTED = ("post", "reply", "quote", "repost", "like", "follow")

Counts = dict[tuple[str, int], dict[str, int]]
"""By agent and start of the bucket in ms: how often it was in each role of each kind, by `role kind`."""


class Task:
    """One topic that holds `events` agent events, keyed by agent; what they add up to goes into the file `answer`."""

    def __init__(self) -> None:
        bootstrap, topic, partitions, events, answer = sys.argv[1:]
        self.bootstrap, self.topic, self.partitions, self.events = bootstrap, topic, int(partitions), int(events)
        self._answer = Path(answer)
        self._began = time.process_time()

    def done(self, counts: Counts) -> None:
        """Write the processor time until now, of all threads, and what was counted."""
        seconds = time.process_time() - self._began
        rows = [[agent, start, kinds] for (agent, start), kinds in counts.items()]
        self._answer.write_bytes(orjson.dumps({"seconds": seconds, "counts": rows}))
