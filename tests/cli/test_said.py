"""What commands say: nothing that ``${…}`` put in, with --debug where it happened, and no more than is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakehouse.pipeline import ingest

API = """
class Api:
    def __init__(self, name, options, folder):
        self.key = options["key"]

    def waiting(self, cursors):
        if self.key.endswith("waiting"):
            self.ask()
        return "pages"

    def plan(self, session, cursors):
        self.ask()

    def ask(self):
        raise OSError(f"401 for ?key={self.key}")
"""
AGAIN = "Run it again with --debug"


@pytest.fixture
def api(make_project: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(key: str) -> Any:
        monkeypatch.setenv("API_KEY", key)
        project = make_project('  s: {type: jobs.api.Api, options: {key: "${env:API_KEY}"}}')
        (project.folder / "jobs" / "api.py").write_text(API)
        return project

    return make


@pytest.mark.parametrize("key", ["canary-plan", "canary-waiting"])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_debug_shows_where_it_happened(spark: Any, command: Any, api: Any, key: str, as_json: list[str]) -> None:
    project = api(key)
    plain = command("ingest", *as_json, folder=project.folder)
    assert (plain.code, AGAIN in plain.out, "Traceback" in plain.out + plain.err) == (1, True, False)
    debugged = command("ingest", "--debug", *as_json, folder=project.folder)
    assert (debugged.code, AGAIN in debugged.out + debugged.err) == (1, False)
    assert "Traceback" in debugged.err and "api.py" in debugged.err and "in ask" in debugged.err
    assert "bronze.s: 401 for ?key=…" in debugged.out
    assert "canary" not in plain.out + plain.err + debugged.out + debugged.err


def test_debug_of_a_plan(command: Any, api: Any) -> None:
    project = api("canary-waiting")
    assert AGAIN in command("plan", folder=project.folder).out
    debugged = command("plan", "--debug", folder=project.folder)
    assert "in ask" in debugged.err and AGAIN not in debugged.out
    assert "canary" not in debugged.out + debugged.err


def test_what_was_not_expected_holds_no_secret(command: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project = api("canary-plan")

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("canary-plan")

    monkeypatch.setattr("lakehouse.pipeline.planning.plan_in", fails)
    plain, debugged = (command("plan", *words, folder=project.folder) for words in ([], ["--debug"]))
    assert plain.err == "Error: unexpected: RuntimeError: …\n  Run it again with --debug to see where it happened.\n"
    assert "in fails" in debugged.err and AGAIN not in debugged.err
    assert "canary" not in debugged.err


FILES = '  s: {type: files, format: csv, path: "${env:RAW}/*.csv"}'


@pytest.mark.parametrize("words", [["plan"], ["check"], ["show", "source", "s"], ["ingest"], ["show", "runs"]])
def test_a_path_that_was_put_in_is_shown_by_no_command(
    spark: Any, command: Any, make_project: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    raw = tmp_path / "canary-raw"
    raw.mkdir()
    (raw / "1.csv").write_text("a\n1\n")
    monkeypatch.setenv("RAW", str(raw))
    project = make_project(FILES)
    for state in ("there", "landed", "gone"):
        for as_json in ([], ["--json"]):
            answer = command(*words, *as_json, folder=project.folder)
            assert "canary" not in answer.out + answer.err, state
        if state == "there":
            assert ingest(project).exit_code == 0
        (raw / "1.csv").write_text("a\n2\n") if state == "there" else (raw / "1.csv").unlink(missing_ok=True)


def test_a_root_that_was_put_in_is_used_and_not_shown(
    command: Any, make_project: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT", str(tmp_path / "canary"))
    folder = make_project("  {}").folder
    base = folder / "conf" / "base.yaml"
    base.write_text(base.read_text().replace("data/lake", '"${env:ROOT}"'))
    answer = command("check", folder=folder)
    assert (answer.code, "root      …" in answer.out, "canary" in answer.out) == (0, True, False)
    (tmp_path / "canary").write_text("a file")
    answer = command("check", folder=folder)
    assert (answer.code, "is a file, not a folder" in answer.out, "canary" in answer.out) == (1, True, False)


def test_so_many_files_of_a_source_are_shown(command: Any, make_project: Any) -> None:
    project = make_project("  s: {type: files, format: csv, path: data/raw/*.csv}")
    for number in range(30):
        (project.folder / "data" / "raw" / f"{number}.csv").write_text("a\n")
    for words, shown in (([], 20), (["-n", "3"], 3), (["-n", "30"], 30)):
        answer = command("show", "source", "s", *words, folder=project.folder)
        assert answer.out.count(".csv") - 1 == shown  # and the pattern
        assert (f"{30 - shown:,} more files are not shown: --limit FILES. In all: 30 new" in answer.out) == (shown < 30)
    assert len(json.loads(command("show", "source", "s", "--json", folder=project.folder).out)["files"]) == 30
