"""What git would carry: the files that the tests of this folder look at."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in (REPOSITORY / "lakehouse").glob("*/__init__.py"))


@cache
def tracked() -> tuple[Path, ...]:
    """Files that are tracked, or will be: below the repository, without what git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = sorted(name for name in done.stdout.split("\0") if name)
    return tuple(path for path in map(REPOSITORY.joinpath, names) if path.is_file())


def shown(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def text_of(path: Path) -> str | None:
    """The file's text, or None where it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
