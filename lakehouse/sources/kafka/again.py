"""Judge rejects of a topic once more, from the bytes and the rest that bronze kept of each."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.config import KafkaSource
from lakehouse.sources.kafka.reading import KINDS, SCHEMA, VALUE, judged, reason
from lakehouse.tables.batch import RESCUED, Batch
from lakehouse.tables.quarantine import Again, Parsed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def judge_again(session: SparkSession, source: KafkaSource, rejects: Sequence[Again]) -> Parsed:
    """Pass each reject through what judges every record of the topic; a record keeps its partition and offset."""
    rows = [(number, *_row(one)) for number, one in enumerate(rejects)]
    frame = session.createDataFrame(rows, f"number int, {SCHEMA}")
    verdicts = frame.select("number", reason(session, source.value).alias("why")).collect()
    reasons = {row["number"]: row["why"] or "" for row in verdicts}
    sound = [row[1:] for row in rows if not reasons[row[0]]]
    batch = Batch(
        cursor={},
        took=f"{len(sound):,} reject{'s' * (len(sound) != 1)} again",
        read=lambda session: judged(session, session.createDataFrame(sound, SCHEMA), source.value),
        records=len(sound),
        raw=VALUE,
    )
    return Parsed(tuple(reasons[row[0]] for row in rows), batch if sound else None)


def _row(one: Again) -> tuple[Any, ...]:
    """The record as Spark's source gave it."""
    topic, _, partition = one.reject.file.rpartition("/")
    kept = one.beside | json.loads(one.beside.get(RESCUED, "{}"))
    kind = KINDS.index(kept["timestamp_type"]) if "timestamp_type" in kept else -1
    raw, place = bytearray(one.reject.raw), (topic, int(partition), one.reject.offset)
    return _bytes(kept.get("key")), raw, *place, _time(kept.get("timestamp")), kind, _headers(kept.get("headers"))


# What was rescued, or has another type in conf/, bronze has as text.


def _bytes(kept: Any) -> Any:
    return bytearray(b64decode(kept)) if isinstance(kept, str) else kept


def _time(kept: Any) -> datetime | None:
    if kept is None:
        return None
    at = datetime.fromisoformat(str(kept))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _headers(kept: Any) -> Any:
    if not isinstance(kept, str):
        return kept
    return [{"key": header["key"], "value": _bytes(header.get("value"))} for header in json.loads(kept)]
