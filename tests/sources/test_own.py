"""A source of the project's own: a class of some lines lands exactly once, as every other source does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.delta import Draft
from lakehouse.errors import ConfigError
from lakehouse.pipeline import ingest, plan
from lakehouse.sources import open_source
from tests.bronze.landed import Landed

COUNTER = '''
from pathlib import Path

from lakehouse.tables.batch import Batch


class Counter:
    """The numbers below what a file says, each once."""

    def __init__(self, name, options, folder):
        if "file" not in options:
            raise ValueError(f"needs the option file; it has {options}")
        self.file = Path(folder) / options["file"]

    def waiting(self, cursors):
        return f"what {self.file.name} says"

    def plan(self, session, cursors):
        start = cursors[-1]["end"] if cursors else 0
        end = int(self.file.read_text())
        if end <= start:
            return None

        def read(session):
            return session.range(start, end).selectExpr("id AS n", "'numbers' AS _file", "id AS _row")

        return Batch(cursor={"end": end}, took=f"{start} to {end}", read=read, records=end - start)
'''


@pytest.fixture
def project(make_project: Any) -> Project:
    made: Project = make_project("  numbers: {type: jobs.counter.Counter, options: {file: end.txt, key: s3cret}}")
    (made.folder / "jobs" / "counter.py").write_text(COUNTER)
    (made.folder / "end.txt").write_text("3")
    return made


def test_it_lands_each_record_once(spark: Any, project: Project) -> None:
    for end, status in (("3", "done"), ("3", "unchanged"), ("5", "done")):
        (project.folder / "end.txt").write_text(end)
        (result,) = ingest(project).results
        assert (result.error, result.status) == (None, status)
    landed = Landed(project, "numbers")
    assert sorted(row["n"] for row in landed.kinds["record"]) == [0, 1, 2, 3, 4]
    assert [receipt["cursor"] for _, receipt in sorted(landed.receipts.items())] == [{"end": 3}, {"end": 5}]
    assert [receipt["took"] for _, receipt in sorted(landed.receipts.items())] == ["0 to 3", "3 to 5"]
    assert plan(project).steps[0].why == "what end.txt says"


def test_a_wrong_count_lands_nothing(spark: Any, project: Project) -> None:
    module = project.folder / "jobs" / "counter.py"
    module.write_text(COUNTER.replace("records=end - start", "records=end - start + 1"))
    (result,) = ingest(project).results
    assert "hold 4 records and Spark reads 3" in str(result.error)
    assert not project.path("bronze.numbers").exists()


def test_what_a_source_says_holds_no_secret(spark: Any, project: Project) -> None:
    module = project.folder / "jobs" / "counter.py"
    module.write_text(
        COUNTER.replace("start = cursors", "raise OSError('401 for ?key=s3cret')\n        start = cursors")
    )
    (result,) = ingest(project).results
    assert "401 for ?key=…" in str(result.error)
    assert result.error is not None
    assert result.error.__cause__ is None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("jobs.counter.Counter", "jobs.conter.Counter", "jobs.conter can't be imported"),
        ("jobs.counter.Counter", "jobs.counter.Conter", "Did you mean 'Counter'"),
        ("jobs.counter.Counter", "jobs.counter.Path", "it has no waiting and no plan"),
        ("file: end.txt", "fil: end.txt", "needs the option file; it has {'fil': 'end.txt', 'key': '…'}"),
    ],
)
def test_a_mistake_is_named_and_no_secret_is(
    make_project: Any, project: Project, before: str, after: str, said: str
) -> None:
    base = Path(project.folder / "conf" / "base.yaml")
    text = base.read_text().replace(before, after)
    wrong = make_project(text.partition("sources:\n")[2])
    with pytest.raises(ConfigError) as caught:
        open_source(wrong, "numbers")
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value) + repr(wrong)


IN_PARTS = '''
from dataclasses import replace

from lakehouse.errors import SourceUnavailableError
from lakehouse.tables.batch import Batch


class Parts:
    """Ten numbers, four at most in a batch; the third part can't be had while a file says so."""

    def __init__(self, name, options, folder):
        self.broken = folder / "broken"

    def waiting(self, cursors):
        return "numbers"

    def plan(self, session, cursors):
        return self.part(cursors[-1]["end"] if cursors else 0)

    def part(self, start):
        end = min(start + 4, 10)
        if end <= start:
            return None
        if start == 8 and self.broken.exists():
            raise SourceUnavailableError("numbers: no answer", hint="Try again.")

        def read(session):
            return session.range(start, end).selectExpr("id AS n", "'numbers' AS _file", "id AS _row")

        return Batch(
            cursor={"end": end}, took=f"{start} to {end}", read=read, records=end - start, then=lambda: self.part(end)
        )
