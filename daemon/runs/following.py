"""Reading what a daemon publishes: run records as they are committed, and with them one agent's attributions."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from consumers.log import Log, Reader, Topics, partition_of
from daemon.runs.records import AttributionRecord, RunRecord

KEPT = 32
"""Runs whose attribution of the agent is held until their record comes; what a crash left behind is let go."""


@dataclass(slots=True)
class Committed:
    """A run that is valid, and what it says of the agent that is followed; None where it says nothing."""

    run: RunRecord
    agent: AttributionRecord | None = None


@dataclass(slots=True)
class Follower:
    """Follows the runs of an open log. An attribution counts once its run's record is there, and not before."""

    log: Log
    topics: Topics
    agent: str | None = None
    _held: dict[str, AttributionRecord] = field(default_factory=dict)

    async def committed(self, history: int = 1, wait: float = 0.2) -> AsyncGenerator[Committed | None, None]:
        """Yield the last `history` runs and then each new one; None whenever `wait` seconds bring nothing."""
        begins, ends = await self.log.begin_offsets(self.topics.runs), await self.log.end_offsets(self.topics.runs)
        positions = {part: max(begins[part], end - history) for part, end in ends.items()}
        agents = await self._agent_reader()
        runs = await self.log.reader(self.topics.runs, positions)
        try:
            while True:
                chunks = await runs.poll(wait=wait)
                if agents is not None:
                    await self._hold(agents)
                records = [value for chunk in chunks for value in chunk.values if value is not None]
                for run in sorted(map(RunRecord.model_validate_json, records), key=lambda run: run.end):
                    yield Committed(run, self._held.pop(run.id, None))
                if not records:
                    yield None
        finally:
            await runs.close()
            if agents is not None:
                await agents.close()

    async def _agent_reader(self) -> Reader | None:
        """Return a reader of the partition that the agent's records are in, from its beginning."""
        if self.agent is None:
            return None
        begins = await self.log.begin_offsets(self.topics.attributions)
        partition = partition_of(self.agent.encode(), len(begins))
        return await self.log.reader(self.topics.attributions, {partition: begins[partition]})

    async def _hold(self, agents: Reader) -> None:
        """Read to the end: a run's attributions were written before its record, so they are there."""
        assert self.agent is not None
        key = self.agent.encode()
        ends = await self.log.end_offsets(self.topics.attributions)
        while any(position < ends[part] for part, position in agents.positions.items()):
            for chunk in await agents.poll(max_records=50_000):
                for name, value in zip(chunk.keys, chunk.values, strict=True):
                    if name == key and value is not None:
                        record = AttributionRecord.model_validate_json(value)
                        self._held[record.run] = record
            while len(self._held) > KEPT:
                del self._held[next(iter(self._held))]
