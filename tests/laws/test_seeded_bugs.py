"""Bugs that were put into a copy of the engine: the tests of the laws must catch each, or they are worth nothing.

The same tests pass on the copy before the bug is put in, so that it is the bug that they catch.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPOSITORY = Path(__file__).parents[2]
LIMIT = 300
"""Seconds after which a run of chosen tests is ended with all its processes: a bug that makes the engine loop is not
caught by that."""
ASSERTION = ("assert", "AssertionError", "Failed")
UNEXPECTED = "Run it again with --debug"
"""What the engine's error says where it holds something that broke, which no law and no check has foreseen."""


@dataclass(frozen=True)
class Bug:
    """One mistake: a piece of text in a file of the engine, what stands there instead, and the tests that must fail."""

    file: str
    right: str
    wrong: str
    tests: str


@dataclass(frozen=True)
class Outcome:
    """How a run of chosen tests ended: its exit code (None: it reached the limit), what failed and why, its output."""

    code: int | None
    failures: tuple[str, ...]
    said: str

    @property
    def caught(self) -> bool:
        """Whether a test, or what it is set up by, failed by what it says of the engine."""
        return self.code == 1 and any(map(_says_what_is_wrong, self.failures))


def _says_what_is_wrong(message: str) -> bool:
    """Whether it is an assertion or an error that the engine raises by itself.

    A test that can't be collected says neither, and an engine that just breaks raises something else. Where an
    assertion is about an error that a user would see, what that error holds is not asked.
    """
    said = message.removeprefix('failed on setup with "')
    return said.startswith(ASSERTION) or (said.startswith("lakehouse.errors.") and UNEXPECTED not in said)


SOUND: dict[str, Outcome] = {}
"""How tests end on a copy without a bug, once for each choice of tests."""
ASOF = (
    "tests/kernels/test_asof.py::test_microseconds_and_nanoseconds_are_kept "
    "tests/kernels/test_asof.py::test_sees_what_the_oracle_sees_in_any_order"
)
BUGS = {
    "a value of the future is seen": Bug(
        "kernels/asof.py",
        "seen = scale.places(codes, now)",
        "seen = scale.places(codes, now) + 1",
        ASOF,
    ),
    "an expired value is seen": Bug(
        "kernels/asof.py",
        "if ttl is not None:\n        span",
        "if False:\n        span",
        ASOF,
    ),
    "commits carry no transaction id": Bug(
        "delta/commit.py",
        'session.conf.set("spark.databricks.delta.write.txnAppId", self.application)\n'
        '        session.conf.set("spark.databricks.delta.write.txnVersion", str(self.version))',
        "pass",  # just one of the two is an error of Delta's
        "tests/pipeline/test_running.py::test_nothing_new_writes_nothing",
    ),
    "a cursor is off by one": Bug(
        "pipeline/steps.py",
        "after=work.after, upto=work.upto)",
        "after=work.after - 1, upto=work.upto)",
        "tests/laws/test_order_free.py::test_without_a_sequence_the_later_landed_wins "
        "tests/laws/test_exactly_once.py::test_killed_at_a_commit[lakehouse.silver.merging-apply_changes-after]",
    ),
    "equal sequences are not decided": Bug(
        "silver/fold.py",
        "for i, name in enumerate(self.values)))",
        "for i, name in enumerate(self.values[:1])))",
        "tests/laws/test_order_free.py::test_equal_sequences_within_a_batch",
    ),
    "an older version replaces a newer one": Bug(
        "silver/fold.py",
        "newer = F.col(ORDER).isNotNull() & (old[ORDER].isNull() | (F.col(ORDER) > old[ORDER]))",
        "newer = F.col(ORDER).isNotNull()",
        "tests/laws/test_order_free.py::test_any_order_and_any_batching[1]",
    ),
    "a delete before its insert is forgotten": Bug(
        "silver/fold.py",
        "{DELETED: F.when(news & ~F.col(LIVE), deleted), ORDERS: F.lit(None)}",
        "{DELETED: F.lit(None), ORDERS: F.lit(None)}",
        "tests/silver/test_change_capture.py::test_batch_by_batch[3]",
    ),
    "deletes are not written": Bug(
        "delta/difference.py",
        '.when(F.col(f"s.{MADE}").isNull(), "deleted")',
        '.when(F.col(f"s.{MADE}").isNull(), None)',
        "tests/pipeline/test_running.py::test_a_row_that_goes_leaves_gold",
    ),
    "times are local": Bug(
        "spark/properties.py",
        '"spark.sql.session.timeZone": "UTC"',
        '"spark.sql.session.timeZone": "America/New_York"',
        "tests/flights/test_flights_silver.py",
    ),
    "rejects are dropped": Bug(
        "bronze/landing.py",
        "    if batch.rejects:",
        "    if False:",
        "tests/bronze/test_ingest.py::test_all_formats_and_two_sources_in_one_run",
    ),
    "a value that does not fit is lost": Bug(
        "bronze/contract.py",
        "F.when(old.isNotNull() & values[column].isNull(), as_text(old, kind))",
        "F.when(F.lit(False), as_text(old, kind))",
        "tests/bronze/test_misfits.py::test_a_file_in_which_nothing_fits",
    ),
    "quarantined rows are merged": Bug(
        "silver/merging.py",
        'good = rows.where(f"size({REASONS}) = 0")',
        "good = rows",
        "tests/laws/test_order_free.py::test_any_order_and_any_batching[1]",
    ),
    "a rebuild keeps its epoch": Bug(
        "silver/planning.py",
        "epoch=work.state.version + 1",
        "epoch=work.epoch",
        "tests/pipeline/test_running.py::test_a_restored_table_ends_right[silver.orders]",
    ),
    "a restore is not noticed": Bug(
        "delta/state.py",
        'if operation == "RESTORE":\n                return True',
        'if operation == "RESTORE":\n                return False',
        "tests/pipeline/test_running.py::test_a_restored_table_ends_right[gold.totals]",
    ),
    "nothing is locked": Bug(
        "delta/lock.py", "lock = channel.tryLock()", "lock = channel.lock(0, 1, True)", "tests/bronze/test_locks.py"
    ),
    "late commits are passed over": Bug(
        "sources/jdbc/exported.py",
        "Window(snapshot.xmin, seen).as_json()",
        "Window(snapshot.xmax, seen).as_json()",
        "tests/sources/jdbc/test_incremental.py::test_a_late_commit_with_a_lower_cursor_lands",
    ),
    "just the first values of a file are looked at": Bug(
        "sources/kafka/proving.py",
        "return all(map(look, _values(file)))",
        "return next(map(look, _values(file)), True)",
        "tests/sources/kafka/test_proving.py::test_one_bad_value_is_found_wherever_it_stands",
    ),
    "records of transactions that were aborted are read": Bug(
        "sources/kafka/reading.py",
        '"kafka.isolation.level": "read_committed"',
        '"kafka.isolation.level": "read_uncommitted"',
        "tests/sources/kafka/test_landing.py::test_only_what_is_committed_lands",
    ),
    "what is remembered is remembered again": Bug(
        "delta/commit.py",
        "return done is not None and done >= self.version",
        "return False",
        "tests/delta/test_remembering.py::test_once_for_each_commit[plain]",
    ),
    "what a killed commit left stops the next": Bug(
        "delta/commit.py",
        "writer.createOrReplace()",
        "writer.create()",
        "tests/laws/test_exactly_once.py::test_killed_within_the_first_commit",
    ),
}
QUICK = {"a value of the future is seen", "an expired value is seen"}


