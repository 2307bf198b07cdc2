"""What a view declares, held against its table: the same in training, in publishing and at ``feast apply``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.field import Field
from feast.value_type import ValueType

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.features.reading import OpenTable
from lakehouse.features.source import DeltaSource
from lakehouse.kernels.record import arrow_type
from lakehouse.online.kinds import kind_of


def check_view(view: FeatureView, source: DeltaSource, opened: OpenTable) -> None:
    """Raise DefinitionError, with the nearest name, for a join key or a feature that the table lacks, and as
    :func:`check_features`.
    """
    keys = [one.name for one in view.entity_columns if one.name != DUMMY_ENTITY_ID]
    opened.require([source.stored(name) for name in keys], f"a join key of '{view.name}'")
    if source.windows is not None:
        check_windows(view.name, view.features, dict.fromkeys(one.name for one in source.windows.features))
        return
    opened.require([source.stored(one.name) for one in view.features], f"a feature of '{view.name}'")
    check_features(view.name, view.features, source, opened)


def check_features(view: str, features: Iterable[Field], source: DeltaSource, opened: OpenTable) -> None:
    """Raise DefinitionError for a feature whose column, if it is there, has values of another kind."""
    for one in features:
        stored, value_type = source.stored(one.name), one.dtype.to_value_type()
        if stored in opened.schema.names:
            check_kind(f"{view}: '{one.name}'", value_type, opened.schema.field(stored).type)


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
            check_kind(f"{view}: '{one.name}'", one.dtype.to_value_type(), kind)


def check_kind(where: str, value_type: ValueType, kind: pa.DataType) -> None:
    """Raise DefinitionError where a feature of this type can't be of a column of that kind."""
    if not fits(value_type, kind):
        hint = "Declare the feature's type as the table has it."
        if value_type is ValueType.DECIMAL:
            hint = "Decimals are read as doubles: declare Float64, or let the table have them as text."
        raise DefinitionError(f"{where} is declared as {value_type.name}, but its column is {kind}", hint=hint)


def fits(value_type: ValueType, kind: pa.DataType) -> bool:
    """Whether a feature of this type can be of a column of that kind."""
    if value_type is ValueType.DECIMAL:
        return _same_kind(kind, pa.string())
    stored = kind_of(value_type)
    return stored == "value" or _same_kind(kind, arrow_type(stored))


def _same_kind(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a cast keeps the values: Arrow would make a number of a text, and true of 2."""
    if pa.types.is_large_list(wanted):
        return bool(pa.types.is_list(given)) and _same_kind(given.value_type, wanted.value_type)
    families = (
        lambda one: pa.types.is_integer(one) or pa.types.is_floating(one),
        lambda one: pa.types.is_string(one) or pa.types.is_large_string(one),
        lambda one: pa.types.is_binary(one) or pa.types.is_large_binary(one),
        pa.types.is_boolean,
        pa.types.is_timestamp,
    )
    return bool(pa.types.is_null(given)) or any(family(given) and family(wanted) for family in families)
