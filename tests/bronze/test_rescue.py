"""What does not fit bronze's columns is kept as JSON in _rescued, and what changed is told without Spark."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.cli import run as command
from lakehouse.config import Project
from lakehouse.pipeline import build, ingest, running
from tests.bronze.landed import Landed
from tests.bronze.test_contract import FIRST, NARROWER, WIDER, files, source
from tests.laws.shop import rows_of

MakeProject = Callable[..., Project]


def rescued(project: Project) -> dict[str, Any]:
    """What each file's records have in _rescued, and bronze's columns."""
    rows = Landed(project, "s").kinds["record"]
    return {row["_file"][9:10]: row["_rescued"] and json.loads(row["_rescued"]) for row in rows}


@pytest.mark.parametrize("together", [True, False])
def test_new_columns_are_rescued(spark: Any, make_project: MakeProject, together: bool) -> None:
    project = make_project(source("csv", new_columns="rescue"))
    result = files(project, together, FIRST, WIDER, NARROWER)
    assert (result.status, result.error) == ("done", None)
    landed = Landed(project, "s")
    assert set(landed.kinds["record"][0]) >= {"a", "b", "_rescued"}
    assert "c" not in landed.kinds["record"][0]
    assert rescued(project) == {"0": None, "1": {"c": "5"}, "2": None}
    notes = "; ".join(receipt["note"] for _, receipt in sorted(landed.receipts.items()) if receipt["note"])
    assert notes == "rescued columns: c; lost columns: b"


@pytest.mark.parametrize("together", [True, False])
def test_values_of_any_type_are_rescued_as_text(spark: Any, make_project: MakeProject, together: bool) -> None:
    project = make_project(source("parquet", new_columns="rescue"))
    odd = pa.table(
        {"a": [2, 3], "n": [1.5, None], "b": [b"\x00\xff", None], "l": [[{"x": 1}], None], "q'`": ['ü"', None]}
    )
    assert files(project, together, pa.table({"a": [1]}), odd).error is None
    values = sorted((row["a"], row["_rescued"]) for row in Landed(project, "s").kinds["record"])
    assert values[0] == (1, None) and values[2] == (3, None)
    assert json.loads(values[1][1]) == {"n": "1.5", "b": "AP8=", "l": '[{"x":1}]', "q'_": 'ü"'}


def test_silver_sees_what_was_rescued(spark: Any, make_project: MakeProject) -> None:
    tables = (
        "from lakehouse import silver\n"
        "@silver.table(key='a')\n"
        "def s(bronze_s):\n"
        "    return bronze_s.selectExpr('a', \"get_json_object(_rescued, '$.c') AS c\")\n"
    )
    project = make_project(source("csv", new_columns="rescue"), tables)
    assert files(project, True, FIRST).error is None
    assert build(project).exit_code == 0
    (project.folder / "data" / "raw" / "1.csv").write_text(WIDER)
    assert [part(project).exit_code for part in (ingest, build)] == [0, 0]
    assert sorted((row["a"], row["c"]) for row in rows_of(project.path("silver.s"))) == [("1", None), ("3", "5")]


def test_the_history_of_a_source(
    spark: Any, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(source("csv"))
    files(project, False, FIRST, FIRST.replace("1", "9"), WIDER, NARROWER)
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(running, "open_session", lambda *_: pytest.fail("a session was opened"))
    capsys.readouterr()
    assert command(["show", "source", "s", "--schema", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["columns"] == {"a": "string", "b": "string", "c": "string"}
    assert [(entry["batch"], entry["changes"]) for entry in data["history"]] == [
        (0, {"first columns": ["a", "b"]}),
        (2, {"new columns": ["c"]}),
        (3, {"lost columns": ["b", "c"]}),
    ]
    assert all(entry["at"].endswith("Z") and entry["took"] == "1 file" for entry in data["history"])
    assert command(["show", "source", "s", "--schema"]) == 0
    assert "lost columns" in capsys.readouterr().out
    assert command(["show", "tables", "--schema"]) == 2
