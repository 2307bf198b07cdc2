from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse.tables import fingerprint, tables_in
from lakehouse.tables.syntax import parsed

PROJECT = {
    "jobs/gold.py": '''
"""Gold."""
import functools
import jobs.deep.units
import jobs.deep.units as un
from jobs import rules, text
from jobs.rules import LIMIT as MOST, Scale
from jobs.factory import make, logged
from lakehouse import gold
from lakehouse.quality import in_range, not_null

KEY = ["origin", "hour"]
NAMES = {"a": 1}
NAMES["b"] = 2
UNUSED = 1
if UNUSED:
    MODE = "fast"
else:
    MODE = "slow"


def local(value, factor=3):
    """A docstring."""
    return nested(value) + 1 + factor  # a comment


def nested(value):
    return [(lambda x: x * 2)(item) for item in value]


@gold.table(key=KEY, expect=[in_range("delay", 0, MOST), not_null("origin")], tags=["daily"])
def delays(silver_flights):
    """Delays."""
    from jobs.late import late
    total = local(silver_flights) + 5
    total += rules.shift(MOST) + Scale().of(2) + len(NAMES)
    def inner(row):
        return text.clean(row) + MODE
    return inner, total, jobs.deep.units.metres(1), un.FEET, late


made = make("made", 7)


@gold.table(key="id")
@logged("info")
def wrapped(silver_flights):
    return silver_flights
''',
    "jobs/rules.py": "from jobs.more import step\nLIMIT = 10\nOTHER = 1\ndef shift(x):\n    return step(x)\n"
    "class Scale(step.__class__ if False else object):\n    size = 2\n    def of(self, x):\n"
    "        return x * self.size\n",
    "jobs/more.py": "STEP = 1\ndef step(x):\n    return x + STEP\n",
    "jobs/text.py": "import re\nPATTERN = re.compile('a+')\ndef clean(x):\n    return PATTERN.sub('', x)\n",
    "jobs/late.py": "def late(x):\n    return x > 15\n",
    "jobs/deep/units.py": "FEET = 3.28\nINCH = 1\ndef metres(x):\n    return x / FEET\n",
    "jobs/factory.py": "import functools\nfrom lakehouse import gold\n\n\ndef helper(x, n):\n    return x\n\n\n"
    "def make(name, days):\n    part = functools.partial(helper, n=days)\n\n    def body(silver_flights):\n"
    "        return part(silver_flights), days\n\n    body.__name__ = name\n    return gold.table(key='id')(body)\n\n\n"
    "def logged(level):\n    def decorate(function):\n        def inner(*frames):\n"
    "            return function(*frames), level\n"
    "        inner.__name__ = function.__name__\n        inner.__wrapped__ = function\n"
    "        return inner\n    return decorate\n",
}


def fingerprints(folder: Path) -> dict[str, str]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "jobs"]:
        del sys.modules[name]
    for cached in folder.rglob("*.pyc"):  # an edit within one second, of equal length, is not seen otherwise
        cached.unlink()
    importlib.invalidate_caches()
    return {table.name: fingerprint(table, folder) for table in tables_in("jobs", folder)}


