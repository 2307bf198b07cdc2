"""Write Delta tables without a JVM: those that Feast fills, and never those that the lakehouse builds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from feast.feature_view import FeatureView
from feast.repo_config import RepoConfig

from lakehouse.config import find_project
from lakehouse.errors import ConfigError, DefinitionError, StorageError, UsageError, did_you_mean
from lakehouse.features.source import DeltaSource, project_of, view_source
from lakehouse.kernels.casts import exactly
from lakehouse.tables.definition import LAYERS

WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.null(): pa.string(),
}
"""What stands for a type that Delta lacks; a value that doesn't fit is an error."""


def add_rows(
    config: RepoConfig, view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None = None
) -> None:
    """Append rows to the table at a view's ``path=``, in one commit; columns may be in any order.

    Raises UsageError for a table that the lakehouse builds and for a pinned version, DefinitionError for columns that
    are not the table's and for values that its types can't hold. Bookkeeping columns that are not given are null.
    """
    source = view_source(view, view.name)
    refuse_built(config, source, f"'{view.name}'")
    if source.version is not None:
        raise UsageError(
            f"'{view.name}' is pinned to version {source.version} of {source.label}: what is added would not be seen",
            hint="Leave out version= to write.",
        )
    opened = source.open(config)
    table = table.rename_columns([source.stored(name) for name in table.column_names])
    refuse_doubled(table.column_names, f"the rows for {opened.label}")
    schema = pa.schema(opened.delta.schema().to_arrow())
    for name in table.column_names:
        if name not in schema.names:
            raise DefinitionError(f"{opened.label} has no column '{name}'", hint=did_you_mean(name, schema.names))
    missing = [name for name in schema.names if name not in table.column_names]
    for name in missing:
        if not name.startswith("_"):
            raise DefinitionError(f"the rows for {opened.label} have no column '{name}'")
        table = table.append_column(name, pa.nulls(table.num_rows))
    _commit(opened.location, opened.label, as_types(table.select(schema.names), schema, opened.label), "append")
    if progress is not None:
        progress(table.num_rows)


def save(location: str, label: str, table: pa.Table, partition_by: Sequence[str] = (), *, append: bool) -> None:
    """Write rows to a table of Feast's own, in one commit; it is made if it is not there."""
    _commit(location, label, storable(table, label), "append" if append else "overwrite", partition_by)


def exists(location: str) -> bool:
    return DeltaTable.is_deltatable(location)


def refuse_built(config: RepoConfig, source: DeltaSource, what: str) -> None:
    """Raise UsageError for a table that the lakehouse builds: it has one writer."""
    hint = "Land new data in a source and run: lakehouse run"
    if source.table is not None:
        raise UsageError(f"{what} can't be written through Feast: its table is built by the lakehouse", hint=hint)
    location = source.location(config)
    if "://" in location:
        return
    folder = Path(location).resolve()
    try:
        root = project_of(config).root if find_project(Path(config.repo_path or ".").resolve()) else None
    except ConfigError:
        return
    if root is not None and any(folder.is_relative_to(root.resolve() / part) for part in (*LAYERS, "state")):
        raise UsageError(f"{what} can't be written through Feast: {folder} is one of the lakehouse's tables", hint=hint)


def refuse_doubled(names: Sequence[str], label: str) -> None:
    """Raise DefinitionError for two columns, or fields of one, that are the same to Delta, which looks past case."""
    known: dict[str, str] = {}
    for name in names:
        if name.lower() in known:
            raise DefinitionError(
                f"{label}: '{known[name.lower()]}' and '{name}' are one column to Delta",
                hint="Rename one of them, or leave it out.",
            )
        known[name.lower()] = name


def storable(table: pa.Table, label: str) -> pa.Table:
    """The same rows in types that Delta has, without changing a value. Raises DefinitionError where none fits, and for
    columns that Delta can't tell apart.
    """
    refuse_doubled(table.column_names, label)
    schema = pa.schema([pa.field(field.name, _storable(field.type, label, field.name)) for field in table.schema])
    return as_types(table, schema, label)


def _storable(kind: pa.DataType, label: str, name: str) -> pa.DataType:
    if kind in WIDER:
        return WIDER[kind]
    if pa.types.is_dictionary(kind):
        return _storable(kind.value_type, label, name)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_storable(kind.value_type, label, name))
    if pa.types.is_map(kind):
        return pa.map_(_storable(kind.key_type, label, name), _storable(kind.item_type, label, name))
    if pa.types.is_struct(kind):
        refuse_doubled([one.name for one in kind], f"{label}: '{name}'")
        return pa.struct([pa.field(one.name, _storable(one.type, label, name)) for one in kind])
    if pa.types.is_time(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        raise DefinitionError(
            f"{label}: Delta has no type for '{name}' ({kind})", hint="Give it as a number or as text."
        )
    return kind


def as_types(table: pa.Table, schema: pa.Schema, label: str) -> pa.Table:
    """The table in these types. Raises DefinitionError, with the column, for a value that would be changed.

    Only a narrower float may round: a column of 32 bits takes 0.1.
    """
    columns = []
    for field in schema:
        try:
            columns.append(exactly(table.column(field.name), field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            kind = table.schema.field(field.name).type
            raise DefinitionError(
                f"{label}: '{field.name}' is {kind} and can't be kept as {field.type}: {error}",
                hint="Cast or round that column first.",
            ) from error
    return pa.table(columns, schema=schema)


def _commit(
    location: str,
    label: str,
    table: pa.Table,
    mode: Literal["append", "overwrite"],
    partition_by: Sequence[str] = (),
) -> None:
    schema_mode: Literal["overwrite"] | None = "overwrite" if mode == "overwrite" else None
    try:
        write_deltalake(location, table, mode=mode, schema_mode=schema_mode, partition_by=list(partition_by) or None)
    except (DeltaError, OSError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise StorageError(f"{label} can't be written: {lines[0]}") from error
