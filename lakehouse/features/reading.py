"""Read Delta tables through their log, without a JVM: the rows that a version has, deletion vectors applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.errors import DefinitionError, NotBuiltError, StorageError, did_you_mean
from lakehouse.kernels.decimals import nearest_doubles
from lakehouse.kernels.keys import Column, key_codes
from lakehouse.kernels.times import UTC_TIME

Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)
_IN_SQL = range(1678, 2262)
"""Years in which a time can stand in a condition: a scan compares it in nanoseconds."""


class OpenTable:
    """One Delta table at one version; nothing but its log is read until rows are asked for."""

    def __init__(self, delta: DeltaTable, label: str, location: str = "") -> None:
        self.delta = delta
        self.location = location
        self.label = label
        """How messages name it: an address or a path."""

    @property
    def id(self) -> str:
        """Delta's id of the table: another one means that it was made anew."""
        return str(self.delta.metadata().id)

    @property
    def version(self) -> int:
        return self.delta.version()

    @cached_property
    def changed_at(self) -> int:
        """The version that last changed rows or columns: compaction is no change."""
        from lakehouse.delta.log import changed_at

        return changed_at(Path(self.location), self.version)

    def commit(self, version: int) -> str:
        """See :func:`lakehouse.delta.log.fingerprint`; nothing for a table that isn't on this machine's disks."""
        from lakehouse.delta.log import fingerprint

        return "" if "://" in self.location else fingerprint(Path(self.location), version)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns in the types that :meth:`read` gives."""
        schema = pa.schema(self.delta.schema().to_arrow())
        return pa.schema([field.with_type(plain_type(field.type)) for field in schema])

    def stored(self, columns: Sequence[str]) -> pa.Schema:
        """Some columns in the types that the table has them in."""
        own = pa.schema(self.delta.schema().to_arrow())
        return pa.schema([own.field(name) for name in dict.fromkeys(columns)])

    def require(self, columns: Sequence[str], what: str) -> None:
        """Raise DefinitionError, with the nearest name, for a column that is not there."""
        for column in columns:
            if column not in self.schema.names:
                raise DefinitionError(
                    f"{self.label} has no column '{column}' ({what})", hint=did_you_mean(column, self.schema.names)
                )

    def read(
        self,
        columns: Sequence[str],
        *,
        time: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        keys: Mapping[str, tuple[Any, Any]] | None = None,
        condition: str = "",
        as_stored: bool = False,
    ) -> pa.Table:
        """The columns of the rows whose ``time`` is in [start, end] (None: open), in no particular order.

        ``keys`` are the least and greatest value asked for of some columns: files without any between are not read,
        other rows may come too. ``condition`` is one more, in SQL. ``as_stored`` gives the table's own types instead of
        those of :func:`plain_type`.
        """
        wanted = list(dict.fromkeys(columns))
        conditions = [condition] if condition else []
        far = []
        if time is not None:
            for sign, bound in ((">=", start), ("<=", end)):
                if bound is not None and bound.year in _IN_SQL:
                    conditions.append(f"{_quoted(time)} {sign} '{_text(bound)}'")
                elif bound is not None:
                    far.append((sign, bound))
        for name, (least, most) in (keys or {}).items():
            if self._skips(name, least, most):
                conditions += [f"{_quoted(name)} >= {_literal(least)} and {_quoted(name)} <= {_literal(most)}"]
        try:
            # Not to_pyarrow_table: pyarrow refuses deletion vectors.
            needed = list(dict.fromkeys([*wanted, time])) if far and time is not None else wanted
            stream = self.delta.scan(columns=needed, predicate=" and ".join(conditions) or None)
            table = pa.RecordBatchReader.from_stream(stream).read_all()
            if far or as_stored:  # a scan gives views of texts, which can't be filtered
                table = table.cast(self.stored(needed))
            for sign, bound in far:
                moments = table.column(time).cast(UTC_TIME)
                order = pc.greater_equal if sign == ">=" else pc.less_equal
                table = table.filter(order(moments, pa.scalar(_aware(bound), UTC_TIME)))
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise _unreadable(self.label, error) from error
        return table.select(wanted) if as_stored else in_plain_types(table, wanted)

    def read_where(self, columns: Sequence[str], keys: pa.Table, conditions: Sequence[str] = ()) -> pa.Table:
        """The columns of all rows that fulfil the conditions and have one of these keys."""
        wanted = list(dict.fromkeys([*columns, *keys.column_names]))
        conditions = [*conditions, *(_between(name, keys.column(name)) for name in keys.column_names)]
        table = self._table(wanted, [one for one in conditions if one])
        names = keys.column_names
        ours, theirs = ([one.column(name) for name in names] for one in (keys, table))
        asked, codes, width = key_codes(ours, theirs, (keys.num_rows, table.num_rows))
        wanted_codes = np.zeros(width + 1, np.bool_)  # the last one is for no code, -1
        wanted_codes[asked[asked >= 0]] = True
        return table.filter(pa.array(wanted_codes[codes])).select(list(dict.fromkeys(columns)))

    @property
    def rows(self) -> int:
        """How many rows its files have, as far as the log says; deleted ones may be counted."""
        counts = pa.table(self.delta.get_add_actions(flatten=True))
        return int(pc.sum(counts.column("num_records")).as_py() or 0) if "num_records" in counts.column_names else 0

    def rows_since(self, time: str, start: datetime) -> int:
        """The same of the files that may have a time from ``start`` on."""
        if (highs := self._statistics(time)[1]) is None:
            return self.rows
        cut = _scalar(start - timedelta(milliseconds=1), highs)  # as statistics are
        late = pc.fill_null(pc.greater_equal(highs, cut), True)
        return int(pc.sum(self._files.filter(late).column("num_records")).as_py() or 0)

    def stream(self, columns: Sequence[str], conditions: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The columns of all rows that fulfil the conditions (SQL), in batches."""
        wanted = list(dict.fromkeys(columns))
        try:
            # Not to_pyarrow_table: pyarrow refuses deletion vectors.
            scan = self.delta.scan(columns=wanted, predicate=" and ".join(conditions) or None)
            for batch in pa.RecordBatchReader.from_stream(scan):
                yield in_plain_types(batch, wanted)
        except (DeltaError, OSError) as error:
            raise _unreadable(self.label, error) from error

    def _table(self, columns: Sequence[str], conditions: Sequence[str]) -> pa.Table:
        batches = list(self.stream(columns, conditions))
        fields = [self.schema.field(name) for name in columns]
        return pa.Table.from_batches(batches, pa.schema(fields)).combine_chunks()

    def seen_in(
        self,
        columns: Sequence[str],
        *,
        time: str,
        start: datetime | None,
        end: datetime | None,
        keys: Mapping[str, tuple[Any, Any]],
    ) -> pa.Table:
        """As :meth:`read`; rows outside of [start, end] may come too where leaving them out would save little."""
        least, most = self._range(time)
        if least is not None and most is not None and most > least:
            length = most - least
            early = start - least if start is not None and start > least else length * 0
            late = most - end if end is not None and end < most else length * 0
            # A filter copies every row that it keeps.
            if early + late < length / 10 and not self._skips(time, start or least, end or most):
                start = end = None
        return self.read(columns, time=time, start=start, end=end, keys=keys)

    def key_span(self, name: str, asked: Column) -> tuple[Any, Any] | None:
        """The least and greatest of the keys asked for, where a file's statistics of the column can be compared."""
        kinds = (asked.type, self.schema.field(name).type)
        if not (all(map(pa.types.is_integer, kinds)) or all(map(pa.types.is_string, kinds))):
            return None
        span = pc.min_max(asked).as_py()
        return None if span["min"] is None else (span["min"], span["max"])

    def _skips(self, column: str, least: Any, most: Any) -> bool:
        """Whether some file can be left out, by its statistics, when only values in [least, most] are wanted."""
        lows, highs = self._statistics(column)
        if lows is None:
            return False
        try:
            outside = pc.or_(pc.less(highs, _scalar(least, highs)), pc.greater(lows, _scalar(most, lows)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OverflowError):
            return False
        return bool(pc.any(outside).as_py())

    def _range(self, column: str) -> tuple[Any, Any]:
        """The least and greatest value of a column; None where some file doesn't say."""
        lows, highs = self._statistics(column)
        if lows is None or lows.null_count or highs.null_count or not pa.types.is_timestamp(lows.type):
            return None, None
        return pc.min(lows.cast(UTC_TIME)).as_py(), pc.max(highs.cast(UTC_TIME)).as_py()

    def _statistics(self, column: str) -> tuple[Any, Any]:
        """The least and the greatest value in each file, as the log has them; None for a column without."""
        names = self._files.schema.names
        if f"min.{column}" not in names or f"max.{column}" not in names:
            return None, None
        return self._files.column(f"min.{column}"), self._files.column(f"max.{column}")

    @cached_property
    def _files(self) -> pa.Table:
        return pa.table(self.delta.get_add_actions(flatten=True))


def not_before(time: str, start: datetime) -> str:
    """SQL: whether a time is not before another; nothing where that can't be said in SQL."""
    return f"{_quoted(time)} >= '{_text(start)}'" if start.year in _IN_SQL else ""


def _between(name: str, values: pa.ChunkedArray) -> str:
    """SQL that lets files be skipped where no value of a key can be; nothing for what has no order in SQL."""
    if not (pa.types.is_integer(values.type) or pa.types.is_string(values.type)) or values.null_count == len(values):
        return ""
    span = pc.min_max(values)
    return " and ".join(
        f"{_quoted(name)} {sign} {_literal(span[side].as_py())}" for side, sign in (("min", ">="), ("max", "<="))
    )


def open_table(location: str, label: str, version: int | None = None, hint: str = "") -> OpenTable:
    """The table at a path, at a version or at its newest. Raises NotBuiltError where there is none."""
    try:
        return OpenTable(DeltaTable(location, version=version), label, location)
    except TableNotFoundError as error:
        raise NotBuiltError(f"{label} is not built: no Delta table in {location}", hint=hint) from error
    except (DeltaError, OSError) as error:
        if "://" not in location and not Path(location).exists():
            raise NotBuiltError(f"{label} is not built: no folder {location}", hint=hint) from error
        raise _unreadable(f"{label} at version {version}" if version is not None else label, error) from error


def in_plain_types(rows: Rows, columns: Sequence[str]) -> Rows:
    """Some columns of a table or a batch, each in the :func:`plain_type` of its own."""
    values = [nearest_doubles(rows.column(name)) for name in columns]
    return type(rows).from_arrays([value.cast(plain_type(value.type)) for value in values], names=list(columns))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The one type in which a kind of value is handed to Feast, the same for training and for serving.

    Dates are midnight in UTC and decimals doubles, since Feast has neither; naive timestamps are in UTC.
    """
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return UTC_TIME
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(pa.field("item", plain_type(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind])
    return kind


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _scalar(value: Any, like: Any) -> pa.Scalar:
    return pa.scalar(value, UTC_TIME).cast(like.type) if isinstance(value, datetime) else pa.scalar(value, like.type)


def _text(time: datetime) -> str:
    return _aware(time).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _unreadable(label: str, error: Exception) -> StorageError:
    lines = str(error).splitlines() or [type(error).__name__]
    return StorageError(f"{label} can't be read: {lines[0]}", hint="Is the version right, and has it been kept?")
