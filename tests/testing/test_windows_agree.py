"""Hostile streams: the engine agrees with plain Python on them, and mistakes that are put into it are found."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.errors import DefinitionError
from lakehouse.kernels import ahead, answers, partials, sliding, tiles, windows
from lakehouse.kernels.buckets import apart
from lakehouse.kernels.exact import Exact
from lakehouse.kernels.windows import Span
from lakehouse.testing import check_windows, differences, published, sides
from lakehouse.testing.columns import columns_of
from lakehouse.testing.events import Events
from lakehouse.testing.streams import hostile_stream
from tests.testing.definitions import ALL, SCHEMA, buckets, conditions, doubles, others, wholes


@pytest.mark.parametrize("definition", ALL, ids=lambda one: one.name)
def test_all_ways_agree(definition: Any) -> None:
    check_windows(definition, schema=SCHEMA, seeds=range(2))


@pytest.mark.torture
@pytest.mark.parametrize("definition", ALL, ids=lambda one: one.name)
def test_all_ways_agree_on_many_streams(definition: Any) -> None:
    """Five thousand streams and definitions, with those above."""
    check_windows(definition, schema=SCHEMA, seeds=range(2, 1000))


def found(definition: Any, seeds: Sequence[int] = range(6)) -> str:
    """What is said about a mistake."""
    with pytest.raises(AssertionError) as raised:
        check_windows(definition, schema=SCHEMA, seeds=seeds)
    said = str(raised.value)
    assert re.search(rf"gold\.{definition.name}, seed \d: ", said)
    assert "and of none fewer" in said or "of no event at all" in said
    return said


def events_in(said: str) -> int:
    return sum(line.startswith("    ") for line in said.splitlines())


def test_an_end_that_is_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(spans: Sequence[Span]) -> Any:
        return lambda down, up: [(span.start(down), up + 1) for span in spans]

    monkeypatch.setattr(answers, "whole", closed)
    said = found(wholes)
    assert events_in(said) == 1
    assert re.search(r"'\w+' differs for k='.*', place=-?\d+ at T = ([-\d: .]+Z)\n", said)
    at = re.search(r"at T = (\S+ \S+)", said)
    assert at and f"t={at[1]}" in said
    # What each side gave: just those that use the bounds of whole windows are wrong.
    assert [line.partition(":")[0].strip() for line in said.splitlines()[2:7]] == [
        "the reference, in plain Python",
        "training, from events",
        "training, from events the other way round",
        "training, from tiles and the head",
        "training, from tiles that late data repaired",
    ]
    values = [line.rpartition(": ")[2].strip() for line in said.splitlines()[2:7]]
    assert values[1] == values[2] != values[0] == values[3] == values[4]


def test_a_start_that_is_not_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Span, "start", lambda self, times: times - (self.length or 0))
    assert "the window: from " in found(wholes)


def test_a_hop_too_many_in_the_online_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding, "bisect_left", bisect_right)
    said = found(wholes)
    assert "online, published as of" in said


def test_sums_that_are_differences_of_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    def between(self: Exact, first: Any, after: Any) -> Exact:
        if len(self.odd):
            return right(self, first, after)
        running = np.concatenate([[0.0], np.cumsum(self.rounded())])
        return Exact.of(running[after] - running[first])

    right = Exact.between
    monkeypatch.setattr(Exact, "between", between)
    said = found(doubles)
    assert 1 < events_in(said) < 6


def test_tiles_that_ignore_late_data(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[Any, dict[str, Any]] = {}

    def stale(events: pa.Table, told: Any) -> pa.Table:
        """A tile that was made once stays."""
        every = tiles.tiles_of(events, told)
        kept = [made.setdefault((row["k"], row["place"], row["hop_s"], row["start"]), row) for row in every.to_pylist()]
        return pa.Table.from_pylist(kept, schema=every.schema)

    def repaired(events: Events) -> pa.Table:
        made.clear()
        return right(events)

    right = sides.repaired
    monkeypatch.setattr(sides, "repaired", repaired)
    monkeypatch.setattr(sides, "tiles_of", stale)
    said = found(wholes)
    assert "(late: comes with batch " in said
    assert 1 <= events_in(said) <= 2


def test_ties_in_the_order_of_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (answers, tiles):
        monkeypatch.setattr(module, "content_of", lambda events, told: None)
    said = found(conditions)
    assert events_in(said) == 2
    assert len(set(re.findall(r"(?<= t=)[^,]+", said))) == 1


def test_tiles_that_depend_on_the_order_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "content_of", lambda events, told: None)
    monkeypatch.setattr(differences, "sides", lambda told, stream: [])
    said = found(conditions)
    assert "tiles differ\n  tiles of all events: {" in said
    assert "\n  tiles of the events the other way round: {" in said
    assert events_in(said) == 2


def test_a_nan_that_is_below_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def below(values: Any) -> Any:
        return np.where(np.isnan(values), np.int64(-(2**62)), windows.ordered(values))

    monkeypatch.setattr(partials, "ordered", below)
    assert "nan" in found(doubles, range(20))


def test_events_dated_ahead_that_are_served_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_rows_ahead", lambda *anything: {})
    assert "online, published" in found(wholes)


def test_nulls_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    right = partials._of_values
    monkeypatch.setattr(partials, "_of_values", lambda column, there, wanted: right(column, there | True, wanted))
    found(wholes)


def test_a_bucket_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "apart", lambda packed: list(apart(packed))[:1])
    said = found(buckets)
    assert "online, published" in said


def test_an_error_is_a_difference_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*anything: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(partials, "variance", broken)
    said = found(others)
    assert "'price_variance_28d' differs" in said
    assert "raised ZeroDivisionError: division by zero" in said


def test_a_stream_is_the_same_each_time() -> None:
    for definition in ALL:
        known = columns_of(definition.windows, SCHEMA)
        one, other = (hostile_stream(definition.windows, known, 3) for _ in range(2))
        assert one.events.raw.equals(other.events.raw)
        assert (one.points, one.publishes, one.events.batches) == (other.points, other.publishes, other.events.batches)
        assert not hostile_stream(definition.windows, known, 4).events.raw.equals(one.events.raw)


def test_streams_are_hostile() -> None:
    """Over some seeds there is all that is promised."""
    told = doubles.windows
    seen: Counter[str] = Counter()
    for seed in range(10):
        stream = hostile_stream(told, columns_of(told, SCHEMA), seed)
        events = stream.events.events
        times = [event.at for event in events]
        values = [event.values["v"] for event in events]
        rows = [repr(event) for event in events]
        known = [at for at in times if at is not None]
        seen["late"] += any(
            batch and any(at < other for other, before in zip(known, stream.events.batches, strict=False) if not before)
            for at, batch in zip(known, stream.events.batches, strict=False)
        )
        seen["doubled"] += len({*rows}) < len(rows)
        seen["out of order"] += known != sorted(known)
        seen["tied"] += len({*known}) < len(known)
        seen["null times"] += None in times
        seen["null keys"] += any(event.key == (None,) for event in events)
        seen["null values"] += None in values
        seen["NaN"] += any(value != value for value in values)
        seen["skewed"] += Counter(event.key for event in events).most_common(1)[0][1] * 2 > len(events)
        seen["ahead"] += any(at >= publish.at for publish in stream.publishes for at in known)
        seen["borders"] += sum(at % 3_600_000_000 in (0, 1, 3_599_999_999) for at in known) > 3
        asked = {at for _, at in stream.points}
        seen["asked at events"] += len(asked & {*known}) > 2
    assert min(seen.values()) >= 2, seen


def test_what_is_no_definition_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no table of window features"):
        check_windows("gold.load", schema={})  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="no column 'v' of silver.events") as raised:
        check_windows(doubles, schema={"k": "string", "t": "timestamp", "vv": "double"})
    assert "Did you mean 'vv'?" in str(raised.value)
    with pytest.raises(DefinitionError, match="'v' has the type 'doubel', which is not known") as raised:
        check_windows(doubles, schema={**SCHEMA, "v": "doubel"})
    assert "Did you mean 'double'?" in str(raised.value)
    with pytest.raises(DefinitionError, match="at='t' is string, not a time"):
        check_windows(doubles, schema={**SCHEMA, "t": "string"})
    with pytest.raises(DefinitionError, match="sum can't be computed of string"):
        check_windows(doubles, schema={**SCHEMA, "v": "string"})


def test_columns_may_be_told_in_other_ways(tmp_path: Path) -> None:
    types = {"k": pa.string(), "t": pa.timestamp("ns"), "v": pa.float32()}
    sample = pa.table({"k": ["AA", "UA"], "t": pa.array([0, 1], types["t"]), "v": pa.array([3.5, None], types["v"])})
    write_deltalake(str(tmp_path / "t"), sample)
    for given in (types, pa.schema(types), sample, tmp_path / "t"):
        check_windows(doubles, schema=given, seeds=[0])
    known = columns_of(doubles.windows, sample)
    stream = hostile_stream(doubles.windows, known, 0)
    assert {*sample["k"].to_pylist()} <= {*stream.events.raw["k"].to_pylist()}
    assert 3.5 in stream.events.raw["v"].to_pylist()
