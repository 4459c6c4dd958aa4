"""Attribution records to bytes: columns joined by a template, beside one dict each, beside one model each."""

import time
from collections.abc import Callable

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from daemon.runs.attributions import FACE, Attributions
from daemon.runs.encoding import chunks, entries
from daemon.runs.records import AttributionRecord

RECORDS = 200_000
ROUNDS = 3
INDICATORS = ("polarization", "attention", "cascade", "activity", "synchrony")


def table(records: int) -> Attributions:
    """Five indicators against both baselines, half of the φ zero as for agents who take no part in something."""
    random = np.random.default_rng(7)
    keys = [(name, baseline) for baseline in FACE for name in INDICATORS]
    return Attributions(
        agents=[f"did:plc:{number:024d}" for number in range(records)],
        phi={key: random.standard_normal(records) * random.choice([0.0, 1e-7], records) for key in keys},
        tiers=random.integers(0, 3, records).astype(np.uint8),
        visibility=random.integers(0, 1000, records),
    )


def by_columns(board: Attributions) -> int:
    return sum(len(entries(board, rows, "run", "all")) for rows in chunks(np.arange(len(board.agents)), 20_000))


def documents(board: Attributions) -> list[dict[str, object]]:
    faces = {face: [name for name, baseline in board.phi if FACE[baseline] == face] for face in FACE.values()}
    rows = {
        face: zip(*(board.phi[name, base].tolist() for name in faces[face]), strict=True) for base, face in FACE.items()
    }
    return [
        {"v": 1, "run": "run", "lens": "all", "agent": agent, "tier": board.tier_names[tier], "visibility": visibility}
        | {
            "level": dict(zip(faces["level"], level, strict=True)),
            "change": dict(zip(faces["change"], change, strict=True)),
        }
        for agent, tier, visibility, level, change in zip(
            board.agents, board.tiers.tolist(), board.visibility.tolist(), rows["level"], rows["change"], strict=True
        )
    ]


def by_dicts(board: Attributions) -> int:
    return len([orjson.dumps(document) for document in documents(board)])


def by_models(board: Attributions) -> int:
    return len([AttributionRecord.model_validate(document).model_dump_json() for document in documents(board)])


def main() -> None:
    """Print records a second, the best of a few interleaved rounds."""
    board = table(RECORDS)
    ways: dict[str, Callable[[Attributions], int]] = {
        "columns and a template (daemon.runs.encoding)": by_columns,
        "a dict each, orjson": by_dicts,
        "a pydantic model each": by_models,
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.perf_counter()
            assert way(board) == RECORDS
            best[name] = min(best[name], time.perf_counter() - begun)
    shown = Table(title=f"{RECORDS:,} attribution records of {2 * len(INDICATORS)} φ each, one thread")
    shown.add_column("way")
    shown.add_column("records/s", justify="right")
    for name, seconds in best.items():
        shown.add_row(name, f"{RECORDS / seconds:,.0f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
