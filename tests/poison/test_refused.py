"""What no record can be made of, and no reject: each is refused by name, or passed over, and other sources go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.cli import run as command
from lakehouse.config import Project, load_project
from lakehouse.errors import ContractError, LakehouseError, SourceChangedError, SourceUnavailableError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.poison.csv import AFTER, BEFORE, HEAD

SOUND = HEAD + BEFORE + AFTER
TOO_LARGE = 64 * 2**20 + 1


def sparse(path: Path, size: int = TOO_LARGE) -> None:
    """A file of NULs that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)


def pipe_and_friends(folder: Path) -> None:
    """What is no file: asking a pipe for its bytes would never end."""
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    (folder / "dead.csv").symlink_to(folder / "nothing")
    (folder / "link.csv").symlink_to(folder / "sound.csv")
    here = Path.cwd()
    os.chdir(folder)  # a socket's name is short
    try:
        socket.socket(socket.AF_UNIX).bind("socket.csv")
    finally:
        os.chdir(here)


def far_future(folder: Path) -> None:
    os.utime(folder / "sound.csv", ns=(0, int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 10**9))


def two_types(folder: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), folder / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), folder / "2.parquet")


def unreadable(folder: Path) -> None:
    (folder / "sound.csv").chmod(0)


Refusal = tuple[str, Callable[[Path], Any], type[LakehouseError], str]
REFUSED: dict[str, Refusal] = {
    "a name that is not utf-8": (
        "csv",
        lambda folder: Path(os.fsdecode(bytes(folder) + b"/\xff.csv")).write_bytes(SOUND),
        ContractError,
        "the file's name is not UTF-8",
    ),
    "a file too large to keep whole": (
        "csv",
        lambda folder: sparse(folder / "big.csv"),
        ContractError,
        "its header",
    ),
    "a scan too large for a row": (
        "binary",
        lambda folder: sparse(folder / "big.bin"),
        ContractError,
        "a binary source takes files of at most",
    ),
    "two types for a column": ("parquet", two_types, ContractError, "'a' is"),
    "columns that clash in case": (
        "csv",
        lambda folder: (folder / "x.csv").write_bytes(b"ID,name\n1,a\n"),
        ContractError,
        "differ from bronze's only in case: ID",
    ),
    "no folder": (
        "csv",
        lambda folder: [*map(Path.unlink, folder.iterdir()), folder.rmdir()],
        SourceUnavailableError,
        "is not there",
    ),
}
REFUSED["a link to itself"] = (
    "csv",
    lambda folder: (folder / "round.csv").symlink_to(folder / "round.csv"),
    SourceUnavailableError,
    "round.csv: can't be read",
)
if os.geteuid() != 0:  # root may read everything
    REFUSED["a file that may not be read"] = ("csv", unreadable, SourceUnavailableError, "can't be read")
PASSED: dict[str, tuple[str, Callable[[Path], Any], int, str]] = {
    "pipes, folders, sockets and dead links": ("", pipe_and_friends, 4, ""),
    "a time in the future": ("", far_future, 2, ""),
    "a time in the future, and settle": (", settle: 1h", far_future, 0, "modified in the future"),
    "a file that still grows": (", settle: 1h", lambda folder: None, 0, "left until it is still for 1h"),
    "a file without its marker": (", marker: '{name}.done'", lambda folder: None, 0, "left until sound.csv.done"),
}


@pytest.fixture(scope="module")
def one_run(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, dict[str, Any]]]:
    """A project with a source for each, after one run; the results by source."""
    folder = tmp_path_factory.mktemp("refused")
    lines = ["name: refused", "root: data/lake", "tables: jobs.refused", "sources:"]
    for number, (kind, prepare, *_) in enumerate(REFUSED.values()):
        lines.append(f"  refused{number}: {{type: files, format: {kind}, path: data/raw/r{number}/*}}")
        made(folder / f"data/raw/r{number}", prepare, sound=kind == "csv")
    for number, (more, prepare, *_) in enumerate(PASSED.values()):
        lines.append(f"  passed{number}: {{type: files, format: csv, path: data/raw/p{number}/*{more}}}")
        made(folder / f"data/raw/p{number}", prepare, sound=True)
    lines.append("  sound: {type: files, format: csv, path: data/raw/sound/*}")
    made(folder / "data/raw/sound", lambda folder: None, sound=True)
    (folder / "conf").mkdir()
    (folder / "conf" / "base.yaml").write_text("\n".join(lines) + "\n")
    (folder / "jobs" / "refused").mkdir(parents=True)
    for module in ("jobs", "jobs/refused"):
        (folder / module / "__init__.py").touch()
    project = load_project(folder)
    yield project, {result.address.removeprefix("bronze."): result for result in ingest(project).results}
    for name in folder.rglob("pipe.csv"):
        with suppress(OSError):
            name.unlink()


def made(folder: Path, prepare: Callable[[Path], Any], *, sound: bool) -> None:
    folder.mkdir(parents=True)
    if sound:
        (folder / "sound.csv").write_bytes(SOUND)
    prepare(folder)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(one_run: tuple[Project, dict[str, Any]], name: str) -> None:
    project, results = one_run
    number = list(REFUSED).index(name)
    _, _, error, said = REFUSED[name]
    result = results[f"refused{number}"]
    assert isinstance(result.error, error) and said in result.error.message, result.error
    assert result.error.hint
    assert not project.path(f"bronze.refused{number}").exists()
    assert (results["sound"].error, len(Landed(project, "sound").kinds["record"])) == (None, 2)


@pytest.mark.parametrize("name", PASSED)
def test_it_is_passed_over(one_run: tuple[Project, dict[str, Any]], name: str) -> None:
    project, results = one_run
    number = list(PASSED).index(name)
    *_, records, said = PASSED[name]
    result = results[f"passed{number}"]
    assert (result.error, result.landed) == (None, records)
    assert said in result.note
    assert project.path(f"bronze.passed{number}").exists() == bool(records)


def test_no_refusal_is_a_traceback(
    one_run: tuple[Project, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(one_run[0].folder)
    for words in (["plan"], ["ingest"], ["show", "source", "refused0"]):
        assert command(words) in (0, 1, 4)
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err


CHANGES: dict[str, Callable[[Path], Any]] = {
    "overwritten": lambda file: file.write_bytes(SOUND.replace(b"before", b"behind")),
    "appended": lambda file: file.write_bytes(SOUND + b"3,more\n"),
    "cut": lambda file: file.write_bytes(HEAD),
    "emptied": lambda file: file.write_bytes(b""),
    "replaced by another kind": lambda file: file.write_bytes(b"\x1f\x8b"),
}


def test_a_file_that_changes_after_it_landed(spark: Any, make_project: Callable[..., Project]) -> None:
    project = make_project(
        "\n".join(f"  s{i}: {{type: files, format: csv, path: data/raw/{i}/*}}" for i in range(len(CHANGES)))
    )
    for i in range(len(CHANGES)):
        made(project.folder / f"data/raw/{i}", lambda folder: None, sound=True)
    assert ingest(project).exit_code == 0
    for i, change in enumerate(CHANGES.values()):
        change(project.folder / f"data/raw/{i}/sound.csv")
    results = ingest(project).results
    for name, result in zip(CHANGES, results, strict=True):
        assert isinstance(result.error, SourceChangedError), name
    for i in range(len(CHANGES)):
        assert len(Landed(project, f"s{i}").kinds["record"]) == 2
        (project.folder / f"data/raw/{i}/sound.csv").write_bytes(SOUND)
    assert {result.status for result in ingest(project).results} == {"unchanged"}
