"""Which files a batch takes, leaves or passes over, by their age, their markers and what is to be done with changes."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lakehouse.config import FilesSource
from lakehouse.errors import ConfigError, SourceChangedError, SourceUnavailableError
from lakehouse.sources.files.landed import ignored_changes, landed_files
from lakehouse.sources.files.listing import list_files
from lakehouse.sources.files.planning import Files
from lakehouse.tables.batch import Batch

HOUR = 3600
NAMES = ("a", "b.csv", ".h", "[x]", "k=1", "é", "a*")
PATTERNS = (
    *("r/*", "r/**", "r/**/*", "r/*.csv", "r/*/*", "r/**/*.csv", "r/a/**/b.csv", "r/.h/*", "r/**/.h", "r/[[]x]/*"),
    *("r/*/**/*/*", "r/**/k=*/*", "r/a", "r/?", "r/**/../r/*", "r/[ab]*/*", "**/*.csv", "r//*", "r/**/**/a"),
)


def files(folder: Path, *, at: int = 10 * HOUR, kind: Any = "csv", **settings: Any) -> Files:
    """A source of ``raw/*`` that is asked at a second of 1970."""
    source = FilesSource(type="files", format=kind, path="raw/*", **settings)
    return Files("s", source, folder, lambda: datetime.fromtimestamp(at, UTC))


def write(folder: Path, name: str, text: str = "a\n1\n", *, at: float = 9 * HOUR) -> Path:
    path = folder / "raw" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(0, int(at * 10**9)))
    return path


def planned(source: Files, *cursors: dict[str, Any]) -> Batch:
    session: Any = None
    batch = source.plan(session, cursors)
    assert batch is not None
    return batch


def taken(batch: Batch) -> list[str]:
    return [file["path"] for file in batch.cursor["files"]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("absolute", [False, True])
def test_what_is_listed_is_what_glob_finds(tmp_path: Path, seed: int, absolute: bool) -> None:
    rng = Random(seed)
    folder = tmp_path / "p [1]"
    for _ in range(40):
        path = folder.joinpath("r", *(rng.choice(NAMES) for _ in range(rng.randint(1, 4))))
        if not any(part.is_file() for part in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for pattern in PATTERNS:
        whole = f"{glob.escape(str(folder))}/{pattern}"
        found = glob.glob(whole, recursive=True)  # noqa: PTH207
        expected = sorted({os.path.normpath(path) for path in found if Path(path).is_file()})
        listed = list_files(whole if absolute else pattern, folder)
        assert [file.path for file in listed] == expected
        assert [file.shown for file in listed] == [str(Path(path).relative_to(folder)) for path in expected]


def test_a_link_back_is_not_followed_for_ever(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    (tmp_path / "raw" / "again").symlink_to(tmp_path / "raw")
    assert [file.shown for file in list_files("raw/**/*.csv", tmp_path)] == ["raw/a.csv", "raw/again/a.csv"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw" / "loop").parent.mkdir()
    (tmp_path / "raw" / "loop").symlink_to(tmp_path / "raw" / "loop")
    with pytest.raises(SourceUnavailableError, match="raw/loop: can't be read"):
        files(tmp_path).waiting([])


@pytest.mark.parametrize(
    ("settings", "at", "left"),
    [
        ({"settle": "30s"}, 9 * HOUR + 29, "raw/a.csv (modified 29 s ago, left until it is still for 30s)"),
        ({"settle": "30s"}, 9 * HOUR + 30, ""),
        ({"settle": "2h"}, 11 * HOUR - 1, "raw/a.csv (modified 7199 s ago, left until it is still for 2h)"),
        ({"settle": "5m"}, 8 * HOUR, "raw/a.csv (modified in the future, left until it is still for 5m)"),
        ({"marker": "_SUCCESS"}, 10 * HOUR, "raw/a.csv (left until _SUCCESS stands beside it)"),
        ({"marker": "{name}.done"}, 10 * HOUR, "raw/a.csv (left until a.csv.done stands beside it)"),
        ({"marker": ".{name}"}, 10 * HOUR, "raw/a.csv (left until .a.csv stands beside it)"),
    ],
)
def test_a_file_is_left_until_it_is_still(tmp_path: Path, settings: dict[str, str], at: int, left: str) -> None:
    write(tmp_path, "a.csv")
    source = files(tmp_path, at=at, **settings)
    waits = source.waiting([])
    assert (waits.takes, waits.leaves) == (("", left) if left else ("1 new file", ""))
    assert (source.plan(None, []) is None) == bool(left)  # type: ignore[arg-type]


