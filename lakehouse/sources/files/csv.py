"""CSV (RFC 4180, UTF-8, with a header): a vectorised pass over the bytes, and an exact splitter for what fails it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.sources.files.inspection import (
    LONGEST_RECORD,
    MARK,
    Inspection,
    at_once,
    blocks,
    is_utf8,
    spark_opens,
    unusable,
    whole_file,
)
from lakehouse.tables.batch import Reject

QUOTE, NEWLINE, RETURN, BLANK = 34, 10, 13, 32

SHORT_START = 2**12
"""Bytes before a header that Spark passes over too: they are in the first piece that it makes of a file."""
_BLANK_LINES = re.compile(rb"(?:\r*\n)*")
Bytes = npt.NDArray[np.uint8]


def inspect_csv(path: Path, name: str, delimiter: str) -> Inspection:
    """Count the records of a file and find what is none. Blank lines are not records."""
    header = _header(path, delimiter)
    if isinstance(header, str):
        return whole_file(path, name, header)
    columns, start = header
    separator = ord(delimiter)
    records = 0
    if spark_opens(path) and start <= SHORT_START and separator < 128:
        for number, block in enumerate(blocks(path)):
            # Spark passes over a mark, and over the header behind it.
            found = _count(block if number else block.removeprefix(MARK), separator, len(columns))
            if found is None:
                break
            records += found
        else:
            return Inspection(columns, records - 1)  # less the header
    return split_csv(path, name, columns, delimiter)


def _header(path: Path, delimiter: str) -> tuple[tuple[str, ...], int] | str:
    """The columns, and how many bytes (a mark, blank lines) stand before them; or why there are none."""
    with path.open("rb") as file:
        head = file.read(at_once(file, LONGEST_RECORD))
        whole = not file.read(1)
    mark = len(MARK) if head.startswith(MARK) else 0
    blank = _BLANK_LINES.match(head, mark)
    start = blank.end() if blank is not None else mark
    match = _matched(_record(delimiter), head, start, len(head), whole=whole)
    if not head[mark:].strip():
        return "the file is empty"
    if match is None:
        return "its header is not CSV: a quote is not closed or stands inside a name"
    columns = _columns(match.group(1), delimiter)
    return columns if isinstance(columns, str) else (columns, start)


@lru_cache(maxsize=16)  # thousands of files have one header
def _columns(raw: bytes, delimiter: str) -> tuple[str, ...] | str:
    """The columns that a header names, or why it names none."""
    try:
        columns = tuple(value or "" for value in _fields(raw, delimiter))
    except UnicodeDecodeError:
        return "its header is not UTF-8"
    if b"\0" in raw:
        return "its header holds a NUL byte"
    if b"\r" in re.sub(rb'"[^"]*"', b"", raw).removesuffix(b"\r"):
        return "its header holds a carriage return that ends no line: lines must end with LF or CRLF"
    return unusable(columns) or columns


def _count(block: bytes, separator: int, width: int) -> int | None:
    """The records of a block, or None where Spark's reader might see something else than RFC 4180 does."""
    if b"\0" in block or not is_utf8(block):
        return None
    a: Bytes = np.frombuffer(block, np.uint8)
    lines = np.flatnonzero(a == NEWLINE)
    separators = np.flatnonzero(a == separator)
    if b'"' in block:
        quotes = np.flatnonzero(a == QUOTE)
        if len(quotes) % 2 or not _quotes_are_plain(a, quotes, separator):
            return None
        if (np.searchsorted(quotes, lines) % 2).any():  # a line break inside quotes
            return None
        separators = separators[np.searchsorted(quotes, separators) % 2 == 0]
    if b"\r" in block:
        returns = np.flatnonzero(a == RETURN)
        if returns[-1] + 1 == len(a) or (a[returns + 1] != NEWLINE).any():
            return None
    ends = lines if len(lines) and lines[-1] + 1 == len(a) else np.append(lines, len(a))
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts
    last = a[np.maximum(ends - 1, 0)]
    if lengths.max() >= LONGEST_RECORD:
        return None
    blank = (lengths == 0) | ((lengths == 1) & (last == RETURN))
    fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    if (fields[~blank] != width).any():
        return None
    if separator <= BLANK or width == 1:  # Spark drops lines of nothing but white space
        seen = np.flatnonzero(a > BLANK)
        if (np.diff(np.searchsorted(seen, ends), prepend=0)[~blank] == 0).any():
            return None
    return int((~blank).sum())