'''


def test_parts_land_one_after_the_other_and_those_before_a_failure_stay(spark: Any, make_project: Any) -> None:
    project = make_project("  numbers: {type: jobs.parts.Parts}")
    (project.folder / "jobs" / "parts.py").write_text(IN_PARTS)
    (project.folder / "broken").touch()
    (failed,) = ingest(project).results
    assert (failed.status, failed.read, failed.landed, str(failed.error)) == (
        "failed",
        8,
        8,
        "numbers: no answer\n  Try again.",
    )
    (project.folder / "broken").unlink()
    (done,) = ingest(project).results
    assert (done.status, done.landed) == ("done", 2)
    assert ingest(project).results[0].status == "unchanged"
    landed = Landed(project, "numbers")
    assert sorted(row["n"] for row in landed.kinds["record"]) == list(range(10))
    assert [receipt["cursor"]["end"] for _, receipt in sorted(landed.receipts.items())] == [4, 8, 10]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_dies_at_its_commit_lands_it_once(
    spark: Any, project: Project, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    commit = Draft.commit

    def dies(draft: Draft) -> None:
        if moment == "after":
            commit(draft)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "commit", dies)
        with pytest.raises(KeyboardInterrupt):
            ingest(project)
    assert ingest(project).exit_code == 0
    assert sorted(row["n"] for row in Landed(project, "numbers").kinds["record"]) == [0, 1, 2]


def test_what_waiting_raises_holds_no_secret_and_stops_nothing_else(spark: Any, make_project: Any) -> None:
    project = make_project(
        "  numbers: {type: jobs.counter.Counter, options: {file: end.txt, key: s3cret}}\n"
        "  others: {type: jobs.other.Counter, options: {file: end.txt}}"
    )
    (project.folder / "end.txt").write_text("3")
    (project.folder / "jobs" / "other.py").write_text(COUNTER)
    raising = 'raise OSError("401 for ?key=s3cret")\n        return f"what'
    (project.folder / "jobs" / "counter.py").write_text(COUNTER.replace('return f"what', raising))
    wrong, other = plan(project).steps
    assert (wrong.action, wrong.why) == ("blocked", "bronze.numbers: 401 for ?key=…")
    assert (other.action, other.why) == ("new", "what end.txt says")
    failed, done = ingest(project, select=["bronze.numbers", "bronze.others"]).results
    assert (failed.status, done.status) == ("done", "done"), "its plan() is another matter"


SPEAKING = """
from lakehouse.errors import SourceUnavailableError
from lakehouse.tables.batch import Batch


class Speaking:
    def __init__(self, name, options, folder):
        self.url, self.fails = options["url"], options.get("fails")

    def waiting(self, cursors):
        return f"what {self.url} has"

    def plan(self, session, cursors):
        if self.fails == "unavailable":
            raise SourceUnavailableError(f"no answer of {self.url}", hint=f"Try {self.url}")

        url = self.url  # a worker can't import this class

        def rows(frames):
            yield from frames
            raise OSError(13, "Permission denied", url)

        def read(session):
            frame = session.range(1).selectExpr("id AS n", "'numbers' AS _file", "id AS _row")
            return frame.mapInPandas(rows, frame.schema) if self.fails == "executor" else frame

        return Batch(cursor={"end": 1}, took=f"page of {self.url}", note=f"as {self.url}", read=read, records=1)
"""


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("no", ""),
        ("unavailable", "no answer of …\n  Try …"),
        ("executor", "PermissionError: [Errno 13] Permission denied: '…'"),
    ],
)
def test_what_was_put_in_is_in_no_words_of_a_run(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, fails: str, said: str
) -> None:
    monkeypatch.setenv("URL", "https://canary/path")
    settings = f'  s: {{type: jobs.speaking.Speaking, options: {{url: "${{env:URL}}", fails: "{fails}"}}}}'
    project = make_project(settings)
    (project.folder / "jobs" / "speaking.py").write_text(SPEAKING)
    assert plan(project).steps[0].why == "what … has"
    (result,) = ingest(project).results
    if said:
        assert said in str(result.error)
        assert not str(result.error).startswith("bronze.s: :")
        assert "canary" not in str(result.error) + result.note
        return
    assert (result.error, result.note) == (None, "as …")
    (receipt,) = Landed(project, "s").receipts.values()
    assert (receipt["took"], receipt["note"]) == ("page of …", "as …")


def test_batches_of_another_kind_of_source_stop_that_source_alone(
    spark: Any, project: Project, make_project: Any
) -> None:
    assert ingest(project).exit_code == 0
    (project.folder / "data" / "raw" / "1.csv").write_text("a\n1\n")
    for settings in (
        "{type: files, format: csv, path: data/raw/*.csv}",
        "{type: kafka, servers: h:1, topic: t, value: json}",
        "{type: jdbc, url: jdbc:postgresql://h/d, table: t}",
    ):
        changed = make_project(f"  numbers: {settings}\n  others: {{type: files, format: csv, path: data/raw/*.csv}}")
        wrong, other = plan(changed).steps
        assert (wrong.action, other.action != "blocked") == ("blocked", True)
        failed, done = ingest(changed).results
        assert "bronze.numbers holds batches of another kind of source" in str(failed.error)
        assert "another name" in str(failed.error)
        assert done.error is None
