"""Rejects that are records now: whether they are what the source's contract takes, each with those before it.

One that is not would keep the others from landing; a record that does not fit would be a reject of another batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.bronze.contract import check_columns, fitted
from lakehouse.bronze.receipts import Receipts
from lakehouse.config import Source
from lakehouse.errors import ContractError
from lakehouse.tables.batch import Batch, Part
from lakehouse.tables.quarantine import Again

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


DOUBLED = "another reject of its place is replayed with it: replay it alone, by its --id"


def refused(name: str, source: Source, receipts: Receipts, batch: Batch, sound: Sequence[Again]) -> list[str]:
    """Why each can't land with those before it that can, or nothing; ``batch`` is made of them.

    Its columns must be what the contract takes, and no two may stand at one place, which tells rows of a batch apart.
    """
    of_files = len(batch.parts) == len(sound)
    parts = batch.parts if of_files else [Part("", ())] * len(sound)
    whole = {one.reject.file for one in sound if of_files and one.whole}
    accepted: dict[tuple[str, ...], Part] = {}  # one of each kind: the others add no column
    taken: set[tuple[str, int]] = set()
    reasons = []
    for part, one in zip(parts, sound, strict=True):
        # A file that was rejected whole has a record at any place.
        place = one.reject.file, 0 if one.reject.file in whole else one.reject.offset
        reason = DOUBLED if place in taken else _refused(name, source, receipts, [*accepted.values(), part])
        if not reason:
            accepted.setdefault(part.columns, part)
            taken.add(place)
        reasons.append(reason)
    return reasons


def _refused(name: str, source: Source, receipts: Receipts, parts: Sequence[Part]) -> str:
    try:
        check_columns(name, source, receipts, parts)
    except ContractError as error:
        return error.message.removesuffix("; nothing landed")
    return ""


def unfit(
    session: SparkSession, name: str, source: Source, receipts: Receipts, batch: Batch, sound: Sequence[Again]
) -> list[str]:
    """Why the values of each can't have the declared types, or nothing. Those of a whole file are judged later."""
    agreed = check_columns(name, source, receipts, batch.parts)
    frame = fitted(source, receipts, agreed, batch.read(session), raw=batch.raw)
    if "_reason" not in frame.columns:
        return [""] * len(sound)
    rows = frame.where("_reason IS NOT NULL").select("_file", "_offset", "_reason").collect()
    odd = {(row["_file"], row["_offset"]): row["_reason"] for row in rows}
    later = batch.apart is not None
    return ["" if one.whole and later else odd.get((one.reject.file, one.reject.offset), "") for one in sound]
