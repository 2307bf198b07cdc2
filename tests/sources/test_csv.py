"""CSV: what lands and what is rejected is what a plain RFC 4180 reader says, byte for byte."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.config import FilesSource
from lakehouse.sources.files import csv, inspection
from lakehouse.sources.files.csv import inspect_csv
from lakehouse.sources.files.planning import landed_files, plan_batch
from tests.sources import rfc4180

DELIMITERS = [",", ";", "|", "\t", " ", "\\", "§"]
PIECES = [b'"', b'""', b"\n", b"\r\n", b"\r", b" ", b"a", b"b1", "é☃".encode(), b"\0", b"\xff", b"\xc2", b"'", b"\x1f"]


def soup(rng: Random, delimiter: bytes) -> bytes:
    """Anything at all, mostly what matters to a reader."""
    return b"".join(rng.choice([*PIECES, delimiter, delimiter, b"\n"]) for _ in range(rng.randrange(40)))


def tidy(rng: Random, delimiter: bytes, width: int, *, quotes: bool) -> bytes:
    """Rows as a careful program writes them, nulls and blank lines included."""
    end = rng.choice([b"\n", b"\r\n"])
    lines = []
    for _ in range(rng.randrange(8)):
        values = [rng.choice([b"", b"a", b" b ", "é☃".encode(), b"12.50", b"NA", b"\\", b"'"]) for _ in range(width)]
        if delimiter in (b" ", b"\\"):
            values = [value.replace(delimiter, b"_") for value in values]
        if quotes:
            more = [b'""', b'"x"', b'"say ""hi"""', b'"' + delimiter + b'"', b'""""', b'" "']
            values = [rng.choice([value, *more]) for value in values]
        lines.append(delimiter.join(values))
        if rng.random() < 0.2:
            lines.append(b"")
    text = end.join(lines)
    return text + end * rng.randrange(3) if lines else text


def spoiled(rng: Random, delimiter: bytes, width: int) -> bytes:
    """Tidy rows with defects: pieces put in, a torn end."""
    text = bytearray(tidy(rng, delimiter, width, quotes=rng.random() < 0.5))
    for _ in range(rng.choice([1, 1, 1, 3])):
        at = rng.randrange(len(text) + 1)
        text[at:at] = rng.choice([*PIECES, delimiter, b'"x\ny"', b'"1\n2' + delimiter + b'3"'])
    return bytes(text[: rng.randrange(len(text) + 1)] if rng.random() < 0.4 else text)


def make(rng: Random, delimiter: str) -> bytes:
    """A file with a header, of any of the kinds above."""
    d, width = delimiter.encode(), rng.randrange(1, 4)
    header = d.join([b"one", b'"two"', b"three"][:width]) + rng.choice([b"\n", b"\r\n"])
    mark = b"\xef\xbb\xbf" if rng.random() < 0.1 else b""
    blank = b"\n" if rng.random() < 0.1 else b""
    body = rng.choice(
        [
            lambda: soup(rng, d),
            lambda: tidy(rng, d, width, quotes=False),
            lambda: tidy(rng, d, width, quotes=True),
            lambda: spoiled(rng, d, width),
        ]
    )()
    return mark + blank + header + body


def judged(path: Path, delimiter: str) -> tuple[int, list[tuple[int, int, bytes]]]:
    found = inspect_csv(path, "f.csv", delimiter)
    if found.rows is not None:
        assert found.rows.num_rows == found.records
    return found.records, [(reject.offset, reject.line, reject.raw) for reject in found.rejects]


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**64), delimiter=st.sampled_from(DELIMITERS))
def test_inspection_equals_the_oracle(tmp_path: Path, seed: int, delimiter: str) -> None:
    rng = Random(seed)
    headless = rng.random() < 0.1
    data = soup(rng, delimiter.encode()) if headless else make(rng, delimiter)
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    longest = rng.choice([25, 50, 16 * 2**20])
    with patch.object(inspection, "BLOCK", rng.choice([1, 7, 50, 2**20])), patch.object(csv, "LONGEST_RECORD", longest):
        records, rejects = judged(path, delimiter)
        rows = inspect_csv(path, "f.csv", delimiter).rows
    truth = rfc4180.read(data, delimiter.encode(), longest)
    # Names such as " " and "_" are one name in bronze: the oracle does not know that.
    if truth.whole or (headless and rejects[:1] == [(0, 0, data)]):
        assert (records, rejects) == (0, [(0, 0, data)])
        return
    assert (records, rejects) == (len(truth.records), truth.rejects)
    if rows is not None:
        found = [tuple(row.values()) for row in rows.to_pylist()]
        assert found == [(*values, at) for at, values in truth.records]


class Counted(bytes):
    """Bytes that count what is copied out of them."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        Counted.copied += len(found) if isinstance(found, bytes) else 0
        return found


