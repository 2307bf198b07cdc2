"""What windows come to as time goes on, as bytes: all that serving needs of one key's tiles.

A window that ends now holds every tile from its start on, for what was published has nothing later. So for each hop the
tiles' beginnings are kept, and for each of them what it and all later ones come to: a window slides by looking up the
first tile that it still holds. What is kept is made by the kernel that training uses; looking up rounds nothing.

Little-endian: ``ends``, a u32 for each part, then the parts (see :func:`parts_of`). A part is one byte, the code of
:mod:`struct` that its numbers have, and the numbers; or texts, one after another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import START, Aggregation, Aggregations
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.measures import type_of
from lakehouse.kernels.partials import Items, evaluate
from lakehouse.kernels.tiles import items_of
from lakehouse.kernels.windows import Held, Span

WIDTHS = ("b", "h", "i", "q")
DOUBLE, TEXT = "d", "s"
EVER = 0
"""Stands for the hop of features that have no window: one value, of all tiles."""
EXACT = 2.0**53


class Field(NamedTuple):
    """Values that several features may share: a kind of one measure, for the tiles of one hop."""

    hop_s: int
    kind: str
    measure: str
    most: int


def fields_of(told: Aggregations) -> tuple[Field, ...]:
    """What is kept for the features, in order. Means and rates are made of sums and counts."""
    found: dict[Field, None] = {}
    for one in told.features:
        hop_s = EVER if one.over_s is None else one.hop_s
        for kind in {"mean": ("count", "sum"), "rate": ("count", "sum")}.get(one.kind, (one.kind,)):
            found[Field(hop_s, kind, one.measure, one.most)] = None
    return tuple(found)
