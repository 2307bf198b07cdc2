"""How values of each of Feast's types stand in a record, and how they get out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from feast.protos.feast.types import Value_pb2
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import (
    VALUE_TYPE_TO_PROTO_VALUE_MAP,
    feast_value_type_to_python_type,
    python_values_to_proto_values,
)
from feast.value_type import ValueType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_TIME = -(2**63)
"""How Feast writes a null among times: a number of seconds."""
_SCALARS = {
    ValueType.INT32: ("int32", "int32_val"),
    ValueType.INT64: ("int64", "int64_val"),
    # Not "float": a column of doubles would be rounded, and training gives it as it is.
    ValueType.FLOAT: ("double", "float_val"),
    ValueType.DOUBLE: ("double", "double_val"),
    ValueType.BOOL: ("bool", "bool_val"),
    ValueType.UNIX_TIMESTAMP: ("time", "unix_timestamp_val"),
    ValueType.STRING: ("text", "string_val"),
    ValueType.BYTES: ("bytes", "bytes_val"),
}
_OF_PYTHON = {
    bool: ValueType.BOOL,
    int: ValueType.INT64,
    float: ValueType.DOUBLE,
    str: ValueType.STRING,
    bytes: ValueType.BYTES,
    datetime: ValueType.UNIX_TIMESTAMP,
}
_LISTS = {
    ValueType.INT32_LIST: ("list int32", "int32_list_val", Value_pb2.Int32List),
    ValueType.INT64_LIST: ("list int64", "int64_list_val", Value_pb2.Int64List),
    ValueType.FLOAT_LIST: ("list double", "float_list_val", Value_pb2.FloatList),
    ValueType.DOUBLE_LIST: ("list double", "double_list_val", Value_pb2.DoubleList),
    ValueType.BOOL_LIST: ("list bool", "bool_list_val", Value_pb2.BoolList),
    ValueType.UNIX_TIMESTAMP_LIST: ("list time", "unix_timestamp_list_val", Value_pb2.Int64List),
}

_MESSAGES: dict[ValueType, str] = {
    **VALUE_TYPE_TO_PROTO_VALUE_MAP,
    ValueType.PDF_BYTES: "bytes_val",
    ValueType.IMAGE_BYTES: "bytes_val",
    ValueType.ZONED_TIMESTAMP: "zoned_timestamp_val",
}
"""The field of Feast's message that holds a value of a type."""


def kind_of(value_type: ValueType) -> str:
    """The kind of a record's field; ``value``, which is Feast's own message, for all that has no kind of its own."""
    if value_type in _SCALARS:
        return _SCALARS[value_type][0]
    return _LISTS[value_type][0] if value_type in _LISTS else "value"


class Conversion:
    """The values of one type: packed as records hold them, as Python values, as Feast's messages."""

    to_python: Callable[[Sequence[Any]], list[Any]]
    """As Feast's ``to_dict`` gives them; times keep their microseconds."""

    def __init__(self, value_type: ValueType) -> None:
        self.value_type = value_type
        self.kind = kind_of(value_type)
        given: dict[str, Callable[[Sequence[Any]], list[Any]]]
        given = {"time": _moments, "list time": _lists_of_moments, "value": self._opened}
        self.to_python = given.get(self.kind, list)
        self._field = _SCALARS[value_type][1] if value_type in _SCALARS else ""
        self._message = _MESSAGES.get(value_type)
        self.head = _head(self._message) if self.kind == "value" and self._message else b""
        """How a packed ``value`` of this type begins."""

    def to_proto(self, packed: Sequence[Any]) -> list[Value]:
        """As Feast's server sends them: its times are whole seconds."""
        make = self._maker()
        return [Value() if one is None else make(one) for one in packed]

    def fits(self, value: Value) -> bool:
        """Whether it is null or of this type; it is not where it was pushed before the type was changed."""
        name = value.WhichOneof("val")
        return name in (None, "null_val", self._message) or self._message is None

    def of_proto(self, value: Value) -> Any:
        """One value as a record of this type would hold it."""
        name = value.WhichOneof("val")
        if name is None or name == "null_val":
            return None
        if self.kind == "value":
            return value.SerializeToString()
        found = getattr(value, name)
        if self.kind == "time":
            return None if found == NO_TIME else found * 1_000_000
        if self.kind == "list time":
            return [one if one == NO_TIME else one * 1_000_000 for one in found.val]
        return list(found.val) if self.kind.startswith("list ") else found

    def _opened(self, packed: Sequence[Any]) -> list[Any]:
        return [
            None if one is None else feast_value_type_to_python_type(Value.FromString(one), self.value_type)
            for one in packed
        ]

    def _maker(self) -> Callable[[Any], Value]:
        field = self._field
        if self.kind == "value":
            return lambda one: Value.FromString(one)
        if self.kind == "time":
            return lambda one: Value(unix_timestamp_val=one // 1_000_000)
        if field:
            return lambda one: _value(field, one)
        _, field, message = _LISTS[self.value_type]
        if self.kind == "list time":
            return lambda one: _value(
                field, message(val=[tick if tick == NO_TIME else tick // 1_000_000 for tick in one])
            )
        return lambda one: _value(field, message(val=one))


class PlainConversion(Conversion):
    """Of values that are in Python already, whatever their type: what is computed when it is asked for."""

    def __init__(self, value_type: ValueType) -> None:
        super().__init__(value_type)
        if self.kind == "value":
            self.to_python = list

    def to_proto(self, packed: Sequence[Any]) -> list[Value]:
        if self.kind != "value":
            return super().to_proto(packed)
        if self.value_type is ValueType.MAP:
            return [Value() if one is None else Value(map_val=_map_of(one)) for one in packed]
        found: list[Value] = python_values_to_proto_values(list(packed), self.value_type)
        return found


def _head(field: str) -> bytes:
    """What protobuf writes before a value without a fixed size, in one byte or two: the field's number."""
    tag = Value.DESCRIPTOR.fields_by_name[field].number << 3 | 2
    return bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])


def _map_of(values: Mapping[str, Any]) -> Value_pb2.Map:
    """Of values, or lists with one at least, that are not null; Feast finds no type for an empty text of bytes."""
    return Value_pb2.Map(val={name: _told_by_python(one) for name, one in values.items()})


def _told_by_python(one: Any) -> Value:
    value_type = _OF_PYTHON[type(one[0] if isinstance(one, list) else one)]
    if value_type is ValueType.UNIX_TIMESTAMP:
        one = [ticks(time) // 1_000_000 for time in one] if isinstance(one, list) else ticks(one) // 1_000_000
    field = _SCALARS[value_type][1]
    if not isinstance(one, list):
        return _value(field, one)
    field = field.replace("_val", "_list_val")
    found = Value()
    getattr(found, field).val.extend(one)
    return found


def _value(field: str, one: Any) -> Value:
    return Value(**cast(dict[str, Any], {field: one}))


def _moments(packed: Sequence[int | None]) -> list[datetime | None]:
    return [None if one is None else moment(one) for one in packed]


def _lists_of_moments(packed: Sequence[Sequence[int] | None]) -> list[Any]:
    return [one if one is None else [None if tick == NO_TIME else moment(tick) for tick in one] for one in packed]


def moment(ticks: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return EPOCH + timedelta(microseconds=ticks)


def ticks(time: datetime) -> int:
    """Microseconds since 1970; a naive time is in UTC."""
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (time - EPOCH) // timedelta(microseconds=1)