@pytest.mark.parametrize("body", [b"1,2\n" * 3000, b"1\n2,3\n" * 2000, b'"1","\n"\n' * 1500, b'x"\n' * 4000])
def test_what_is_copied_for_a_record_is_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """Not all that stands behind it: the work would grow with the square of the file."""
    data = b"a,b\n" + body + b"ragged"
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    monkeypatch.setattr(Path, "read_bytes", lambda _: Counted(data))
    monkeypatch.setattr(Counted, "copied", 0)
    assert inspect_csv(path, "f.csv", ",").rejects
    assert len(data) <= Counted.copied <= 3 * len(data)


@pytest.mark.parametrize("seed", [20261120])
def test_spark_reads_what_the_oracle_reads(spark: Any, tmp_path: Path, seed: int) -> None:
    rng, folder = Random(seed), tmp_path
    frames, expected, safe = [], {}, 0
    for number, delimiter in enumerate(DELIMITERS):
        below = folder / str(number)
        below.mkdir()
        for i in range(60 if delimiter == "," else 12):
            data = make(rng, delimiter)
            (below / f"{i:02}.csv").write_bytes(data)
            truth = rfc4180.read(data, delimiter.encode())
            names = [name if name in ("one", "two", "three") else "" for name in truth.columns]
            if all(names):
                expected[f"{number}/{i:02}.csv"] = [
                    dict(zip(names, values, strict=True)) for _, values in truth.records
                ]
            else:
                (below / f"{i:02}.csv").unlink()
        source = FilesSource(type="files", format="csv", path=f"{number}/*.csv", delimiter=delimiter)
        batch = plan_batch("s", source, folder, [])
        assert batch is not None
        safe += sum(file.records for file in landed_files([batch.cursor]) if not file.rejects)
        assert batch.records == sum(len(expected[file.path]) for file in landed_files([batch.cursor]))
        frames.append(batch.read(spark))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame, allowMissingColumns=True)
    assert safe > 200
    found: dict[str, list[tuple[int, dict[str, str | None]]]] = {name: [] for name in expected}
    for row in whole.collect():
        values = row.asDict()
        found[values.pop("_file")].append((values.pop("_row"), values))
    nothing = dict.fromkeys(["one", "two", "three"])
    for name, records in expected.items():
        in_order = sorted(found[name], key=lambda pair: pair[0])
        assert len({row for row, _ in in_order}) == len(in_order)
        assert [values for _, values in in_order] == [nothing | values for values in records], name


def test_rows_of_a_file_of_many_blocks_keep_their_order(spark: Any, tmp_path: Path) -> None:
    session = spark.newSession()
    session.conf.set("spark.sql.files.maxPartitionBytes", "300")
    session.conf.set("spark.sql.files.openCostInBytes", "0")
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("n\n" + "".join(f"{i}\n\n" for i in range(500)))
    batch = plan_batch("s", FilesSource(type="files", format="csv", path="*.csv"), tmp_path, [])
    assert batch is not None
    frame = batch.read(session)
    assert frame.rdd.getNumPartitions() > 10
    for name in "ab":
        rows = frame.where(f"_file = '{name}.csv'").orderBy("_row").collect()
        assert [row.n for row in rows] == [str(i) for i in range(500)]


