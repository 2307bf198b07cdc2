"""``lakehouse quarantine``: what is kept out of the tables, and what is to become of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json, Wait
from lakehouse.cli.output import Grid, Line, Page, printable
from lakehouse.cli.projects import opened
from lakehouse.cli.runs import command, next_lines, spark_log
from lakehouse.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from lakehouse.config import Project
    from lakehouse.pipeline.quarantine import Quarantine
    from lakehouse.pipeline.resolving import Resolved
    from lakehouse.tables.quarantine import Quarantined

VERBS = ("list", "show", "replay", "discard")
TAKEN_BY = {
    "ids": ("--id", ("show", "replay", "discard")),
    "reason": ("--reason", ("show", "replay", "discard")),
    "because": ("--because", ("discard",)),
    "given": ("--with", ("replay",)),
    "limit": ("--limit", ("show",)),
    "everything": ("--all", ("list", "show")),
    "wait": ("--wait", ("replay", "discard")),
}
"""Which of the verbs have a use for an option; said with another one it would be passed over in silence."""
SHOWN_BYTES = 1_000
GROUPS = 10
"""Kinds of reason that are listed for a table; the others are counted."""


def quarantine(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="list|show|replay|discard", help="What to do.")],
    address: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="bronze.x or silver.x; list takes all without it.")
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="Just this row, as show names it; may be repeated.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Just the rows with these words in a reason.")
    ] = None,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="discard: why; it is kept.")] = "",
    given: Annotated[
        Path | None, typer.Option("--with", metavar="FILE", help="replay: corrected bytes for one reject.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="ROWS", help="show: how many rows.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="list, show: those that are decided too.")] = False,
    wait: Wait = 0,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List or show what is kept out of bronze and silver tables, parse it again, or leave it out for good.

    list and show start no JVM. replay and discard write to the bronze table.
    """
    if what not in VERBS:
        raise UsageError(f"quarantine can't '{what}'", hint=did_you_mean(what, VERBS))
    for parameter, (option, verbs) in TAKEN_BY.items():
        source = context.get_parameter_source(parameter)
        if what not in verbs and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"quarantine {what} takes no {option}", hint=f"It is for {' and '.join(verbs)}.")
    project = opened(context.obj, env)
    if what == "list":
        page = _list(project, address, everything, env)
    elif address is None:
        raise UsageError(f"{what} which table?", hint="lakehouse quarantine list shows those that keep rows out.")
    elif what == "show":
        page = _show(project, address, ids or [], reason, limit, everything, env)
    else:
        with spark_log(project):
            page = _decide(project, what, address, ids or [], reason, because, given, wait, env)
    context.obj.show(page)


def _list(project: Project, address: str | None, everything: bool, env: str | None) -> Page:
    from lakehouse.pipeline.quarantine import quarantines

    data, rows, counted, decided = [], [], [], 0
    for held in quarantines(project, [address] if address else ()):
        decided += len(held.rows) - len(held.open)
        if not held.rows or not (held.open or everything):
            continue
        groups = _groups(held)
        counts = {
            "quarantined": len(held.rows),
            "open": len(held.open),
            "blocking": sum(row.blocking for row in held.open),
            "replayed": held.count("replayed"),
            "discarded": held.count("discarded"),
        }
        data.append({"address": held.address, **counts, "since": held.since(held.open), "reasons": groups})
        counted.append([held.address, *(f"{count:,}" for count in counts.values())])
        for group in groups[:GROUPS]:
            since = f"{group['since']:%Y-%m-%d %H:%M}" if group["since"] else ""
            place = group["example"]["place"]
            what = "blocking" if group["blocking"] else ""
            rows.append(
                [held.address, f"{group['rows']:,}", since, group["reason"], what, group["example"]["id"], place]
            )
        if len(groups) > GROUPS:
            rest = sum(group["rows"] for group in groups[GROUPS:])
            rows.append([held.address, f"{rest:,}", "", f"{len(groups) - GROUPS} more reasons: --json", "", "", ""])
    if not counted:
        said = "Nothing is quarantined."
        if decided:
            said = f"Nothing is open; {decided:,} row{' is' if decided == 1 else 's are'} decided: --all"
        return Page({"quarantine": []}, [Line(said, "good")])
    names = ["table", "quarantined", "open", "blocking", "replayed", "discarded"]
    parts: list[Any] = [Grid(names, counted, title="quarantined = open + replayed + discarded")]
    if rows:
        parts.append(
            Grid(["table", "rows", "since (UTC)", "reason", "", "an example", "its place"], rows, title="Open")
        )
    stopped = next((entry for entry in data if entry["blocking"]), data[0])
    return Page({"quarantine": data}, [*parts, *next_lines(command(f"quarantine show {stopped['address']}", env))])


def _groups(held: Quarantine) -> list[dict[str, Any]]:
    """The open rows by what is wrong with them, most first; a row with two reasons is in two groups."""
    from lakehouse.pipeline.quarantine import kind_of

    found: dict[tuple[str, bool], list[Quarantined]] = {}
    for row in held.open:
        for kind in dict.fromkeys(kind_of(reason) for reason in row.reasons):
            found.setdefault((kind, row.blocking), []).append(row)
    ordered = sorted(found.items(), key=lambda item: (not item[0][1], -len(item[1]), item[0][0]))
    return [
        {
            "reason": printable(kind),
            "rows": len(rows),
            "blocking": blocking,
            "since": held.since(rows),
            "example": {"id": rows[0].place.id, "place": _place(rows[0])},
        }
        for (kind, blocking), rows in ordered
    ]


