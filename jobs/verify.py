"""Entry point for spark-submit: lakehouse submit jobs/verify.py --env prod"""

import sys

from lakehouse.cli import run

if __name__ == "__main__":
    sys.exit(run(["verify", *sys.argv[1:]]))
