"""The kill campaigns' long form: many campaigns, each of at most a hundred kills, several at once.

`make kills KILLS=1000 SEED=1` takes the settings in turn, each campaign with the next seed. A campaign's row is kept
in kills.jsonl in the folder above as soon as it ends, so that the command, given again, goes on with those that are not
there; the tables of kills.md are made from it. What a campaign that differed left is not deleted, and said.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tests.campaigns.kills.campaign import Campaign
from tests.campaigns.kills.people import People
from tests.campaigns.kills.report import Report, add, read, tables
from tests.campaigns.upstream import Upstream
from tests.servers.kafka import Kafka

ROWS = Path(__file__).parents[1] / "kills.jsonl"
TABLE = Path(__file__).parents[1] / "kills.md"
HEADING = "\n## Rows\n\n"
MOST = 100


def on_sqlite(folder: Path, kills: int, seed: int) -> Report:
    """One process on the embedded log, and a Jetstream v2."""
    return Campaign(folder, kills, seed, Upstream.of_kills(kills, seed, "jetstream2")).run()


def on_kafka(folder: Path, kills: int, seed: int) -> Report:
    """Bridge and worker on a Kafka, and a Jetstream v1."""
    with Kafka(folder / "broker", brief=True) as kafka:
        return Campaign(folder, kills, seed, Upstream.of_kills(kills, seed, "jetstream1"), kafka).run()


def on_pds(folder: Path, kills: int, seed: int) -> Report:
    """Bridge and worker on a Kafka, and people on a real PDS."""
    with Kafka(folder / "broker", brief=True) as kafka:
        return Campaign(folder, kills, seed, People.of_kills(kills), kafka).run()


SETTINGS: dict[str, Callable[[Path, int, int], Report]] = {
    "SQLite, jetstream2": on_sqlite,
    "Kafka, jetstream1": on_kafka,
    "Kafka, relay": on_pds,
}


def code() -> str:
    """Return when the code was committed, and whether it was changed since."""
    ask = partial(subprocess.run, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    when = ask(["git", "log", "-1", "--date=format-local:%Y-%m-%d %H:%M UTC", "--format=%ad"], env={"TZ": "UTC"})
    changed = ask(["git", "status", "--porcelain", "--untracked-files=no", "--", ":(top)*.py"]).stdout
    return when.stdout.strip() + (", changed" if changed else "")


def campaign(setting: str, kills: int, seed: int, of: str) -> Report:
    """Run one campaign in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="starlingd-kills-"))
    try:
        report = SETTINGS[setting](folder, kills, seed)
    except Exception as error:
        error.add_note(f"What it left is in {folder}.")
        raise
    report.code = of
    if report.exact:
        shutil.rmtree(folder)
    else:
        print(f"{setting}, seed {seed}: something differs; see {folder}", file=sys.stderr, flush=True)
    return report


def write() -> None:
    """Write the tables of all rows beneath what kills.md says of them."""
    said, heading, _ = TABLE.read_text("utf-8").partition(HEADING)
    assert heading
    rows = sorted(read(ROWS), key=lambda one: one.seed)
    TABLE.write_text(said + heading + tables(rows), "utf-8")


def main() -> int:
    """Run what is not in the rows yet; the exit status says whether nothing differed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="how many in all")
    parser.add_argument("--seed", type=int, default=1, help="of the first campaign")
    parser.add_argument("--at-once", type=int, default=2, help="campaigns at the same time")
    parser.add_argument("--only", choices=SETTINGS, action="append", help="settings; all in turn")
    given = parser.parse_args()
    settings, of, exact = given.only or list(SETTINGS), code(), True
    there = {(one.setting, one.seed): one.kills.total() for one in read(ROWS)}
    with ThreadPoolExecutor(given.at_once) as pool:
        running = {}
        for index, begun in enumerate(range(0, given.kills, MOST)):
            setting, seed, kills = settings[index % len(settings)], given.seed + index, min(MOST, given.kills - begun)
            if there.get((setting, seed), 0) < kills:
                running[pool.submit(campaign, setting, kills, seed, of)] = f"{setting}, seed {seed}"
        for done in as_completed(running):
            try:
                report = done.result()
            except Exception:  # noqa: BLE001 - the others go on
                exact = False
                print(f"{running[done]} came to no end\n{traceback.format_exc()}", file=sys.stderr, flush=True)
                continue
            exact = exact and report.exact
            add(ROWS, report)
            write()
            print(" | ".join(report.row), flush=True)
    return int(not exact)


if __name__ == "__main__":
    sys.exit(main())
