"""The project's Markdown files, taken apart: fenced blocks, the commands in them, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.files import REPOSITORY, shown, tracked

PAGES = tuple(path for path in tracked() if path.suffix == ".md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?((?:lakehouse|make) .*)$")


@dataclass(frozen=True)
class Block:
    page: Path
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield Block(page, match[1], match[2])


def commands() -> list[tuple[str, str]]:
    """Each command line that a page shows to be typed, with its page: ``make demo``, ``lakehouse check``."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language in ("sh", "console", ""):
                for line in block.text.splitlines():
                    for part in line.split(" && "):
                        if match := COMMAND.match(part.strip()):
                            found.append((shown(page), match[1]))
    return found


def links() -> list[tuple[str, Path]]:
    """Each link to a file of the project: the page, and the file that it names."""
    found = []
    for page in PAGES:
        for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            if not re.match(r"[a-z]+:|#", target):
                found.append((shown(page), page.parent / target.partition("#")[0]))
    return found


README = REPOSITORY / "README.md"
