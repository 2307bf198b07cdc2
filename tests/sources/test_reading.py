"""What is split here and given to Spark as rows: all of it arrives, and Spark opens no file for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.config import FilesSource
from lakehouse.sources.files import reading
from lakehouse.sources.files.again import parse_again
from lakehouse.sources.files.planning import plan_batch
from lakehouse.tables.batch import Reject
from lakehouse.tables.quarantine import Again
from tests.sources.readers import counted_readers


@pytest.mark.parametrize("kind", ["csv", "json", "text"])
def test_a_record_that_is_parsed_again_is_split_here(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A file for each would make Spark open as many as there are rejects."""
    opened = counted_readers(monkeypatch)
    raws = {"csv": b"%d,x\n", "json": b'{"a":%d,"b":"x"}\n', "text": b"%d x\n"}
    rejects = [
        Again(Reject("f.csv", at, at, raws[kind] % at, ""), ("a", "b") if kind != "text" else ("value",))
        for at in range(1, 4)
    ]
    source = FilesSource(type="files", format=kind, path="*")  # type: ignore[arg-type]
    parsed = parse_again(source, tmp_path, rejects, tmp_path)
    assert parsed.reasons == ("", "", "") and parsed.batch is not None
    rows = sorted(parsed.batch.read(spark).collect(), key=lambda row: row._row)
    values = [(row.value,) if kind == "text" else (row.a, row.b) for row in rows]
    assert values == (
        [(f"{at} x",) for at in range(1, 4)] if kind == "text" else [(f"{at}", "x") for at in range(1, 4)]
    )
    assert [(row._file, row._row) for row in rows] == [("f.csv", at) for at in range(1, 4)]
    assert opened == []


def test_rows_are_given_to_spark_in_pieces(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of more than 2 GiB is in several chunks, of which Spark would take the first."""
    monkeypatch.setattr(reading, "LARGEST_FRAME", 1000)
    for name in "abc":
        (tmp_path / f"{name}.csv").write_bytes(b'n,t\n"x\ny",' + b"z" * 3000 + b"\n" + b"1,2\n" * 200)
    batch = plan_batch("s", FilesSource(type="files", format="csv", path="*.csv"), tmp_path, [])
    assert batch is not None
    frame = batch.read(spark)
    assert batch.records == frame.count() == 603
    assert frame.where("length(t) = 3000").count() == 3
    rows = pa.concat_tables(pa.table({"t": ["z" * size] * 90, "n": [size] * 90}) for size in (1, 7, 2000))
    pieces = list(reading._in_pieces(rows))
    assert len(pieces) > 90 and pa.concat_tables(pieces).equals(rows)
    assert all(piece.nbytes <= 1000 or piece.num_rows == 1 for piece in pieces)
    assert {column.num_chunks for piece in pieces for column in piece.columns} == {1}
