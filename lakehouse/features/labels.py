"""The label of each row: known only when its horizon has passed, so rows whose horizon has not are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, LakehouseError, UsageError, did_you_mean
from lakehouse.features.entity_rows import EntityRows
from lakehouse.features.manifest import NO_TIME, NOT_KNOWN_YET, Label
from lakehouse.features.pinned import Tables
from lakehouse.features.reading import OpenTable
from lakehouse.features.source import DeltaSource
from lakehouse.kernels.asof import asof_join
from lakehouse.kernels.times import UTC_TIME, ticks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Labelled:
    """The entity rows that are rows of the set, in order, with the label; and what is said of it."""

    rows: pa.Table
    label: Label
    left_out: dict[str, int]


def find_label(
    project: Project, rows: EntityRows, label: str, at: str | None, horizon: timedelta, now: datetime, tables: Tables
) -> Label:
    """What ``label`` means: a column of the entity rows, or "silver.x.column" / "gold.x.column".

    A table's rows are found by its key and by ``at``, the column with the time from which a row of it was known (of a
    gold table, else the ``at`` that it declares). Raises UsageError and DefinitionError with the nearest name.
    """
    if horizon < timedelta(0):
        raise UsageError(f"the horizon is {horizon}: a label can't be known before its row's time")
    until = now.astimezone(UTC)
    if label in rows.table.column_names:
        if at is not None:
            raise UsageError(f"the label '{label}' is a column of the entity rows, so it has no '{at}'")
        return Label(label, horizon.total_seconds(), until.isoformat(), "the clock")
    layer, _, rest = label.partition(".")
    name, _, column = rest.partition(".")
    if layer not in ("silver", "gold") or not column:
        hint = did_you_mean(label, rows.table.column_names)
        raise UsageError(f"the label '{label}' is no column of the entity rows, and no LAYER.TABLE.COLUMN", hint=hint)
    address = f"{layer}.{name}"
    keys, at = _declared(project, address, at)
    found = Label(column, horizon.total_seconds(), until.isoformat(), "the clock", address, at, keys)
    opened = _open(found, tables)
    opened.require([column, at, *keys], "for the label")
    for key in keys:
        if key not in rows.table.column_names:
            raise DefinitionError(
                f"the entity rows have no column '{key}', in the key of {address}, which has the label",
                hint=did_you_mean(key, rows.table.column_names),
            )
    if column in rows.table.column_names:
        raise DefinitionError(f"'{column}' is the label and a column of the entity rows", hint="Rename the column.")
    newest = pc.max(opened.read([at]).column(at)).as_py()
    if newest is None or newest < until:
        until = newest or _EPOCH
        found = replace(found, known_until=until.isoformat(), known_because=f"the newest row of {address}")
    return found


def labelled(rows: EntityRows, label: Label, tables: Tables) -> Labelled:
    """The rows whose label was known; those that are left out are counted by reason."""
    _, moments, known = ticks(rows.times)  # rounded up: no label is taken for known too early
    ends = moments + timedelta(seconds=label.horizon_seconds) // _MICROSECOND
    until = (datetime.fromisoformat(label.known_until) - _EPOCH) // _MICROSECOND
    kept = known & (ends <= until)
    left_out = {NOT_KNOWN_YET: int((known & ~kept).sum()), NO_TIME: int((~known).sum())}
    table = rows.table.filter(pa.array(kept))
    if label.table:
        opened = _open(label, tables)
        found = opened.read([*label.keys, label.at, label.column])
        spots = asof_join(
            [table.column(key) for key in label.keys],
            pa.array(ends[kept], UTC_TIME),
            [found.column(key) for key in label.keys],
            found.column(label.at),
            content=lambda places: found.select([label.column]).take(pa.array(places)),
        )
        values = found.column(label.column).take(pa.array(spots, mask=spots < 0))
        table = table.append_column(label.column, values)
    missing = table.column(label.column).null_count
    return Labelled(table, replace(label, missing=missing), {why: count for why, count in left_out.items() if count})


def _open(label: Label, tables: Tables) -> OpenTable:
    return tables.open(DeltaSource(name="label", table=label.table, timestamp_field=label.at), "label")


def _declared(project: Project, address: str, at: str | None) -> tuple[tuple[str, ...], str]:
    """The key of a table without its time, and its time, as it declares them."""
    from lakehouse.tables import tables_in

    try:
        declared = {table.address: table for table in tables_in(project.config.tables, project.folder)}
    except LakehouseError as error:
        raise DefinitionError(f"the key of {address} is not known: {error.message}", hint=error.hint) from error
    if address not in declared:
        raise UsageError(f"there is no table '{address}' for the label", hint=did_you_mean(address, declared))
    table = declared[address]
    at = at or table.at
    if at is None:
        raise UsageError(
            f"{address} does not say from when a row was known, which the label needs",
            hint="Name that column: label_at=…, or --label-at COLUMN.",
        )
    return tuple(key for key in table.key if key != at), at
