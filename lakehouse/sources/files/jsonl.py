"""JSON lines (RFC 8259, UTF-8, one object a line): each line is parsed once, so that none is lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.sources.files.inspection import Inspection, unusable, whole_file
from lakehouse.tables.batch import Reject


class _DefectError(ValueError):
    """Valid JSON to most parsers, but with more than one meaning."""


def inspect_jsonl(path: Path, name: str) -> Inspection:
    """Count the objects of a file and find the lines that are none. Blank lines are not records."""
    columns: dict[str, None] = {}
    rejects: list[Reject] = []
    offsets: list[int] = []
    lines: list[str] = []
    safe = not path.name.startswith(("_", "."))  # Spark passes over such files without a word
    at = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            body = raw
            if number == 1 and raw.startswith(b"\xef\xbb\xbf"):
                body, safe = raw[3:], False
            if body.strip(b" \t\r\n"):
                found = _parse(body)
                if isinstance(found, str):
                    torn = "" if raw.endswith(b"\n") else "; the file ends there: it may be torn"
                    rejects.append(Reject(name, at, number, raw, found + torn))
                else:
                    columns.update(found)
                    offsets.append(at)
                    lines.append(body.decode())
            elif b"\r" in body.rstrip(b"\r\n"):
                safe = False
            at += len(raw)
            safe = safe and raw.count(b"\r") == raw.endswith(b"\r\n")
    problem = unusable(list(columns))
    if problem:
        return whole_file(path, name, problem)
    if safe and not rejects:
        return Inspection(tuple(columns), len(lines))
    rows = pa.table({"line": pa.array(lines, pa.string()), "_row": pa.array(offsets, pa.int64())})
    return Inspection(tuple(columns), len(lines), tuple(rejects), rows)


def _parse(body: bytes) -> dict[str, None] | str:
    """The object's keys, in order, or why the line is no record."""
    if b"\0" in body:
        return "it holds a NUL byte"
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant)
    except UnicodeDecodeError as error:
        return f"it is not UTF-8: byte {error.start} of the line is 0x{body[error.start]:02x}"
    except json.JSONDecodeError as error:
        return f"it is not JSON: {error.msg} at character {error.pos + 1}"
    except _DefectError as error:
        return str(error)
    except ValueError:
        return "it holds a number with too many digits"
    except RecursionError:
        return "it is nested too deeply"
    if not isinstance(value, dict):
        return f"it is JSON but no object: {type(value).__name__}"
    return dict.fromkeys(value)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for i, name in enumerate(names) if names.index(name) < i)
        raise _DefectError(f"the key {doubled!r} is there twice")
    return found


def _constant(name: str) -> None:
    raise _DefectError(f"{name} is no JSON")