def changed(write, file: str, old: str, new: str) -> set[str]:
    """The names of the tables whose fingerprint an edit changes."""
    folder = write(PROJECT)
    before = fingerprints(folder)
    text = (folder / file).read_text()
    assert text.count(old) >= 1
    (folder / file).write_text(text.replace(old, new, 1))
    after = fingerprints(folder)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("jobs/gold.py", "  # a comment", "  # another\n    # and one"),
        ("jobs/gold.py", '    """A docstring."""\n', ""),
        ("jobs/gold.py", '    """Delays."""\n', '    """All delays."""\n'),
        ("jobs/gold.py", '"""Gold."""', '"""Some gold."""\n\n\n'),
        ("jobs/gold.py", "local(silver_flights) + 5", "(\n        local( silver_flights )\n        + 5\n    )"),
        ("jobs/gold.py", '"fast"', "'fast'"),
        ("jobs/gold.py", '"origin", "hour"]', '"origin",\n "hour",\n]'),
        ("jobs/gold.py", '@gold.table(key="id")', "@gold.table(\n    key='id',\n)"),
        ("jobs/gold.py", 'key="id"', 'key=["id"]'),
        ("jobs/gold.py", 'tags=["daily"]', 'tags=["hourly"]'),
        ("jobs/gold.py", "    return nested(value)", "    pass\n    return nested(value)"),
        ("jobs/gold.py", "made = make", "NEW = 1\n\n\ndef unused():\n    return NEW\n\n\nmade = make"),
        ("jobs/rules.py", "OTHER = 1", "OTHER = 2"),
        ("jobs/deep/units.py", "INCH = 1", "INCH = 2"),
    ],
)
def test_what_does_not_matter_changes_nothing(write, file, old, new):
    assert changed(write, file, old, new) == set()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("jobs/gold.py", "factor=3", "factor=4"),
        ("jobs/gold.py", "+ factor", "- factor"),
        ("jobs/gold.py", "nested(value) + 1", "nested(value) + 2"),
        ("jobs/gold.py", "nested(value) + 1", "nested(value) + 1.0"),
        ("jobs/gold.py", "x * 2", "x * 3"),
        ("jobs/gold.py", "clean(row) + MODE", "clean(row) + MODE * 2"),
        ("jobs/gold.py", '{"a": 1}', '{"a": 9}'),
        ("jobs/gold.py", 'NAMES["b"] = 2', 'NAMES["b"] = 3'),
        ("jobs/gold.py", "UNUSED = 1", "UNUSED = 0"),  # the condition of MODE
        ("jobs/gold.py", '"fast"', '"faster"'),
        ("jobs/gold.py", '"origin", "hour"]', '"hour", "origin"]'),
        ("jobs/gold.py", 'in_range("delay", 0,', 'in_range("delay", 1,'),
        ("jobs/gold.py", 'not_null("origin")', 'not_null("origin", on_fail="warn")'),
        ("jobs/gold.py", "from jobs.rules import LIMIT as MOST", "from jobs.rules import OTHER as MOST"),
        ("jobs/rules.py", "LIMIT = 10", "LIMIT = 11"),
        ("jobs/rules.py", "return step(x)", "return step(x) + 1"),
        ("jobs/rules.py", "size = 2", "size = 3"),
        ("jobs/more.py", "STEP = 1", "STEP = 2"),
        ("jobs/more.py", "x + STEP", "x - STEP"),
        ("jobs/text.py", "'a+'", "'b+'"),
        ("jobs/late.py", "15", "30"),
        ("jobs/deep/units.py", "3.28", "3.2808"),
    ],
)
def test_what_the_function_reaches_changes_it(write, file, old, new):
    assert changed(write, file, old, new) == {"delays"}


@pytest.mark.parametrize(
    ("file", "old", "new", "name"),
    [
        ("jobs/gold.py", 'make("made", 7)', 'make("made", 8)', "made"),  # a closure, and what a partial holds
        ("jobs/factory.py", "    return x\n", "    return x + n\n", "made"),
        ("jobs/factory.py", "part(silver_flights), days", "part(silver_flights), days + 1", "made"),
        ("jobs/gold.py", 'logged("info")', 'logged("debug")', "wrapped"),
        ("jobs/gold.py", "    return silver_flights\n", "    return silver_flights.distinct()\n", "wrapped"),
        ("jobs/factory.py", "function(*frames), level", "level, function(*frames)", "wrapped"),
    ],
)
def test_closures_partials_and_wrappers(write, file, old, new, name):
    assert changed(write, file, old, new) == {name}


def test_the_same_project_elsewhere_and_in_another_process(write):
    first, second = write(PROJECT), write(PROJECT, folder="second")
    assert fingerprints(first) == fingerprints(second)
    program = (
        "import sys, pathlib\nfrom lakehouse.tables import fingerprint, tables_in\nfolder = pathlib.Path(sys.argv[1])\n"
        "print(*(fingerprint(table, folder) for table in tables_in('jobs', folder)))"
    )
    said = subprocess.run([sys.executable, "-c", program, str(first)], capture_output=True, text=True, check=True)
    assert said.stdout.split() == list(fingerprints(first).values())


def test_tables_differ(write):
    found = fingerprints(write(PROJECT))
    assert len(set(found.values())) == 3
    assert all(len(value) == 64 and int(value, 16) for value in found.values())


def small(write, helper: str, body: str, **more: str) -> str:
    text = f"{body}\n@silver.table(key='id')\ndef x(bronze_x):\n    return use(bronze_x)\n"
    files = {"jobs/a.py": f"from lakehouse import silver\n{text}", "jobs/b.py": helper, **more}
    return fingerprints(write(files))["x"]


