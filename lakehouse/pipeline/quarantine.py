"""What is kept out of each table, as it stands now, and what was decided about it; found without a JVM."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse.bronze.quarantine import kept_beside, raw_bytes, rejects, resolutions
from lakehouse.bronze.receipts import Receipts
from lakehouse.config import Project
from lakehouse.errors import NotBuiltError, UsageError, did_you_mean
from lakehouse.gold.quarantine import blocked
from lakehouse.pipeline.workspace import Workspace
from lakehouse.silver.quarantine import quarantined
from lakehouse.tables.quarantine import Place, Quarantined, Resolution, decided

SHORTEST = 6
"""Digits of an id that are enough, where they name one row."""
_DIGITS = re.compile(r"0x[0-9a-f]+|(?<![\w-])\d[\d,]*")


@dataclass(frozen=True)
class Quarantine:
    """One table's: every row that it keeps out, and what was decided. ``rows`` = open + replayed + discarded."""

    address: str
    rows: tuple[Quarantined, ...]
    decided: dict[Place, tuple[datetime, Resolution]]
    receipts: Receipts
    """Of the bronze table that the rows came from; none for gold, whose rows come from no one record."""

    @property
    def open(self) -> tuple[Quarantined, ...]:
        """Those about which nothing was decided."""
        return tuple(row for row in self.rows if row.place not in self.decided)

    def count(self, action: str) -> int:
        """How many rows were replayed or discarded."""
        return sum(row.place in self.decided and self.decided[row.place][1].action == action for row in self.rows)

    def since(self, rows: Iterable[Quarantined]) -> datetime | None:
        """When the first of the rows landed, in UTC."""
        landed = self.receipts.landed_at
        times = [row.at or landed.get(row.place.batch) for row in rows]
        return min((at for at in times if at is not None), default=None)

    def raw(self, rows: Iterable[Quarantined]) -> dict[Place, bytes]:
        """The bytes of bronze rejects; for other tables nothing, whose rows have their record."""
        if not self.address.startswith("bronze.") or self.receipts.table is None:
            return {}
        return raw_bytes(self.receipts.table, [row.place for row in rows])

    def beside(self, rows: Iterable[Quarantined]) -> dict[Place, dict[str, Any]]:
        """What bronze keeps beside the bytes of rejects: the source's columns and ``_rescued``, where not null."""
        assert self.receipts.table is not None
        return kept_beside(self.receipts.table, [row.place for row in rows])


def quarantines(project: Project, addresses: Iterable[str] = ()) -> list[Quarantine]:
    """The quarantine of each table that may have one, or just of these. Raises UsageError for one that has none."""
    return [quarantine_in(Workspace(project), address) for address in _addresses(Workspace(project), addresses)]


def quarantine_in(workspace: Workspace, address: str) -> Quarantine:
    """One table's quarantine; empty where nothing has landed."""
    if address.startswith("gold."):
        return Quarantine(address, tuple(_stopping(workspace, address)), {}, Receipts(None, {}))
    bronze = address if address.startswith("bronze.") else workspace.graph.inputs(address)[0]
    receipts = workspace.receipts(bronze)
    if address == bronze:
        rows = rejects(address, receipts)
    else:
        try:
            rows = quarantined(workspace.silver(address), workspace.project.state(address))
        except NotBuiltError:
            rows = []
    known = resolutions(receipts)
    times = {id(one): at for at, one in known}
    places = decided((one for _, one in known), address)
    return Quarantine(address, tuple(rows), {place: (times[id(one)], one) for place, one in places.items()}, receipts)


def _stopping(workspace: Workspace, address: str) -> list[Quarantined]:
    try:
        return blocked(address, workspace.gold(address), workspace.project.state(address))
    except NotBuiltError:
        return []


def kind_of(reason: str) -> str:
    """The reason without its numbers, so that what went wrong in the same way is one group.

    >>> kind_of("it is not UTF-8: byte 5 of the record is 0xff")
    'it is not UTF-8: byte # of the record is #'
    """
    return _DIGITS.sub("#", reason)


def chosen(
    held: Quarantine, ids: Sequence[str] = (), reason: str | None = None, *, everything: bool = False
) -> list[Quarantined]:
    """The open rows (or all) with these ids, or the beginnings of ids, and with the words in a reason.

    Naming a row that is decided already is no mistake: it is left out. Raises UsageError for what names no row.
    """
    found = list(held.rows if everything else held.open)
    if ids:
        wanted = {_whole_id(word, {row.place.id for row in held.rows}) for word in ids}
        found = [row for row in found if row.place.id in wanted]
    if reason:
        words = reason.casefold()
        saying = {one for row in held.rows for one in row.reasons if words in f"{one}\n{kind_of(one)}".casefold()}
        if held.rows and not saying:
            kinds = sorted({kind_of(one) for row in held.rows for one in row.reasons})
            raise UsageError(f"no row has the reason {reason!r}", hint=did_you_mean(reason, kinds))
        found = [row for row in found if saying.intersection(row.reasons)]
    return found


def _whole_id(word: str, known: set[str]) -> str:
    near = [one for one in known if one.startswith(word.casefold())]
    if len(word) < SHORTEST or not near:
        raise UsageError(f"no row has the id {word!r}", hint="lakehouse quarantine show ADDRESS lists the ids.")
    if len(near) > 1:
        raise UsageError(f"{len(near)} rows have an id that begins with {word!r}", hint="Name all 12 digits.")
    return near[0]


def _addresses(workspace: Workspace, wanted: Iterable[str]) -> list[str]:
    known = [f"bronze.{name}" for name in workspace.project.config.sources]
    wanted = list(wanted)
    if any(not address.startswith("bronze.") for address in wanted) or not wanted:
        known += [table.address for table in workspace.graph.tables if table.layer in ("silver", "gold")]
    for address in wanted:
        if address not in known:
            raise UsageError(f"there is no quarantine of '{address}'", hint=did_you_mean(address, known))
    return wanted or known
