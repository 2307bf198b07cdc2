"""Compact and clean the tables: lakehouse submit jobs/maintain.py --env prod"""

import sys

from lakehouse.cli import run

if __name__ == "__main__":
    sys.exit(run(["maintain", *sys.argv[1:]]))
