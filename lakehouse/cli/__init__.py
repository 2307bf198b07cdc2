"""The ``lakehouse`` command: words to calls. ``main()`` is its entry point; jobs of spark-submit call ``run()``."""

from __future__ import annotations

from collections.abc import Sequence


def main() -> None:
    """Run the command of ``sys.argv`` and end the process with its exit code."""
    import sys

    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run one command, as ``["build", "--env", "prod"]``, and return its exit code; nothing is raised."""
    from lakehouse.cli import app

    return app.run(words)


__all__ = ["main", "run"]