def test_each_still_has_its_place() -> None:
    counts = {name: (REPOSITORY / "lakehouse" / bug.file).read_text().count(bug.right) for name, bug in BUGS.items()}
    assert {name for name, count in counts.items() if count != 1} == set(), "seed these anew"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.torture]) for name in BUGS]
)
def test_it_is_caught(tmp_path: Path, name: str) -> None:
    bug = BUGS[name]
    for part in ("lakehouse", "tests", "jobs", "conf", "features"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(REPOSITORY / "pyproject.toml", tmp_path)
    file = tmp_path / "lakehouse" / bug.file
    text = file.read_text()
    assert text.count(bug.right) == 1, f"{bug.file} no longer reads as it did: seed the bug anew"
    if bug.tests not in SOUND:
        SOUND[bug.tests] = _run(tmp_path, bug.tests)
    sound = SOUND[bug.tests]
    assert sound.code == 0 and not sound.failures, f"the tests fail without the bug: {sound}"
    file.write_text(text.replace(bug.right, bug.wrong))
    found = _run(tmp_path, bug.tests)
    assert found.caught, f"no test says what is wrong: {found}"


def _run(folder: Path, tests: str) -> Outcome:
    """Run the tests on the copy of the engine in the folder; all its processes have ended then."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-p", "no:cacheprovider", f"--junitxml={report}"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": ""}
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(
            [*command, *tests.split()],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what looped, and its JVM
            process.wait()
        output.seek(0)
        said = output.read()[-3000:]
    cases = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else ()
    failures = [one.get("message", "") for case in cases for one in case if one.tag in ("failure", "error")]
    return Outcome(code, tuple(failures), said)


@pytest.mark.parametrize(
    ("code", "failure", "caught"),
    [
        (1, "assert 1 == 2", True),
        (1, "AssertionError: it hangs", True),
        (1, "Failed: DID NOT RAISE", True),
        (1, 'failed on setup with "assert 1 == 2"', True),
        (1, "lakehouse.errors.GateError: silver.orders", True),
        (1, "lakehouse.errors.LakehouseError: x: y\n  Run it again with --debug to see where it happened.", False),
        (1, "NameError: name 'order' is not defined", False),
        (1, 'failed on setup with "ImportError: no module"', False),
        (2, "collection failure", False),
        (None, "assert 1 == 2", False),
    ],
)
def test_what_counts_as_caught(code: int | None, failure: str, caught: bool) -> None:
    assert Outcome(code, (failure,), "").caught == caught