def _quotes_are_plain(a: Bytes, quotes: npt.NDArray[np.int64], separator: int) -> bool:
    """Each opening quote starts a field, each closing one ends it; doubled quotes close and open at once."""
    padded = np.concatenate(([NEWLINE], a, [NEWLINE]))
    before, after = padded[quotes[0::2]], padded[quotes[1::2] + 2]
    opens = (before == separator) | (before == NEWLINE) | (before == QUOTE)
    closes = (after == separator) | (after == NEWLINE) | (after == RETURN) | (after == QUOTE)
    return bool(opens.all() and closes.all())


def split_csv(path: Path, name: str, columns: tuple[str, ...], delimiter: str) -> Inspection:
    """Split the whole file here, in memory: each record and each reject with its exact place."""
    rejects: list[Reject] = []
    rows: list[list[str | None]] = []
    offsets: list[int] = []
    for at, line, raw, fields, reason in csv_records(path, len(columns), delimiter):
        if reason:
            rejects.append(Reject(name, at, line, raw, reason))
        else:
            rows.append(fields)
            offsets.append(at)
    arrays = (
        [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
        if rows
        else [pa.array([], pa.string()) for _ in columns]
    )
    table = pa.table([*arrays, pa.array(offsets, pa.int64())], names=[*columns, "_row"])
    return Inspection(columns, len(rows), tuple(rejects), table)


def csv_records(path: Path, width: int, delimiter: str) -> Iterator[tuple[int, int, bytes, list[str | None], str]]:
    """Each record behind the header: its offset, its line from 1, its bytes, its fields or why it is none."""
    data = path.read_bytes()
    record = _record(delimiter)
    at = len(MARK) if data.startswith(MARK) else 0
    line, seen_header = 1, False
    while at < len(data):
        newline = data.find(b"\n", at)
        stop = len(data) if newline < 0 else newline + 1
        if not data[at:stop].strip(b"\r\n"):
            at, line = stop, line + 1
            continue
        most = min(at + LONGEST_RECORD, len(data))
        match = _matched(record, data, at, most, whole=most == len(data))
        end = match.end() if match is not None else stop
        if seen_header:
            torn = end == len(data) and data[end - 1] != NEWLINE
            yield at, line, data[at:end], *_judge(match, delimiter, width, torn=torn)
        seen_header = True
        line += data.count(b"\n", at, end) or 1
        at = end


def _matched(record: re.Pattern[bytes], data: bytes, at: int, stop: int, *, whole: bool) -> re.Match[bytes] | None:
    """The record in ``data`` from ``at`` to ``stop``; not one that ends just because it is cut there, which ``whole``
    denies. Nothing is copied to look at it: a file may have as many records as it has lines."""
    match = record.match(data, at, stop)
    return match if match is None or whole or match.end() < stop or data[stop - 1] == NEWLINE else None


def _judge(match: re.Match[bytes] | None, delimiter: str, width: int, *, torn: bool) -> tuple[list[str | None], str]:
    if match is None:
        return [], f"a quote is not closed or stands inside a field, or it is longer than {LONGEST_RECORD:,} bytes"
    raw = match.group(1)
    if b"\0" in raw:
        return [], "it holds a NUL byte"
    try:
        fields = _fields(raw, delimiter)
    except UnicodeDecodeError as error:
        return [], f"it is not UTF-8: byte {error.start} of the record is 0x{raw[error.start]:02x}"
    if len(fields) != width:
        cut = " and the file ends there: it may be torn" if torn else ""
        return [], f"it has {len(fields)} fields where the header has {width}{cut}"
    return fields, ""


def _record(delimiter: str) -> re.Pattern[bytes]:
    # An atomic group where a look-ahead is repeated: early Pythons 3.11 repeat such a group possessively wrong.
    d = re.escape(delimiter.encode())
    plain = rb'[^"\n' + d + rb"]*+" if len(delimiter.encode()) == 1 else rb"(?>(?:(?!" + d + rb')[^"\n])*)'
    field = rb'(?>"(?:[^"]++|"")*+"|' + plain + rb")"
    return re.compile(rb"(" + field + rb"(?:" + d + field + rb")*+)\r?(?:\n|\Z)")


def _fields(raw: bytes, delimiter: str) -> list[str | None]:
    """The values of one record: an empty field is null, a quoted empty one is empty, as Spark reads them."""
    text = raw.decode("utf-8").removesuffix("\r")
    d = re.escape(delimiter)
    values: list[str | None] = []
    for match in re.finditer(rf'(?:^|{d})(?:"((?:[^"]++|"")*+)"|([^{d}]*+))', text):
        quoted, plain = match.groups()
        values.append(quoted.replace('""', '"') if quoted is not None else plain or None)
    return values
