"""Decide about quarantined rows: pass rejects through the same path again, or leave rows out for good.

A decision is one append to the bronze table, with the records that it lands. Whoever is killed decides again: what
was decided is no longer open, so nothing lands twice.
"""

from __future__ import annotations

import getpass
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.bronze import land
from lakehouse.bronze.again import refused, unfit
from lakehouse.bronze.quarantine import as_reject, columns_of, resolve
from lakehouse.config import Project
from lakehouse.delta import locked
from lakehouse.errors import UsageError
from lakehouse.pipeline.quarantine import Quarantine, chosen, quarantine_in, quarantines
from lakehouse.pipeline.wording import in_words
from lakehouse.pipeline.workspace import Workspace
from lakehouse.spark import open_session
from lakehouse.tables.quarantine import Again, Parsed, Quarantined, Replays, Resolution

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Resolved:
    """What a decision did: of ``chosen`` open rows ``done`` were decided; ``still`` says why each other was not."""

    address: str
    chosen: int
    done: int
    still: tuple[tuple[Quarantined, str], ...] = ()
    landed: int = 0
    """Records that a replay landed, in batch ``batch``."""
    quarantined: int = 0
    """What of a file is no record, now that the file as a whole is no reject."""
    batch: int | None = None


def discard(
    project: Project, address: str, *, because: str, ids: Sequence[str] = (), reason: str | None = None, wait: float = 0
) -> Resolved:
    """Record that nobody need look at these open rows again, who said so and why. Nothing is deleted.

    For a silver table a rule with on_fail="fail" quarantines the rows of these records from now on, in a rebuild too.
    Raises UsageError where nothing is chosen, LockedError when another run writes the bronze table.
    """
    if not because.strip():
        raise UsageError("why?", hint="Say it for those who come after you: --because 'a test order'")
    _require_choice("discard", ids, reason)
    workspace = Workspace(project)
    _refuse_gold(address)
    if not _open(project, address, ids, reason):
        return Resolved(address, 0, 0)
    bronze = _bronze(workspace, address)
    with _writing(workspace, bronze, wait) as session:
        rows, held = _chosen_now(workspace, address, ids, reason)
        if rows:
            places = tuple(dict.fromkeys(row.place for row in rows))
            made = Resolution(address, "discarded", places, _who(), because.strip())
            resolve(session, project.path(bronze), held.receipts, [made], workspace.now())
    return Resolved(address, len(rows), len(rows))


def replay(
    project: Project,
    address: str,
    *,
    ids: Sequence[str] = (),
    reason: str | None = None,
    given: bytes | None = None,
    wait: float = 0,
) -> Resolved:
    """Parse open rejects again, as the engine and the source's settings are now; those that are records land.

    They land as one batch in one commit, which also says which rejects they were. What is still none stays open.
    ``given`` are corrected bytes for the one reject that is chosen; both are kept.
    Raises UsageError for a silver table, which judges its rows by itself, and for a source that can't parse again.
    """
    workspace = Workspace(project)
    _refuse_gold(address)
    if not address.startswith("bronze."):
        raise _judged_by_builds(workspace, address)
    rows = _open(project, address, ids, reason)
    source: Any = workspace.source(address)
    if not callable(getattr(source, "again", None)):
        raise UsageError(
            f"{address}: a source of its kind can't parse its rejects again",
            hint=f"Send the records again at the source, then: lakehouse quarantine discard {address} --because TEXT",
        )
    if not rows:
        return Resolved(address, 0, 0)
    if given is not None and len(rows) != 1:
        raise UsageError(f"corrected bytes are for one reject, and {len(rows):,} are chosen", hint="Name it: --id ID")
    with _writing(workspace, address, wait) as session:
        rows, held = _chosen_now(workspace, address, ids, reason)
        if not rows:
            return Resolved(address, 0, 0)
        return _replay(session, workspace, rows, held, source, given)


