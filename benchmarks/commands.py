"""Commands that a user waits for at the keyboard; none starts a JVM."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, in_turn
from benchmarks.workbench import Workbench

QUERY = (
    "SELECT carrier, round(avg(late), 3) AS late, count(*) AS flights FROM {} "
    "GROUP BY carrier ORDER BY late DESC, carrier"
)
TABLE = "gold.departures"
INTERPRETER = "the same Python's start and end: `python -c pass`"


def help_(bench: Workbench) -> Iterator[Figure]:
    """``lakehouse --help``."""
    project = bench.staged
    bench.lakehouse(project, "--help")

    bench.begin()
    rounds = in_turn(
        bench.rounds(9), lambda: bench.lakehouse(project, "--help").cost, lambda: bench.python("-c", "pass").cost
    )
    yield bench.wall(
        "help",
        rounds,
        goal=0.5,
        how="`lakehouse --help`, the whole process",
        floor_is=INTERPRETER,
    )


def check(bench: Workbench) -> Iterator[Figure]:
    """``lakehouse check`` where features are as they were when they were found right."""
    project = bench.staged
    bench.lakehouse(project, "check")

    def ours() -> Cost:
        done, answer = bench.answer(project, "check")
        if "unchanged" not in answer["checked"].get("features", ""):
            raise BenchmarkError(f"check looked at features again: {answer['checked']}")
        return done.cost

    bench.begin()
    rounds = in_turn(bench.rounds(7), ours, lambda: bench.python("-c", "pass").cost)
    yield bench.wall(
        "check",
        rounds,
        goal=2.0,
        how="`lakehouse check` of the example with unchanged features, the whole process",
        floor_is=INTERPRETER,
    )


def query(bench: Workbench) -> Iterator[Figure]:
    """``lakehouse query`` on a gold table, beside DuckDB on its Parquet files."""
    from deltalake import DeltaTable

    project = bench.built
    layer, _, name = TABLE.partition(".")
    files = DeltaTable(project / "data" / "lake" / layer / name).file_uris()
    # file_uris may be URLs on some systems; DuckDB takes plain paths on all.
    paths = [file.removeprefix("file://") for file in files]
    script = f"import duckdb; print(duckdb.sql({QUERY.format(f'read_parquet({paths})')!r}).fetchall())"
    words = ("query", QUERY.format(TABLE))

    found = bench.answer(project, *words)[1]["rows"]
    if str([tuple(row.values()) for row in found]) != bench.python("-c", script).stdout:
        raise BenchmarkError("the engine's query and DuckDB's own give different rows")

    bench.begin()
    rounds = in_turn(
        bench.rounds(7), lambda: bench.lakehouse(project, *words).cost, lambda: bench.python("-c", script).cost
    )
    yield bench.wall(
        "query",
        rounds,
        goal=2.0,
        how=f"`lakehouse query` of a mean by carrier over {TABLE} (a year of flights), the whole process",
        floor_is="DuckDB from Python on the table's Parquet files, named one by one: no table format, no project",
    )
