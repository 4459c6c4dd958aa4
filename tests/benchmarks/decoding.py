"""Decoding to agent events on one core, scorer excluded: our decoders beside the atproto SDK's models, same bytes.

The real frames and lines of the Jetstream corpus, decoded again and again in short passes; each figure is the best
pass, since other work on the machine only ever adds to one, and less to its processor time (CPU) than to its wall time.
Beside them: what parsing alone costs, and the scorer.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from atproto import CAR, firehose_models, models, parse_subscribe_repos_message
from libipld import decode_dag_cbor_multi
from rich.console import Console
from rich.table import Table

from consumers.scoring import load_scorer, no_score
from consumers.sources import Delivery
from consumers.sources.decoding.jetstream1 import decode_line
from consumers.sources.decoding.jetstream2 import decode_message
from consumers.sources.decoding.reading import Reading
from consumers.sources.decoding.relay import decode_frame
from tests.benchmarks._timing import machine
from tests.campaigns.upstream import as_v2
from tests.unit.consumers.corpus import raw_frames, v1_lines

PASSES = 300

Work = Callable[[Sequence[bytes]], Any]


def best_rates(work: Work, data: Sequence[bytes], passes: int) -> tuple[float, float]:
    """Return how many pieces a second of processor time, and of wall time."""
    processor = clock = float("inf")
    for _ in range(passes):
        began, began_on_clock = time.process_time(), time.perf_counter()
        work(data)
        processor = min(processor, time.process_time() - began)
        clock = min(clock, time.perf_counter() - began_on_clock)
    return len(data) / processor, len(data) / clock


def ours(decode: Callable[[bytes, Reading, Delivery, int], object], **changes: Any) -> Work:
    reading = Reading("relay:benchmark", 0, changes.pop("score", no_score), **changes)
    reading.at(time.time_ns() // 1000)

    def work(data: Sequence[bytes]) -> None:
        delivery = Delivery()
        for number, piece in enumerate(data):
            decode(piece, reading, delivery, number)
        assert not delivery.rejected

    return work


def sdk(data: Sequence[bytes]) -> None:
    """Decode as the SDK's firehose examples do: models of the frame, the CAR, and a model of each record created."""
    for piece in data:
        message = parse_subscribe_repos_message(firehose_models.Frame.from_bytes(piece))
        if isinstance(message, models.ComAtprotoSyncSubscribeRepos.Commit):
            blocks = CAR.from_bytes(message.blocks).blocks
            for op in message.ops:
                if op.action == "create" and op.cid is not None:
                    models.get_or_create(blocks[op.cid], strict=False)


def sdk_frames(data: Sequence[bytes]) -> None:
    for piece in data:
        parse_subscribe_repos_message(firehose_models.Frame.from_bytes(piece))


def each(parse: Callable[[bytes], object]) -> Work:
    def work(data: Sequence[bytes]) -> None:
        for piece in data:
            parse(piece)

    return work


def main() -> None:
    try:
        frames, lines = raw_frames(), v1_lines()
    except pytest.skip.Exception as absent:
        print(absent)
        return
    messages = [as_v2(line, seq) for seq, line in enumerate(lines, start=1)]
    rows: list[tuple[str, Work, Sequence[bytes], int]] = [
        ("relay frames → events", ours(decode_frame), frames, PASSES),
        ("  with the hash of every record checked", ours(decode_frame, check_cids=True), frames, PASSES),
        ("  with VADER", ours(decode_frame, score=load_scorer()), frames, PASSES // 10),
        ("  DAG-CBOR of the frame alone (libipld)", each(decode_dag_cbor_multi), frames, PASSES),
        ("  atproto SDK: frame models alone", sdk_frames, frames, PASSES // 10),
        ("  atproto SDK: frame, CAR and record models", sdk, frames, PASSES // 10),
        ("Jetstream v2 messages → events", ours(decode_message), messages, PASSES),
        ("Jetstream v1 lines → events", ours(decode_line), lines, PASSES),
        ("  with VADER", ours(decode_line, score=load_scorer()), lines, PASSES // 10),
        ("  JSON alone (orjson)", each(orjson.loads), lines, PASSES),
    ]
    title = f"{len(frames)} real frames, {len(lines)} real lines; {machine()}"
    columns = ("decoding, one core", "per CPU second", "per second", "CPU µs each")
    table = Table(*columns, title=title)
    for name, work, data, passes in rows:
        processor, clock = best_rates(work, data, passes)
        table.add_row(name, f"{processor:,.0f}", f"{clock:,.0f}", f"{1e6 / processor:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
