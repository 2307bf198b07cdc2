"""Entry point for spark-submit: lakehouse submit jobs/publish.py --env prod"""

import sys

from lakehouse.cli import run

if __name__ == "__main__":
    sys.exit(run(["publish", *sys.argv[1:]]))
