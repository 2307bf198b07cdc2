"""What a kind of poisoned input is: bytes of a file, and what must become of them, said by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
"""Column → value; columns of other files, which are null here, are left out."""


@dataclass(frozen=True)
class Kind:
    """One file of a source. Every other file of the batch is its neighbour, and so are the good records in itself."""

    name: str
    content: bytes
    records: tuple[Record, ...] = ()
    """Exactly what lands."""
    rejects: tuple[tuple[bytes, str], ...] = ()
    """Exactly what is quarantined: its bytes, and words of the reason."""
    fixed: tuple[bytes, Record] | None = None
    """Corrected bytes for the first reject, and the record that a replay with them lands."""
    path: str = ""
    """Below the source's folder; by default the name and the format's suffix."""


def whole(name: str, content: bytes, reason: str, fixed: tuple[bytes, Record] | None = None, path: str = "") -> Kind:
    """A file that is quarantined as it is."""
    return Kind(name, content, rejects=((content, reason),), fixed=fixed, path=path)


def named(values: Mapping[str, Any]) -> Record:
    """A record without its nulls: what is compared."""
    return {name: value for name, value in values.items() if value is not None}
