"""A feature view of a gold table, checked against what the table says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from feast import Entity, FeatureView

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.features.source import DeltaSource
from lakehouse.kernels.aggregations import START, Aggregations
from lakehouse.tables.definition import Table


def feature_view(
    table: Table,
    *,
    entity: Entity | Sequence[Entity],
    ttl: timedelta | None,
    features: Sequence[str] | None = None,
    timestamp_field: str | None = None,
    created_timestamp_column: str = "",
    name: str | None = None,
    online: bool = True,
    version: int | None = None,
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
    owner: str = "",
) -> FeatureView:
    """A Feast view of a gold table: the entities' join keys are the table's key, without its event time.

    The event time is ``timestamp_field``, else the table's ``at``. The features are ``features``, else all columns
    but keys, times and bookkeeping; their types are read from the table by ``feast apply``, so nothing needs to be
    built when this is called. ``ttl=None`` never expires; a table of ``gold.windows`` takes nothing else. The view is
    called as the table, unless ``name`` is given.
    Raises DefinitionError for a table without an event time and for entities that don't fit its key.
    """
    at = START if table.windows else timestamp_field or table.at
    where = f"feature_view({table.address})"
    if at is None:
        raise DefinitionError(
            f"{where}: the table has no event time", hint=f"Say it where it is declared: @{table.layer}.table(at=…)"
        )
    entities = [entity] if isinstance(entity, Entity) else list(entity)
    if table.windows:
        if timestamp_field or created_timestamp_column or ttl is not None:
            raise DefinitionError(
                f"{where}: its features are windows, which have a length of their own",
                hint="Write ttl=None, and no timestamp_field or created_timestamp_column.",
            )
        known = [one.name for one in table.windows.features]
        for feature in features or ():
            if feature not in known:
                raise DefinitionError(f"{where}: no feature is called '{feature}'", hint=did_you_mean(feature, known))
        table = replace(table, key=table.windows.entity)
    _check_keys(where, table, at, entities)
    for feature in features or ():
        if feature.startswith("_") or feature == at or feature in table.key:
            raise DefinitionError(f"{where}: '{feature}' is a key, a time or bookkeeping, so it can't be a feature")
    source = DeltaSource(
        name=name or table.name,
        table=table.address,
        timestamp_field=at,
        created_timestamp_column=created_timestamp_column,
        version=version,
        columns=None if table.windows else features,
        key_types={one.join_key: one.value_type.name for one in entities},
        description=f"The Delta table {table.address}",
        windows=table.windows and _of(table.windows, features),
    )
    return FeatureView(
        name=name or table.name,
        entities=entities,
        ttl=ttl,
        source=source,
        online=online,
        tags={**dict.fromkeys(table.tags, ""), **(tags or {})},
        description=table.doc.partition("\n\n")[0] if description is None else description,
        owner=owner,
    )


def _of(windows: Aggregations, features: Sequence[str] | None) -> Aggregations:
    if features is None:
        return windows
    return replace(windows, features=tuple(one for one in windows.features if one.name in features))


def _check_keys(where: str, table: Table, at: str, entities: Sequence[Entity]) -> None:
    key = [column for column in table.key if column != at]
    joins = [one.join_key for one in entities]
    for join in joins:
        if join not in key:
            raise DefinitionError(
                f"{where}: the join key '{join}' is not in the table's key ({', '.join(key) or 'none but its time'})",
                hint=did_you_mean(join, key),
            )
    missing = [column for column in key if column not in joins]
    if missing:
        raise DefinitionError(
            f"{where}: no entity has the join key {', '.join(missing)}, which is in the table's key",
            hint="Name one entity for each column of the key: entity=[…]",
        )
