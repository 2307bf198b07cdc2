"""The broker dies, hangs, compacts, or has a history of everything at once: nothing is lost and nothing doubled."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.delta import Draft
from lakehouse.errors import SourceUnavailableError
from lakehouse.pipeline import ingest
from lakehouse.sources.kafka.reading import PATIENCE
from tests.bronze.landed import Landed
from tests.laws.corpus import seeds
from tests.laws.test_exactly_once import Killed
from tests.sources.kafka.broker import Broker
from tests.sources.kafka.landed import Reading, places, take
from tests.sources.kafka.producing import AT, Topics

HISTORIES = "tests/sources/kafka/test_faults.py::test_a_history_of_everything"
MANY, PARTITIONS, SIZE = 20_000, 4, 500
"""Records of some 2,500 bytes: partitions of 12 MiB."""


@pytest.fixture
def full(spark: Any, topics: Topics, topic: str) -> str:
    """The test's topic with more than is fetched at once."""
    topics.widen(topic, PARTITIONS)
    sent = spark.range(MANY).selectExpr(f"CAST(id % {PARTITIONS} AS int) AS partition", f"repeat(id, {SIZE}) AS value")
    sent.write.format("kafka").option("kafka.bootstrap.servers", topics.servers).option("topic", topic).save()
    return topic


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.sources.kafka.asking.PATIENCE_MS", 2000)
    monkeypatch.setitem(PATIENCE, "kafkaConsumer.pollTimeoutMs", "2000")
    monkeypatch.setitem(PATIENCE, "kafka.default.api.timeout.ms", "4000")
    monkeypatch.setitem(PATIENCE, "kafka.request.timeout.ms", "2000")


def while_it_is_read(project: Project, do: Callable[[], None]) -> threading.Thread:
    """Something happens as soon as the first file of the batch is there, which is long before the last record is."""

    def watch() -> None:
        deadline = time.monotonic() + 100
        while not any(project.path("bronze.events").glob("_kind=record/*.parquet")):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        do()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def values_once(project: Project) -> None:
    """All that was sent landed, and each once; no consumer of ours is asked."""
    values = Counter(row["value"] for row in Landed(project, "events").kinds["record"])
    assert values == Counter(str(number) * SIZE for number in range(MANY))


def killed_while_it_is_read(project: Project, broker: Broker) -> None:
    watcher = while_it_is_read(project, broker.stop)
    (result,) = ingest(project).results
    watcher.join()
    broker.start()
    assert isinstance(result.error, SourceUnavailableError), result
    assert "does not answer" in str(result.error)
    assert take(project) == (MANY, 0)
    values_once(project)


@pytest.mark.torture
def test_a_broker_that_is_killed_while_it_is_read(
    reading: Reading, broker: Broker, full: str, short_patience: None
) -> None:
    killed_while_it_is_read(reading(value="text"), broker)


@pytest.mark.torture  # as long as the engine's own patience is
def test_a_broker_that_is_killed_is_given_up_by_itself(reading: Reading, broker: Broker, full: str) -> None:
    killed_while_it_is_read(reading(value="text"), broker)


@pytest.mark.torture
@pytest.mark.parametrize("pause_s", [3, 30])
def test_a_broker_that_hangs_while_it_is_read(reading: Reading, broker: Broker, full: str, pause_s: int) -> None:
    project = reading(value="text")
    again = threading.Timer(pause_s, broker.go_on)

    def hang() -> None:
        broker.pause()
        again.start()

    watcher = while_it_is_read(project, hang)
    (result,) = ingest(project).results
    watcher.join()
    again.join()
    assert result.error is None or (isinstance(result.error, SourceUnavailableError) and pause_s > 3), result
    assert take(project) == (MANY if result.error else 0, 0)
    values_once(project)