def _show(
    project: Project, address: str, ids: list[str], reason: str | None, limit: int, everything: bool, env: str | None
) -> Page:
    from lakehouse.pipeline.quarantine import chosen, quarantines

    (held,) = quarantines(project, [address])
    rows = chosen(held, ids, reason, everything=everything)
    if not rows:
        decided = len(held.rows) - len(held.open)
        said = f"Nothing of {address} is open" + (f"; {decided:,} rows are decided: --all" if decided else "") + "."
        return Page({"address": address, "rows": [], "total": 0}, [Line(said, "good")])
    shown = rows[:limit]
    raw = held.raw(shown)
    data, parts = [], [Line(f"{address}: {len(rows):,} row{'s' if len(rows) > 1 else ''}", "title")]
    for row in shown:
        entry: dict[str, Any] = {
            "id": row.place.id,
            **{"batch": row.place.batch, "file": row.place.file, "row": row.place.row, "line": row.line},
            **{"at": held.since([row]), "reasons": list(row.reasons), "blocking": row.blocking},
        }
        text = printable(row.record)
        if row.place in raw:
            entry |= {"raw": raw[row.place]}
            text = printable(raw[row.place][:SHOWN_BYTES])
            hidden = len(raw[row.place]) - SHOWN_BYTES
            text += f" … and {hidden:,} more bytes: --json" if hidden > 0 else ""
        else:
            entry |= {"record": row.record}
        entry["text"] = text
        batch = "" if address.startswith("gold.") else f", batch {row.place.batch}"
        parts.append(Line(f"{row.place.id}  {_place(row)}{batch}", "warning"))
        parts += [Line(f"  {printable(one)}{'  (blocking)' if row.blocking else ''}", "bad") for one in row.reasons]
        parts.append(Line(f"  {text}"))
        if row.place in held.decided:
            at, one = held.decided[row.place]
            entry["decided"] = {"action": one.action, "who": one.who, "at": at, "because": one.because}
            why = f": {printable(one.because)}" if one.because else ""
            parts.append(Line(f"  {one.action} by {printable(one.who)} at {at:%Y-%m-%d %H:%M} UTC{why}", "quiet"))
        data.append(entry)
    if len(rows) > limit:
        parts.append(Line(f"{len(rows) - limit:,} more are not shown: --limit ROWS", "quiet"))
    first = shown[0].place.id
    verbs = [f"quarantine replay {address} --id {first}"] if address.startswith("bronze.") else []
    discard = f"quarantine discard {address} --id {first} --because TEXT"
    verbs.append(f"build --select {address}" if address.startswith("gold.") else discard)
    following = next_lines(*(command(verb, env) for verb in verbs)) if held.open else []
    return Page({"address": address, "rows": data, "total": len(rows)}, [*parts, *following])


def _decide(
    project: Project,
    what: str,
    address: str,
    ids: list[str],
    reason: str | None,
    because: str,
    given: Path | None,
    wait: float,
    env: str | None,
) -> Page:
    from lakehouse.pipeline.resolving import discard, replay

    if what == "discard":
        done = discard(project, address, because=because, ids=ids, reason=reason, wait=wait)
        said = f"{done.done:,} of {address} discarded." if done.done else f"Nothing of {address} is open."
    else:
        done = replay(project, address, ids=ids, reason=reason, given=_read(given), wait=wait)
        said = _replayed(done)
    data = {
        "address": address,
        "action": what,
        **{name: getattr(done, name) for name in ("chosen", "done", "landed", "quarantined", "batch")},
        "still": [{"id": row.place.id, "reason": why} for row, why in done.still],
    }
    parts = [Line(said, "good" if done.done else "")]
    for why, count in Counter(why for _, why in done.still).most_common(GROUPS):
        parts.append(Line(f"{count:,} still: {printable(why)}", "warning"))
    following = "build" if done.done else "quarantine list"
    return Page(data, [*parts, *next_lines(command(following, env))])


def _replayed(done: Resolved) -> str:
    if not done.chosen:
        return f"Nothing of {done.address} is open."
    if not done.done:
        return f"None of {done.chosen:,} rejects of {done.address} is a record now; nothing was written."
    said = f"{done.done:,} of {done.chosen:,} rejects of {done.address} landed as batch {done.batch}"
    said += f": {done.landed:,} record{'' if done.landed == 1 else 's'}"
    return f"{said}; {done.quarantined:,} are quarantined." if done.quarantined else f"{said}."


def _read(given: Path | None) -> bytes | None:
    if given is None:
        return None
    try:
        return given.read_bytes()
    except OSError as error:
        raise UsageError(f"{given}: can't be read: {error.strerror}", hint="--with names a file of yours.") from error


def _place(row: Quarantined) -> str:
    file = printable(row.place.file)
    if row.record:
        return f"{file} row {row.place.row}"
    return f"{file}:{row.line} byte {row.place.row:,}" if row.line else f"{file} as a whole"
