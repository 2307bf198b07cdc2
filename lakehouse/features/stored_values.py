"""Values of a table's column in the types that records are encoded from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.types import FeastType
from feast.value_type import ValueType

from lakehouse.errors import DefinitionError
from lakehouse.features.declared import check_kind
from lakehouse.kernels.record import arrow_type
from lakehouse.kernels.times import UTC_TIME
from lakehouse.online.kinds import kind_of

_FIRST, _LAST = (pa.scalar(one.replace(tzinfo=UTC), UTC_TIME) for one in (datetime.min, datetime.max))
"""The times that Python has."""
_READ: dict[str, Callable[[str], Any]] = {"UUID": UUID, "TIME_UUID": UUID, "DECIMAL": Decimal}
"""What a look-up makes of the texts of a type."""


def stored_values(column: pa.ChunkedArray, dtype: FeastType, where: str) -> pa.ChunkedArray | pa.Array:
    """Raises DefinitionError for what does not fit its type, and for a value that a look-up could not give."""
    check_kind(where, dtype, column.type)
    value_type = dtype.to_value_type()
    kind = kind_of(value_type)
    _refuse_nulls_within(column, where)
    _refuse_unreadable(column, value_type, where)
    try:
        if kind != "value":
            return column.cast(arrow_type(kind))
        messages = python_values_to_proto_values(column.to_pylist(maps_as_pydicts="strict"), value_type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError, ValueError, OverflowError) as error:
        raise DefinitionError(
            f"{where} is declared as {value_type.name}, but its column is {column.type}: {error}",
            hint="Declare the feature's type as the table has it.",
        ) from error
    if value_type in (ValueType.VALUE_LIST, ValueType.VALUE_SET):
        for message, given in zip(messages, column.to_pylist(), strict=True):
            _keep_empty(message, given)
    none = pc.is_null(column).to_pylist()
    packed = [None if null else one.SerializeToString() for one, null in zip(messages, none, strict=True)]
    return pa.array(packed, pa.large_binary())


def _refuse_nulls_within(column: pa.ChunkedArray | pa.Array, where: str) -> None:
    """Of a null among texts Feast makes an empty text; a null that stands for a whole list is kept."""
    while pa.types.is_list(column.type):
        column = pc.list_flatten(column)
        if column.null_count and not pa.types.is_list(column.type):
            raise DefinitionError(
                f"{where} has a list with a null in it, which can't be served", hint="Leave nulls out of its lists."
            )


def _refuse_unreadable(column: pa.ChunkedArray | pa.Array, value_type: ValueType, where: str) -> None:
    """Else each look-up of such a value would fail, and with it all that is asked for beside it."""
    while pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    if pa.types.is_timestamp(column.type):
        ends = pc.min_max(column)
        for end, beyond in (("min", pc.less(ends["min"], _FIRST)), ("max", pc.greater(ends["max"], _LAST))):
            if beyond.as_py():
                raise DefinitionError(
                    f"{where} has a time {ends[end].value:,} microseconds from 1970, not in the years 1 to 9999",
                    hint="Mend the time in the table.",
                )
    if read := _READ.get(value_type.name.removesuffix("_LIST").removesuffix("_SET")):
        for one in pc.unique(column).drop_null().to_pylist():
            try:
                read(one)
            except (ValueError, ArithmeticError) as error:
                raise DefinitionError(
                    f"{where} is declared as {value_type.name}, but has {one[:60]!r}, which can't be read as one",
                    hint="Mend the value in the table, or declare the feature as texts.",
                ) from error


def _keep_empty(message: Value, given: Any) -> None:
    """Of an empty list within a list Feast makes a message of nothing, which is read as null."""
    name = message.WhichOneof("val")
    if name in ("list_val", "set_val"):
        for inner, items in zip(getattr(message, name).val, given, strict=True):
            _keep_empty(inner, items)
    elif name is None and given == []:
        message.string_list_val.SetInParent()
