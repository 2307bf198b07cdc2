"""Looking up window features: what the record of a key comes to at the time that is asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from lakehouse.errors import StorageError
from lakehouse.kernels.buckets import apart
from lakehouse.kernels.record import HEADER, ROW
from lakehouse.kernels.slides import Plan
from lakehouse.kernels.sliding import Slides
from lakehouse.online.key_values import EntityRowsError
from lakehouse.online.kinds import moment
from lakehouse.online.publication import Found
from lakehouse.online.request import Part
from lakehouse.online.response import NOT_FOUND, PRESENT, Column

if TYPE_CHECKING:
    from lakehouse.kernels.reader import Reader


class Windows:
    """Reads the records of one layout for one part of a request."""

    def __init__(self, part: Part, reader: Reader) -> None:
        assert part.windows is not None
        plan = Plan.of_text(reader.names[0])
        known = {one.name: one for one in plan.told.features}
        sql = {one.name: (one.sql, one.condition) for one in plan.told.measures}
        wanted = {one.name: one for one in part.windows.features}
        theirs = {one.name: (one.sql, one.condition) for one in part.windows.measures}
        same = plan.told.entity == part.windows.entity and plan.told.bucket == part.windows.bucket
        # What was published when a feature was defined otherwise is not there yet.
        self.features = [
            name
            for name in part.features
            if same and (one := known.get(name)) == wanted[name] and sql.get(one.measure) == theirs.get(one.measure)
        ]
        self.bucket = bool(plan.told.bucket)
        self._slides = Slides(plan)
        self._times = {name for name in self.features if plan.kinds.get(known[name].measure) == "t"}

    def values(self, packed: bytes, at: int) -> dict[str, Any]:
        """The features by name."""
        if not self.bucket:
            return dict(zip(self.features, self._slides.values(packed, at, self.features), strict=True))
        found: dict[str, dict[str, Any]] = {name: {} for name in self.features}
        try:
            buckets = list(apart(packed))
        except (ValueError, struct.error) as error:
            raise StorageError(f"{len(packed):,} bytes of the online store are no window features: {error}") from error
        for bucket, one in buckets:
            for name, value in zip(self.features, self._slides.values(one, at, self.features), strict=True):
                if value != self._slides.empty[name]:
                    found[name][bucket] = moment(value) if name in self._times and isinstance(value, int) else value
        return found


def slid(
    part: Part,
    keys: Sequence[bytes | None],
    found: Found,
    reader_of: Callable[[bytes], Reader],
    now: int,
    moments: Sequence[int] | None,
) -> list[Column]:
    """The part's columns: each key at its moment, or now.

    A key without a record has the values of a window without events, and the status NOT_FOUND. Raises EntityRowsError
    for a moment before what was published: the online store does not know what the windows held then. Where nobody
    asked for a moment, a clock that is behind the publisher's reads as of the publish.
    """
    left = iter(found[0])
    empty = _empty(part)
    rows: list[dict[str, Any]] = []
    statuses, events = list[int](), list[int | None]()
    for key, at in zip(keys, moments or repeat(now), strict=False):
        record = None if key is None else next(left)
        if record is None or not HEADER.unpack_from(record)[2]:  # or a tombstone
            rows.append(empty)
            statuses.append(NOT_FOUND)
            events.append(None)
            continue
        horizon = ROW.unpack_from(record, HEADER.size)[0]
        if at < horizon:
            if moments is not None:
                raise EntityRowsError(
                    f"window features of '{part.view.name}' are asked for as of {moment(at)}, and were published as of "
                    f"{moment(horizon)}",
                    hint="Ask get_historical_features for earlier times.",
                )
            at = horizon
        reader = reader_of(record)
        windows = part.readers.get(reader.layout.number)
        if windows is None:
            windows = part.readers[reader.layout.number] = Windows(part, reader)
        row = reader.read(record, at)
        assert row is not None  # its first is of the horizon
        rows.append(windows.values(row[2][0], at))
        statuses.append(PRESENT)
        events.append(row[0])
    columns = []
    for name, feature, conversion in zip(part.names, part.features, part.conversions, strict=True):
        marks = [status if feature in row else NOT_FOUND for row, status in zip(rows, statuses, strict=True)]
        columns.append(Column(name, [row.get(feature) for row in rows], conversion, marks, events))
    return columns


def _empty(part: Part) -> dict[str, Any]:
    """What the features are of no event."""
    told = part.windows
    assert told is not None
    nothing: dict[str, Any] = {"count": 0, "last_n": []}
    return {one.name: {} if told.bucket else nothing.get(one.kind) for one in told.features}
