"""Rejects that are records now: whether they are what the source's contract takes, each by itself.

One that is not would keep the others from landing; a record that does not fit would be a reject of another batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.bronze.contract import check_columns, fitted
from lakehouse.bronze.receipts import Receipts
from lakehouse.config import Source
from lakehouse.errors import ContractError
from lakehouse.tables.batch import Batch
from lakehouse.tables.quarantine import Again

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def refused(
    session: SparkSession, name: str, source: Source, receipts: Receipts, batch: Batch, sound: Sequence[Again]
) -> list[str]:
    """Why the columns of each can't land, or nothing; ``batch`` is made of them."""
    if len(batch.parts) != len(sound):
        return [""] * len(sound)
    reasons = []
    for part in batch.parts:
        try:
            check_columns(name, source, receipts, [part])
            reasons.append("")
        except ContractError as error:
            reasons.append(error.message.removesuffix("; nothing landed"))
    return reasons


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
