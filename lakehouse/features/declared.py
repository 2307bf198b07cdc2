"""What a view declares, held against its table: the same in training, in publishing and at ``feast apply``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.field import Field
from feast.types import (
    Array,
    Decimal,
    FeastType,
    ImageBytes,
    Invalid,
    Json,
    Map,
    PdfBytes,
    ScalarMap,
    Set,
    Struct,
    TimeUuid,
    Uuid,
    ZonedTimestamp,
    from_value_type,
)
from feast.value_type import ValueType

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.features.reading import OpenTable
from lakehouse.features.source import DeltaSource
from lakehouse.kernels.record import arrow_type
from lakehouse.online.kinds import kind_of


def check_view(view: FeatureView, source: DeltaSource, opened: OpenTable) -> None:
    """Raise DefinitionError, with the nearest name, for a join key or a feature that the table lacks, and as
    :func:`check_keys` and :func:`check_features`.
    """
    keys = [one.name for one in view.entity_columns if one.name != DUMMY_ENTITY_ID]
    opened.require([source.stored(name) for name in keys], f"a join key of '{view.name}'")
    check_keys(view, source, opened)
    if source.windows is not None:
        check_windows(view.name, view.features, dict.fromkeys(one.name for one in source.windows.features))
        return
    opened.require([source.stored(one.name) for one in view.features], f"a feature of '{view.name}'")
    check_features(view.name, view.features, source, opened)


def check_keys(view: FeatureView, source: DeltaSource, opened: OpenTable) -> None:
    """Raise DefinitionError for a join key whose column, if it is there, has values of another kind than its entity."""
    for one in view.entity_columns:
        stored = source.stored(one.name)
        if one.name == DUMMY_ENTITY_ID or stored not in opened.schema.names:
            continue
        kind = opened.schema.field(stored).type
        if not fits(one.dtype, kind):
            raise DefinitionError(
                f"{opened.label}: the key '{stored}' is {kind}, "
                f"but the entity of '{view.name}' says {one.dtype.to_value_type().name}",
                hint="Give the entity the value_type that the table's column has, or change the column.",
            )


def check_features(view: str, features: Iterable[Field], source: DeltaSource, opened: OpenTable) -> None:
    """Raise DefinitionError for a feature whose column, if it is there, has values of another kind."""
    for one in features:
        stored = source.stored(one.name)
        if stored in opened.schema.names:
            check_kind(f"{view}: '{one.name}'", one.dtype, opened.schema.field(stored).type)


def check_windows(view: str, features: Iterable[Field], types: Mapping[str, pa.DataType | None]) -> None:
    """Raise DefinitionError for a feature that is none of the windows', or whose values are of another kind.

    A type of None is not known.
    """
    for one in features:
        if one.name not in types:
            raise DefinitionError(
                f"{view}: no window feature is called '{one.name}'", hint=did_you_mean(one.name, types)
            )
        if (kind := types[one.name]) is not None:
            check_kind(f"{view}: '{one.name}'", one.dtype, kind)


def check_kind(where: str, dtype: FeastType, kind: pa.DataType) -> None:
    """Raise DefinitionError where a feature of this type can't be of a column of that kind."""
    if not fits(dtype, kind):
        hint = "Declare the feature's type as the table has it."
        if dtype == Decimal:
            hint = "Decimals are read as doubles: declare Float64, or let the table have them as text."
        raise DefinitionError(f"{where} is declared as {_shown(dtype)}, but its column is {kind}", hint=hint)


def fits(dtype: FeastType, kind: pa.DataType) -> bool:
    """Whether a feature of this type can be of a column of that kind.

    Feast makes a Map of a text too, if that is a JSON object.
    """
    return _holds(kind, dtype) or (dtype == Map and _same_kind(kind, pa.string()))


def _shown(dtype: FeastType) -> str:
    value_type = dtype.to_value_type()
    return str(dtype) if value_type in (ValueType.VALUE_LIST, ValueType.VALUE_SET) else value_type.name


def _holds(kind: pa.DataType, dtype: FeastType) -> bool:
    if pa.types.is_null(kind) or dtype == Invalid:  # nobody says what it is
        return True
    if isinstance(dtype, (Array, Set)):
        if not pa.types.is_list(kind):
            return False
        if isinstance(dtype.base_type, (Array, Set)) and dtype == from_value_type(dtype.to_value_type()):
            return bool(pa.types.is_list(kind.value_type))  # what Feast calls any lists of lists that it finds
        return _holds(kind.value_type, dtype.base_type)
    if isinstance(dtype, Struct):
        if pa.types.is_struct(kind):
            there = {field.name: field.type for field in kind}
            return all(name not in there or fits(one, there[name]) for name, one in dtype.fields.items())
        return _is_named(kind)
    if dtype == Map:
        return bool(pa.types.is_struct(kind)) or _is_named(kind)
    if dtype == ScalarMap:
        return bool(pa.types.is_map(kind)) and not _is_named(kind)
    if dtype == Json:
        return _in_json(kind)
    return _same_kind(kind, _ARROW.get(dtype) or arrow_type(kind_of(dtype.to_value_type())))


_ARROW = {
    **dict.fromkeys((Uuid, TimeUuid, Decimal), pa.string()),
    **dict.fromkeys((PdfBytes, ImageBytes), pa.binary()),
    ZonedTimestamp: pa.timestamp("us", "UTC"),
}
"""Of types that stand in records as Feast's messages."""


def _is_named(kind: pa.DataType) -> bool:
    """Whether it is a map whose keys are texts."""
    return bool(pa.types.is_map(kind)) and _same_kind(kind.key_type, pa.string())


def _in_json(kind: pa.DataType) -> bool:
    """Whether values are JSON (a text), or Feast can make JSON of them."""
    if pa.types.is_list(kind):
        return _in_json(kind.value_type)
    if pa.types.is_map(kind):
        return _in_json(kind.key_type) and _in_json(kind.item_type)
    if pa.types.is_struct(kind):
        return all(_in_json(field.type) for field in kind)
    return any(_same_kind(kind, one) for one in (pa.string(), pa.int64(), pa.bool_()))


def _same_kind(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a cast keeps the values: Arrow would make a number of a text, and true of 2."""
    families = (
        lambda one: pa.types.is_integer(one) or pa.types.is_floating(one),
        lambda one: pa.types.is_string(one) or pa.types.is_large_string(one),
        lambda one: pa.types.is_binary(one) or pa.types.is_large_binary(one),
        pa.types.is_boolean,
        pa.types.is_timestamp,
    )
    return bool(pa.types.is_null(given)) or any(family(given) and family(wanted) for family in families)
