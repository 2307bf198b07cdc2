"""Find what is new among many files that have landed, beside a bare walk that asks each file for its size."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, in_turn, tree_cpu_s
from benchmarks.workbench import Workbench

FOLDERS, FILES = 100, 100_000
NEW = 10


def discovery(bench: Workbench) -> Iterator[Figure]:
    """A hundred thousand files in a hundred folders, all but some landed: list, compare with the receipts."""
    import pyarrow as pa
    from deltalake import write_deltalake

    from lakehouse.config import load_project
    from lakehouse.pipeline import plan

    folder = bench.folder / "discovery"
    for below in ("conf", "jobs", "raw"):
        (folder / below).mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text(
        "name: discovery\nroot: lake\ntables: jobs\nsources:\n  s: {type: files, format: csv, path: raw/*/*.csv}\n"
    )
    (folder / "jobs" / "__init__.py").touch()
    landed = []
    for number in range(FILES):
        file = folder / "raw" / f"{number % FOLDERS:03}" / f"{number:06}.csv"
        if number < FOLDERS:
            file.parent.mkdir()
        file.write_text("a\n1\n")
        if number >= NEW:
            status = file.stat()
            place = {"path": str(file.relative_to(folder)), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
            landed.append({**place, "sha256": f"{number:064x}", "records": 1, "rejects": 0})
    receipt = {"cursor": {"files": landed}, "took": "", "read": len(landed), "landed": len(landed), "quarantined": 0}
    row = {"_kind": ["receipt"], "_batch": [0], "_ingested_at": [datetime.now(UTC)], "_receipt": [json.dumps(receipt)]}
    project = load_project(folder)
    write_deltalake(str(project.path("bronze.s")), pa.table(row), partition_by=["_kind"])

    def ours() -> Cost:
        begun, cpu = time.perf_counter(), tree_cpu_s()
        (step,) = plan(project).steps
        if step.why != f"{NEW} new files":
            raise BenchmarkError(f"{step.address}: {step.action}: {step.why}")
        return Cost(time.perf_counter() - begun, tree_cpu_s() - cpu, None, 0.0)

    def floor() -> Cost:
        begun, cpu = time.perf_counter(), tree_cpu_s()
        if _walked(folder / "raw") != FILES:
            raise BenchmarkError("the walk found other files")
        return Cost(time.perf_counter() - begun, tree_cpu_s() - cpu, None, 0.0)

    in_turn(1, ours, floor)
    bench.begin()
    yield bench.wall(
        "discovery",
        in_turn(bench.rounds(5), ours, floor),
        goal=10.0,
        how=f"`pipeline.plan` of a source of {FILES:,} files in {FOLDERS} folders, {NEW} of them new, the others in a "
        "receipt: read the receipts, list the files, compare sizes and times; no JVM, files in the system's cache",
        floor_is="`os.walk` and one `os.stat` a file",
    )


def _walked(folder: Path) -> int:
    count = 0
    for above, _, names in os.walk(folder):
        for name in names:
            os.stat(f"{above}/{name}")  # noqa: PTH116
            count += 1
    return count
