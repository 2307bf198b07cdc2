"""What Spark says that it read is counted again, by the offsets in the files and by the broker's own client."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import TableNotFoundError

from lakehouse.delta import Draft
from lakehouse.errors import ConservationError
from lakehouse.sources.kafka.client import PATIENCE_MS
from lakehouse.sources.kafka.witness import MOST, Gap, require_all
from tests.bronze.landed import Landed
from tests.sources.kafka.landed import Reading, places, refused, take
from tests.sources.kafka.producing import Topics


def files(folder: Path, *contents: list[tuple[int, int]]) -> list[Path]:
    """Files with these partitions and offsets; every third is a reject."""
    made = []
    for number, offsets in enumerate(contents):
        rejects = [at % 3 == 0 for _, at in offsets]
        columns = {
            "_file": [f"t/{partition}" for partition, _ in offsets],
            "_row": pa.array([None if bad else at for bad, (_, at) in zip(rejects, offsets, strict=True)], pa.int64()),
            "_offset": pa.array(
                [at if bad else None for bad, (_, at) in zip(rejects, offsets, strict=True)], pa.int64()
            ),
        }
        made.append(folder / f"{number}.parquet")
        pq.write_table(pa.table(columns), made[-1], row_group_size=7)
    return made


@pytest.mark.parametrize("seed", range(100))
def test_it_finds_what_counting_one_by_one_finds(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    ranges = {partition: (low := chance.randrange(50), low + chance.randrange(1, 60)) for partition in range(3)}
    there = [(p, at) for p, (low, high) in ranges.items() for at in range(low, high) if chance.random() < 0.9]
    read = list(there)
    mistake = chance.choice(["none", "none", "twice", "outside", "elsewhere"])
    if mistake == "twice":
        read.append(chance.choice(there))
    elif mistake != "none":
        partition = chance.randrange(3)
        at = chance.choice([ranges[partition][0] - 1, ranges[partition][1]])
        read.append((partition, at) if mistake == "outside" else (9, 1))
    cuts = sorted(chance.sample(range(len(read)), 2))
    if chance.random() < 0.5:
        chance.shuffle(read)  # the order in which a file has them must not matter
    asked: list[Gap] = []

    def committed_in(gaps: Any) -> None:
        asked.extend(gaps)

    written = files(tmp_path, read[: cuts[0]], read[cuts[0] : cuts[1]], read[cuts[1] :])
    if mistake != "none":
        with pytest.raises(ConservationError):
            require_all("s", "t", ranges, committed_in, written)
        return
    count, note = require_all("s", "t", ranges, committed_in, written)
    lacking = {(p, at) for p, (low, high) in ranges.items() for at in range(low, high)} - set(there)
    assert count == len(there)
    found = {(p, at) for p, low, high in asked for at in range(low, high)}
    assert found <= lacking
    assert found == lacking or len(asked) == MOST
    assert note.startswith(f"{len(lacking):,} offset") if lacking else not note


def test_a_record_that_spark_leaves_out_is_missed_before_the_commit(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = reading(value="text")
    topics.send(topic, b"a", b"b", b"c", b"d")
    write = Draft.write

    def without_one(draft: Draft, frame: Any) -> Counter[str]:
        return write(draft, frame.where("value <> 'c'"))

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "write", without_one)
        assert f"nothing of {topic}/0 from 2 to 2, where the broker has a record" in refused(project)
    with pytest.raises(TableNotFoundError):
        Landed(project, "events")
    assert take(project) == (4, 0)


@pytest.mark.parametrize("mistake", ["frame.union(frame)", "frame.withColumn('_row', frame._row + 1)"])
def test_an_offset_that_is_there_twice_or_is_none_of_the_batch_stops_it(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    project = reading(value="text")
    topics.send(topic, b"a", b"b")
    write = Draft.write
    monkeypatch.setattr(Draft, "write", lambda draft, frame: write(draft, eval(mistake, {"frame": frame})))
    assert f"Spark read {topic}/0: " in refused(project)


def test_an_aborted_transaction_of_any_size_is_passed_over(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, fetches = 60_000, 40
    with topics.transaction(commit=False) as producer:
        for _ in range(fetches):
            topics.send_one(topic, b"x" * size, producer=producer, wait=False)
    topics.send(topic, b"behind it")
    monkeypatch.setattr("lakehouse.sources.kafka.asking.FETCH_BYTES", size)
    clock = count()  # each look at it is a second later: all the patience there is would not do for so many answers
    monkeypatch.setattr("lakehouse.sources.kafka.asking.time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert take(reading(value="text")) == (1, 0)
    assert next(clock) > 2 * PATIENCE_MS / 1000


def test_offsets_without_a_record_are_counted_and_said(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(value="text")
    topics.send(topic, b"plain")
    with topics.transaction(commit=False) as producer:
        topics.send_one(topic, b"aborted", producer=producer)
    with topics.transaction(commit=True) as producer:
        topics.send_one(topic, b"committed", producer=producer)
    assert take(project) == (2, 0)
    (receipt,) = Landed(project, "events").receipts.values()
    assert receipt["note"] == "3 offsets without a committed record"  # two marks, and what was aborted
    assert [row[1] for row in places(project)] == [0, 3]
