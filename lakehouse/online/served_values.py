"""Values as the log of served features has them: JSON that loses nothing of a value but its type."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def plain(value: Any) -> Any:
    """The value as JSON has it: a time in ISO 8601, bytes in base64, NaN and infinities by name, else its text.

    >>> plain({"a": [float("nan"), b"x", 0.1]})
    {'a': ['nan', 'eA==', 0.1]}
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            return aware.isoformat()
        case bytes():
            return b64encode(value).decode()
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case set() | frozenset():
            return sorted(map(plain, value), key=repr)
    return str(value)
