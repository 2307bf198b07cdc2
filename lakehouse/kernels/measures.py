"""The values of events in the types that window features are computed from, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from lakehouse.errors import DefinitionError
from lakehouse.kernels.aggregations import EVENTS, Aggregation, Aggregations
from lakehouse.kernels.decimals import nearest_doubles
from lakehouse.kernels.keys import Column
from lakehouse.kernels.times import UTC_TIME


def measured(kind: pa.DataType) -> pa.DataType:
    """The type in which values of a kind are taken: whole numbers of 64 bits, doubles, times in UTC, plain texts."""
    if pa.types.is_dictionary(kind):
        return measured(kind.value_type)
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return UTC_TIME
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


def plain(column: Column) -> Column:
    """The values in the type of :func:`measured`; naive times are UTC. Raises DefinitionError beyond 64 bits."""
    try:
        return nearest_doubles(column).cast(measured(column.type))
    except pa.ArrowInvalid as error:
        raise DefinitionError(
            f"a value is beyond 64 bits, or no value of its type: {error}", hint="Cast the column."
        ) from error


def plain_columns(rows: pa.Table) -> pa.Table:
    """All columns as :func:`plain` gives them."""
    return pa.table([plain(one) for one in rows.columns], names=rows.column_names)


def check_measures(told: Aggregations, types: Mapping[str, pa.DataType]) -> None:
    """Raise DefinitionError for what can't be computed of the types, which are those of :func:`measured`."""
    for measure in told.measures:
        if measure.condition:
            check_truth(f"rate({measure.sql!r})", types[measure.name])
    for one in told.features:
        if one.measure != EVENTS and not _can(one, types[one.measure]):
            raise DefinitionError(
                f"'{one.name}': {one.kind} can't be computed of {types[one.measure]}",
                hint="Sums are of numbers and truths; min and max of these and of times; first and last of any value "
                "that is no list, map or struct.",
            )
    at = types[told.at]
    if not pa.types.is_timestamp(at):
        raise DefinitionError(f"at='{told.at}' is {at}, not a time", hint="Cast it to a timestamp in the table.")
    if told.bucket and not _names(bucket := types[told.bucket]):
        raise DefinitionError(
            f"bucket='{told.bucket}' is {bucket}; a bucket is a text, a whole number, a truth, a date or a time",
            hint="Cast it to one of these in the table.",
        )


def check_truth(where: str, kind: pa.DataType) -> None:
    """Raise DefinitionError for a condition that is neither true nor false."""
    if not pa.types.is_boolean(kind):
        raise DefinitionError(f"{where} is {kind}, not true or false", hint="Compare it with something: such as n > 0.")


def type_of(one: Aggregation, types: Mapping[str, pa.DataType]) -> pa.DataType:
    """The type of a feature, of measures with these types."""
    if one.kind == "count":
        return pa.int64()
    if one.kind in ("mean", "rate", "variance"):
        return pa.float64()
    kind = types[one.measure]
    if one.kind == "sum":
        return kind if pa.types.is_floating(kind) else pa.int64()
    return pa.list_(kind) if one.kind == "last_n" else kind


def types_of(told: Aggregations, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """The type of each feature, of measures with these types."""
    found = {one.name: type_of(one, types) for one in told.features}
    return {name: pa.map_(pa.string(), kind) for name, kind in found.items()} if told.bucket else found


def summable(kind: pa.DataType) -> bool:
    """Whether values of this type have a sum."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _names(kind: pa.DataType) -> bool:
    """Whether values of this type name a bucket: each has one text, and another value has another."""
    whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return bool(whole or pa.types.is_string(kind) or pa.types.is_timestamp(kind))


def _can(one: Aggregation, kind: pa.DataType) -> bool:
    if one.kind in ("sum", "mean", "variance", "rate"):
        return summable(kind)
    if one.kind in ("min", "max"):
        return summable(kind) or bool(pa.types.is_timestamp(kind))
    return one.kind == "count" or not pa.types.is_nested(kind)
