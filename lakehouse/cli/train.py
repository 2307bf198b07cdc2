"""``lakehouse train``: training sets, each with a manifest that makes the same rows again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json, moment, span
from lakehouse.cli.output import Output, Page
from lakehouse.cli.projects import opened
from lakehouse.cli.training import all_page, forgotten_page, set_page, verified_page
from lakehouse.errors import LakehouseError, UsageError

if TYPE_CHECKING:
    from lakehouse.config import Project

ROWS = "Give FILE.parquet, FILE.sql or SQL."


def train(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The training set; with nothing else it is shown.")
    ] = None,
    entities: Annotated[
        str | None,
        typer.Option("--entities", metavar="FILE|SQL", help="Its rows: FILE.parquet, FILE.sql, SQL; - reads SQL."),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--features", "-f", metavar="NAMES", help="A service, a view or view:feature; may be repeated."),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="Of the entity rows, or LAYER.TABLE.COLUMN.")
    ] = None,
    horizon: Annotated[
        str | None, typer.Option("--horizon", metavar="SPAN", help="How long after its row a label is known: 30d.")
    ] = None,
    label_at: Annotated[
        str | None, typer.Option("--label-at", metavar="COLUMN", help="From when a row of the label's table was known.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="Instead of --entities: all that happened since.")
    ] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="TIME", help="Up to when; else now.")] = None,
    full_feature_names: Annotated[
        bool, typer.Option("--full-feature-names", help="Call columns view__feature.")
    ] = False,
    by_created: Annotated[
        bool, typer.Option("--filter-by-created-timestamp", help="See nothing that was created after a row's time.")
    ] = False,
    known_by: Annotated[
        str | None,
        typer.Option("--known-by", metavar="row|TIME", help="See what was known by each row's time, or then."),
    ] = None,
    manifest_only: Annotated[
        bool, typer.Option("--manifest-only", help="Keep what makes the rows again, and not the rows.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the set of this name.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Make a set again and compare.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Delete a set; its versions need not be kept.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show all sets.")] = False,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a training set: the entity rows, each with its features as they were at its time, and its label.

    It is kept in ROOT/training/NAME with a manifest that makes the same rows again, byte for byte; maintenance spares
    the versions that it needs. A leakage report says what a careless join would have let in. No JVM is started.
    """
    project = opened(context.obj, env)
    making = entities is not None or start is not None or bool(features)
    only = {"--label": label, "--horizon": horizon, "--label-at": label_at, "--end": end, "--replace": replace}
    only |= {"--filter-by-created-timestamp": by_created, "--known-by": known_by}
    only |= {"--full-feature-names": full_feature_names, "--manifest-only": manifest_only}
    for option, said in only.items():
        if said and not making:
            raise UsageError(f"{option} is for a set that is made", hint="Say --entities and --features too.")
    verbs = [word for word, said in (("--verify", verify), ("--forget", forget), ("--list", listed)) if said]
    if len(verbs) + making > 1:
        words = [*verbs, *(["--entities and --features"] if making else [])]
        raise UsageError(f"{' and '.join(words)} can't be at once", hint="See: lakehouse train --help")
    if name is None and not listed:
        raise UsageError("which training set?", hint="lakehouse train NAME, or lakehouse train --list")
    if name is not None and listed:
        raise UsageError("--list takes no name", hint=f"lakehouse train {name}")
    code = 0
    if name is None:
        page = all_page(project, env)
    elif forget:
        page = forgotten_page(project, name, env)
    elif verify:
        page, code = _verified(context.obj, project, name, env)
    elif not making:
        page = set_page(project, name, env)
    elif not features:
        raise UsageError("no features were asked for", hint="--features SERVICE, --features VIEW or view:feature")
    else:
        how = {
            "label": label,
            "horizon": span("--horizon", horizon, "span of time") if horizon is not None else None,
            "label_at": label_at,
            "start": moment("--start", start),
            "end": moment("--end", end),
            "full_feature_names": full_feature_names,
            "filter_by_created_timestamp": by_created,
            "given": Path(entities).name if entities is not None and _is_file(entities) else "",
        }
        kept = {"rows": not manifest_only, "replace": replace}
        known = None if known_by is None else (None if known_by == "row" else moment("--known-by", known_by),)
        page = _made(context.obj, project, name, env, _entities(entities), features, how, kept, known)
    context.obj.show(page)
    if code:
        raise typer.Exit(code)


def _made(
    output: Output,
    project: Project,
    name: str,
    env: str | None,
    entities: Any,
    features: list[str],
    how: dict[str, Any],
    kept: dict[str, bool],
    known: tuple[datetime | None] | None,
) -> Page:
    from lakehouse.features.manifest import free

    free(project, name, kept["replace"])  # said before the work, not after it
    with _stages(output) as tell:
        tell("import Feast")
        from lakehouse.features.knowledge import known_by
        from lakehouse.features.training import training_set

        chosen = features[0] if len(features) == 1 else features
        with nullcontext() if known is None else known_by(*known):
            made = training_set(entities, chosen, **how, project=project, listen=tell)
        tell("keep")
        made.keep(name, **kept)
    return set_page(project, name, env, fresh=True)


def _verified(output: Output, project: Project, name: str, env: str | None) -> tuple[Page, int]:
    from lakehouse.features.manifest import read_manifest

    read_manifest(project, name)  # that there is none is said before the work
    with _stages(output) as tell:
        tell("import Feast")
        from lakehouse.features.keeping import verify

        tell("make it again")
        done = verify(project, name)
    return verified_page(done, env), 0 if done.equal else LakehouseError.exit_code


def _entities(text: str | None) -> Any:
    """A file's rows or SQL."""
    if text is None:
        return None
    if text == "-":
        return sys.stdin.read()
    file = Path(text)
    if len(text.split()) > 1 and not _is_file(text):
        return text
    if not _is_file(text):
        raise UsageError(f"--entities: there is no file {text}", hint=ROWS)
    if file.suffix == ".sql":
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"--entities: {text} is not in UTF-8: {error}", hint="Save it as UTF-8.") from error
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"--entities: {text} is no Parquet file", hint="Give FILE.parquet, FILE.sql or SQL."
        ) from error


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than a name may be: SQL
        return False


@contextmanager
def _stages(output: Output) -> Iterator[Any]:
    """Tell the output what is being done, and how long each stage took."""
    from lakehouse.cli.progress import listen_on
    from lakehouse.pipeline.report import Event, Result

    begun: list[tuple[str, float]] = []

    def ended() -> None:
        for stage, since in begun[-1:]:
            result = Result(stage, "train", "done", seconds=time.monotonic() - since)
            listener(Event(stage, "train", "finished", result))

    def tell(stage: str) -> None:
        ended()
        begun.append((stage, time.monotonic()))
        listener(Event(stage, "train", "started"))

    with listen_on(output, []) as listener:
        yield tell
        ended()
