"""Where a source begins, and what it says when the topic no longer has what comes next."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.pipeline import ingest
from lakehouse.sources.kafka.asking import Topic
from lakehouse.sources.kafka.ranges import next_ranges, still_of
from tests.bronze.landed import Landed
from tests.sources.kafka.landed import Reading, last_cursor, places, refused, take
from tests.sources.kafka.producing import AT, Topics


def test_latest_is_where_the_topic_ended_at_the_first_run(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(start="latest", value="text")
    topics.send(topic, b"old")
    assert take(project) == (0, 0)
    assert last_cursor(project)["offsets"] == {"0": 1}
    topics.send(topic, b"new")
    assert take(project) == (1, 0)
    assert places(project) == [(f"{topic}/0", 1, "new")]


@pytest.mark.parametrize(
    ("start", "first"),
    [("2025-11-20T12:00:01Z", ["1", "2"]), ("2025-11-20T13:00:02+01:00", ["2"]), ("2025-11-20T12:00:03+00:00", [])],
)
def test_a_time_is_where_the_first_record_is_as_young(
    reading: Reading, topics: Topics, topic: str, start: str, first: list[str]
) -> None:
    for second in range(3):
        topics.send_one(topic, str(second).encode(), at=AT + second * 1000)
    project = reading(start=start, value="text")
    assert take(project) == (len(first), 0)
    topics.send_one(topic, b"older but later", at=AT)
    assert take(project) == (1, 0)
    assert [row[2] for row in places(project)] == [*first, "older but later"]


def test_records_that_retention_took_stop_the_source(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(value="text")
    topics.send(topic, *(str(i).encode() for i in range(3)))
    assert take(project) == (3, 0)
    topics.send(topic, *(str(i).encode() for i in range(3, 7)))
    topics.forget(topic, 0, 5)
    said = refused(project)
    assert f"{topic}/0: offsets 3 to 4 (the oldest there is 5)" in said
    assert "sources.events.on_data_loss: continue" in said
    assert last_cursor(project)["offsets"] == {"0": 3}
    assert take(reading(value="text", on_data_loss="continue")) == (2, 0)
    _, receipt = max(Landed(project, "events").receipts.items())
    assert receipt["cursor"]["lost"] == [f"{topic}/0: offsets 3 to 4 (the oldest there is 5)"]
    assert receipt["took"] == f"2 offsets of {topic}; gone: {receipt['cursor']['lost'][0]}"
    assert [row[1] for row in places(project)] == [0, 1, 2, 5, 6]
    assert take(project) == (0, 0)  # and it is whole again


def test_a_topic_that_is_made_again_stops_the_source(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(value="text")
    topics.send(topic, b"a", b"b")
    assert take(project) == (2, 0)
    topics.delete(topic)
    topics.make(topic)
    topics.send(topic, b"c", b"d", b"e")
    assert f"{topic}/0: offsets from 2 on (the topic was deleted and made again)" in refused(project)
    assert take(reading(value="text", on_data_loss="continue")) == (3, 0)
    assert [row[2] for row in sorted(places(project), key=lambda row: str(row[2]))] == ["a", "b", "c", "d", "e"]
    assert take(project) == (0, 0)


def test_a_topic_that_is_gone_is_named(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(topic="nowhere")
    report = ingest(project)
    assert report.exit_code == 5
    assert f"{topics.servers} has no topic 'nowhere'" in str(report.results[0].error)


def topic_of(first: dict[int, int], end: dict[int, int], **more: Any) -> Topic:
    return Topic(**({"name": "t", "id": "i", "since": first} | more), first=first, end=end)


def cursor(offsets: dict[str, int], **more: str) -> dict[str, Any]:
    return {"topic": "t", "topic_id": "i", "offsets": offsets, **more}


NEXT = [
    (topic_of({0: 0}, {0: 5}), None, {0: (0, 5)}, []),
    (topic_of({0: 3}, {0: 5}), None, {0: (3, 5)}, []),
    (topic_of({0: 0}, {0: 5}), cursor({"0": 5}), {}, []),
    (topic_of({0: 5}, {0: 5}), cursor({"0": 5}), {}, []),
    (topic_of({0: 0, 1: 0}, {0: 5, 1: 2}), cursor({"0": 4}), {0: (4, 5), 1: (0, 2)}, []),
    (topic_of({0: 6}, {0: 9}), cursor({"0": 5}), {0: (6, 9)}, ["t/0: offsets 5 to 5 (the oldest there is 6)"]),
    (topic_of({0: 9}, {0: 9}), cursor({"0": 5}), {}, ["t/0: offsets 5 to 8 (the oldest there is 9)"]),
    (
        topic_of({0: 0, 1: 2}, {0: 1, 1: 4}),
        cursor({"0": 1}),
        {1: (2, 4)},
        ["t/1: offsets 0 to 1 (the oldest there is 2)"],
    ),
    (
        topic_of({0: 0}, {0: 3}),
        cursor({"0": 5}),
        {},
        ["t/0: offsets 3 to 4 landed and are not there (it ends at 3)"],
    ),
    (
        topic_of({0: 0}, {0: 3}),
        cursor({"0": 1, "1": 7}),
        {0: (1, 3)},
        ["t/1: offsets from 7 on (the partition is not there)"],
    ),
    (
        topic_of({0: 0}, {0: 9}, id="j"),
        cursor({"0": 5}),
        {0: (0, 9)},
        ["t/0: offsets from 5 on (the topic was deleted and made again)"],
    ),
    (
        topic_of({0: 0}, {0: 9}),
        cursor({"0": 5}, topic="u"),
        {0: (0, 9)},
        ["u/0: offsets from 5 on (it is another topic)"],
    ),
]


@pytest.mark.parametrize(("topic", "known", "filled", "gone"), NEXT)
def test_what_comes_next(topic: Topic, known: Any, filled: dict[int, Any], gone: list[str]) -> None:
    ranges = next_ranges(topic, known)
    assert (ranges.filled, list(ranges.gone)) == (filled, gone)
    assert all(ranges.end[number] == max(end, topic.first[number]) for number, end in topic.end.items())


STILL = [  # planned end, first and end now, landed up to; what is taken, and what is said to be gone
    (150, (0, 150), 100, {0: (100, 150)}, ""),
    (150, (0, 300), 100, {0: (100, 150)}, ""),
    (150, (120, 300), 100, {0: (120, 150)}, "offsets 100 to 119 (the oldest there is 120)"),
    (150, (200, 300), 100, {}, "offsets 100 to 199 (the oldest there is 200)"),
    (150, (200, 300), 200, {}, ""),  # the batch before went past the planned end, with retention
    (150, (250, 300), 200, {}, "offsets 200 to 249 (the oldest there is 250)"),
    (150, (0, 120), 200, {}, "offsets 120 to 199 landed and are not there (it ends at 120)"),
]


@pytest.mark.parametrize(("end", "now", "landed", "filled", "gone"), STILL)
def test_a_later_batch_of_a_run_takes_what_was_planned_and_is_there(
    end: int, now: tuple[int, int], landed: int, filled: dict[int, Any], gone: str
) -> None:
    planned = topic_of({0: 0, 1: 0, 2: 0}, {0: end, 1: 9, 2: 9})
    there = topic_of({0: now[0], 1: 0, 3: 0}, {0: now[1], 1: 20, 3: 20})
    known = cursor({"0": landed, "1": 5})
    ranges = next_ranges(still_of(planned, there, known), known)
    assert (ranges.filled, list(ranges.gone)) == ({**filled, 1: (5, 9)}, [f"t/0: {gone}"] if gone else [])
    after = cursor({str(number): offset for number, offset in ranges.end.items()})
    again = next_ranges(still_of(planned, there, after), after)
    assert (again.filled, again.gone) == ({}, ())


@pytest.mark.parametrize("most", range(1, 14))
def test_a_limit_takes_that_many_and_leaves_the_rest(most: int) -> None:
    topic = topic_of({0: 0, 1: 5, 2: 0}, {0: 7, 1: 6, 2: 4})
    ranges = next_ranges(topic, None, most)
    assert (ranges.offsets, ranges.more) == (min(most, 12), 12 - min(most, 12))
    assert len(ranges.filled) == min(most, 3)  # none waits for the others
    assert all(topic.first[number] <= end <= topic.end[number] for number, end in ranges.end.items())
