"""What a topic has lands once, whatever happens to the topic between two batches."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.delta import Draft
from lakehouse.pipeline import build, plan
from tests.bronze.landed import Landed
from tests.laws.shop import rows_of
from tests.laws.test_exactly_once import Killed
from tests.sources.kafka.landed import Reading, places, refused, take
from tests.sources.kafka.producing import AT, Topics


def test_each_record_lands_once_over_several_batches(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading()
    assert plan(project).steps[0].why == f"what {topics.servers} has of {topic}"
    assert take(project) == (0, 0)
    topics.send(topic, b"1", b'{"a": 2}')
    assert take(project) == (2, 0)
    assert take(project) == (0, 0)
    topics.send(topic, b'"three"')
    assert take(project) == (1, 0)
    assert places(project) == [(f"{topic}/0", 0, "1"), (f"{topic}/0", 1, '{"a": 2}'), (f"{topic}/0", 2, '"three"')]
    receipts = [receipt for _, receipt in sorted(Landed(project, "events").receipts.items())]
    assert [receipt["cursor"]["offsets"] for receipt in receipts] == [{"0": 2}, {"0": 3}]
    assert [receipt["took"] for receipt in receipts] == [f"2 offsets of {topic}", f"1 offset of {topic}"]


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


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_dies_at_its_commit_is_just_run_again(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    project = reading(value="text")
    topics.send(topic, b"a")
    assert take(project) == (1, 0)
    topics.send(topic, b"b", b"c", b"\xff")
    with monkeypatch.context() as patch:
        commit = Draft.commit

        def commit_that_dies(draft: Draft) -> None:
            if moment == "after":
                commit(draft)
            raise Killed

        patch.setattr(Draft, "commit", commit_that_dies)
        with pytest.raises(Killed):
            take(project)
    topics.send(topic, b"d")
    assert take(project) == ((3, 1) if moment == "before" else (1, 0))
    assert [row[1:] for row in places(project)] == [(0, "a"), (1, "b"), (2, "c"), (4, "d")]
    assert [row["_offset"] for row in Landed(project, "events").kinds["reject"]] == [3]


def test_partitions_that_are_added_are_read_from_their_beginning(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(start="latest", value="text")
    topics.send(topic, b"before")
    assert take(project) == (0, 0)  # the receipt says where it begins
    topics.widen(topic, 3)
    topics.send(topic, b"x", b"y", partition=2)
    topics.send(topic, b"after")
    assert take(project) == (3, 0)
    assert places(project) == [(f"{topic}/0", 1, "after"), (f"{topic}/2", 0, "x"), (f"{topic}/2", 1, "y")]
    assert take(project) == (0, 0)


def test_only_what_is_committed_lands(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(value="text")
    topics.send(topic, b"plain")
    with topics.transaction(commit=False) as producer:
        topics.send_one(topic, b"aborted", producer=producer)
    with topics.transaction(commit=True) as producer:
        topics.send_one(topic, b"committed", producer=producer)
    assert take(project) == (2, 0)
    with topics.transaction(commit=True) as producer:
        topics.send_one(topic, b"open", producer=producer)
        topics.send(topic, b"behind it")
        assert take(project) == (0, 0)
    assert take(project) == (2, 0)
    with topics.transaction(commit=False) as producer:
        topics.send_one(topic, b"aborted at the end", producer=producer)
    assert take(project) == (0, 0)  # a batch of offsets that hold no record
    topics.send(topic, b"last")
    assert take(project) == (1, 0)
    assert [row[2] for row in places(project)] == ["plain", "committed", "open", "behind it", "last"]


def test_a_run_takes_all_there_is_in_batches_of_what_one_may(reading: Reading, topics: Topics, topic: str) -> None:
    topics.widen(topic, 3)
    sent = {partition: [f"{partition}-{i}".encode() for i in range(count)] for partition, count in enumerate((7, 1, 4))}
    for partition, values in sent.items():
        topics.send(topic, *values, partition=partition)
    project = reading(value="text", max_records=5)
    assert [take(project) for _ in range(2)] == [(12, 0), (0, 0)]
    assert sorted(row[2].encode() for row in places(project)) == sorted(chain(*sent.values()))
    receipts = [receipt for _, receipt in sorted(Landed(project, "events").receipts.items())]
    assert [receipt["took"] for receipt in receipts] == [
        f"5 offsets of {topic}, 7 more wait",
        f"5 offsets of {topic}, 2 more wait",
        f"2 offsets of {topic}",
    ]


def test_a_run_ends_where_the_topic_ended_when_it_began(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = reading(value="text", max_records=2)
    topics.send(topic, b"0", b"1", b"2")
    commit = Draft.commit

    def commit_while_more_is_sent(draft: Draft) -> None:
        topics.send(topic, b"more", b"more")
        commit(draft)

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "commit", commit_while_more_is_sent)
        assert take(project) == (3, 0)  # a topic that is written faster than it is read ends no other way
    assert [row[1] for row in places(project)] == [0, 1, 2]
    assert take(project) == (4, 0)


def test_what_is_gone_between_two_batches_stops_the_second(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = reading(value="text", max_records=2)
    topics.send(topic, *(str(i).encode() for i in range(6)))
    commit = Draft.commit

    def while_retention_passes_by(draft: Draft) -> None:
        commit(draft)
        topics.forget(topic, 0, 3)

    monkeypatch.setattr(Draft, "commit", while_retention_passes_by)
    assert f"{topic}/0: offsets 2 to 2 (the oldest there is 3)" in refused(project)
    assert [row[1] for row in places(project)] == [0, 1]
    assert take(reading(value="text", on_data_loss="continue")) == (3, 0)
    assert [row[1] for row in places(project)] == [0, 1, 3, 4, 5]


def test_a_run_that_dies_between_two_batches_goes_on_there(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = reading(value="text", max_records=2)
    topics.send(topic, *(str(i).encode() for i in range(5)))
    commit, made = Draft.commit, []

    def second_dies(draft: Draft) -> None:
        if made:
            raise Killed
        made.append(draft)
        commit(draft)

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "commit", second_dies)
        with pytest.raises(Killed):
            take(project)
    assert [row[1] for row in places(project)] == [0, 1]
    assert take(project) == (3, 0)
    assert [row[1:] for row in places(project)] == [(i, str(i)) for i in range(5)]


TABLES = """
from pyspark.sql import functions as F
from lakehouse import silver

