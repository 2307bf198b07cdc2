"""What holds for every kind of source, one of the project's own too: each record lands once, whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.config import Project
from lakehouse.delta import Draft
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.laws.test_exactly_once import Killed
from tests.sources.jdbc.server import PASSWORD

OWN = '''
from lakehouse.tables.batch import Batch


class Lines:
    """The lines of a file that grows."""

    def __init__(self, name, options, folder):
        self.file = folder / options["file"]

    def waiting(self, cursors):
        return f"what {self.file.name} has"

    def plan(self, session, cursors):
        start = cursors[-1]["end"] if cursors else 0
        end = len(self.file.read_text().splitlines()) if self.file.exists() else 0
        if end <= start:
            return None

        def read(session):
            lines = enumerate(self.file.read_text().splitlines()[start:end], start)
            rows = [(line, "lines", at) for at, line in lines]
            return session.createDataFrame(rows, "v string, _file string, _row long")

        return Batch(cursor={"end": end}, took=f"lines {start} to {end}", read=read, records=end - start)
'''
KINDS = ("csv", "json", "parquet", "text", "binary", "kafka", "jdbc", "own")


@dataclass
class Outside:
    """A source and its project: what is sent, and what of it has landed."""

    project: Project
    send: Callable[[Sequence[str]], object]

    def landed(self) -> Counter[str]:
        (column,) = {"v", "value", "content"} & set(
            DeltaTable(str(self.project.path("bronze.s"))).schema().to_arrow().names
        )
        values = (row[column] for row in Landed(self.project, "s").kinds["record"])
        return Counter(value.decode() if isinstance(value, bytes) else value for value in values)


@pytest.fixture
def outside(
    request: pytest.FixtureRequest, make_project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Outside:
    kind: str = request.param
    if kind == "kafka":
        broker, topics = request.getfixturevalue("broker"), request.getfixturevalue("topics")
        topic = topics.make(tmp_path.name)
        project = make_project(f"  s: {{type: kafka, servers: '{broker.servers}', topic: {topic}, value: text}}")
        return Outside(project, lambda values: topics.send(topic, *(value.encode() for value in values)))
    if kind == "jdbc":
        postgres = request.getfixturevalue("postgres")
        postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE t (id serial, v text)")
        monkeypatch.setenv("DB_PASSWORD", PASSWORD)
        login = f'type: jdbc, url: "{postgres.url}", user: lake, password: "${{env:DB_PASSWORD}}"'
        project = make_project(f"  s: {{{login}, table: public.t, cursor: id}}")
        rows = "INSERT INTO t (v) VALUES ('{}')"
        return Outside(project, lambda values: [postgres.sql(rows.format(value)) for value in values])
    if kind == "own":
        project = make_project("  s: {type: jobs.lines.Lines, options: {file: lines.txt}}")
        (project.folder / "jobs" / "lines.py").write_text(OWN)
        return Outside(project, lambda values: append_lines(project.folder / "lines.txt", values))
    project = make_project(f"  s: {{type: files, format: {kind}, path: data/raw/*}}")
    return Outside(project, lambda values: _write(project.folder / "data" / "raw", kind, values))


def append_lines(file: Path, values: Sequence[str]) -> None:
    with file.open("a") as lines:
        lines.writelines(f"{value}\n" for value in values)


def _write(folder: Path, kind: str, values: Sequence[str]) -> None:
    """One file, or for binary one for each value."""
    if kind == "binary":
        for value in values:
            (folder / value).write_text(value)
    elif kind == "parquet":
        pq.write_table(pa.table({"v": values}), folder / f"{values[0]}.parquet")
    else:
        lines = {"csv": ["v", *values], "json": [f'{{"v": "{value}"}}' for value in values], "text": values}[kind]
        (folder / values[0]).write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("outside", KINDS, indirect=True)
def test_each_record_lands_once(spark: Any, outside: Outside) -> None:
    """In the batch after it was sent, and again where a RESTORE took it away; nothing new writes nothing."""
    sent: list[str] = []
    for values in (["a", "b", "c"], [], ["d"]):
        if values:
            outside.send(values)
        sent += values
        (result,) = ingest(outside.project).results
        assert (result.error, result.landed or 0) == (None, len(values))
        assert outside.landed() == Counter(sent)
    table = DeltaTable(str(outside.project.path("bronze.s")))
    assert table.version() == 1
    table.restore(0)
    (result,) = ingest(outside.project).results
    assert (result.error, result.landed) == (None, 1)
    assert outside.landed() == Counter(sent)
    assert ingest(outside.project).results[0].status == "unchanged"


@pytest.mark.parametrize(
    "outside",
    [pytest.param(kind, marks=[pytest.mark.torture] * (kind in ("json", "parquet", "text"))) for kind in KINDS],
    indirect=True,
)
def test_a_run_that_dies_at_any_step_is_just_run_again(
    spark: Any, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is sent between the run that dies and the next."""
    sent: list[str] = []

    def send(value: str) -> None:
        outside.send([value])
        sent.append(value)

    for step in ("write", "add", "commit"):
        for moment in ("before", "after"):
            send(f"{step}-{moment}")
            real: Callable[..., Any] = getattr(Draft, step)

            def dies(*given: Any, real: Callable[..., Any] = real, moment: str = moment) -> None:
                if moment == "after":
                    real(*given)
                raise Killed

            with monkeypatch.context() as patch:
                patch.setattr(Draft, step, dies)
                with pytest.raises(Killed):
                    ingest(outside.project)
            send(f"{step}-{moment}-then")
            (result,) = ingest(outside.project).results
            assert result.error is None
            assert outside.landed() == Counter(sent)
