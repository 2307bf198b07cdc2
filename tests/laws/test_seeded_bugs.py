"""Bugs that were put into a copy of the engine: the tests of the laws must catch each, or they are worth nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CAUGHT = 1
"""What pytest exits with when tests failed; anything else says nothing about the bug."""


@dataclass(frozen=True)
class Bug:
    """One mistake: a piece of text in a file of the engine, what stands there instead, and the tests that must fail."""

    file: str
    right: str
    wrong: str
    tests: str


BUGS = {
    "a value of the future is seen": Bug(
        "kernels/asof.py",
        'seen = codes * width + np.searchsorted(moments, now, side="right")',
        'seen = codes * width + np.searchsorted(moments, now, side="right") + 1',
        "tests/kernels/test_asof.py",
    ),
    "an expired value is seen": Bug(
        "kernels/asof.py",
        "if ttl is not None:\n            span",
        "if False:\n            span",
        "tests/kernels/test_asof.py",
    ),
    "commits carry no transaction id": Bug(
        "delta/commit.py",
        'session.conf.set("spark.databricks.delta.write.txnAppId", self.application)',
        "pass",
        "tests/pipeline/test_running.py::test_nothing_new_writes_nothing",
    ),
    "a cursor is off by one": Bug(
        "bronze/landing.py",
        "_batch > {after} AND",
        "_batch >= {after} AND",
        "tests/laws/test_order_free.py::test_without_a_sequence_the_later_landed_wins "
        "tests/laws/test_exactly_once.py::test_killed_at_a_commit[lakehouse.silver.merging-upsert-after]",
    ),
    "equal sequences are not decided": Bug(
        "silver/merging.py",
        "order = [F.col(quoted(table.sequence_by)).desc_nulls_last(), content]",
        "order = [F.col(quoted(table.sequence_by)).desc_nulls_last(), F.col(ROW).desc()]",
        "tests/laws/test_order_free.py::test_equal_sequences_within_a_batch",
    ),
    "an older version replaces a newer one": Bug(
        "silver/merging.py",
        '    if not table.sequence_by:\n        return ""\n    new, old',
        '    return ""\n    new, old',
        "tests/laws/test_order_free.py::test_any_order_and_any_batching[1]",
    ),
    "deletes are not written": Bug(
        "delta/commit.py",
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
        'if entry.get("operation") == "RESTORE":\n                    return True',
        'if entry.get("operation") == "RESTORE":\n                    return False',
        "tests/pipeline/test_running.py::test_a_restored_table_ends_right[gold.totals]",
    ),
    "nothing is locked": Bug(
        "delta/lock.py", "lock = channel.tryLock()", "lock = channel.lock(0, 1, True)", "tests/bronze/test_locks.py"
    ),
    "what a killed commit left stops the next": Bug(
        "delta/commit.py",
        "writer.createOrReplace()",
        "writer.create()",
        "tests/laws/test_exactly_once.py::test_killed_within_the_first_commit",
    ),
}
QUICK = {"a value of the future is seen", "an expired value is seen"}


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
    file.write_text(text.replace(bug.right, bug.wrong))
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *bug.tests.split()]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == CAUGHT, done.stdout[-3000:] + done.stderr[-1000:]
