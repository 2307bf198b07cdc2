"""Read offsets of a topic as a frame, which judges each record where that is asked, in expressions of Spark."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.config import KafkaSource
from lakehouse.sources.kafka.client import FETCH_BYTES, client_settings

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SCHEMA = (
    "key binary, value binary, topic string, partition int, offset bigint, timestamp timestamp, timestampType int, "
    "headers array<struct<key: string, value: binary>>"
)
"""What Spark's Kafka source gives."""
VALUE = "value"
"""The column that is a message's bytes."""
KINDS = ("CreateTime", "LogAppendTime")
"""What a timestamp may be, by the number that Kafka has for it."""
PATIENCE = {
    "kafka.request.timeout.ms": "10000",
    "kafka.default.api.timeout.ms": "15000",
    "kafkaConsumer.pollTimeoutMs": "30000",
    "fetchOffset.numRetries": "1",
}
"""A broker that dies while it is read is given up within a minute; Spark's own patience is minutes for each try."""
FETCH = {
    "kafka.max.poll.records": "20000",
    "kafka.max.partition.fetch.bytes": str(FETCH_BYTES),
    "kafka.fetch.max.wait.ms": "10",
}
"""Kafka's own 500 records and 1 MiB at a time cost a tenth of a batch of small messages. Spark asks for offsets
after each fetch, and the broker answers when the next one, of what is not there yet, has been: half a second later."""
SHORT = 999
"""Bytes in which nothing can nest too deep, and no number be too long."""
NOT_UTF8 = "it is not UTF-8"
NOT_JSON = "it is not one JSON value, or it has a key twice, half of a surrogate pair or too deep a nesting"


def read(
    session: SparkSession,
    *,
    name: str,
    source: KafkaSource,
    folder: Path,
    ranges: dict[int, tuple[int, int]],
    judging: bool,
) -> DataFrame:
    """The records from the first to before the second offset of each partition.

    Columns: key (binary), value (string, or binary as it came), headers, timestamp, timestamp_type, and bronze's own.
    Where each value is judged, rejects have a ``_reason``, keep key, headers and times, and their value stands in
    ``_raw``; else all are taken for records.
    """
    frame = _records(session, name, source, folder, ranges)
    if judging:
        return judged(session, frame, source.value)
    return frame.select(*(value.alias(name) for name, value in _record(source.value).items()))


def judged(session: SparkSession, frame: DataFrame, kind: str) -> DataFrame:
    """What Spark's source gives as records and rejects of bronze."""
    from pyspark.sql import functions as F

    kept, record = F.col("_reason").isNull(), _record(kind)
    record |= {name: F.when(kept, record[name]) for name in (VALUE, "_row")}
    reject = {"_raw": F.col("value"), "_offset": F.col("offset"), "_line": F.lit(0).cast("long")}
    columns = record | {name: F.when(~kept, value) for name, value in reject.items()}
    return frame.withColumn("_reason", reason(session, kind)).select(
        *(value.alias(name) for name, value in columns.items()), "_reason"
    )


def _record(kind: str) -> dict[str, Column]:
    """Bronze's columns of a record, whatever its value is."""
    from pyspark.sql import functions as F

    kinds = F.get(F.array(*map(F.lit, KINDS)), F.col("timestampType"))
    return {
        "key": F.col("key"),
        VALUE: F.col("value") if kind == "binary" else F.col("value").cast("string"),
        "headers": F.col("headers"),
        "timestamp": F.when(F.col("timestampType") >= 0, F.col("timestamp")),
        "timestamp_type": kinds,
        "_file": F.concat("topic", F.lit("/"), F.col("partition").cast("string")),
        "_row": F.col("offset"),
    }


def _records(
    session: SparkSession, name: str, source: KafkaSource, folder: Path, ranges: dict[int, tuple[int, int]]
) -> DataFrame:
    if not ranges:
        return session.createDataFrame([], SCHEMA)
    numbers = sorted(ranges)
    options = {f"kafka.{key}": value for key, value in client_settings(name, source, folder).items()}
    options |= (
        PATIENCE
        | FETCH
        | {
            "kafka.isolation.level": "read_committed",
            # These partitions and no others: one that is added meanwhile is the next batch's.
            "assign": json.dumps({source.topic: numbers}),
            "startingOffsets": json.dumps({source.topic: {str(number): ranges[number][0] for number in numbers}}),
            "endingOffsets": json.dumps({source.topic: {str(number): ranges[number][1] for number in numbers}}),
            "includeHeaders": "true",
            "failOnDataLoss": "true",
        }
    )
    return session.read.format("kafka").options(**options).load()


def reason(session: SparkSession, kind: str) -> Column:
    """Why a value is no record; null where it is one, as for a tombstone, which has no value."""
    from pyspark.sql import functions as F

    session.conf.set("spark.sql.variant.allowDuplicateKeys", "false")
    session.conf.set("spark.sql.variant.validateUnicodeInJsonParsing", "true")
    if kind == "binary":
        return F.lit(None).cast("string")
    text = F.col("value").cast("string")
    verdict = F.when(F.col("value").isNull(), F.lit(None)).when(~F.is_valid_utf8(text), NOT_UTF8)
    if kind == "text":
        return verdict
    return verdict.when(~_is_one_value(text), NOT_JSON)


def _is_one_value(text: Column) -> Column:
    """Whether a text is one JSON value, and nothing but that: Spark's parser reads the first and leaves the rest."""
    from pyspark.sql import functions as F

    # What begins with a brace and has its only closing one at its end has nothing behind its first value.
    flat = (F.octet_length(text) < SHORT) & text.startswith("{") & (F.instr(text, "}") == F.char_length(text))
    # Any other is put into an array before a word that nobody can know: only where that word is the second element is
    # the text one value. It takes twice the time.
    word = secrets.token_hex(16)
    parsed = F.try_parse_json(F.concat(F.lit("["), text, F.lit(f',"{word}"]')))
    whole = F.try_variant_get(parsed, "$[1]", "string").eqNullSafe(word)
    return F.when(flat, F.try_parse_json(text).isNotNull()).otherwise(whole)
