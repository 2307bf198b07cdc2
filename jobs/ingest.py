"""Entry point for spark-submit: lakehouse submit jobs/ingest.py --env prod"""

import sys

from lakehouse.cli import run

if __name__ == "__main__":
    sys.exit(run(["ingest", *sys.argv[1:]]))
