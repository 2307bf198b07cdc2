"""Many small files as one: Spark opens each by itself, which takes longer than to read it.

Just files that were proved sound are joined, so that where a record ends is where a line does. Each record is given the
number of its file, in a column of a name that no source has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from lakehouse.sources.files.discovery import unreadable
from lakehouse.sources.files.inspection import MARK
from lakehouse.sources.files.packed import Scratch, full

FILE = "_file"
"""The column of the number, the last of a CSV file and the first of a JSON line."""
JOINED = ("csv", "json")
SMALL, MANY = 2**18, 200
"""Files of at most so many bytes are small: they are joined where there are at least so many of them."""

_BLANK_LINES = re.compile(rb"\n[\r\n]+")
_OPENS = re.compile(rb"^[ \t]*\{([ \t\r]*\})?", re.MULTILINE)
"""The start of a line's object, or the whole of an empty one."""


def joinable(paths: Sequence[Path], kind: str) -> bool:
    """Whether these files of a format are many and small."""
    return kind in JOINED and len(paths) >= MANY and all(path.stat().st_size <= SMALL for path in paths)


def join(paths: Iterable[Path], kind: str, delimiter: str, scratch: Scratch) -> Path:
    """Write the files' records into one file, each with the number of its file, from 0; returns its path.

    Raises SourceUnavailableError where one can't be read any more, and StorageError where the disk is full.

    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> scratch = Scratch(folder)
    >>> _ = (folder / "1").write_text("a,b\\n1,2\\n"), (folder / "2").write_text("a,b\\r\\n\\r\\n3,")
    >>> join([folder / "1", folder / "2"], "csv", ",", scratch).read_text()
    'a,b,_file\\n1,2,0\\n3,,1\\n'
    """
    into = scratch.new_file()
    with into.open("wb") as file:
        for number, path in enumerate(paths):
            numbered = _objects if kind == "json" else partial(_records, delimiter)
            try:
                data = path.read_bytes()
            except OSError as error:
                raise unreadable(str(path), error) from error
            try:
                file.write(numbered(data, number))
            except OSError as error:
                raise full(into, error) from error
    return into


def _records(delimiter: str, data: bytes, number: int) -> bytes:
    header, _, body = data.removeprefix(MARK).lstrip(b"\r\n").partition(b"\n")
    first = b"" if number else header.removesuffix(b"\r") + f"{delimiter}{FILE}\n".encode()
    return first + _lines(body).replace(b"\n", f"{delimiter}{number}\n".encode())


def _objects(data: bytes, number: int) -> bytes:
    member = f'"{FILE}":{number}'.encode()
    return _OPENS.sub(lambda found: b"{%s}" % member if found[1] else b"{%s," % member, _lines(data))


def _lines(body: bytes) -> bytes:
    """The lines that are not blank, each with a line break at its end and no carriage return before that."""
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    body = _BLANK_LINES.sub(b"\n", body).lstrip(b"\n")
    return body if body.endswith(b"\n") or not body else body + b"\n"
