"""What a CSV file says, byte by byte: a plain state machine that shares no code with the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

QUOTE, LF, CR = b'"', b"\n", b"\r"


@dataclass
class Truth:
    """``whole``: the file has no usable header and is one reject. Offsets are bytes, lines count from 1."""

    whole: bool = False
    columns: list[str] = field(default_factory=list)
    records: list[tuple[int, list[str | None]]] = field(default_factory=list)
    rejects: list[tuple[int, int, bytes]] = field(default_factory=list)


def read(data: bytes, delimiter: bytes, longest: int = 10**9) -> Truth:
    truth, at, line = Truth(), 0, 1
    if data.startswith(b"\xef\xbb\xbf"):
        at = 3
    while at < len(data):
        end, fields = _record(data, at, delimiter)
        if fields is not None and end - at > longest:
            fields = None
        if fields is None:  # go on with the next line
            end = data.find(LF, at) + 1 or len(data)
        physical = data[at : data.find(LF, at) + 1 or len(data)]
        if all(byte in b"\r\n" for byte in physical):
            at, line = at + len(physical), line + 1
            continue
        values = _values(data[at:end], fields)
        if not truth.columns:
            names = [value or "" for value in values or [""]]
            if len({name.casefold() for name in names}) < len(names) or not all(names):
                return Truth(whole=True)
            truth.columns = names
        elif values is None or len(values) != len(truth.columns):
            truth.rejects.append((at, line, data[at:end]))
        else:
            truth.records.append((at, values))
        line += data.count(LF, at, end) or 1
        at = end
    return truth if truth.columns else Truth(whole=True)


def _record(data: bytes, at: int, delimiter: bytes) -> tuple[int, list[bytes | None] | None]:
    """Where the record ends (behind its line break), and its fields; None where it is not RFC 4180."""
    fields: list[bytes | None] = []
    value, state = b"", "start"
    while True:
        byte = data[at : at + 1]
        if state == "quoted":
            if not byte:
                return at, None
            if byte == QUOTE and data[at + 1 : at + 2] == QUOTE:
                value, at = value + QUOTE, at + 2
            elif byte == QUOTE:
                state, at = "closed", at + 1
            else:
                value, at = value + byte, at + 1
            continue
        if data.startswith(delimiter, at):
            fields.append(value if value or state == "closed" else None)
            value, state, at = b"", "start", at + len(delimiter)
        elif byte in (LF, b""):
            if state != "closed" and value.endswith(CR):
                value = value[:-1]
            fields.append(value if value or state == "closed" else None)
            return at + len(byte), fields
        elif state == "closed":
            if byte == CR and data[at + 1 : at + 2] in (LF, b""):
                at += 1
            else:
                return at, None
        elif byte == QUOTE:
            if state == "plain":
                return at, None
            state, at = "quoted", at + 1
        else:
            value, state, at = value + byte, "plain", at + 1


def _values(raw: bytes, fields: list[bytes | None] | None) -> list[str | None] | None:
    if fields is None or b"\0" in raw:
        return None
    try:
        return [None if value is None else value.decode("utf-8") for value in fields]
    except UnicodeDecodeError:
        return None
