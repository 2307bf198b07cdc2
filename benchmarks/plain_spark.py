"""The floor of whatever lands files: plain Spark writes them to Delta, in one session with the engine's own settings.

Usage: python -m benchmarks.plain_spark PROJECT [--write FORMAT FILES TABLE]...
Without --write it opens the session and ends. It stands for what can't be saved: no provenance, no check, no receipt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lakehouse.config import load_project
from lakehouse.spark import open_session


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_spark")
    parser.add_argument("project", type=Path, help="the project whose settings of Spark are used")
    parser.add_argument("--write", nargs=3, action="append", default=[], metavar=("FORMAT", "FILES", "TABLE"))
    given = parser.parse_args(words)
    spark = open_session(load_project(given.project))
    for kind, files, table in given.write:
        reader = spark.read.option("header", True) if kind == "csv" else spark.read
        reader.format(kind).load(files).write.format("delta").mode("append").save(table)


if __name__ == "__main__":
    main(sys.argv[1:])
