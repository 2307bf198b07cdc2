"""Seeds that failed once: they are run with every change, for ever. ``make torture`` adds those that fail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).with_name("seeds.json")


def read(file: Path = FILE) -> dict[str, list[int]]:
    """The seeds of each test, by its name with its file."""
    found: dict[str, list[int]] = json.loads(file.read_text())
    return found


def keep(failed: Mapping[str, Iterable[int]], file: Path = FILE) -> None:
    """Add seeds that failed of tests that ask here for theirs, which the file names."""
    kept = read(file)
    for test in kept:
        kept[test] = sorted({*kept[test], *failed.get(test, ())})
    file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def seeds(test: str, *, quick: int, every: int) -> list[Any]:
    """The first seeds and those that failed once in every run, all of them in the long suite."""
    shown = {*range(quick), *read().get(test, ())}
    return [
        pytest.param(seed, marks=[] if seed in shown else [pytest.mark.torture])
        for seed in sorted({*range(every), *shown})
    ]
