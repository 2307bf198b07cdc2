"""``lakehouse verify``: whether what was served is what training says."""

from __future__ import annotations

import json as text_of
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json, moment
from lakehouse.cli.output import Grid, Line, Page
from lakehouse.cli.projects import opened
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.config import Project
    from lakehouse.features.verifying import Verified


def verify(
    context: typer.Context,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="What was answered since; else all that was logged.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="What was answered until then.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="ROWS", min=0, help="How many differences are shown.")
    ] = 10,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute what was served again, and name the cause of what differs: late data, correction, TTL, and others.

    Each vector of the log (online_store: {log: …} in feature_store.yaml) is computed at its moment, at the version of
    the table that its record was made of, and at the newest. What is found is kept in ROOT/verified. No JVM is started.
    """
    project = opened(context.obj, env)
    within = moment("--since", since), moment("--until", until)
    from lakehouse.features.verifying_log import place_of_log

    place_of_log(project)  # that nothing is logged is said before the work
    from lakehouse.features import verifying
    from lakehouse.features.verifying_kept import keep
    from lakehouse.pipeline.workspace import clock

    found = verifying.verify(project, now=clock(), since=within[0], until=within[1])
    place = keep(project, found)
    context.obj.show(_page(project, found, str(place), limit))
    if not found.equal:
        raise typer.Exit(LakehouseError.exit_code)


def _page(project: Project, found: Verified, place: str, limit: int) -> Page:
    from lakehouse.features.verifying_kept import differences_of, features_of

    features, apart = features_of(found), differences_of(found)
    data = {
        "equal": found.equal,
        "vectors": found.vectors,
        "compared": found.compared,
        "pushed": found.pushed,
        "dropped": found.dropped,
        "unverified": [{"view": view, "why": why, "vectors": count} for (view, why), count in found.unverified.items()],
        "causes": dict(found.causes()),
        "features": features,
        "differences": apart,
        "kept_in": place,
        "exit_code": 0 if found.equal else LakehouseError.exit_code,
    }
    parts: list[Any] = []
    if features:
        columns = ["view", "feature", "vectors", "equal", "different", "missing", "extra", "max |Δ|", "mean |Δ|"]
        names = ("view", "feature", "vectors", "equal", "different", "missing", "extra")
        rows = [
            [
                *(one[name] for name in names),
                *(_number(one["max_distance"]), _number(one["mean_distance"])),
                *(one["differ_at_newest"], _said(one["causes"])),
            ]
            for one in features
        ]
        parts.append(Grid([*columns, "at the newest", "because of"], rows))
    if apart[:limit]:
        shown = [
            [
                *(one["view"], one["feature"], text_of.dumps(one["keys"]), f"{one['at']:%Y-%m-%d %H:%M:%S}"),
                *(one["version"], text_of.dumps(one["served"]), text_of.dumps(one["trained"]), one["cause"]),
            ]
            for one in apart[:limit]
        ]
        columns = ["view", "feature", "key", "at (UTC)", "version", "served", "trained", "because of"]
        parts.append(Grid(columns, shown, title=f"{len(shown)} of {len(apart):,} differences"))
    for (view, why), count in found.unverified.items():
        parts.append(Line(f"{view}: {count:,} vectors can't be computed again: {why}", "bad"))
    if found.pushed:
        parts.append(Line(f"{found.pushed:,} vectors hold pushed rows, which no version of a table has.", "warning"))
    if found.dropped:
        parts.append(Line(f"{found.dropped:,} vectors were dropped, since the log had no room for them.", "warning"))
    if not found.vectors:
        parts.append(Line("Nothing was logged in that time.", "warning"))
    elif found.equal:
        parts.append(Line(f"All of {found.compared:,} vectors are equal at the version they were made of.", "good"))
    else:
        parts.append(Line("Not all that was served is what training says at the version it was made of.", "bad"))
    parts.append(Line(f"Kept in {place}", "quiet"))
    return Page(data, parts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _said(causes: dict[str, int]) -> str:
    return ", ".join(f"{cause} {count:,}" for cause, count in causes.items())
