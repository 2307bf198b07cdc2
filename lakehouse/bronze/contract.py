"""What a source's columns may do, and what bronze makes of those that are not what it has.

Each part of a batch is compared with bronze and the parts before it, so that the outcome is the same for any batching.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse.bronze.casting import as_text, exactly, widens
from lakehouse.bronze.receipts import Receipts
from lakehouse.config import Source
from lakehouse.delta.commit import quoted
from lakehouse.delta.reading import EXACT
from lakehouse.delta.state import TableState
from lakehouse.errors import ContractError
from lakehouse.tables.batch import ENGINE_COLUMNS, RESCUED, Frames, Part, frames_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Agreed:
    """What a batch changes, and the columns that bronze does not take."""

    changes: dict[str, list[str]]
    """In words, each with its columns: new columns, lost columns, rescued columns."""
    rescued: tuple[str, ...]


def in_words(changes: dict[str, list[str]]) -> str:
    return "; ".join(f"{what}: {', '.join(columns)}" for what, columns in changes.items())


def check_columns(name: str, source: Source, receipts: Receipts, parts: Sequence[Part]) -> Agreed:
    """Compare the columns with the source's contract. Raises ContractError that names the part and the columns."""
    columns = receipts.table.columns if receipts.table is not None else ()
    known = {column.casefold(): column for column in (*columns, *source.columns) if column not in ENGINE_COLUMNS}
    noted: dict[str, dict[str, None]] = {"new columns": {}, "rescued columns": {}, "lost columns": {}}
    for part in parts:
        found = part.columns
        if not found:
            continue  # quarantined whole
        cased = [column for column in found if known.get(column.casefold(), column) != column]
        new = [column for column in found if known and column.casefold() not in known]
        lost = [column for column in known.values() if column not in found and column not in cased]
        for odd, allowed, what in (
            (cased, False, "columns that differ from bronze's only in case"),
            (new, source.new_columns != "reject", "new columns"),
            (lost, source.lost_columns == "null", "lost columns"),
        ):
            if odd and not allowed:
                raise ContractError(
                    f"sources.{name}: {part.name}: {what}: {', '.join(odd)}; nothing landed",
                    hint=f"Mend it, or allow it in conf/: sources.{name}: new_columns: evolve, lost_columns: 'null'",
                )
        rescue = source.new_columns == "rescue"
        noted["rescued columns" if rescue else "new columns"].update(dict.fromkeys(new))
        noted["lost columns"].update(dict.fromkeys(lost))
        known.update({column.casefold(): column for column in found if not (rescue and column in new)})
    changes = {what: list(columns) for what, columns in noted.items() if columns}
    return Agreed(changes, tuple(noted["rescued columns"]))


def fitted(source: Source, receipts: Receipts, agreed: Agreed, read: Frames, *, raw: str | None = None) -> DataFrame:
    """What was read with the columns and types that bronze takes; what does not fit is in ``_rescued``, as text.

    A source that rescues has the column from its first batch on, so that a silver function can name it. Where values
    that a declared type can't hold are not to be rescued, their records have a ``_reason``: they are rejects. ``raw``
    is the batch's. Raises ContractError where parts of a batch differ in the type of a column that has none yet.
    """
    return reduce(_union, (_fitted(source, receipts, agreed, frame, raw) for frame in frames_of(read)))


def _union(one: DataFrame, other: DataFrame) -> DataFrame:
    types = {field.name: field.dataType for field in one.schema}
    for field in other.schema:
        if types.get(field.name, field.dataType) != field.dataType:
            raise ContractError(
                f"the column {field.name!r} is {types[field.name].simpleString()} in one file "
                f"and {field.dataType.simpleString()} in another",
                hint="Nothing landed. Declare its type in conf/, write both with one, or send them to two sources.",
            )
    return one.unionByName(other, allowMissingColumns=True)


def _fitted(source: Source, receipts: Receipts, agreed: Agreed, frame: DataFrame, raw: str | None) -> DataFrame:
    from pyspark.sql import functions as F

    kinds = types_of(frame)
    values: dict[str, Column] = {}
    misfits: dict[str, Column] = {}
    for column, (into, declared) in _wanted(source, receipts).items():
        kind = kinds.get(column)
        old = F.col(quoted(column))
        if kind is None and declared:
            values[column] = F.lit(None).cast(into)
        elif kind is None or kind == into:
            continue
        elif source.changed_types == "widen" and widens(kind, into):
            values[column] = old.cast(into)
        elif declared or source.changed_types == "rescue":
            values[column] = exactly(old, kind, into)
            misfits[column] = F.when(old.isNotNull() & values[column].isNull(), as_text(old, kind))
    rescues = "rescue" in (source.new_columns, source.changed_types)
    if misfits and source.changed_types != "rescue":
        values |= _quarantined(source, frame, misfits, raw)
        misfits = {}
    lost = {column: as_text(F.col(quoted(column)), kinds[column]) for column in agreed.rescued if column in kinds}
    if rescues:
        values[RESCUED] = _rescued(misfits | lost)
    return frame.withColumns(values).drop(*agreed.rescued) if values else frame


