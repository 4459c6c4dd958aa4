"""Says when a position cannot be of this log: a checkpoint that outlived the log it was taken from."""

from collections.abc import Mapping


def position_fault(where: str, topic: str, positions: Mapping[int, int], ends: Mapping[int, int]) -> str:
    """Return one sentence about the first position that the log cannot have given, or an empty string."""
    for partition, position in sorted(positions.items()):
        if partition not in ends:
            return (
                f"Topic {topic} in {where} has no partition {partition}, only {len(ends)} of them: "
                "read it with its own number of partitions."
            )
        if position > ends[partition]:
            return (
                f"Position {position} of partition {partition} of topic {topic} is beyond its end, "
                f"{ends[partition]}, in {where}: the checkpoint belongs to another log, so move it away."
            )
    return ""