@silver.table(key="id")
def users(bronze_users):
    \"\"\"The newest name of each user.\"\"\"
    fields = F.from_json("value", "id bigint, name string")
    return bronze_users.where("value IS NOT NULL").select(fields.id.alias("id"), fields["name"].alias("name"))

@silver.table(key="id")
def visits(bronze_visits):
    \"\"\"Who came.\"\"\"
    return bronze_visits.select(F.expr("try_cast(value AS bigint)").alias("id"))
"""


def test_two_topics_of_one_project_reach_silver(make_project: Any, topics: Topics, topic: str) -> None:
    topics.make(f"{topic}.visits", partitions=2)
    topics.send(
        topic, b'{"id": 1, "name": "ada"}', b'{"id": 2, "name": "bob"}', b'{"id": 1, "name": "Ada"}', None, b"{"
    )
    for partition in (0, 1):
        topics.send(f"{topic}.visits", b"7", b"8", partition=partition)
    servers = topics.servers
    sources = f"""  users: {{type: kafka, servers: "{servers}", topic: {topic}, value: json}}
  visits: {{type: kafka, servers: "{servers}", topic: {topic}.visits, value: text}}"""
    project: Project = make_project(sources, TABLES)
    assert take(project, "users") == (4, 1)
    assert take(project, "visits") == (4, 0)
    report = build(project)
    assert report.exit_code == 0, [str(result.error) for result in report.results]
    names = {row["id"]: row["name"] for row in rows_of(project.path("silver.users"))}
    assert names == {1: "Ada", 2: "bob"}
    assert sorted(row["id"] for row in rows_of(project.path("silver.visits"))) == [7, 8]
