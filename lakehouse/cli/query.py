"""``lakehouse query``: SQL over all tables, without a JVM."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json
from lakehouse.errors import UsageError

if TYPE_CHECKING:
    import duckdb

SHOWN = 50


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement of DuckDB's SQL; - reads it from stdin.")],
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=0, metavar="ROWS", help=f"Rows to show: {SHOWN}, or all as JSON or CSV."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer as CSV.")] = False,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run SQL on the tables, named layer.name, and show the answer. It only reads, and starts no JVM."""
    from lakehouse.cli.output import Grid, Line, Page
    from lakehouse.cli.projects import opened
    from lakehouse.local import Lake

    if as_csv and json:
        raise UsageError("--csv and --json can't both be", hint="Choose one.")
    relation = Lake(opened(context.obj, env)).sql(sys.stdin.read() if sql == "-" else sql)
    names = relation.columns
    if limit is None and not (as_csv or json):
        limit = SHOWN
    # One row more than is shown tells whether there are more.
    rows = _rows(relation, None if limit is None else limit + 1)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(
            [_cell(value) for value in row] for place, row in enumerate(rows) if limit is None or place < limit
        )
        return
    found = list(rows)
    more = limit is not None and len(found) > limit
    found = found[:limit]
    noted = Line(
        f"{len(found)} rows; there are more: --limit ROWS shows them." if more else _counted(len(found)), "quiet"
    )
    types = list(map(str, relation.types))
    data = {
        "columns": [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)],
        "rows": [dict(zip(names, row, strict=True)) for row in found],
        "more": more,
    }
    context.obj.show(Page(data, [Grid(names, found, fit=True), noted]))


def _rows(relation: duckdb.DuckDBPyRelation, limit: int | None) -> Iterator[tuple[Any, ...]]:
    import duckdb

    from lakehouse.local.query import sql_error

    try:
        yield from (relation if limit is None else relation.limit(limit)).iter_rows()
    except duckdb.Error as error:
        raise sql_error(error) from error
    except RuntimeError as error:
        # So DuckDB ends when Ctrl-C is pressed meanwhile.
        raise (KeyboardInterrupt if "interrupted" in str(error) else error) from None


def _cell(value: Any) -> Any:
    from lakehouse.cli.output import plain

    return value if isinstance(value, str | int | float) else plain(value)


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"
