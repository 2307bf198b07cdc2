"""Many small files are given to Spark as one: the same records, each with its own file."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.config import FilesSource
from lakehouse.sources.files import joining
from lakehouse.sources.files.csv import inspect_csv
from lakehouse.sources.files.joining import join
from lakehouse.sources.files.jsonl import inspect_jsonl
from lakehouse.sources.files.packed import Scratch
from lakehouse.sources.files.planning import plan_batch
from tests.sources import rfc4180

FIELDS = st.sampled_from(["", "a", " ", "é", '""', '"q""q"', '"x;y"', "{}", "17"])
LINES = st.lists(st.one_of(st.tuples(FIELDS, FIELDS).map(";".join), st.just("")), max_size=5)
ENDS = st.sampled_from(["\n", "\r\n"])
STARTS = st.sampled_from(["", "\ufeff", "\n", "\ufeff\r\n\n"])
CSV = st.tuples(ENDS, LINES, st.booleans(), STARTS).map(
    lambda made: made[3] + "h;i" + made[0] + made[0].join(made[1]) + made[0] * made[2]
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "é {}"]), st.sampled_from([1, "", "}", "\n{", None, [{}], {}]))
JSON = st.tuples(
    ENDS, st.lists(st.one_of(OBJECTS.map(json.dumps), st.sampled_from(["", "{ }", ' {"a" :1e5}'])), max_size=5)
).map(lambda made: made[0].join(made[1]))


def joined(folder: Path, texts: list[str], kind: str) -> tuple[list[bytes], bytes]:
    """Those of the files that are sound, and what they are joined into."""
    paths = [folder / f"{number}.{kind}" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    looked = [(path, inspect_csv(path, "f", ";") if kind == "csv" else inspect_jsonl(path, "f")) for path in paths]
    sound = [path for path, found in looked if found.columns and found.rows is None and not found.rejects]
    scratch = Scratch(folder)
    try:
        whole = join(sound, kind, ";", scratch).read_bytes()
    finally:
        scratch.close()
    return [path.read_bytes() for path in sound], whole


@settings(max_examples=200, deadline=None)
@given(st.lists(CSV, min_size=1, max_size=6))
def test_records_of_csv_keep_their_values_and_their_file(texts: list[str]) -> None:
    with TemporaryDirectory() as folder:
        sound, whole = joined(Path(folder), texts, "csv")
    records = [rfc4180.read(data, b";").records for data in sound]
    expected = [(*values, str(number)) for number, of_file in enumerate(records) for _, values in of_file]
    found = rfc4180.read(whole, b";")
    assert [tuple(values) for _, values in found.records] == expected
    assert not sound or found.columns == ["h", "i", "_file"]


@settings(max_examples=200, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=6))
def test_records_of_json_keep_their_text_and_their_file(texts: list[str]) -> None:
    with TemporaryDirectory() as folder:
        sound, whole = joined(Path(folder), texts, "json")
    expected = [
        {"_file": number, **json.loads(line, parse_float=str)}
        for number, data in enumerate(sound)
        for line in data.decode().split("\n")
        if line.strip()
    ]
    assert [json.loads(line, parse_float=str) for line in whole.decode().splitlines()] == expected


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_spark_reads_the_same_joined_or_not(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "raw").mkdir()
    for number in range(7):
        start = "\ufeff\n" * (number > 3)
        csv = f'{start}a,b\n{number},"x,y"\n\n{number},\n'
        text = csv if kind == "csv" else f'{{"a":{number}.50,"b":"x"}}\n{{"b":null}}'
        (tmp_path / "raw" / f"f {number}%2F.{kind}").write_text(text)
    source = FilesSource(type="files", format=kind, path="raw/*")  # type: ignore[arg-type]

    def rows() -> list[Any]:
        batch = plan_batch("s", source, tmp_path, [])
        assert batch is not None
        try:
            frame = batch.read(spark.newSession())
            names = [Path(path).parent.name for path in frame.inputFiles()]
            read.append(set(names))
            return sorted(frame.select("a", "b", "_file").collect(), key=repr)
        finally:
            batch.close()

    read: list[set[str]] = []
    apart = rows()
    monkeypatch.setattr(joining, "MANY", 7)
    assert rows() == apart
    assert len(apart) == 14 and len({row["_file"] for row in apart}) == 7
    assert read[0] == {"raw"} and all(name.startswith("batch-") for name in read[1])
