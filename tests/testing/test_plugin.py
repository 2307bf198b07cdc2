"""The plugin in a project's own tests: the fixture, its option, and what a failure looks like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.markdown import blocks

pytest_plugins = ("pytester",)
DOCS = Path(__file__).parents[2] / "docs" / "testing.md"
PLUGIN = ("-p", "lakehouse.testing.plugin", "-p", "no:cacheprovider", "-W", "error")
BROKEN = """
import pytest
from lakehouse import gold
from lakehouse.kernels.windows import Span

visits = gold.windows(of="silver.visits", entity="k", at="t", features=[gold.count(over="1h")])

def test_visits(windows_agree, monkeypatch):
    monkeypatch.setattr(Span, "start", lambda self, times: times - self.length)
    windows_agree(visits, schema={"k": "string", "t": "timestamp"})

def test_seeds(request):
    assert request.config.getoption("--windows-seeds") == 7

def test_no_definition(windows_agree):
    windows_agree(len, schema={})
"""


def example() -> str:
    (found,) = [block.text for block in blocks(DOCS) if block.language == "python"]
    return found


def test_the_example_of_the_page_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(example())
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


def test_a_failure_says_what_differs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BROKEN)
    done = pytester.runpytest_subprocess(*PLUGIN, "--windows-seeds", "7")
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines(
        [
            "E *AssertionError: gold.visits, seed ?: 'count_1h' differs for k='*' at T = *Z",
            "E *the reference, in plain Python: *",
            "E *training, from events: *",
            "E *of this event, and of none fewer:",
            "E *k='*', t=*Z*",
            "E *DefinitionError: * is no table of window features",
        ]
    )


def test_no_streams_are_no_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(example())
    done = pytester.runpytest_subprocess(*PLUGIN, "--windows-seeds", "0")
    assert done.ret != 0
    done.stdout.fnmatch_lines(["*--windows-seeds is a whole number above 0*"])


def test_who_does_not_use_it_pays_nothing() -> None:
    code = "import lakehouse.testing.plugin, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} & {"numpy", "pyarrow", "duckdb", "deltalake", "pyspark", "feast", "pandas"} == set()