def test_a_marker_is_no_data_and_must_not_be_older(tmp_path: Path) -> None:
    source = files(tmp_path, marker="{name}.done")
    for name, at in (("a", 9.0), ("b", 9.0), ("c", 9.0)):
        write(tmp_path, name, at=at * HOUR)
    write(tmp_path, "a.done", at=9 * HOUR)
    write(tmp_path, "b.done", at=8 * HOUR)
    write(tmp_path, "gone.done")
    batch = planned(source)
    assert taken(batch) == ["raw/a"]
    waits = source.waiting([])
    assert waits.takes == "1 new file"
    left = "raw/b (left until b.done is as new as it), raw/c (left until c.done stands beside it)"
    assert waits.leaves == batch.note == left
    os.utime(tmp_path / "raw" / "b.done", (10 * HOUR, 10 * HOUR))
    assert taken(planned(source, batch.cursor)) == ["raw/b"]


def test_both_must_hold(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    write(tmp_path, "_SUCCESS")
    assert files(tmp_path, at=9 * HOUR + 1, settle="2s", marker="_SUCCESS").waiting([]).takes == ""
    assert files(tmp_path, at=9 * HOUR + 2, settle="2s", marker="_SUCCESS").waiting([]).takes == "1 new file"
    assert files(tmp_path, at=9 * HOUR + 2, settle="2s", marker="_DONE").waiting([]).takes == ""


CHANGES: list[Callable[[Path], Any]] = [
    lambda path: path.write_text("a\n1\n2\n"),
    lambda path: path.write_text("a\n2\n"),
    lambda path: path.write_text("a\n"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_an_error(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    path = write(tmp_path, "a.csv")
    first = planned(files(tmp_path)).cursor
    change(path)
    for settings in ({}, {"settle": "1h", "at": 0}):
        with pytest.raises(SourceChangedError, match=r"raw/a\.csv \(landed with 4 bytes, now \d\)"):
            files(tmp_path, **settings).waiting([first])


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_read_again_whole(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    path = write(tmp_path, "a.csv")
    source = files(tmp_path, changed="reread")
    first = planned(source).cursor
    assert "replaces" not in first["files"][0]
    change(path)
    write(tmp_path, "b.csv")
    assert source.waiting([first]).takes == "1 new file, 1 changed file"
    second = planned(source, first)
    assert taken(second) == ["raw/a.csv", "raw/b.csv"]
    assert second.note == "read again: raw/a.csv"
    again, other = landed_files([second.cursor])
    assert (again.replaces, again.records) == (first["files"][0]["sha256"], path.read_text().count("\n") - 1)
    assert other.replaces == ""
    assert source.plan(None, [first, second.cursor]) is None  # type: ignore[arg-type]
    # As it first was: a change like any other, since the newest entry counts.
    write(tmp_path, "a.csv", at=10 * HOUR)
    third = planned(source, first, second.cursor)
    assert third.cursor["files"][0]["replaces"] == again.sha256


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_passed_over_and_recorded_once(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    path = write(tmp_path, "a.csv")
    source = files(tmp_path, changed="ignore")
    first = planned(source).cursor
    change(path)
    assert source.waiting([first]).takes == "1 change to pass over"
    second = planned(source, first)
    assert (taken(second), second.records, second.rejects) == ([], 0, ())
    assert second.note == "changed and passed over: raw/a.csv"
    assert [file.path for file in ignored_changes([second.cursor])] == ["raw/a.csv"]
    os.utime(path, (1, 1))
    assert source.plan(None, [first, second.cursor]) is None  # type: ignore[arg-type]
    with pytest.raises(SourceChangedError):
        files(tmp_path).waiting([first, second.cursor])
    assert taken(planned(files(tmp_path, changed="reread"), first, second.cursor)) == ["raw/a.csv"]
    write(tmp_path, "a.csv", "a\n7\n7\n7\n")
    assert planned(source, first, second.cursor).note == "changed and passed over: raw/a.csv"


@pytest.mark.parametrize("changed", ["reread", "ignore"])
def test_a_change_is_left_until_it_is_still(tmp_path: Path, changed: str) -> None:
    write(tmp_path, "a.csv")
    first = planned(files(tmp_path)).cursor
    write(tmp_path, "a.csv", "a\n1\n2", at=10 * HOUR - 1)
    waits = files(tmp_path, changed=changed, settle="2s").waiting([first])
    assert (waits.takes, waits.leaves) == ("", "raw/a.csv (modified 1 s ago, left until it is still for 2s)")


def test_a_sentence_names_some_of_many(tmp_path: Path) -> None:
    for number in range(1200):
        write(tmp_path, f"{number:04}")
    waits = files(tmp_path, marker="_SUCCESS").waiting([])
    assert waits.leaves.endswith("raw/0004 (left until _SUCCESS stands beside it) and 1,195 more")


@pytest.mark.parametrize("path", ["raw", "raw/", "raw/sub", "*/sub", "./raw", ".", "..", "/", "//", "{folder}/raw"])
def test_a_path_that_is_a_folder_is_said(tmp_path: Path, path: str) -> None:
    (tmp_path / "raw" / "sub").mkdir(parents=True)
    said = path.format(folder=tmp_path)
    source = Files("s", FilesSource(type="files", format="csv", path=said), tmp_path)
    with pytest.raises(ConfigError) as caught:
        source.plan(None, [])  # type: ignore[arg-type]
    assert caught.value.message == f"sources.s.path: {said} is a folder"
    assert f"Write {said.rstrip('/')}/* for" in caught.value.hint


@pytest.mark.parametrize("path", ["raw/a", "raw/*", "raw/*/a", "*/a", "raw/**/a"])
def test_a_path_without_a_file_yet_waits(tmp_path: Path, path: str) -> None:
    (tmp_path / "raw" / "sub").mkdir(parents=True)
    assert Files("s", FilesSource(type="files", format="csv", path=path), tmp_path).waiting([]).takes == ""


@pytest.mark.parametrize("path", ["{long}", "{long}/*", "raw/{long}", "raw/*/{long}", "./{long}/*"])
def test_a_name_that_is_too_long_is_said(tmp_path: Path, path: str) -> None:
    (tmp_path / "raw" / "sub").mkdir(parents=True)
    source = FilesSource(type="files", format="csv", path=path.format(long="é" * 128))
    with pytest.raises(SourceUnavailableError, match="File name too long") as caught:
        Files("s", source, tmp_path).waiting([])
    assert "Shorten the name" in caught.value.hint


def test_no_name_holds_a_nul() -> None:
    with pytest.raises(ValueError, match="holds a NUL"):
        FilesSource(type="files", format="csv", path="raw/\0*")


def test_some_of_many_changed_files_are_named(tmp_path: Path) -> None:
    for number in range(300):
        write(tmp_path, f"{number:03}.csv")
    first = planned(files(tmp_path)).cursor
    for number in range(300):
        write(tmp_path, f"{number:03}.csv", "a\n2\n", at=10 * HOUR)
    with pytest.raises(SourceChangedError) as caught:
        files(tmp_path).waiting([first])
    assert caught.value.message.startswith("sources.s: 300 file(s) changed after they landed: raw/000.csv (landed with")
    assert caught.value.message.endswith("and 295 more")
    assert len(caught.value.message) < 500


def test_who_mended_a_rejected_file_need_not_put_it_back(tmp_path: Path) -> None:
    write(tmp_path, "sound.csv")
    write(tmp_path, "bad.csv", "a,a\n1,2\n")
    write(tmp_path, "empty.csv", "a\n")
    first = planned(files(tmp_path)).cursor
    write(tmp_path, "bad.csv", "a,b\n1,2\n", at=10 * HOUR)
    with pytest.raises(SourceChangedError) as caught:
        files(tmp_path).waiting([first])
    assert caught.value.message == "sources.s: 1 file(s) changed of which nothing landed, all was rejected: raw/bad.csv"
    assert "lakehouse quarantine replay bronze.s --id ID --with FILE" in caught.value.hint
    assert "sources.s.changed: reread" in caught.value.hint
    assert "old bytes" not in caught.value.hint
    for name in ("sound.csv", "empty.csv"):  # a file of a header alone has landed, with nothing in it
        write(tmp_path, name, "a\n7\n7\n", at=10 * HOUR)
    with pytest.raises(SourceChangedError) as caught:
        files(tmp_path).waiting([first])
    assert "2 file(s) changed after they landed: raw/empty.csv" in caught.value.message
    assert "1 file(s) changed of which nothing landed, all was rejected: raw/bad.csv" in caught.value.message
    assert "Put the old bytes back" in caught.value.hint and "--with FILE" in caught.value.hint
