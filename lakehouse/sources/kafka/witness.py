"""Count a batch a second time, without Spark: by the offsets in its files, and by what the broker has between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakehouse.errors import ConservationError

MOST = 20
"""Gaps of a batch that the broker is asked about, the longest: each takes some milliseconds."""
Runs = npt.NDArray[np.int64]
"""Offsets that follow each other: a row has the first, and the one after the last."""
Gap = tuple[int, int, int]
"""A partition, the first offset that was not read, and the one after the last."""


def require_all(
    name: str,
    topic: str,
    ranges: dict[int, tuple[int, int]],
    committed_in: Callable[[Sequence[Gap]], Gap | None],
    files: Sequence[Path],
) -> tuple[int, str]:
    """How many offsets the files hold, and what is to be said of those that they lack.

    Each must be within its partition's range, and there once; a range without gaps is then read whole. Gaps are what
    transactions and compaction leave: ``committed_in`` asks the broker for one that has a committed record after all.
    Raises ConservationError.
    """
    found = offsets_in(files)
    if unknown := found.keys() - {f"{topic}/{number}" for number in ranges}:
        raise _defect(name, f"offsets of {', '.join(sorted(unknown))}")
    gaps: dict[int, Runs] = {}
    for number, (start, end) in ranges.items():
        runs = found.get(f"{topic}/{number}", np.empty((0, 2), np.int64))
        if len(runs) and (runs[0, 0] < start or runs[-1, 1] > end):
            raise _defect(name, f"{topic}/{number}: offsets that are not between {start:,} and {end - 1:,}")
        if (runs[1:, 0] < runs[:-1, 1]).any():
            raise _defect(name, f"{topic}/{number}: an offset twice")
        between = np.concatenate([[start], runs.ravel(), [end]]).reshape(-1, 2)
        gaps[number] = between[between[:, 0] < between[:, 1]]
    longest = _longest(gaps)
    if longest and (lost := committed_in(longest)):
        number, low, high = lost
        raise _defect(name, f"nothing of {topic}/{number} from {low:,} to {high - 1:,}, where the broker has a record")
    return sum(map(_offsets, found.values())), _note(gaps)


def offsets_in(files: Sequence[Path]) -> dict[str, Runs]:
    """The offsets of all records and rejects, by topic and partition, in order."""
    found: dict[str, list[Runs]] = defaultdict(list)
    for file in files:
        for place, runs in _runs(file):
            found[place].append(runs)
    together = {place: np.concatenate(several) for place, several in found.items()}
    return {place: runs[np.argsort(runs[:, 0], kind="stable")] for place, runs in together.items()}


def _runs(file: Path) -> Iterator[tuple[str, Runs]]:
    """The file's, a piece of it at a time: what is held grows with the gaps, not with the records."""
    import pyarrow.compute as pc
    from pyarrow.parquet import ParquetFile

    opened = ParquetFile(file, read_dictionary=["_file"])
    places = [name for name in ("_row", "_offset") if name in opened.schema_arrow.names]  # a reject has the latter
    for piece in opened.iter_batches(2**20, columns=["_file", *places]):
        offsets = pc.coalesce(*(piece[name] for name in places)).to_numpy()
        which = piece["_file"].indices.to_numpy()
        starts = np.flatnonzero(np.diff(offsets, prepend=-2) - 1 | np.diff(which, prepend=-1))
        ends = np.append(starts[1:], len(offsets)) - 1
        runs = np.stack([offsets[starts], offsets[ends] + 1], axis=1)
        for place in np.unique(which):
            yield piece["_file"].dictionary[int(place)].as_py(), runs[which[starts] == place]


def _longest(gaps: dict[int, Runs]) -> list[Gap]:
    some = [
        (number, int(low), int(high))
        for number, each in gaps.items()
        for low, high in each[np.argsort(each[:, 0] - each[:, 1], kind="stable")[:MOST]]
    ]
    return sorted(some, key=lambda gap: gap[1] - gap[2])[:MOST]


def _note(gaps: dict[int, Runs]) -> str:
    lacking, number = sum(map(_offsets, gaps.values())), sum(map(len, gaps.values()))
    if not lacking:
        return ""
    asked = f" (asked for: the longest {MOST} of {number:,} gaps)" if number > MOST else ""
    return f"{lacking:,} offset{'s' * (lacking != 1)} without a committed record{asked}"


def _offsets(runs: Runs) -> int:
    return int((runs[:, 1] - runs[:, 0]).sum())


def _defect(name: str, read: str) -> ConservationError:
    return ConservationError(
        f"bronze.{name}: Spark read {read}; nothing landed",
        hint="This is a defect of the engine: please report it with what causes it.",
    )
