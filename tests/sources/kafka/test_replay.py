"""Rejects of a topic pass the same judgement again, and land once, with all that came with them."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from lakehouse.delta import Draft
from lakehouse.pipeline.quarantine import quarantines
from lakehouse.pipeline.resolving import replay
from lakehouse.sources.kafka.again import _row
from lakehouse.tables.batch import Reject
from lakehouse.tables.quarantine import Again
from tests.bronze.landed import Landed
from tests.laws.test_exactly_once import Killed
from tests.sources.kafka.landed import Reading, last_cursor, places, take
from tests.sources.kafka.producing import AT, Topics

BRONZE = "bronze.events"
KEPT = ("key", "headers", "timestamp", "timestamp_type")


def test_a_source_that_is_text_now_takes_what_was_no_json(reading: Reading, topics: Topics, topic: str) -> None:
    topics.widen(topic, 2)
    topics.send_one(topic, b"{}")
    topics.send_one(topic, b"no json", key=b"k\xff", headers=[("h", b"\x00v"), ("h", None)], at=AT + 7, partition=1)
    topics.send_one(topic, b"\xff", key=None, partition=1)
    project = reading()
    assert take(project) == (1, 2)
    before = last_cursor(project)
    kept = {row["_raw"]: {name: row[name] for name in KEPT} for row in Landed(project, "events").kinds["reject"]}

    assert replay(project, BRONZE).done == 0  # what was none is none
    project = reading(value="text")
    done = replay(project, BRONZE)
    assert (done.chosen, done.done, done.landed, done.quarantined) == (2, 1, 1, 0)
    assert [why for _, why in done.still] == ["it is not UTF-8"]
    assert places(project) == [(f"{topic}/0", 0, "{}"), (f"{topic}/1", 0, "no json")]
    (row,) = [row for row in Landed(project, "events").kinds["record"] if row["value"] == "no json"]
    assert {name: row[name] for name in KEPT} == kept[b"no json"]
    assert row["headers"] == [{"key": "h", "value": b"\x00v"}, {"key": "h", "value": None}]
    assert (row["key"], row["timestamp_type"]) == (b"k\xff", "CreateTime")
    assert {row["_raw"] for row in Landed(project, "events").kinds["reject"]} == set(kept)  # nothing is deleted

    assert (replay(project, BRONZE).chosen, len(places(project))) == (1, 2)  # and it lands once
    (held,) = quarantines(project, [BRONZE])
    assert (len(held.rows), len(held.open), held.count("replayed")) == (2, 1, 1)
    topics.send(topic, b"after")
    assert take(project) == (1, 0)
    assert before["offsets"] == {"0": 1, "1": 2} and last_cursor(project)["offsets"] == {"0": 2, "1": 2}


def test_corrected_bytes_stand_in_for_a_record(reading: Reading, topics: Topics, topic: str) -> None:
    topics.send_one(topic, b"{", key=b"k")
    project = reading()
    assert take(project) == (0, 1)
    still = replay(project, BRONZE, given=b'{"a": 1}}')
    assert (still.done, len(still.still)) == (0, 1)
    assert replay(project, BRONZE, given=b'{"a": 1}').landed == 1
    (row,) = Landed(project, "events").kinds["record"]
    assert (row["_file"], row["_row"], row["key"], row["value"]) == (f"{topic}/0", 0, b"k", '{"a": 1}')


def test_a_value_that_no_declared_type_holds_is_kept_and_lands_as_it_came(
    reading: Reading, topics: Topics, topic: str
) -> None:
    declared = "{value: bigint}"
    topics.send(topic, b"7", None)
    topics.send_one(topic, b" abc\0\xc3\xa9", key=b"k\xff", headers=[("h", b"\x00v"), ("h", None)], at=AT + 70)
    topics.send_one(topic, b"abc", key=b"")
    topics.send_one(topic, b"\xff", key=b"l")
    project = reading(value="text", columns=declared)
    assert take(project) == (2, 3)
    rejects = sorted(Landed(project, "events").kinds["reject"], key=lambda row: int(row["_offset"]))
    assert [(row["_offset"], row["_raw"], row["value"]) for row in rejects] == [
        (2, b" abc\0\xc3\xa9", None),
        (3, b"abc", None),
        (4, b"\xff", None),
    ]
    assert [row["_reason"] for row in rejects] == [*["'value' is no bigint"] * 2, "it is not UTF-8"]
    assert replay(project, BRONZE).done == 0
    (held,) = quarantines(project, [BRONZE])
    assert replay(project, BRONZE, ids=[held.open[1].place.id], given=b"8").landed == 1
    # Without the type the message is what it was, and what came with it.
    project = reading(value="text", new_columns="rescue", changed_types="rescue")
    done = replay(project, BRONZE)
    assert (done.landed, [why for _, why in done.still]) == (1, ["it is not UTF-8"])
    records = {row["_row"]: row for row in Landed(project, "events").kinds["record"]}
    assert {at: row["value"] for at, row in records.items()} == {0: 7, 1: None, 2: None, 3: 8}
    beside = {at: json.loads(row["_rescued"]) for at, row in records.items()}
    assert beside[2].pop("value") == " abc\0é"
    assert [beside[at] for at in (2, 3)] == [json.loads(row["_rescued"]) for row in rejects[:2]]
    assert (beside[2]["key"], beside[3]["key"]) == (b64encode(b"k\xff").decode(), "")
    assert json.loads(beside[2]["headers"]) == [
        {"key": "h", "value": b64encode(b"\x00v").decode()},
        {"key": "h", "value": None},
    ]
    assert datetime.fromisoformat(beside[2]["timestamp"]).replace(tzinfo=UTC).timestamp() * 1000 == AT + 70
    assert beside[2]["timestamp_type"] == "CreateTime"


MOMENT = datetime(2025, 11, 20, 12, 0, 0, 70_000, UTC)
HEADERS = [{"key": "h", "value": b"\0"}, {"key": "h", "value": None}]
IN_TEXT = {"key": "a/8=", "headers": '[{"key":"h","value":"AA=="},{"key":"h"}]', "timestamp": "2025-11-20 12:00:00.07"}


@pytest.mark.parametrize(
    ("beside", "key", "at", "headers"),
    [
        ({"key": b"k\xff", "headers": HEADERS, "timestamp": MOMENT}, b"k\xff", MOMENT, HEADERS),
        (IN_TEXT, b"k\xff", MOMENT, HEADERS),
        ({"_rescued": json.dumps(IN_TEXT)}, b"k\xff", MOMENT, HEADERS),
        ({"timestamp": MOMENT.replace(tzinfo=None)}, None, MOMENT, None),
        ({"key": "", "headers": "[]", "timestamp": "2025-11-20 12:00:00"}, b"", MOMENT.replace(microsecond=0), []),
        ({}, None, None, None),
    ],
)
def test_what_came_with_a_value_is_found_however_bronze_has_it(beside: Any, key: Any, at: Any, headers: Any) -> None:
    found = _row(Again(Reject("a/b/3", 5, 0, b"v", "why"), (), beside | {"timestamp_type": "LogAppendTime"}))
    assert found[:7] == (key, b"v", "a/b", 3, 5, at, 1)
    assert found[7] == headers


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_replay_that_dies_at_its_commit_is_just_run_again(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    topics.send(topic, b"a", b"b", b"1")
    assert take(reading()) == (1, 2)
    project = reading(value="text")
    commit = Draft.commit

    def commit_that_dies(draft: Draft) -> None:
        if moment == "after":
            commit(draft)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "commit", commit_that_dies)
        with pytest.raises(Killed):
            replay(project, BRONZE)
    assert replay(project, BRONZE).landed == (2 if moment == "before" else 0)
    assert [row[1:] for row in places(project)] == [(0, "a"), (1, "b"), (2, "1")]


def test_the_same_place_of_a_topic_made_again_is_another_record(
    reading: Reading, topics: Topics, topic: str, monkeypatch: Any
) -> None:
    topics.send(topic, b"old")
    assert take(reading()) == (0, 1)
    topics.delete(topic)
    topics.make(topic)
    topics.send(topic, b"new")
    assert take(reading(on_data_loss="continue")) == (0, 1)
    project = reading(value="text", on_data_loss="continue")
    landed = [replay(project, BRONZE).landed for _ in "abc"]  # a batch has a place once
    assert sum(landed) == 2 and landed[-1] == 0
    assert places(project) == [(f"{topic}/0", 0, "new"), (f"{topic}/0", 0, "old")]
