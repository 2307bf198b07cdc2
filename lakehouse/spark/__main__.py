"""``python -m lakehouse.spark``: fetch Spark's jars and make the class archive, once for a user and machine."""

from __future__ import annotations

import sys

from lakehouse.errors import LakehouseError
from lakehouse.spark.archive import archive_file, make_archive
from lakehouse.spark.jars import fetch_jars, missing_jars


def main() -> int:
    try:
        if missing_jars():
            print("Fetching Spark's jars", flush=True)
            fetch_jars()
        if not archive_file().exists():
            print("Making the class archive that lets Spark start faster (half a minute, once)", flush=True)
            try:
                make_archive()
            except LakehouseError as error:
                print(f"{error}", file=sys.stderr)  # runs work without it
    except LakehouseError as error:
        print(f"{error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
