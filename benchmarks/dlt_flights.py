"""What a user of dlt would write for the same files: each column as text, appended to a Delta table.

Usage: python dlt_flights.py FOLDER INTO, with a Python that has dlt, not the engine's.
"""

from __future__ import annotations

import sys

import dlt  # type: ignore[import-not-found, unused-ignore]
from dlt.sources.filesystem import filesystem, read_csv  # type: ignore[import-not-found, unused-ignore]


def main(folder: str, into: str) -> None:
    destination = dlt.destinations.filesystem(bucket_url=f"file://{into}")
    pipeline = dlt.pipeline("flights", pipelines_dir=f"{into}/state", destination=destination, dataset_name="raw")
    rows = filesystem(bucket_url=f"file://{folder}", file_glob="*.csv") | read_csv(dtype=str)
    pipeline.run(rows.with_name("flights"), table_format="delta", write_disposition="append")


if __name__ == "__main__":
    main(*sys.argv[1:])
