"""``python -m benchmarks [NAME…]``: measure, print, and write results.md and results.json."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import figures
from benchmarks.against_dlt import dlt
from benchmarks.commands import check, help_, query
from benchmarks.continuous import continuous
from benchmarks.demo import demo
from benchmarks.discovery import discovery
from benchmarks.features import features
from benchmarks.features_spark import features_spark
from benchmarks.figures import Figure
from benchmarks.files import memory, small_files
from benchmarks.gold import gold
from benchmarks.ingest import ingest
from benchmarks.jdbc import jdbc
from benchmarks.kafka import kafka
from benchmarks.machine import load, pin_cores
from benchmarks.measure import BenchmarkError
from benchmarks.online import online
from benchmarks.planning import planning
from benchmarks.runs import month, unchanged
from benchmarks.serving import serving
from benchmarks.silver import silver
from benchmarks.tiles import tiles
from benchmarks.windows import windows
from benchmarks.workbench import Workbench, workbench
from lakehouse.errors import LakehouseError

BENCHMARKS: dict[str, Callable[[Workbench], Iterator[Figure]]] = {
    "demo": demo,
    "unchanged": unchanged,
    "month": month,
    "help": help_,
    "check": check,
    "query": query,
    "ingest": ingest,
    "dlt": dlt,
    "files": small_files,
    "memory": memory,
    "discovery": discovery,
    "planning": planning,
    "kafka": kafka,
    "jdbc": jdbc,
    "silver": silver,
    "gold": gold,
    "features": features,
    "features_spark": features_spark,
    "windows": windows,
    "online": online,
    "serving": serving,
    "tiles": tiles,
    "continuous": continuous,
}
"""In the order in which they run and are shown. A figure's name starts with its benchmark's, up to a colon."""
QUICK = ("help", "check")
HERE = Path(__file__).parent


def main(words: Sequence[str]) -> int:
    """Returns 0, or 1 when a benchmark could not be measured; a goal that is missed is a result, not a failure."""
    given = _parser().parse_args(words)
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    names = given.names or list(QUICK if given.quick else BENCHMARKS)
    into: Path | None = given.into or (None if given.quick else HERE)
    console = Console()
    if not console.is_terminal:
        console.width = 160
    pin_cores(given.cores)
    failed = False
    measured: list[Figure] = []
    with workbench(given.rounds or (1 if given.quick else None)) as bench:
        for name in (name for name in BENCHMARKS if name in names):
            console.print(f"{name}: load average {load() or 0:.2f}", highlight=False)
            try:
                found = list(BENCHMARKS[name](bench))
            except KeyboardInterrupt:
                console.print(f"Interrupted in {name}")
                return 130
            except (BenchmarkError, LakehouseError) as error:
                console.print(f"{name} could not be measured: {error}", style="red", markup=False, highlight=False)
                failed = True
                continue
            measured += found
            for figure in found:
                console.print(f"  {figure.name} {figure.ours:.2f} {figure.unit}", highlight=False)
            if into is not None:  # after each, so that what was measured is kept whatever happens next
                figures.write(into, figures.merge(figures.read(into), found, list(BENCHMARKS)))
    if measured:
        console.print(figures.table(measured))
        for line in figures.settings_lines(measured):
            console.print(line, markup=False, highlight=False)
    if measured and into is not None:
        console.print(f"Written to {into / 'results.md'} and results.json")
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"just these of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=_count, help="how often to measure each; else what is usual for it, 3 to 9")
    parser.add_argument(
        "--cores", type=_count, default=2, help="how many cores may be used, where the system can say (2)"
    )
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", help="where to write the results, merged with those there"
    )
    parser.add_argument("--quick", action="store_true", help="one round of help and check; writes only with --into")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
