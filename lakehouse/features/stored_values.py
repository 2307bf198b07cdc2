"""Values of a table's column in the types that records are encoded from."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.types import FeastType
from feast.value_type import ValueType

from lakehouse.errors import DefinitionError
from lakehouse.features.declared import check_kind
from lakehouse.kernels.record import arrow_type
from lakehouse.online.kinds import kind_of


def stored_values(column: pa.ChunkedArray, dtype: FeastType, where: str) -> pa.ChunkedArray | pa.Array:
    check_kind(where, dtype, column.type)
    value_type = dtype.to_value_type()
    kind = kind_of(value_type)
    _refuse_nulls_within(column, where)
    try:
        if kind != "value":
            return column.cast(arrow_type(kind))
        messages = python_values_to_proto_values(column.to_pylist(maps_as_pydicts="strict"), value_type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
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


def _keep_empty(message: Value, given: Any) -> None:
    """Of an empty list within a list Feast makes a message of nothing, which is read as null."""
    name = message.WhichOneof("val")
    if name in ("list_val", "set_val"):
        for inner, items in zip(getattr(message, name).val, given, strict=True):
            _keep_empty(inner, items)
    elif name is None and given == []:
        message.string_list_val.SetInParent()
