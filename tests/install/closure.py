"""What an install of the engine brings along, told by the metadata of what is installed here."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable

from packaging.requirements import Requirement


def installed_with(extras: Iterable[str] = ()) -> dict[str, importlib.metadata.Distribution | None]:
    """Each distribution that ``lakehouse[extras]`` requires on this machine, by name; None for one not installed."""
    found: dict[str, importlib.metadata.Distribution | None] = {}
    waiting = [("lakehouse", frozenset(extras))]
    seen = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
            continue
        for line in importlib.metadata.requires(name) or ():
            required = Requirement(line)
            if required.marker is None or any(required.marker.evaluate({"extra": e}) for e in {"", *wanted}):
                waiting.append((plain(required.name), frozenset(required.extras)))
    return found


def plain(name: str) -> str:
    """A distribution's name as every index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()