ODD = {
    "a column called line": b'line\n"x\ny"\n',
    "spark's name for what it can't parse": b"a,_corrupt_record,c\n1,2,3\n",
    "spark's name for a file's metadata": b"a,_metadata\n1,2\n",
    "names that sql must quote": b'a.b,"c`d",e f\n1,2,3\n',
    "a header and no record": b"a,b\n",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_headers(spark: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "f.csv").write_bytes(ODD[name])
    batch = plan_batch("s", FilesSource(type="files", format="csv", path="*.csv"), tmp_path, [])
    assert batch is not None
    assert not batch.rejects
    frame = batch.read(spark)
    assert tuple(frame.columns) == (*batch.columns, "_file", "_row")
    truth = rfc4180.read(ODD[name], b",")
    assert [list(row)[:-2] for row in frame.collect()] == [values for _, values in truth.records]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n \n", "empty"),
        (b"a,a\n1,2\n", "twice"),
        (b"a,A\n1,2\n", "twice"),
        (b"a,,c\n", "column 2 has no name"),
        (b'a,"b\n1,2\n', "header is not CSV"),
        (b'\r"a"\n1\n', "header is not CSV"),
        (b"a,b\xff\n1,2\n", "not UTF-8"),
        (b"a,b\0\n1,2\n", "NUL"),
        (b"a,_file\n1,2\n", "keeps for itself"),
        ("a,b\n1,2\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_file_without_a_usable_header_is_one_reject(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    found = inspect_csv(path, "f.csv", ",")
    assert found.records == 0
    (reject,) = found.rejects
    assert (reject.offset, reject.line, reject.raw) == (0, 0, data)
    assert reason in reject.reason


def test_a_ragged_record_is_rejected_whole_and_its_inner_lines_do_not_land(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'a,b\n1,"x\n2,3\n",4\n5,6\n')
    assert judged(path, ",") == (1, [(4, 2, b'1,"x\n2,3\n",4\n')])


def test_a_torn_last_line_says_so(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\n1,2\n3")
    (reject,) = inspect_csv(path, "f.csv", ",").rejects
    assert reject.raw == b"3"
    assert "torn" in reject.reason


@pytest.mark.parametrize("start", ["\ufeff", "\n", "\r\n\n", "\ufeff\n\r\n"])
@pytest.mark.parametrize("header", ["n,é", '"n",é'])
def test_a_mark_and_blank_lines_before_the_header_keep_a_file_whole(
    spark: Any, tmp_path: Path, start: str, header: str
) -> None:
    """Every file that Excel writes has a mark: split here it would take a multiple of its size."""
    session = spark.newSession()
    session.conf.set("spark.sql.files.maxPartitionBytes", "2000")
    for name in "ab":
        (tmp_path / f"{name}.csv").write_bytes((f"{start}{header}\n" + "x,y\n" * 1500 + "last,").encode())
    (tmp_path / "none.csv").write_bytes(f"{start}{header}".encode())
    found = inspect_csv(tmp_path / "a.csv", "a.csv", ",")
    assert (found.columns, found.records, found.rejects, found.rows) == (("n", "é"), 1501, (), None)
    batch = plan_batch("s", FilesSource(type="files", format="csv", path="*.csv"), tmp_path, [])
    assert batch is not None
    frame = batch.read(session)
    assert frame.columns == ["n", "é", "_file", "_row"]
    assert frame.rdd.getNumPartitions() > 2
    rows = frame.orderBy("_file", "_row").collect()
    assert [tuple(row)[:3] for row in rows] == [
        (*values, f"{name}.csv") for name in "ab" for values in [("x", "y")] * 1500 + [("last", None)]
    ]
    assert len({(row._file, row._row) for row in rows}) == 3002


def test_many_blank_lines_before_the_header(tmp_path: Path) -> None:
    """Spark looks for the header in the first piece that it makes of a file."""
    path = tmp_path / "f.csv"
    path.write_bytes(b"\n" * 5000 + b"a,b\n1,2\n")
    found = inspect_csv(path, "f.csv", ",")
    assert found.rows is not None and found.rows.to_pylist() == [{"a": "1", "b": "2", "_row": 5004}]
