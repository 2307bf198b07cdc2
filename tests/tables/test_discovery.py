from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lakehouse.errors import DefinitionError
from lakehouse.tables import tables_in

SILVER = """
from lakehouse import silver

@silver.table(key="id")
def flights(bronze_flights):
    return bronze_flights

@silver.table(key="id")
def airports(bronze_airports):
    return bronze_airports
"""
GOLD = """
from jobs.silver import flights
from lakehouse import gold

also = flights

@gold.table(key="id")
def delays(silver_flights):
    return silver_flights
"""


def addresses(module: str, folder: Path) -> list[str]:
    return [table.address for table in tables_in(module, folder)]


def refused(module: str, folder: Path) -> str:
    with pytest.raises(DefinitionError) as caught:
        tables_in(module, folder)
    return str(caught.value)


def test_finds_the_tables_of_a_package_once_each_in_a_fixed_order(write):
    folder = write({"jobs/silver.py": SILVER, "jobs/gold.py": GOLD})
    assert addresses("jobs", folder) == ["silver.airports", "silver.flights", "gold.delays"]
    assert addresses("jobs.silver", folder) == ["silver.airports", "silver.flights"]


def test_finds_them_in_folders_without_init(tmp_path):
    (tmp_path / "jobs/deep/er").mkdir(parents=True)
    (tmp_path / "jobs/silver.py").write_text(SILVER)
    (tmp_path / "jobs/deep/er/gold.py").write_text(GOLD)
    (tmp_path / "jobs/deep/nothing.py").write_text("")
    assert addresses("jobs", tmp_path) == ["silver.airports", "silver.flights", "gold.delays"]


def test_a_program_is_not_run(write):
    folder = write({"jobs/silver.py": SILVER, "jobs/__main__.py": "raise SystemExit('ran')"})
    assert len(addresses("jobs", folder)) == 2


def test_a_package_of_the_same_name_from_elsewhere_does_not_win(write):
    first = write({"jobs/silver.py": SILVER, "jobs/gold.py": GOLD})
    second = write({"jobs/silver.py": SILVER.replace("airports", "planes")}, folder="second")
    assert "silver.airports" in addresses("jobs", first)
    assert addresses("jobs", second) == ["silver.flights", "silver.planes"]
    assert Path(sys.modules["jobs.silver"].__file__).is_relative_to(second)
    assert "jobs.gold" not in sys.modules
    assert addresses("jobs", first) == ["silver.airports", "silver.flights", "gold.delays"]


def test_a_package_that_only_another_folder_has_is_refused(write):
    elsewhere = write({"jobs/silver.py": SILVER}, folder="elsewhere")
    addresses("jobs", elsewhere)
    empty = write({"conf/base.yaml": ""}, folder="empty")
    message = refused("jobs", empty)
    assert "'jobs' was found in" in message
    assert "not below" in message
    assert str(empty) in message


def test_asking_twice_gives_the_same_values(write):
    folder = write({"jobs/silver.py": SILVER})
    assert all(a is b for a, b in zip(tables_in("jobs", folder), tables_in("jobs", folder), strict=True))


def test_a_module_that_is_not_there_offers_the_nearest(write):
    folder = write({"jobs/flights/silver.py": SILVER})
    message = refused("jobs.flihgts", folder)
    assert "there is no module 'jobs.flihgts'" in message
    assert "Did you mean 'jobs.flights'?" in message
    assert "Did you mean 'jobs'?" in refused("job", folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\nx = (", "jobs/broken.py:2: '(' was never closed"),
        ("x = 1\n\nprint(unknown)", "jobs/broken.py:3: NameError: name 'unknown' is not defined"),
        ("import no_such_library", "jobs/broken.py:1: No module named 'no_such_library'"),
        ("import json\n\ndef f():\n    json.loads('{')\n\nf()", "jobs/broken.py:4: JSONDecodeError: "),
        ("raise SystemExit(1)", "jobs/broken.py:1: the module ends the program"),
        ("from jobs import silvre", "jobs/broken.py:1: ImportError: cannot import name 'silvre'"),
        ("from lakehouse import silver\n@silver.table(key=[])\ndef x(bronze_x): ...", "silver.x: key=[]"),
        (
            "from lakehouse import silver\n\n@silver.table(key='a')\ndef x(flights): ...",
            "jobs/broken.py:3: silver.x: its",
        ),
        ("from lakehouse import silver\nsilver.table(key='a')(lambda bronze_x: bronze_x)", "can't name a table"),
        ("from lakehouse import gold\n@gold.table(key='a', tags='daily')\ndef x(silver_x): ...", "tags= takes a list"),
    ],
)
def test_a_module_that_fails_is_an_error_with_file_line_and_reason(write, text, expected):
    message = refused("jobs", write({"jobs/broken.py": text, "jobs/silver.py": SILVER}))
    assert expected in message
    assert "Traceback" not in message


def test_all_modules_that_fail_are_named_at_once(write):
    message = refused("jobs", write({"jobs/a.py": "1 / 0", "jobs/b.py": "import a_library"}))
    assert "jobs/a.py:1: ZeroDivisionError" in message
    assert "jobs/b.py:1: No module named 'a_library'" in message


def test_a_module_that_many_import_is_named_once(write):
    folder = write({"jobs/a.py": "import jobs.b", "jobs/b.py": "1 / 0", "jobs/c.py": "import jobs.b"})
    assert refused("jobs", folder).count("jobs/b.py:1") == 1


def test_two_tables_of_one_address_name_both_places(write):
    message = refused("jobs", write({"jobs/a.py": SILVER, "jobs/b.py": SILVER}))
    assert "silver.flights is declared twice: jobs/a.py:4 and jobs/b.py:4" in message
    assert "silver.airports is declared twice: jobs/a.py:8 and jobs/b.py:8" in message


def test_a_table_that_another_of_the_module_shadows_is_not_lost_in_silence(write):
    message = refused("jobs", write({"jobs/a.py": SILVER + SILVER.replace("silver.table", "silver.table")}))
    assert "'flights' is declared twice in one module: jobs/a.py:4 and jobs/a.py:14" in message


@pytest.mark.parametrize("module", ["json", "lakehouse.tables", "os.path"])
def test_a_name_that_is_taken_is_refused_and_not_forgotten(tmp_path, module):
    before = sys.modules[module]
    (tmp_path / f"{module}.py").write_text("")
    assert "belongs to" in refused(module, tmp_path)
    assert sys.modules[module] is before


def test_a_name_that_is_no_module(tmp_path):
    assert "is not the name of a Python module" in refused("jobs/flights.py", tmp_path)
