"""The soak's long form.

`make soak EVENTS=30000000` writes its table to soak.md and its curves to soak.svg in the folder above.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.campaigns.soak.campaign import soak
from tests.campaigns.soak.report import plot, table
from tests.servers.kafka import Kafka

TABLE = Path(__file__).parents[1] / "soak.md"
PLOT = Path(__file__).parents[1] / "soak.svg"


def main() -> int:
    """Run the long form and write its table and plot; the exit status says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=30_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="starlingd-soak-") as place, Kafka(Path(place) / "broker") as kafka:
        report = soak(Path(place), kafka, given.events)
    TABLE.write_text(table(report), "utf-8")
    PLOT.write_text(plot(report), "utf-8")
    print(table(report))
    wrong = report.count_differences or report.run_differences or report.tally_differences or report.lag
    return int(bool(wrong) or not abs(report.drift) <= 0.02)  # NaN is no proof either


if __name__ == "__main__":
    sys.exit(main())
