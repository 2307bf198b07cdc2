"""What a source's columns may do, and what bronze makes of those that are not what it has.

Each part of a batch is compared with bronze and the parts before it, so that the outcome is the same for any batching.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.bronze.receipts import Receipts
from lakehouse.config import Source
from lakehouse.delta.commit import quoted
from lakehouse.errors import ContractError
from lakehouse.tables.batch import ENGINE_COLUMNS, RESCUED, Part

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Agreed:
    """What a batch changes, and the columns that bronze does not take."""

    changes: dict[str, list[str]]
    """In words, each with its columns: new columns, lost columns, rescued columns."""
    rescued: tuple[str, ...]

    @property
    def note(self) -> str:
        return "; ".join(f"{what}: {', '.join(columns)}" for what, columns in self.changes.items())


def check_columns(name: str, source: Source, receipts: Receipts, parts: Sequence[Part]) -> Agreed:
    """Compare the columns with the source's contract. Raises ContractError that names the part and the columns."""
    columns = receipts.table.columns if receipts.table is not None else ()
    known = {column.casefold(): column for column in columns if column not in ENGINE_COLUMNS}
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


def fitted(frame: DataFrame, source: Source, agreed: Agreed) -> DataFrame:
    """The frame without the columns that bronze does not take: what they hold is in ``_rescued``, as text.

    A source that rescues has the column from its first batch on, so that a silver function can name it.
    """
    if source.new_columns != "rescue":
        return frame
    return frame.withColumn(RESCUED, _rescued(frame, agreed.rescued)).drop(*agreed.rescued)


def check_types(name: str, receipts: Receipts, frame: DataFrame) -> None:
    """Raise ContractError for a column that has another type in bronze."""
    if receipts.table is None:
        return
    known = {field.name: field.type for field in receipts.table.table.schema().fields}
    from deltalake import Schema

    for field in frame.schema:
        if field.name not in known:
            continue
        written = Schema.from_json(
            json.dumps({"type": "struct", "fields": [field.jsonValue() | {"nullable": True}]})
        ).fields[0]
        if written.type != known[field.name]:
            raise ContractError(
                f"sources.{name}: the column {field.name!r} is {field.dataType.simpleString()} now and "
                f"{known[field.name]} in bronze; nothing landed",
                hint="Write it with the old type, or send the files to a source of a new name.",
            )


def types_of(frame: DataFrame) -> dict[str, str]:
    """The source's columns and their types in Spark's words, for the receipt."""
    return {field.name: field.dataType.simpleString() for field in frame.schema if field.name not in ENGINE_COLUMNS}


def _rescued(frame: DataFrame, columns: Iterable[str]) -> Column:
    """JSON: column -> its value as text; null where there is nothing to rescue."""
    from pyspark.sql import functions as F

    kinds = {field.name: field.dataType.typeName() for field in frame.schema}
    there = [column for column in columns if column in kinds]  # no record may have come of a part that names it
    values = [part for name in there for part in (F.lit(name), as_text(F.col(quoted(name)), kinds[name]))]
    if not values:
        return F.lit(None).cast("string")
    held = F.map_filter(F.create_map(*values), lambda _, value: value.isNotNull())
    return F.when(F.size(held) > 0, F.to_json(held))


def as_text(value: Column, kind: str) -> Column:
    """A value of any type as text: nested ones as JSON, bytes in base64."""
    from pyspark.sql import functions as F

    if kind in ("struct", "array", "map", "variant"):
        return F.to_json(value)
    return F.base64(value) if kind == "binary" else value.cast("string")
