"""Which files a batch takes, whatever they are called and whatever happens to them meanwhile."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import FilesSource
from lakehouse.errors import ContractError, SourceChangedError, SourceUnavailableError
from lakehouse.sources.files import discovery, planning
from lakehouse.sources.files.planning import landed_files, plan_batch
from lakehouse.tables.batch import Batch

NAMES = [
    *("plain.csv", "a b.csv", "a%20b.csv", "50%.csv", "a+b.csv", "a[1].csv", "a*.csv", "a{b,c}.csv", "a?b#c&d=e.csv"),
    *("a'b\".csv", "a\\b.csv", "a\nb.csv", " a.csv ", "é☃ 航班.csv", "_a.csv", "12:30.csv", "12:30 [x].csv", "a,b.csv"),
    *(
        "a.csv.gz",
        "a.csv.SNAPPY",
        "a.csv._COPYING_",
        "_d/a.csv",
        "d:e/a.csv",
        "k=1/a.csv",
        "d {x}/[y]/a.csv",
        "no_suffix",
    ),
]


def source(path: str = "raw/**/*", kind: Any = "csv") -> FilesSource:
    return FilesSource(type="files", format=kind, path=path)


def planned(folder: Path, files: FilesSource, landed: Any = ()) -> Batch:
    batch = plan_batch("s", files, folder, landed)
    assert batch is not None
    return batch


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("below", ["plain", "a b/50% [x]{y}+é*"])
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_names_are_kept_as_they_are(spark: Any, tmp_path: Path, kind: str, below: str, absolute: bool) -> None:
    folder = tmp_path / below
    folder.mkdir(parents=True)
    raw = tmp_path / "outside [1] é" if absolute else folder / "raw"
    for name in NAMES:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"n\n1\n2\n" if kind == "csv" else b'{"n":1}\n{"n":2}\n')
    pattern = f"{tmp_path}/outside*/**/*" if absolute else "raw/**/*"
    batch = planned(folder, source(pattern, kind))
    assert batch.records == 2 * len(NAMES)
    shown = {str(raw / name) if absolute else f"raw/{name}" for name in NAMES}
    assert {file.path for file in landed_files([batch.cursor])} == shown
    found = sorted((row._file, row.n) for row in batch.read(spark).collect())
    assert found == sorted((name, n) for name in shown for n in "12")
    assert plan_batch("s", source(pattern, kind), folder, landed_files([batch.cursor])) is None


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/raw/\xff.csv")).write_bytes(b"a\n1\n")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(ContractError, match="udcff.csv.*not UTF-8"):
        plan_batch("s", source(), tmp_path, [])


def test_pipes_folders_and_dead_links_are_passed_over(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "folder.csv").mkdir(parents=True)
    os.mkfifo(raw / "pipe.csv")
    (raw / "dead.csv").symlink_to(raw / "nothing")
    (raw / "real.csv").write_text("a\n1\n")
    (raw / "link.csv").symlink_to(raw / "real.csv")
    found: list[str] = []
    thread = threading.Thread(
        target=lambda: found.extend(part.name for part in planned(tmp_path, source()).parts), daemon=True
    )
    thread.start()
    thread.join(10)
    assert found == ["raw/link.csv", "raw/real.csv"]


def test_no_bytes_are_one_reject(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").touch()
    batch = planned(tmp_path, source())
    assert (batch.records, [part.columns for part in batch.parts]) == (0, [()])
    assert [(reject.raw, reject.reason) for reject in batch.rejects] == [(b"", "the file is empty")]


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "raw" / "a.csv"
    path.parent.mkdir()
    path.write_text("a\n1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(SourceUnavailableError, match="raw/a.csv: can't be read: Permission denied"):
        plan_batch("s", source(), tmp_path, [])


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_disk_error_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a").write_text("a\n1\n")

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    looks = {"csv": "inspect_csv", "json": "inspect_jsonl", "parquet": "inspect_parquet"}
    monkeypatch.setattr(planning, looks[kind], fails)
    with pytest.raises(SourceUnavailableError, match="raw/a: can't be read: Input/output error"):
        plan_batch("s", source(kind=kind), tmp_path, [])


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw" / "a.csv"
    path.parent.mkdir()
    path.write_text("a\n1\n")
    real = planning.inspect_csv

    def slow(*arguments: Any) -> Any:
        found = real(*arguments)
        with path.open("a") as file:
            file.write("2\n")
        return found

    monkeypatch.setattr(planning, "inspect_csv", slow)
    with pytest.raises(SourceUnavailableError, match="raw/a.csv: it changed while it was read"):
        plan_batch("s", source(), tmp_path, [])


@pytest.mark.parametrize("change", ["grow", "vanish"])
def test_a_file_that_changes_after_it_was_counted(tmp_path: Path, change: str) -> None:
    path = tmp_path / "raw" / "a.csv"
    path.parent.mkdir()
    path.write_text("a\n1\n")
    batch = planned(tmp_path, source())
    batch.require_unchanged()
    if change == "grow":
        path.write_text("a\n1\n2\n")
    else:
        path.unlink()
    with pytest.raises(SourceUnavailableError, match=r"raw/a\.csv"):
        batch.require_unchanged()


def test_what_landed_is_known_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw" / "a.csv"
    path.parent.mkdir()
    path.write_text("a\n1\n")
    cursor = planned(tmp_path, source()).cursor
    landed = landed_files([cursor])
    with monkeypatch.context() as patched:
        patched.setattr(discovery, "sha256", lambda _: pytest.fail("an untouched file was read"))
        assert plan_batch("s", source(), tmp_path, landed) is None
    os.utime(path, ns=(1, 1))
    assert plan_batch("s", source(), tmp_path, landed) is None
    path.write_text("a\n2\n")
    with pytest.raises(SourceChangedError, match=r"raw/a\.csv \(landed with 4 bytes, now 4\)"):
        plan_batch("s", source(), tmp_path, landed)
    os.utime(path, ns=(landed[0].mtime_ns, landed[0].mtime_ns))
    path.write_text("a\n2\n3\n")
    with pytest.raises(SourceChangedError, match="now 6"):
        planning.Files("s", source(), tmp_path).waiting([cursor])
    path.unlink()
    assert plan_batch("s", source(), tmp_path, landed) is None


def test_a_pattern_that_finds_a_file_twice_takes_it_once(tmp_path: Path) -> None:
    (tmp_path / "raw" / "x").mkdir(parents=True)
    (tmp_path / "raw" / "x" / "a.csv").write_text("a\n1\n")
    assert planned(tmp_path, source("raw/**/../**/*.csv")).records == 1


@pytest.mark.parametrize("folder", ["plain", "a[1] *"])
@pytest.mark.parametrize("pattern", ["raw/a.csv", "raw/*.csv", "raw/**/x/*.csv"])
def test_a_missing_folder_is_named(tmp_path: Path, folder: str, pattern: str) -> None:
    (tmp_path / folder).mkdir()
    with pytest.raises(SourceUnavailableError) as caught:
        plan_batch("s", source(pattern), tmp_path / folder, [])
    assert caught.value.message == f"sources.s: the folder {tmp_path / folder / 'raw'} is not there"
    (tmp_path / folder / "raw").mkdir()
    assert plan_batch("s", source(pattern), tmp_path / folder, []) is None
