"""Generated change histories, and what a table holds after one: replayed event by event in plain Python."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

WORDS = [None, "", "a", "b", "ä"]
NUMBERS = [None, 0.0, -0.0, 1.5, 1e300, float("nan")]


@dataclass(frozen=True)
class Change:
    """One event: an upsert (also named insert or update), a delete or a truncate."""

    id: int | None
    seq: int | None
    op: str
    word: str | None
    number: float | None


def history(draw: random.Random, *, truncates: bool = True) -> list[Change]:
    """In no order: doubled events, equal sequences, deletes before inserts, re-inserts, sequences that are null."""
    kinds = ["upsert"] * 12 + ["delete"] * 4 + ["truncate"] * (1 if truncates and draw.random() < 0.4 else 0)
    top = draw.choice([3, 8, 30])
    events = []
    for _ in range(draw.randrange(1, 16)):
        op = draw.choice(kinds)
        seq = None if draw.random() < 0.03 else draw.randrange(top)
        full = op == "upsert"
        word, number = (draw.choice(WORDS), draw.choice(NUMBERS)) if full else (None, None)
        events.append(Change(None if op == "truncate" else draw.randrange(4), seq, op, word, number))
    events += draw.sample(events, draw.randrange(0, len(events) // 2 + 1))
    draw.shuffle(events)
    return events


def written(number: float | None) -> str | None:
    """A number as text, so that 0.0 and -0.0 differ, NaN equals itself, and texts are in the engine's order."""
    if number is None:
        return None
    if number != number:
        return "NaN"
    return {0.0: "-0.0" if str(number).startswith("-") else "0.0", 1.5: "1.5", 1e300: "1.0E300"}[number]


def low(value: Any) -> tuple[bool, Any]:
    """A value that may be null, which is below all others."""
    return (value is not None, value if value is not None else 0)


def replayed(events: list[Change], *, ordered: bool = True, keep_nulls_out: bool = False) -> set[tuple[Any, ...]]:
    """The rows (id, seq, word, number as text) after all events, taken one after the other in their true order.

    ``ordered``: by sequence (an upsert before a delete before a truncate where it is equal, then by content); else as
    they stand. ``keep_nulls_out``: a null leaves what was there.
    """
    rank = {"upsert": 0, "delete": 1, "truncate": 2}

    def place(event: Change) -> Any:
        content = (low(event.seq), low(_bytes(event.word)), low(written(event.number)))
        return (low(event.seq), rank[event.op], *content)

    rows: dict[int, list[Any]] = {}
    sequences: dict[tuple[int, int], Any] = {}
    for event in sorted(events, key=place) if ordered else events:
        if event.op == "truncate":
            rows.clear()
            continue
        assert event.id is not None
        if event.op == "delete":
            rows.pop(event.id, None)
            continue
        values = [event.seq, event.word, written(event.number)]
        row = rows.setdefault(event.id, [None, None, None])
        for i, value in enumerate(values):
            own = (event.id, i)
            if value is None and keep_nulls_out and not (i == 0 and ordered):
                continue
            # Of equal sequences each column that is decided by itself has the greater value.
            tied = ordered and keep_nulls_out and row[i] is not None and sequences.get(own) == low(event.seq)
            row[i] = max(row[i], value, key=_bytes) if tied and i else value
            sequences[own] = low(event.seq)
    return {(key, *row) for key, row in rows.items()}


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
