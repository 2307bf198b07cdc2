"""What ``lakehouse train`` shows: all training sets, one of them, and whether it could be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.cli.output import Grid, Line, Page
from lakehouse.cli.runs import command, next_lines

if TYPE_CHECKING:
    from lakehouse.config import Project
    from lakehouse.features.keeping import Verified

MOST_FEATURES = 3


def all_page(project: Project, env: str | None) -> Page:
    from lakehouse.features.manifest import folder_of, names, read_manifest

    found = {name: read_manifest(project, name) for name in names(project)}
    data = [
        {"name": name, "made_at": one.made_at, "rows": one.rows, "features": one.features, "sha256": one.sha256}
        | {"folder": _relative(project, folder_of(project, name))}
        for name, one in found.items()
    ]
    if not found:
        example = "train NAME --entities FILE.parquet --features SERVICE"
        return Page({"training_sets": []}, [Line("There are none yet."), *next_lines(command(example, env))])
    rows = [
        [name, f"{one.rows:,}", len(one.columns), _minute(one.made_at), ", ".join(one.features)]
        for name, one in found.items()
    ]
    grid = Grid(["training set", "rows", "columns", "made at (UTC)", "features"], rows)
    return Page({"training_sets": data}, [grid, *next_lines(command(f"train {next(iter(found))} --verify", env))])


def set_page(project: Project, name: str, env: str | None, fresh: bool = False) -> Page:
    from lakehouse.features.manifest import NOT_KNOWN_YET, ROWS, folder_of, read_manifest
    from lakehouse.features.repository import is_applied

    one, folder = read_manifest(project, name), folder_of(project, name)
    kept = folder / ROWS
    data = {**asdict(one), "folder": _relative(project, folder), "rows_kept": kept.exists()}
    parts: list[Any] = [Line(f"{name}: {one.rows:,} rows, {len(one.columns)} columns", "title")]
    parts.append(Line(f"made {_minute(one.made_at)} UTC of {one.given}", "quiet"))
    for why, count in one.left_out.items():
        known = f": {_minute(one.label.known_until)} UTC is {one.label.known_because}" if one.label else ""
        said = known if why == NOT_KNOWN_YET else ""
        parts.append(Line(f"{count:,} of {one.asked:,} entity rows were left out, {why}{said}", "warning"))
    if one.label and one.label.missing:
        parts.append(Line(f"{one.label.missing:,} rows have no '{one.label.column}'.", "warning"))
    pins = [[table.table, table.version, table.epoch, ", ".join(table.used_by)] for table in one.tables]
    parts += [Grid(["table", "version", "epoch", "used by"], pins), *_leaks(one.leakage)]
    if fresh and not is_applied(project):
        said = "features/ is not what was applied last: the set has the features as they were then."
        parts.append(Line(f"{said} To apply it: {command('publish', env)}", "warning"))
    place = _relative(project, kept if kept.exists() else folder)
    parts.append(Line(f"{'Its rows are' if kept.exists() else 'Its manifest is'} in {place}"))
    return Page(data, [*parts, *next_lines(command(f"train {name} --verify", env))])


def _leaks(leakage: Sequence[Any]) -> list[Any]:
    """A row for each join of each view, with the features that it would have changed most; all are in the manifest."""
    rows: list[list[Any]] = []
    for one in leakage:
        for join in ("naive", "without_knowledge_time"):
            if one[join] is not None:
                rows += _join(one["view"], join.replace("_", " "), one[join])
    columns = ["view", "join", "rows leaked", "rows changed", "feature", "in rows", "its mean", "would be"]
    parts: list[Any] = [Grid(columns, rows, title="What a careless join would have done")] if rows else []
    for one in leakage:
        if one["in_this_set"]:
            text = f"{one['view']}: rows of this set with a value that was written after their time, though dated"
            parts.append(Line(f"{text} before it (corrections, late rows): {one['in_this_set']:,}", "warning"))
    return parts


def _join(view: str, join: str, found: Any) -> list[list[Any]]:
    changed = [(name, of) for name, of in found["features"].items() if of["changed"]]
    worst = sorted(changed, key=lambda one: -one[1]["changed"])[:MOST_FEATURES]
    cells = [[name, f"{of['changed']:,}", of["mean"], of["mean_leaked"]] for name, of in worst] or [["", "", "", ""]]
    first = [view, join, f"{found['leaked']:,}", f"{found['changed']:,}"]
    return [[*(first if place == 0 else [""] * 4), *cell] for place, cell in enumerate(cells)]


def verified_page(done: Verified, env: str | None) -> Page:
    """Whether the rows could be made again, and what differs."""
    name = done.name
    data = {
        **{"name": name, "equal": done.equal, "rebuilt": done.rebuilt, "rows_kept": done.kept},
        **{"rows": done.manifest.rows, "sha256": done.manifest.sha256},
        "differences": [asdict(one) for one in done.differences],
        "reasons": list(done.reasons),
    }
    parts: list[Any] = []
    if done.equal:
        parts.append(Line(f"{name}: {done.manifest.rows:,} rows were made again, byte for byte.", "good"))
    else:
        what = "The rows that were kept are not those that were made" if done.rebuilt else "Its rows came out otherwise"
        parts.append(Line(f"{name}: {what}.", "bad"))
    for one in done.differences:
        count = "" if one.rows is None else f" in {one.rows:,} rows"
        parts.append(Line(f"  {one.column or 'rows'}: {one.what}{count}"))
        grid = [[example["row"], example["was"], example["is_now"]] for example in one.examples]
        parts += [Grid(["row", "was", "is now"], grid)] if grid else []
    parts += [Line(f"  {reason}", "quiet") for reason in done.reasons]
    following = f"train {name}" if done.equal else "train --list"
    return Page(data, [*parts, *next_lines(command(following, env))])


def forgotten_page(project: Project, name: str, env: str | None) -> Page:
    """Forget a set."""
    from lakehouse.features.manifest import forget

    forget(project, name)
    return Page({"forgotten": name}, [Line(f"{name} is forgotten."), *next_lines(command("train --list", env))])


def _relative(project: Project, path: Path) -> str:
    return str(path.relative_to(project.folder) if path.is_relative_to(project.folder) else path)


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M}"