def _wanted(source: Source, receipts: Receipts) -> dict[str, tuple[str, bool]]:
    """The type that each column is to have, in Spark's words, and whether conf/ declares it."""
    wanted: dict[str, tuple[str, bool]] = {}
    if receipts.table is not None and source.changed_types != "reject":
        kinds = _kinds(receipts.table)
        wanted = {column: (kind, False) for column, kind in kinds.items() if column not in ENGINE_COLUMNS}
    return wanted | {column: (kind, True) for column, kind in source.columns.items()}


def _kinds(table: TableState) -> dict[str, str]:
    """The types of bronze's columns, in Spark's words."""
    from pyspark.sql.types import StructType

    fields = StructType.fromJson(json.loads(table.table.schema().to_json()))
    return {field.name: field.dataType.simpleString() for field in fields}


def _quarantined(source: Source, frame: DataFrame, misfits: dict[str, Column], raw: str | None) -> dict[str, Column]:
    """Bronze's columns of a reject for the records of misfits."""
    from pyspark.sql import functions as F

    told = [F.when(odd.isNotNull(), F.lit(f"{name!r} is no {source.columns[name]}")) for name, odd in misfits.items()]
    odd = F.coalesce(*misfits.values()).isNotNull()
    names = [name for name in frame.columns if name not in ENGINE_COLUMNS]
    kept = F.to_json(F.struct(*map(quoted, names)), EXACT) if raw is None else F.col(quoted(raw))
    found = {
        "_reason": F.when(odd, F.concat_ws(" and ", *told)),
        "_raw": F.when(odd, kept.cast("binary")),
        "_offset": F.when(odd, F.col("_row")),
        "_line": F.when(odd, F.lit(0).cast("long")),
    }
    known = {name: F.coalesce(name, value) if name in frame.columns else value for name, value in found.items()}
    return known | {"_row": F.when(~odd, F.col("_row"))}


def changed_types(source: Source, receipts: Receipts, read: Frames) -> dict[str, list[str]]:
    """The columns that have another type than bronze's, with theirs, for the receipt; not those that are declared."""
    wanted = _wanted(source, receipts)
    found = [
        f"{column} ({kinds[column]})"
        for kinds in map(types_of, frames_of(read))
        for column, (into, declared) in wanted.items()
        if not declared and kinds.get(column, into) != into
    ]
    return {"changed types": list(dict.fromkeys(found))} if found else {}


def check_types(name: str, source: Source, receipts: Receipts, frame: DataFrame) -> None:
    """Raise ContractError for a column that has another type in bronze."""
    if receipts.table is None:
        return
    from deltalake import Schema

    known = {field.name: field.type for field in receipts.table.table.schema().fields}

    for field in frame.schema:
        if field.name not in known:
            continue
        written = Schema.from_json(
            json.dumps({"type": "struct", "fields": [field.jsonValue() | {"nullable": True}]})
        ).fields[0]
        if written.type != known[field.name]:
            raise ContractError(
                f"sources.{name}: the column {field.name!r} is {field.dataType.simpleString()} now and "
                f"{_kinds(receipts.table)[field.name]} in bronze; nothing landed",
                hint="Bronze's types never change. Declare the one that it has, or land the source under a new name."
                if field.name in source.columns
                else "Write it with the old type, or send the files to a source of a new name.",
            )


def types_of(frame: DataFrame) -> dict[str, str]:
    """The source's columns and their types in Spark's words, for the receipt."""
    return {field.name: field.dataType.simpleString() for field in frame.schema if field.name not in ENGINE_COLUMNS}


def _rescued(texts: dict[str, Column]) -> Column:
    """JSON: column -> its value as text; null where there is nothing to rescue."""
    from pyspark.sql import functions as F

    if not texts:
        return F.lit(None).cast("string")
    entries = [part for column, text in texts.items() for part in (F.lit(column), text)]
    held = F.map_filter(F.create_map(*entries), lambda _, value: value.isNotNull())
    return F.when(F.size(held) > 0, F.to_json(held))
