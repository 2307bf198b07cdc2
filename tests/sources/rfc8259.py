"""JSON read strictly by Python's own parser, as an oracle: UTF-8, no key twice, no NaN, no half of a surrogate pair."""

from __future__ import annotations

import json
from typing import Any


def read(raw: bytes) -> Any:
    """The value. Raises ValueError where the bytes are not one."""
    value = json.loads(raw.decode(), object_pairs_hook=_pairs, parse_constant=_constant)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in found}) < len(found):
        raise ValueError("a key is there twice")
    return dict(found)


def _constant(name: str) -> None:
    raise ValueError(name)
