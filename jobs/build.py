"""Entry point for spark-submit: lakehouse submit jobs/build.py --env prod"""

import sys

from lakehouse.cli import run

if __name__ == "__main__":
    sys.exit(run(["build", *sys.argv[1:]]))
