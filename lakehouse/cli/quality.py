"""``lakehouse show quality``: what the rules of tables found in their last builds; what fails comes first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lakehouse.cli.output import Grid, Line, Page, plain
from lakehouse.cli.runs import command, next_lines

if TYPE_CHECKING:
    from lakehouse.local import Lake

ORDER = ("failed", "quarantined", "warned", "skipped", "passed")
STYLES = {"failed": "bad", "quarantined": "warning", "warned": "warning"}


def quality_page(lake: Lake, address: str | None, env: str | None) -> Page:
    """The last build of each table, or every build of one: what fails comes first."""
    addresses = [address] if address is not None else _with_rules(lake)
    found = {one: lake.quality(one) for one in addresses}
    last = [{"address": one, **result} for one, results in found.items() for result in _last(results)]
    last.sort(key=lambda result: ORDER.index(result["verdict"]))
    data: dict[str, Any] = {"last": last}
    if address is not None:
        data["builds"] = found[address]
    if not last:
        what = f"{address} has not been judged yet." if address else "No table has been judged yet."
        return Page(data, [Line(what), *next_lines(command("run", env))])
    rows = [
        [
            *(result[what] for what in ("address", "rule", "verdict")),
            *(_number(result[what]) for what in ("looked", "failures")),
            f"{result['at']:%Y-%m-%d %H:%M}",
        ]
        for result in last
    ]
    parts: list[Any] = [Grid(["table", "rule", "verdict", "rows", "failures", "at (UTC)"], rows)]
    for result in last:
        if result["samples"]:
            style = STYLES[result["verdict"]]
            parts.append(Line(f"{result['address']}: {result['rule']}: {result['verdict']}, such as", style))
            parts += [
                Line(f"  {json.dumps(plain(sample), ensure_ascii=False)}", "quiet") for sample in result["samples"]
            ]
    earlier = len({result["at"] for result in found[address]}) - 1 if address is not None else 0
    if earlier:
        parts.append(Line(f"{earlier:,} earlier builds are not shown: --json has them", "quiet"))
    failed = [result["address"] for result in last if result["verdict"] == "failed"]
    if failed:
        parts += next_lines(command(f"quarantine show {failed[0]}", env))
    return Page(data, parts)


def _with_rules(lake: Lake) -> list[str]:
    """The tables that may have been judged, silver first."""
    from lakehouse.local.snapshot import is_table

    states = lake.project.root / "state"
    folders = [folder for layer in ("silver", "gold") for folder in sorted((states / layer).glob("*"))]
    # With a dot it is what a silver table keeps beside it, which holds no results.
    return [f"{folder.parent.name}.{folder.name}" for folder in folders if "." not in folder.name and is_table(folder)]


def _last(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the last build."""
    newest = max((result["at"] for result in results), default=None)
    return [result for result in results if result["at"] == newest]


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
