"""The ``lakehouse`` command: words to calls. ``main()`` is its entry point."""


def main() -> None:
    """Run the command of ``sys.argv`` and end the process with its exit code."""
    import sys

    from lakehouse.cli.app import run

    sys.exit(run(sys.argv[1:]))


__all__ = ["main"]
