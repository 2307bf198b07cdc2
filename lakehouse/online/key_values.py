"""The keys of a caller's entity rows in the form that is encoded, or an error in words: no key becomes another one.

Feast's own conversion makes 2 of 2.9, 1 of True and "1" of 1, which in training are no keys of such a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from feast.errors import FeastError
from feast.protos.feast.types.Value_pb2 import Value
from feast.value_type import ValueType

from lakehouse.errors import UsageError
from lakehouse.online.kinds import ticks

_FIELDS = {
    ValueType.BYTES: "bytes_val",
    ValueType.STRING: "string_val",
    ValueType.INT32: "int32_val",
    ValueType.INT64: "int64_val",
    ValueType.UNIX_TIMESTAMP: "unix_timestamp_val",
}
"""Where Feast's messages hold keys."""
_MOST = {ValueType.INT32: 2**31, ValueType.INT64: 2**63, ValueType.UNIX_TIMESTAMP: 2**63}
MICROS = 1_000_000


class EntityRowsError(UsageError, FeastError):
    """Entity rows that can't be looked up; Feast's server answers it as the caller's mistake."""

    def http_status_code(self) -> int:
        return 422


def key_values(values: Sequence[Any], value_type: ValueType, name: str) -> Sequence[Any]:
    """Keys as str, bytes or int (a time: whole seconds); None for null. Feast's own messages are taken too.

    Raises EntityRowsError for a value that is no key of the type.
    """
    kinds = set(map(type, values))
    if kinds <= {str, type(None)} and value_type is ValueType.STRING:
        return values
    if kinds == {int} and value_type is ValueType.INT64 and min(values) >= -(2**63) and max(values) < 2**63:
        return values
    return [_key_value(value, value_type, name) for value in values]


def _key_value(value: Any, value_type: ValueType, name: str) -> Any:
    if isinstance(value, Value):
        field = value.WhichOneof("val")
        if field in (None, "null_val"):
            return None
        if field != _FIELDS.get(value_type):
            raise EntityRowsError(f"the key '{name}' is a {field}, but its entity is of the type {value_type.name}")
        return getattr(value, field)
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    found = _of_type(value, value_type)
    if found is None:
        raise EntityRowsError(f"the key '{name}': {repr(value)[:60]} is not of the entity's type, {value_type.name}")
    return found


def _of_type(value: Any, value_type: ValueType) -> str | bytes | int | None:
    """The value as a key of the type; None where it is none."""
    if value_type is ValueType.STRING:
        return str(value) if isinstance(value, str) else None
    if value_type is ValueType.BYTES:
        return bytes(value) if isinstance(value, (bytes, bytearray)) else None
    if value_type is ValueType.UNIX_TIMESTAMP and isinstance(value, (date, np.datetime64)):
        return _seconds(value)
    return _whole(value, _MOST[value_type])


def _whole(value: Any, most: int) -> int | None:
    """A whole number below ``most``, whatever it is stored in: pandas makes doubles of a column with gaps."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number, Decimal)):
        return None
    try:
        whole = int(value)
    except (OverflowError, TypeError):
        return None
    return whole if whole == value and -most <= whole < most else None


def _seconds(value: date | np.datetime64) -> int | None:
    """A date is its midnight in UTC. None for a time within a second: Feast's keys hold no less."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    whole = value.microsecond == 0 and getattr(value, "nanosecond", 0) == 0
    return ticks(value) // MICROS if whole else None
