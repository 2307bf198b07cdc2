"""Which part of a table given keys can be in, by what its log says of each file: a small change reads little."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deltalake import DeltaTable

from lakehouse.delta.reading import FEW, is_plain, read_table, readable_by_file
from lakehouse.errors import DefinitionError
from lakehouse.quality.literals import column, text_literal, time_literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST_KEYS, MOST_RANGES = 10_000, 64
"""More keys are not looked at one by one; more ranges are taken for one."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Kind:
    """How the values of a column are compared here and named in SQL."""

    spark: str
    """The value as something that Python gets as it is."""
    known: Callable[[Any], Any]
    """The same of a file's statistics."""
    literal: Callable[[Any], str]
    more: int = 0
    """By how much the greatest value of a file may be above its statistics: Delta cuts times to milliseconds."""


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _day(value: int) -> str:
    return time_literal(EPOCH.date() + timedelta(days=value)).spark


def _moment(value: int) -> str:
    return time_literal(EPOCH + timedelta(microseconds=value)).spark


_WHOLE = _Kind("{}", int, lambda value: f"{value}L")
_TEXT = _Kind("{}", str, lambda value: text_literal(value).spark)
UNKNOWN = "\ufffd"
"""What Python gets for bytes that are not UTF-8."""
_KINDS = dict.fromkeys(("byte", "short", "integer", "long"), _WHOLE) | {
    "string": _TEXT,
    "date": _Kind("unix_date({})", lambda day: (day - EPOCH.date()).days, _day),
    "timestamp": _Kind("unix_micros({})", _micros, _moment, 1000),
}
"""By Delta's name of the type. Others are not looked at."""


@dataclass(frozen=True)
class Reach:
    """Every row of the table that has one of the keys is in ``files`` (None: in any), and fulfils ``condition`` (SQL
    over the table ``t``; nothing: no condition)."""

    path: Path
    version: int
    files: list[Path] | None = None
    condition: str = ""

    def rows(self, session: SparkSession) -> DataFrame:
        """The rows that may have one of the keys, and some more."""
        frame = read_table(session, self.path, self.version, self.files)
        return frame.alias("t").where(self.condition) if self.condition else frame


def comparable(name: str, kind: str) -> str | None:
    """SQL for what is compared of a key's first column, of a type in Spark's words; None for one that is not."""
    of = _KINDS.get({"tinyint": "byte", "smallint": "short", "int": "integer", "bigint": "long"}.get(kind, kind))
    return None if of is None else of.spark.format(column(name).spark)


def reach(path: Path, key: Sequence[str], keys: DataFrame, count: int, ends: tuple[Any, Any] = (None, None)) -> Reach:
    """Where the ``count`` keys can be, by their first column: the files' least and greatest values of it.

    A table that is clustered by its key has few files for few keys. Delta trusts the same statistics. ``ends`` are the
    least and the greatest :func:`comparable` of the keys, where they are known: where no file can have one between
    them, the keys are not looked at.
    """
    table = DeltaTable(str(path))
    version, first = table.version(), key[0]
    kinds = {field.name: str(getattr(field.type, "type", "")) for field in table.schema().fields}
    # Statistics have names of their own: a dot would be a part of a struct, and mapped columns are called otherwise.
    kind = _KINDS.get(kinds.get(first, "")) if "." not in first and is_plain(table) else None
    actions = table.get_add_actions(flatten=True)
    if kind is None or not 0 < count <= MOST_KEYS or actions.num_rows < 2 or f"min.{first}" not in actions.schema.names:
        return Reach(path, version)
    paths = actions.column("path").to_pylist()
    low, high = (actions.column(f"{side}.{first}").to_pylist() for side in ("min", "max"))
    try:
        if None not in ends and not any(
            least is None or greatest is None or _meet(kind, (least, greatest), ends)
            for least, greatest in zip(low, high, strict=True)
        ):
            return Reach(path, version, [] if readable_by_file(table, path) else None, "false")
    except (OverflowError, ValueError):
        return Reach(path, version)
    asked = keys.selectExpr(f"{kind.spark.format(column(first).spark)} AS v").distinct().collect()
    values = sorted(row["v"] for row in asked)
    if kind is _TEXT and any(UNKNOWN in value for value in values):  # bytes that are no text, and sort otherwise
        return Reach(path, version)
    hits: list[tuple[int, int]] = []
    files: list[Path] = []
    try:
        for file, least, greatest in zip(paths, low, high, strict=True):
            if least is None or greatest is None:
                begin, end = 0, len(values)  # nothing is known of it
            else:
                most = kind.known(greatest)
                begin, end = (
                    bisect_left(values, kind.known(least)),
                    bisect_right(values, most + kind.more if kind.more else most),
                )
            if begin < end:
                files.append(path / unquote(file))
                hits.append((begin, end - 1))
        condition = _condition(f"t.{column(first).spark}", kind, values, hits)
    except (DefinitionError, OverflowError, ValueError):  # a year that Python does not know, a text that SQL can't name
        return Reach(path, version)
    if len(files) == len(paths):
        return Reach(path, version)
    few = files if len(files) <= FEW and readable_by_file(table, path) else None
    return Reach(path, version, few, condition)


def _meet(kind: _Kind, file: tuple[Any, Any], ends: tuple[Any, Any]) -> bool:
    """Whether a value between the ends may be in a file."""
    least, greatest = map(kind.known, file)
    if kind is _TEXT and any(UNKNOWN in end for end in ends):
        return True
    return bool(least <= ends[1] and ends[0] <= (greatest + kind.more if kind.more else greatest))


def _condition(name: str, kind: _Kind, values: list[Any], hits: list[tuple[int, int]]) -> str:
    """That the column is between the least and the greatest of the values that one of the files may have."""
    ranges: list[tuple[int, int]] = []
    for begin, end in sorted(hits):
        if ranges and begin <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
        else:
            ranges.append((begin, end))
    if len(ranges) > MOST_RANGES:
        ranges = [(ranges[0][0], ranges[-1][1])]
    texts = [(kind.literal(values[begin]), kind.literal(values[end])) for begin, end in ranges]
    return " OR ".join(f"{name} BETWEEN {low} AND {high}" for low, high in texts) or "false"