@pytest.mark.torture
@pytest.mark.parametrize("batches", range(1, 5))
def test_a_broker_that_is_killed_between_batches(
    reading: Reading, broker: Broker, full: str, short_patience: None, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, commit = reading(value="text", max_records=MANY // 5), Draft.commit
    made: list[Draft] = []

    def then_it_dies(draft: Draft) -> None:
        commit(draft)
        made.append(draft)
        if len(made) == batches:
            broker.stop()

    monkeypatch.setattr(Draft, "commit", then_it_dies)
    (result,) = ingest(project).results
    broker.start()
    assert isinstance(result.error, SourceUnavailableError), result
    landed = batches * MANY // 5
    assert [receipt["landed"] for receipt in Landed(project, "events").receipts.values()] == [MANY // 5] * batches
    assert take(project) == (MANY - landed, 0)
    values_once(project)


def test_a_topic_that_is_compacted_lands_what_it_still_has(reading: Reading, topics: Topics, topic: str) -> None:
    compacted = topics.make(f"{topic}.compacted", cleanup_policy="compact", segment_ms="100")
    at = iter(range(AT, AT + 1_000_000, 1000))  # each record begins a segment, and just closed ones are compacted

    def send(first: int, count: int) -> None:
        for number in range(first, first + count):
            topics.send_one(compacted, b"%d" % number, key=b"%d" % (number % 3), at=next(at))

    project = reading(topic=compacted, value="text")
    send(0, 6)
    assert take(project)[1] == 0
    before = places(project)
    send(6, 30)
    deadline = time.monotonic() + 100
    while len(topics.read(compacted)) > 5:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    left = {(0, at, value) for at, value in ((at, value) for _, at, value in topics.read(compacted)) if at >= 6}
    landed, rejected = take(project)
    new = {(0, at, value.encode()) for place, at, value in places(project) if (place, at, value) not in before}
    assert (new, landed, rejected) == (left, len(left), 0)
    _, receipt = max(Landed(project, "events").receipts.items())
    assert receipt["note"] == f"{30 - landed} offsets without a committed record"


class Story:
    """A topic's history and, in plain Python, what must have landed of it by now."""

    def __init__(self, seed: int, topics: Topics, topic: str) -> None:
        self.chance = random.Random(seed)
        self.topics, self.topic = topics, topic
        self.partitions, self.number = 1, 0
        self.there: dict[tuple[int, int], bytes | None] = {}
        """What the topic has now, by partition and offset."""
        self.taken: Counter[tuple[int, int, bytes | None]] = Counter()
        self.cursor: dict[int, int] = {}
        self.again = False
        """Whether the topic was made again since the last batch."""

    def value(self) -> bytes | None:
        self.number += 1
        return self.chance.choice([b'{"n": %d}', b"[%d]", b"{%d", b"\xff%d"]) % self.number if self.number % 7 else None

    def send(self, producer: Any = None, kept: bool = True) -> dict[int, int]:
        """Returns the last offset that was sent to each partition."""
        last: dict[int, int] = {}
        for _ in range(self.chance.randrange(1, 6)):
            partition, value = self.chance.randrange(self.partitions), self.value()
            at = self.topics.send_one(self.topic, value, partition=partition, producer=producer)
            assert at is not None
            last[partition] = at
            if kept:
                self.there[partition, at] = value
        return last

    def transact(self) -> None:
        commit = self.chance.random() < 0.5
        with self.topics.transaction(commit) as producer:
            last = self.send(producer, kept=commit)
        deadline = time.monotonic() + 60
        while any(self.topics.ends(self.topic, self.partitions)[number] <= at for number, at in last.items()):
            assert time.monotonic() < deadline  # the marks of a transaction follow a moment after it

    def widen(self) -> None:
        if self.partitions < 4:
            self.partitions += 1
            self.topics.widen(self.topic, self.partitions)

    def forget(self) -> None:
        """Retention passes by, sometimes further than what landed."""
        partition = self.chance.randrange(self.partitions)
        end = self.topics.ends(self.topic, self.partitions)[partition]
        before = min(end, self.cursor.get(partition, 0) + self.chance.choice([-1, 0, 0, 1, 3]))
        if before > 0:
            self.topics.forget(self.topic, partition, before)
            self.there = {(p, at): value for (p, at), value in self.there.items() if p != partition or at >= before}

    def make_again(self) -> None:
        self.topics.delete(self.topic)
        self.topics.make(self.topic, self.partitions)
        self.there, self.again = {}, bool(self.cursor)

    def land(self) -> None:
        """All that the topic has and that has not landed."""
        known = {} if self.again else self.cursor
        self.taken.update((p, at, value) for (p, at), value in self.there.items() if at >= known.get(p, 0))
        self.cursor, self.again = self.topics.ends(self.topic, self.partitions), False


def ingested(story: Story, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run, or one that dies at a commit and another; where data is gone the first says so and lands nothing."""
    settings: dict[str, Any] = {"value": "json"}
    if story.chance.random() < 0.5:
        settings["max_records"] = story.chance.randrange(2, 9)
    project = reading(**settings)
    if story.chance.random() < 0.3:
        commit, after = Draft.commit, story.chance.random() < 0.5

        def dies(draft: Draft) -> None:
            if after:
                commit(draft)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Draft, "commit", dies)
            with suppress(Killed):
                ingest(project)
    (result,) = ingest(project).results
    if result.error is not None:
        assert "no longer has what comes next" in str(result.error), result.error
        (result,) = ingest(reading(**settings, on_data_loss="continue")).results
        assert result.error is None, result.error


def told(seed: int, reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(seed, topics, topic)
    story.send()
    for _ in range(12):
        step = story.chance.choice(
            [story.send, story.send, story.transact, story.widen, story.forget, story.make_again, story.land]
        )
        step()
        if step == story.land:
            ingested(story, reading, monkeypatch)
    story.send()
    story.land()
    ingested(story, reading, monkeypatch)
    landed = Landed(reading(), "events")
    found = Counter(
        (int(row["_file"].rpartition("/")[2]), row["_row"], row["value"] and row["value"].encode())
        for row in landed.kinds["record"]
    )
    found.update((int(row["_file"].rpartition("/")[2]), row["_offset"], row["_raw"]) for row in landed.kinds["reject"])
    assert found == story.taken
    assert {raw for _, _, raw in found if raw and raw[:1] in (b"{", b"\xff") and raw[1:2] != b'"'} == {
        row["_raw"] for row in landed.kinds["reject"]
    }


@pytest.mark.parametrize("seed", seeds(HISTORIES, quick=1, every=42))
def test_a_history_of_everything(
    seed: int, reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(seed, reading, topics, topic, monkeypatch)