def _replay(
    session: SparkSession,
    workspace: Workspace,
    rows: list[Quarantined],
    held: Quarantine,
    source: Replays,
    given: bytes | None,
) -> Resolved:
    project, address, receipts = workspace.project, held.address, held.receipts
    raw, beside = held.raw(rows), held.beside(rows)
    again = [Again(as_reject(row, raw[row.place]), columns_of(receipts, row.place), beside[row.place]) for row in rows]
    if given is not None:
        again = [one.with_bytes(given) for one in again]
    scratch = project.root / "state" / "replay"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as below:
        parsed = _parsed(session, project, held, source, again, Path(below))
        verdicts = list(zip(rows, parsed.reasons, strict=True))
        still = tuple((row, why) for row, why in verdicts if why)
        if parsed.batch is None:
            return Resolved(address, len(rows), 0, still)
        kept = b64encode(given).decode() if given is not None else ""
        places = tuple(row.place for row, why in verdicts if not why)
        made = Resolution(address, "replayed", places, _who(), given=kept)
        name = address.removeprefix("bronze.")
        settings = project.config.sources[name]
        batch, path = parsed.batch, project.path(address)
        try:
            done = land(session, name, settings, path, receipts, batch, workspace.now(), replays=made)
        finally:
            batch.close()
    return Resolved(address, len(rows), len(places), still, done.landed, done.quarantined, done.batch)


def _parsed(
    session: SparkSession, project: Project, held: Quarantine, source: Replays, rejects: list[Again], below: Path
) -> Parsed:
    """What is a record now, and is what the source's contract takes. What is not stays the reject that it is."""
    name = held.address.removeprefix("bronze.")
    settings = project.config.sources[name]
    (below / "0").mkdir()
    parsed = source.again(session, rejects, below / "0")
    judges: tuple[Callable[..., list[str]], ...] = (refused, partial(unfit, session))
    for number, judge in enumerate(judges, start=1):
        if parsed.batch is None:
            break
        sound = [one for one, why in zip(rejects, parsed.reasons, strict=True) if not why]
        said = judge(name, settings, held.receipts, parsed.batch, sound)
        if any(said):
            parsed.batch.close()
            told = iter(said)
            reasons = tuple(why or next(told) for why in parsed.reasons)
            left = [one for one, why in zip(rejects, reasons, strict=True) if not why]
            (below / str(number)).mkdir()
            parsed = Parsed(reasons, source.again(session, left, below / str(number)).batch if left else None)
    return parsed


def _refuse_gold(address: str) -> None:
    if address.startswith("gold."):
        raise UsageError(
            f"{address}: a gold table is made anew from all that it reads: nothing of it can be left out or replayed",
            hint="Mend its function or rule, or what it reads (rows of silver can be discarded), then: lakehouse build "
            f"--select {address}",
        )


def _judged_by_builds(workspace: Workspace, address: str) -> UsageError:
    (held,) = quarantines(workspace.project, [address])
    build = f"lakehouse build --select {address}"
    if any(row.blocking for row in held.open):
        return UsageError(
            f"{address}: the rows that stop it are judged again by every build: there is nothing to replay",
            hint=f"Mend the rule or the function, then: {build}\nOr leave rows out for good: lakehouse quarantine "
            f"discard {address} --id ID --because TEXT",
        )
    if held.receipts.table is not None and workspace.silver(address).action == "rebuild":
        return UsageError(f"{address}: the next build rebuilds it and judges every row again", hint=f"Run: {build}")
    return UsageError(
        f"{address}: its function and rules are those that quarantined the rows, and would do so again",
        hint="Change the rule or the function: the next build rebuilds the table and judges every row again. Or send "
        "the corrected records at the source.",
    )


def _open(project: Project, address: str, ids: Sequence[str], reason: str | None) -> list[Quarantined]:
    (held,) = quarantines(project, [address])
    return chosen(held, ids, reason)


def _chosen_now(
    workspace: Workspace, address: str, ids: Sequence[str], reason: str | None
) -> tuple[list[Quarantined], Quarantine]:
    """Asked again under the lock: another run may have decided meanwhile."""
    held = quarantine_in(workspace, address)
    return chosen(held, ids, reason), held


@contextmanager
def _writing(workspace: Workspace, bronze: str, wait: float) -> Iterator[SparkSession]:
    spark = open_session(workspace.project)
    with locked(spark, {bronze: workspace.project.lock(bronze)}, wait=wait), in_words(workspace, bronze):
        yield spark.newSession()


def _bronze(workspace: Workspace, address: str) -> str:
    return address if address.startswith("bronze.") else workspace.graph.inputs(address)[0]


def _require_choice(verb: str, ids: Sequence[str], reason: str | None) -> None:
    if not ids and not reason:
        raise UsageError(f"{verb} which rows?", hint="Name them: --id ID (as often as you like) or --reason TEXT.")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        return "unknown"