@pytest.mark.parametrize(
    "body",
    [
        "from jobs.b import use",
        "from jobs.b import *",
        "from . import b\nuse = b.use",
        "from .b import use as other\nuse = other",
        "import jobs.b\ndef use(x):\n    return jobs.b.use(x)",
        "import jobs.b\ndef use(x):\n    return getattr(jobs.b, 'use')(x)",
        "from jobs import b\nuse = getattr(b, 'use')",
        "try:\n    from jobs.b import use\nexcept ImportError:\n    use = None",
        "from functools import partial, lru_cache\nfrom jobs import b\nuse = partial(lru_cache(b.use), 1)",
        "from jobs import b\nuse = [b.use][0]",
        "from jobs import b\nuse = lambda x, then=b.use: then(x)",
        "from jobs import b\nclass Use:\n    def __call__(self, x):\n        return b.use(x)\nuse = Use()",
        "def use(x):\n    import jobs.b as other\n    return other.use(x)",
        "def use(x):\n    def inner(y):\n        from jobs import b\n        return b.use(y)\n    return inner(x)",
        "from jobs import b\nTABLE = {}\nTABLE['use'] = b.use\ndef use(x):\n    return TABLE['use'](x)",
        "from jobs import b\nTABLE = []\nTABLE.append(b.use)\ndef use(x):\n    return TABLE[0](x)",
        "from jobs import b\nfor use in (b.use,):\n    pass",
        "from jobs import b\nuse = None\ndef put():\n    return b.use\nuse = put()",
    ],
)
def test_every_way_to_reach_a_helper(write, body):
    one = small(write, "def use(x):\n    return x\n", body)
    assert one == small(write, "def use(x):\n    return x  # same\n", body)
    assert one != small(write, "def use(x):\n    return x + 1\n", body)


def test_a_package_that_imports_its_own_submodule_hides_nothing(write):
    body = "from jobs import b\ndef use(x):\n    return b.use(x)"
    init = {"jobs/__init__.py": "from . import b\n"}
    one = small(write, "def use(x):\n    return x\n", body, **init)
    assert one != small(write, "def use(x):\n    return x + 1\n", body, **init)


def test_a_local_of_the_same_name_is_not_the_global(write):
    body = "LIMIT = {}\ndef use(x):\n    LIMIT = 2\n    return LIMIT"
    assert small(write, "", body.replace("{}", "1")) == small(write, "", body.replace("{}", "9"))


def test_a_comprehensions_variable_does_not_hide_the_global(write):
    body = "LIMIT = {}\ndef use(x):\n    return [LIMIT for LIMIT in x] + [LIMIT]"
    assert small(write, "", body.replace("{}", "1")) != small(write, "", body.replace("{}", "9"))


def test_installed_code_below_the_folder_is_not_the_projects(write):
    folder = write({".venv/lib/site-packages/thing.py": "def use(x):\n    return x\n"})
    sys.path.append(str(folder / ".venv/lib/site-packages"))
    one = small(write, "", "from thing import use")
    (folder / ".venv/lib/site-packages/thing.py").write_text("def use(x):\n    return 9\n")
    assert one == small(write, "", "from thing import use")


def test_a_table_of_a_notebook_has_a_fingerprint(tmp_path):
    def declared(limit: int):
        names: dict[str, object] = {"__name__": "__main__"}
        exec(f"def x(bronze_x):\n    return bronze_x + {limit}", names)
        from lakehouse import silver

        return fingerprint(silver.table(key="id")(names["x"]), tmp_path)

    assert declared(1) == declared(1)
    assert declared(1) != declared(2)


def test_the_engines_format_counts(write, monkeypatch):
    folder = write(PROJECT)
    before = fingerprints(folder)
    monkeypatch.setattr(importlib.import_module("lakehouse.tables.fingerprint"), "TABLE_FORMAT", 0)
    after = fingerprints(folder)
    assert all(before[name] != after[name] for name in before)


def test_python_s_own_mistake_about_threads_is_none_of_the_project_s(monkeypatch: pytest.MonkeyPatch) -> None:
    right, left = ast.parse, [SystemError("AST constructor recursion depth mismatch (before=51, after=60)")] * 3

    def parse(*given: Any) -> Any:
        if left:
            raise left.pop()
        return right(*given)

    monkeypatch.setattr(ast, "parse", parse)
    assert ast.dump(parsed("a = 1")) == ast.dump(right("a = 1"))
    with pytest.raises(SyntaxError):
        parsed("a = ")
    left += [SystemError("for good")] * 30
    with pytest.raises(SystemError, match="for good"):
        parsed("a = 1")
