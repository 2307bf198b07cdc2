"""Which columns the events have: as a user says it, in types of Arrow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.times import UTC_TIME
from lakehouse.quality.condition import parse

Columns: TypeAlias = "Mapping[str, Any] | pa.Schema | pa.Table | Path"
"""Types by name, a schema, some rows to draw values from too, or the folder of a Delta table."""
NAMES = {
    **{"string": pa.string(), "binary": pa.binary(), "boolean": pa.bool_(), "date": pa.date32()},
    **{"timestamp": UTC_TIME, "timestamp_ntz": pa.timestamp("us")},
    **{"double": pa.float64(), "float": pa.float32()},
    **{"bigint": pa.int64(), "long": pa.int64(), "int": pa.int32(), "smallint": pa.int16(), "tinyint": pa.int8()},
}
"""Types as SQL and Spark call them, beside decimal(9,2) and the like."""
DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")


@dataclass(frozen=True)
class Known:
    """The columns that a definition reads, and values that they have had."""

    schema: pa.Schema
    seen: dict[str, tuple[Any, ...]]


def columns_of(told: Aggregations, given: Columns) -> Known:
    """The columns that the definition reads. Raises DefinitionError for one that is not there, or has no known type."""
    if isinstance(given, Path):
        from deltalake import DeltaTable

        given = pa.schema(DeltaTable(str(given)).schema().to_arrow())
    sample = given if isinstance(given, pa.Table) else None
    if sample is not None:
        given = sample.schema
    types = {name: given.field(name).type for name in given.names} if isinstance(given, pa.Schema) else dict(given)
    found = {}
    for name in _needed(told):
        if name not in types:
            raise DefinitionError(f"schema= has no column '{name}' of {told.of}", hint=did_you_mean(name, types))
        found[name] = _type(name, types[name])
    at = found[told.at]
    if not (pa.types.is_timestamp(at) or pa.types.is_date(at)):
        raise DefinitionError(f"schema=: at='{told.at}' is {at}, not a time", hint='Such as {"…": "timestamp"}.')
    schema = pa.schema(found)
    if sample is None:
        return Known(schema, dict.fromkeys(found, ()))
    rows = sample.select(schema.names).slice(0, 100).cast(schema, safe=False)  # times to microseconds
    return Known(schema, {name: tuple(rows.column(name).to_pylist()) for name in schema.names})


def conditions_of(told: Aggregations) -> list[str]:
    """The SQL conditions of a definition, those of its measures first."""
    return [one.sql for one in told.measures if one.condition] + [told.where] * bool(told.where)


def _needed(told: Aggregations) -> list[str]:
    asked = [name for sql in conditions_of(told) for name in parse(sql).columns]
    return list(dict.fromkeys([*told.keys, told.at, *told.columns, *asked]))


def _type(name: str, given: Any) -> pa.DataType:
    if isinstance(given, pa.DictionaryType):
        return _type(name, given.value_type)
    if isinstance(given, pa.DataType):
        # Delta has no finer times.
        return pa.timestamp("us", given.tz) if pa.types.is_timestamp(given) else given
    if given in NAMES:
        return NAMES[given]
    if decimal := DECIMAL.fullmatch(str(given)):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    try:
        return _type(name, pa.type_for_alias(given))
    except (ValueError, TypeError):
        known = did_you_mean(str(given), NAMES)
        raise DefinitionError(f"schema=: '{name}' has the type {given!r}, which is not known", hint=known) from None
