"""JSON lines (RFC 8259, UTF-8, one object a line): each line is parsed once, so that none is lost in silence."""

from __future__ import annotations

import json
import json.decoder
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.kernels.jsonlines import DEEPEST, LONGEST_NUMBER
from lakehouse.sources.files.inspection import (
    LONGEST_RECORD,
    MARK,
    Inspection,
    at_once,
    bronze_name,
    spark_opens,
    whole_file,
)
from lakehouse.sources.files.jsonblocks import count_sound
from lakehouse.tables.batch import ENGINE_COLUMNS, Reject

LONGEST_KEY = 50_000
"""Characters; Spark's parser stops there."""

MANY_LINES = re.compile(rb"[ \t\r\n]*(?:\[[ \t\r]*\{?[ \t\r]*\n|\{[ \t\r]*\n[ \t\r\n]*[\"}])")
"""How a file begins that holds one array, or one object, over many lines: no line that looks so is a record."""
HEAD = 2**16


class _DefectError(ValueError):
    """Valid JSON to most parsers, but with more than one meaning, or too much for Spark's."""


def inspect_jsonl(path: Path, name: str) -> Inspection:
    """Count the objects of a file and find the lines that are none. Blank lines are not records."""
    columns: dict[str, None] = {}
    taken: dict[str, str] = {}
    sound = count_sound(path, lambda keys: _add(keys, columns, taken)) if spark_opens(path) else None
    if sound is not None:
        return Inspection(tuple(columns), sound)
    command = _in_lines(path)
    if command:
        return whole_file(path, name, f"it is JSON of many lines; this source takes one object a line ({command})")
    columns, taken = {}, {}
    rejects: list[Reject] = []
    records, safe = 0, spark_opens(path)
    for at, number, raw, body in lines(path):
        safe = safe and body is raw and raw.count(b"\r") == raw.endswith(b"\r\n")
        if not body.strip(b" \t\r\n"):
            continue
        found = _parse(body) if len(raw) <= LONGEST_RECORD else f"it is longer than {LONGEST_RECORD:,} bytes"
        reason = found if isinstance(found, str) else _add(found, columns, taken)
        if reason:
            torn = "" if raw.endswith(b"\n") else "; the file ends there: it may be torn"
            rejects.append(Reject(name, at, number, raw, reason + torn))
        else:
            records += 1
    names = tuple(columns)
    rows = None if safe and not rejects else json_rows(path, names, {reject.offset for reject in rejects})
    return Inspection(names, records, tuple(rejects), rows)


def _in_lines(path: Path) -> str:
    """What makes lines of a file that is one array or one object over many lines; nothing where it is not."""
    with path.open("rb") as file:
        many = MANY_LINES.match(file.read(at_once(file, HEAD)).removeprefix(MARK))
    return "" if many is None else "jq -c '.[]'" if many[0].lstrip().startswith(b"[") else "jq -c ."


def lines(path: Path) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Each line's offset, number from 1, bytes, and bytes without a byte order mark."""
    at = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            yield at, number, raw, raw[3:] if number == 1 and raw.startswith(MARK) else raw
            at += len(raw)


def _parse(body: bytes) -> list[str] | str:
    """The object's keys, in order, or why the line is no record."""
    if b"\0" in body:
        return "it holds a NUL byte"
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_pairs,
            parse_constant=_constant,
            parse_int=_number,
            parse_float=_number,
        )
        if body.count(b"[") + body.count(b"{") > DEEPEST and _depth(value) > DEEPEST:
            return "it is nested too deeply"
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return f"it is not UTF-8: byte {error.start} of the line is 0x{body[error.start]:02x}"
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair, which is no character"
    except json.JSONDecodeError as error:
        return f"it is not JSON: {error.msg} at character {error.pos + 1}"
    except _DefectError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
    if not isinstance(value, dict):
        kinds = {"[": "an array", '"': "a string", "t": "true", "f": "false", "n": "null"}
        return f"it is JSON but no object: {kinds.get(body.lstrip()[:1].decode(), 'a number')}"
    return list(value)


def _add(keys: list[str], columns: dict[str, None], taken: dict[str, str]) -> str:
    """Add a record's keys to the columns of the file, or say why they can't be; ``taken`` are their names in bronze."""
    new = {key: bronze_name(key).casefold() for key in keys if key not in columns}
    if not new:
        return ""
    names = dict(taken)
    for key, name in new.items():
        if not name:
            return "it has a key without a name"
        if "\0" in key:
            # Spark drops a column of this name: it stands for what it can't parse (NEVER in reading.py).
            return f"the key {key!r} holds a NUL"
        if name in ENGINE_COLUMNS:
            return f"the key {key!r} is a name that bronze keeps for itself"
        if name in names:
            return f"the keys {names[name]!r} and {key!r} differ in nothing but case and punctuation"
        names[name] = key
    columns.update(dict.fromkeys(new))
    taken.update(names)
    return ""


def json_rows(path: Path, names: tuple[str, ...], rejected: set[int]) -> pa.Table:
    """The records' values as Spark gives them: strings decoded, null as null, anything else as it is written."""
    values: dict[str, list[str | None]] = {name: [] for name in names}
    offsets: list[int] = []
    for at, _, _, body in lines(path):
        if at in rejected or not body.strip(b" \t\r\n"):
            continue
        record = _values(body.decode())
        for name, column in values.items():
            column.append(record.get(name))
        offsets.append(at)
    arrays = [pa.array(column, pa.string()) for column in values.values()]
    return pa.table([*arrays, pa.array(offsets, pa.int64())], names=[*names, "_row"])


_SPACE = re.compile(r"[ \t\r\n]*+")
_decoder: Any = json.JSONDecoder()
_string: Any = json.decoder.scanstring  # type: ignore[attr-defined]


def _values(text: str) -> dict[str, str | None]:
    """The members of an object that has been parsed before, each as text."""
    found: dict[str, str | None] = {}
    at = _past(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _string(text, at + 1)
        start = _past(text, _past(text, at) + 1)
        value, end = _decoder.scan_once(text, start)
        found[key] = value if isinstance(value, str) else None if value is None else text[start:end]
        at = _past(text, end)
        if text[at] == ",":
            at = _past(text, at + 1)
    return found


def _past(text: str, at: int) -> int:
    """Where the white space from ``at`` on ends."""
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return depth


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for i, name in enumerate(names) if names.index(name) < i)
        raise _DefectError(f"the key {doubled!r} is there twice")
    if any(len(name) > LONGEST_KEY for name in found):
        raise _DefectError(f"a key is longer than {LONGEST_KEY:,} characters")
    return found


def _number(text: str) -> str:
    if len(text) > LONGEST_NUMBER:
        raise _DefectError(f"it holds a number of more than {LONGEST_NUMBER:,} characters")
    return text


def _constant(name: str) -> None:
    raise _DefectError(f"{name} is no JSON")
