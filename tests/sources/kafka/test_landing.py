"""What a topic has lands once, whatever happens to the topic between two batches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lakehouse.config import Project
from lakehouse.pipeline import ingest, plan
from tests.bronze.landed import Landed
from tests.sources.kafka.producing import AT, Topics

Reading = Callable[..., Project]


def take(project: Project, source: str = "events") -> tuple[int, int]:
    """Ingest one source; what landed and what was quarantined."""
    (result,) = ingest(project, select=[f"bronze.{source}"]).results
    assert result.error is None, result.error
    return result.landed, result.quarantined


def places(project: Project, source: str = "events") -> list[tuple[str, int, Any]]:
    rows = Landed(project, source).kinds["record"]
    return sorted((row["_file"], row["_row"], row["value"]) for row in rows)


def test_each_record_lands_once_over_several_batches(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading()
    assert plan(project).steps[0].why == f"what {topics.broker.servers} has of {topic}"
    assert take(project) == (0, 0)
    topics.send(topic, b"1", b'{"a": 2}')
    assert take(project) == (2, 0)
    assert take(project) == (0, 0)
    topics.send(topic, b'"three"')
    assert take(project) == (1, 0)
    assert places(project) == [(f"{topic}/0", 0, "1"), (f"{topic}/0", 1, '{"a": 2}'), (f"{topic}/0", 2, '"three"')]
    receipts = list(Landed(project, "events").receipts.values())
    assert [receipt["cursor"]["offsets"] for receipt in receipts] == [{"0": 2}, {"0": 3}]
    assert [receipt["took"] for receipt in receipts] == [f"2 offsets of {topic}", f"1 offsets of {topic}"]


def test_key_headers_and_times_are_kept(reading: Reading, topics: Topics, topic: str) -> None:
    headers = [("trace", b"\x00\xff"), ("trace", b""), ("none", None)]
    topics.send_one(topic, b"{}", key=b"\xfe\x00k", headers=headers)
    topics.send_one(topic, None, key=b"gone", at=AT + 1)  # a tombstone
    project = reading()
    assert take(project) == (2, 0)
    first, second = sorted(Landed(project, "events").kinds["record"], key=lambda row: int(row["_row"]))
    assert (first["key"], first["value"]) == (b"\xfe\x00k", "{}")
    assert [(header["key"], header["value"]) for header in first["headers"]] == headers
    assert (first["timestamp"], first["timestamp_type"]) == (datetime.fromtimestamp(AT / 1000, UTC), "CreateTime")
    assert (second["key"], second["value"], second["headers"]) == (b"gone", None, None)
    assert (second["timestamp"] - first["timestamp"]).total_seconds() == 0.001
