"""Find what a topic has since the last receipt: from its cursor to the last stable offset of each partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import KafkaSource
from lakehouse.errors import SourceChangedError, SourceUnavailableError
from lakehouse.sources.kafka.again import judge_again
from lakehouse.sources.kafka.asking import Topic, ask, committed_in
from lakehouse.sources.kafka.proving import sound
from lakehouse.sources.kafka.ranges import Ranges, next_ranges, still_of
from lakehouse.sources.kafka.reading import VALUE, read
from lakehouse.sources.kafka.witness import require_all
from lakehouse.tables.batch import Batch
from lakehouse.tables.quarantine import Again, Parsed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Kafka:
    """One topic. A cursor holds the topic, its id, and the next offset of each partition."""

    name: str
    source: KafkaSource
    folder: Path
    """The project's."""

    def waiting(self, cursors: Sequence[dict[str, Any]]) -> str:
        return f"what {self.source.servers} has of {self.source.topic}"

    def plan(self, session: SparkSession, cursors: Sequence[dict[str, Any]]) -> Batch | None:
        cursor = cursors[-1] if cursors else None
        start = "earliest" if cursor else self.source.start
        topic = ask(session, self.name, self.source, self.folder, start=start)
        ranges = self._ranges(topic, cursor)
        # Where a later start was chosen, the first receipt is what later batches go on from, records or not.
        if not ranges.filled and not ranges.gone and (cursor or start == "earliest"):
            return None
        return self._batch(session, topic, ranges)

    def again(self, session: SparkSession, rejects: Sequence[Again], scratch: Path) -> Parsed:
        return judge_again(session, self.source, rejects)

    def _ranges(self, topic: Topic, cursor: dict[str, Any] | None) -> Ranges:
        ranges = next_ranges(topic, cursor, self.source.max_records)
        if ranges.gone and self.source.on_data_loss == "error":
            raise self._changed(ranges)
        return ranges

    def _batch(self, session: SparkSession, topic: Topic, ranges: Ranges, *, judging: bool = False) -> Batch:
        """Values are judged all at once when they are written, which costs a tenth, and again one by one while they
        are read where one of them may be no record."""
        offsets = {str(number): end for number, end in sorted(ranges.end.items())}
        cursor = {"topic": topic.name, "topic_id": topic.id, "offsets": offsets}
        asked = partial(committed_in, session, self.name, self.source, self.folder)
        # A value of another type is not the one that came.
        judging = judging or bool(self.source.columns) or self.source.changed_types != "reject"
        reading = partial(read, name=self.name, source=self.source, folder=self.folder, ranges=ranges.filled)
        return Batch(
            cursor=cursor | ({"lost": list(ranges.gone)} if ranges.gone else {}),
            took=_took(topic.name, ranges),
            read=partial(reading, judging=judging),
            doubted=None if judging else partial(self._doubted, session, topic, ranges),
            raw=VALUE,
            require_unchanged=partial(self._require_unchanged, session, topic),
            witness=partial(require_all, self.name, topic.name, ranges.filled, asked),
            then=partial(self._next, session, topic, cursor, judging),
        )

    def _doubted(self, session: SparkSession, topic: Topic, ranges: Ranges, files: Sequence[Path]) -> Batch | None:
        return None if sound(self.source.value, files) else self._batch(session, topic, ranges, judging=True)

    def _next(self, session: SparkSession, planned: Topic, cursor: dict[str, Any], judging: bool) -> Batch | None:
        """What the topic had when the run began, still has, and the batch that ends at the cursor did not take."""
        if all(cursor["offsets"].get(str(number), end) >= end for number, end in planned.end.items()):
            return None
        now = ask(session, self.name, self.source, self.folder, start="earliest")
        ranges = self._ranges(still_of(planned, now, cursor), cursor)
        return self._batch(session, replace(planned, id=now.id), ranges, judging=judging) if ranges.filled else None

    def _require_unchanged(self, session: SparkSession, planned: Topic) -> None:
        """What was read by name and offset is of the topic that was planned, not of one made since."""
        now = ask(session, self.name, self.source, self.folder, start="earliest")
        if now.id != planned.id:
            raise SourceUnavailableError(
                f"sources.{self.name}: {now.name} was deleted and made again while it was read: nothing landed",
                hint="Run again: it says what is gone.",
            )

    def _changed(self, ranges: Ranges) -> SourceChangedError:
        return SourceChangedError(
            f"sources.{self.name}: {self.source.servers} no longer has what comes next: {'; '.join(ranges.gone)}",
            hint="Nothing of the batch has landed. Bring the records back, or go on without them: with "
            f"sources.{self.name}.on_data_loss: continue in conf/ the next receipt says which are missing.",
        )


def _took(topic: str, ranges: Ranges) -> str:
    said = f"{ranges.offsets:,} offset{'s' * (ranges.offsets != 1)} of {topic}"
    said += f", {ranges.more:,} more wait" if ranges.more else ""
    return said + "".join(f"; gone: {gone}" for gone in ranges.gone)
