"""Entry point for spark-submit: lakehouse submit jobs/run.py --env prod"""

import sys

from lakehouse.cli import run

if __name__ == "__main__":
    sys.exit(run(["run", *sys.argv[1:]]))
