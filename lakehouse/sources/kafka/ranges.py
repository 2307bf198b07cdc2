"""From where the last batch ended and what the topic holds now to the offsets of the next batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lakehouse.sources.kafka.asking import Topic


@dataclass(frozen=True)
class Ranges:
    """Offsets by partition: from ``start``, up to and without ``end``."""

    start: dict[int, int]
    end: dict[int, int]
    gone: tuple[str, ...] = ()
    """What the topic no longer has of what comes next, one line a partition."""
    more: int = 0
    """Offsets that are there and left to the batch after this."""

    @property
    def offsets(self) -> int:
        return sum(self.end.values()) - sum(self.start.values())

    @property
    def filled(self) -> dict[int, tuple[int, int]]:
        """The partitions that have something new."""
        return {number: (self.start[number], end) for number, end in self.end.items() if end > self.start[number]}


def next_ranges(topic: Topic, cursor: dict[str, Any] | None, most: int | None = None) -> Ranges:
    """All that the topic has after the cursor, or ``most`` offsets of it. Without a cursor: from ``topic.since``.

    A partition that the cursor does not know began at offset 0. What is gone is passed over, and named in ``gone``.
    """
    gone: list[str] = []
    known: dict[int, int] = {}
    if cursor is not None:
        known = {int(number): int(offset) for number, offset in cursor["offsets"].items()}
        if (cursor["topic"], cursor["topic_id"]) != (topic.name, topic.id):
            was = "the topic was deleted and made again" if cursor["topic"] == topic.name else "it is another topic"
            gone += [
                f"{cursor['topic']}/{number}: offsets from {offset:,} on ({was})" for number, offset in known.items()
            ]
            known = {}
    start: dict[int, int] = {}
    for number in sorted({*topic.first, *known}):
        place = f"{topic.name}/{number}"
        if number not in topic.first:
            gone.append(f"{place}: offsets from {known[number]:,} on (the partition is not there)")
            continue
        first, end = topic.first[number], topic.end[number]
        begin = topic.since[number] if cursor is None else known.get(number, 0)
        if begin < first:
            gone.append(f"{place}: offsets {begin:,} to {first - 1:,} (the oldest there is {first:,})")
        elif begin > end:
            gone.append(f"{place}: offsets {end:,} to {begin - 1:,} landed and are not there (it ends at {end:,})")
        start[number] = min(max(begin, first), max(end, first))
    until = {number: max(topic.end[number], begin) for number, begin in start.items()}
    ends = _at_most(start, until, most) if most is not None else until
    return Ranges(start, ends, tuple(gone), sum(until.values()) - sum(ends.values()))


def still_of(planned: Topic, now: Topic, cursor: dict[str, Any]) -> Topic:
    """What the topic has now of what it had when it was planned; the cursor is of a batch that landed since.

    That may be past the planned end, where retention was: what is before it is no longer to be taken.
    """
    landed = {int(number): offset for number, offset in cursor["offsets"].items()}
    ends = {
        number: min(now.end[number], max(end, landed.get(number, end)))
        for number, end in planned.end.items()
        if number in now.end
    }
    return replace(now, first={number: now.first[number] for number in ends}, end=ends)


def _at_most(start: dict[int, int], until: dict[int, int], most: int) -> dict[int, int]:
    """Share the offsets out: a partition with little to give leaves its part to the others."""
    ends: dict[int, int] = {}
    left = most
    waiting = sorted(start, key=lambda number: until[number] - start[number])
    for place, number in enumerate(waiting):
        share = -(-left // (len(waiting) - place))
        ends[number] = start[number] + min(until[number] - start[number], share)
        left -= ends[number] - start[number]
    return dict(sorted(ends.items()))
