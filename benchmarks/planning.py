"""Check, plan and run a large project: hundreds of sources and tables, all built, with and without something new."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, in_turn
from benchmarks.workbench import Workbench

SOURCES, SILVER, GOLD = 300, 200, 100
"""Each gold table is of three silver ones."""
TENTH = 10
SILVER_TABLE = """
@silver.table(key="id")
def t{number:03}(bronze_s{number:03}):
    return bronze_s{number:03}.select("id", F.expr("try_cast(value AS bigint)").alias("value"))
"""
GOLD_TABLE = """
@gold.table(key="id")
def g{number:03}(silver_t{number:03}, silver_t{second:03}, silver_t{third:03}):
    return silver_t{number:03}.join(silver_t{second:03}, "id").join(silver_t{third:03}, "id", "left")
"""
INTERPRETER = "the same Python's start and end: `python -c pass`"


def planning(bench: Workbench) -> Iterator[Figure]:
    """300 sources and 300 tables that are all built; then a new file at every source."""
    project, small = _project(bench.folder / "planning"), _project(bench.folder / "planning-small", TENTH)
    _built(project)
    _built(small)

    def planned(waiting: int) -> Cost:
        done, answer = bench.answer(project, "plan")
        actions = [step["action"] for step in answer["steps"]]
        if len(actions) != SOURCES + SILVER + GOLD or sum(one != "unchanged" for one in actions) != waiting:
            raise BenchmarkError(f"the plan has {len(actions)} steps: {sorted(set(actions))}")
        return done.cost

    def rounds(words: tuple[str, ...], waiting: int) -> Rounds:
        bench.lakehouse(project, *words)
        bench.begin()
        ours = (lambda: planned(waiting)) if words == ("plan",) else lambda: bench.lakehouse(project, *words).cost
        return in_turn(bench.rounds(5), ours, lambda: bench.python("-c", "pass").cost)

    many = f"a project of {SOURCES} sources and {SILVER + GOLD} tables, the whole process"
    how = f"`lakehouse check` of {many}"
    yield bench.wall("planning: check", rounds(("check",), 0), goal=5.0, how=how, floor_is=INTERPRETER)
    how = f"`lakehouse plan` of {many}, nothing new"
    yield bench.wall("planning: nothing new", rounds(("plan",), 0), goal=2.0, how=how, floor_is=INTERPRETER)
    bench.begin()
    runs = in_turn(
        bench.rounds(3), lambda: bench.lakehouse(project, "run").cost, lambda: bench.lakehouse(small, "run").cost
    )
    tenth = f"a project of {SOURCES // TENTH} sources and {(SILVER + GOLD) // TENTH} tables"
    how = f"`lakehouse run` of {many}, nothing new"
    yield bench.wall("planning: run, nothing new", runs, goal=180.0, how=how, floor_is=f"the same of {tenth}")
    yield bench.memory("planning: run, nothing new", runs)
    for number in range(SOURCES):
        (project / "raw" / f"{number:03}" / "2.csv").write_text("id,value\n2,2\n")
    how = f"`lakehouse plan` of {many}, a new file at every source"
    waiting = SOURCES + SILVER + GOLD
    yield bench.wall("planning: all is new", rounds(("plan",), waiting), goal=2.0, how=how, floor_is=INTERPRETER)


def _project(folder: Path, part: int = 1) -> Path:
    """A project of that part of the sources and tables."""
    sources, silver, gold = SOURCES // part, SILVER // part, GOLD // part
    for below in ("conf", "jobs/many"):
        (folder / below).mkdir(parents=True)
    lines = [f"  s{n:03}: {{type: files, format: csv, path: raw/{n:03}/*.csv}}\n" for n in range(sources)]
    conf = f"name: many\nroot: lake\ntables: jobs.many\nsources:\n{''.join(lines)}"
    (folder / "conf" / "base.yaml").write_text(conf)
    (folder / "jobs" / "__init__.py").touch()
    (folder / "jobs" / "many" / "__init__.py").touch()
    head = "from pyspark.sql import functions as F\n\nfrom lakehouse import gold, silver\n"
    tables = "".join(SILVER_TABLE.format(number=n) for n in range(silver))
    (folder / "jobs" / "many" / "silver.py").write_text(head + tables)
    three = ((n, (n + 1) % silver, (n + 2) % silver) for n in range(gold))
    tables = "".join(GOLD_TABLE.format(number=one, second=two, third=three_) for one, two, three_ in three)
    (folder / "jobs" / "many" / "gold.py").write_text(head + tables)
    return folder


def _built(folder: Path) -> None:
    """Write what a run would have left, without Spark: one batch of one record everywhere."""
    import pyarrow as pa
    from deltalake import CommitProperties, Transaction, write_deltalake

    from lakehouse.config import load_project
    from lakehouse.delta.commit import table_properties
    from lakehouse.pipeline.workspace import Workspace

    workspace = Workspace(load_project(folder))
    project = workspace.project
    now = datetime.now(UTC)
    for number in range(len(project.config.sources)):
        file = folder / "raw" / f"{number:03}" / "1.csv"
        file.parent.mkdir(parents=True)
        file.write_text("id,value\n1,1\n")
        status = file.stat()
        place = {"path": str(file.relative_to(folder)), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
        landed = [{**place, "sha256": f"{number:064x}", "records": 1, "rejects": 0}]
        receipt = {"cursor": {"files": landed}, "took": "", "read": 1, "landed": 1, "quarantined": 0}
        rows = {
            "_kind": ["receipt", "record"],
            "_batch": [0, 0],
            "_ingested_at": [now, now],
            "_receipt": [json.dumps(receipt), None],
            "id": [None, "1"],
            "value": [None, "1"],
        }
        write_deltalake(str(project.path(f"bronze.s{number:03}")), pa.table(rows), partition_by=["_kind"])
    rows = pa.table({"id": ["1"], "value": [1]})
    for address in workspace.graph.order():
        if address.startswith("bronze."):
            continue
        # Planned before it is there, a table names the cursor that a build would leave.
        work = workspace.work(address)
        cursor = getattr(work, "upto", getattr(work, "cursor", 0))
        write_deltalake(
            str(project.path(address)),
            rows,
            commit_properties=CommitProperties(app_transactions=[Transaction(work.origin, cursor)]),
        )
        _with_properties(project.path(address), table_properties(0, workspace.fingerprint(address)))
        if address.startswith("silver."):
            said = {"after": -1, "upto": cursor, "rows_in": 1, "rows_out": 1, "merged": 1}
            said |= {"quarantined": 0, "superseded": 0, "warned": {}}
            kept = {"_kind": ["receipt"], "_receipt": [json.dumps(said)], "_origin": [work.origin]}
            write_deltalake(str(project.state(address)), pa.table(kept), partition_by=["_kind"])


def _with_properties(path: Path, properties: dict[str, str]) -> None:
    """In the first commit: deltalake itself writes none that it does not know."""
    (file,) = (path / "_delta_log").glob("*.json")
    actions = [json.loads(line) for line in file.read_text().splitlines()]
    for action in actions:
        if "metaData" in action:
            action["metaData"]["configuration"] = properties
    file.write_text("".join(f"{json.dumps(action)}\n" for action in actions))
