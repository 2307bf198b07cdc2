"""What a pass over a file's bytes finds, before Spark sees it.

Spark's readers turn bad bytes and quotes into values in silence. So Spark is given just the files that this pass
proves harmless; the others are split here, which gives each reject its exact bytes and place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import pyarrow as pa

from lakehouse.errors import ContractError
from lakehouse.tables.batch import ENGINE_COLUMNS, Reject

LARGEST_REJECT = 64 * 2**20
"""Bytes of a file that is quarantined whole; a larger one is refused by name."""
BLOCK = 32 * 2**20
LONGEST_RECORD = 16 * 2**20
"""Bytes; a longer one is a reject, and a quote that is not closed within them is taken for a stray one."""
MARK = b"\xef\xbb\xbf"
"""What some programs put before UTF-8."""
PACKED = frozenset((".bz2", ".deflate", ".gz", ".lz4", ".snappy", ".zst"))
"""What Hadoop's readers decompress by name alone."""
PATTERN = frozenset("*?[]{}\\")
"""What makes a path a pattern to Spark."""


@dataclass(frozen=True)
class Inspection:
    """One file: how many records it has, which bytes are no record, and whether Spark's reader is safe for it."""

    columns: tuple[str, ...]
    """As the file names them."""
    records: int
    rejects: tuple[Reject, ...] = ()
    rows: pa.Table | None = None
    """The records, split here, for a file that Spark would misread: ``columns`` as text, and ``_row``."""
    types: tuple[str, ...] = ()
    """The columns' types, where the format has any: Spark reads files of different types apart."""
    copy: Path | None = None
    """Where its bytes stand unpacked, in a file whose name is a number; None for one that is not packed."""


def blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks that end where a line does; a single line longer than a block grows the block."""
    rest = b""
    with path.open("rb") as file:
        most = at_once(file, BLOCK)
        while data := file.read(most):
            rest += data
            cut = rest.rfind(b"\n") + 1
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
    if rest:
        yield rest


def at_once(file: IO[bytes], most: int) -> int:
    """How many bytes to ask a file for: room for many more than it holds takes longer than to read a small one."""
    return min(most, os.fstat(file.fileno()).st_size + 1)


def is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=10_000)
def bronze_name(column: str) -> str:
    """The name that bronze gives a column: Delta refuses some characters, which become one underscore.

    >>> bronze_name("Dep. Delay (min)")
    'Dep._Delay_min_'
    """
    return re.sub(r"[ ,;{}()=`\x00-\x1f\x7f]+", "_", column)


def spark_finds(path: Path) -> bool:
    """Whether Spark opens a file of this name: it passes over some without a word, and fails on some colons."""
    hidden = path.name.startswith(("_", ".")) or path.name.endswith("._COPYING_")
    colon = ":" in (str(path) if PATTERN & set(str(path)) else path.name)
    return not (hidden or colon)


def spark_opens(path: Path) -> bool:
    """Whether Spark reads the bytes of a text file of this name as they are."""
    return spark_finds(path) and path.suffix.lower() not in PACKED


def unusable(columns: Sequence[str]) -> str:
    """Why a file with these columns can't land, or nothing."""
    names = [bronze_name(column) for column in columns]
    folded = [name.casefold() for name in names]
    if any(not name for name in names):
        return f"column {names.index('') + 1} has no name"
    doubled = next((columns[i] for i, name in enumerate(folded) if folded.index(name) < i), None)
    if doubled is not None:
        return f"the column {doubled!r} is there twice (names differ by more than case and punctuation)"
    ours = sorted(set(folded) & ENGINE_COLUMNS)
    return f"the column {ours[0]!r} has a name that bronze keeps for itself" if ours else ""


def whole_file(path: Path, name: str, reason: str) -> Inspection:
    """The file as one reject. Raises ContractError for one that is too large to keep so."""
    if path.stat().st_size > LARGEST_REJECT:
        raise ContractError(
            f"{name}: {reason}", hint="It is too large to be kept in quarantine whole: mend it, or move it away."
        )
    return Inspection((), 0, (Reject(name, 0, 0, path.read_bytes(), reason),))
