"""What ``verify`` found, as Delta tables in ROOT/verified: a row for each feature, and one for each difference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.config import Project
from lakehouse.features.verifying import Verified
from lakehouse.features.writing import save
from lakehouse.kernels.times import UTC_TIME

FOLDER = "verified"
FEATURES = pa.schema(
    {
        "made_at": UTC_TIME,
        "view": pa.string(),
        "feature": pa.string(),
        **dict.fromkeys(("vectors", "equal", "different", "missing", "extra"), pa.int64()),
        "max_distance": pa.float64(),
        "mean_distance": pa.float64(),
        "differ_at_newest": pa.int64(),
        "newest_max_distance": pa.float64(),
        "newest_mean_distance": pa.float64(),
        "causes": pa.map_(pa.string(), pa.int64()),
        "unverified": pa.int64(),
        "why": pa.string(),
    }
)
"""Vectors that could not be computed again are a row of their view without a feature, which says how many and why."""
DIFFERENCES = pa.schema(
    {
        "made_at": UTC_TIME,
        "view": pa.string(),
        "feature": pa.string(),
        "keys": pa.string(),
        "at": UTC_TIME,
        "answered_at": UTC_TIME,
        "request": pa.string(),
        "row": pa.int32(),
        "version": pa.int64(),
        "newest": pa.bool_(),
        "outcome": pa.string(),
        "served": pa.string(),
        "trained": pa.string(),
        "cause": pa.string(),
    }
)
"""Keys and values are JSON. ``newest``: equal at its version, different at the newest, which ``version`` then is."""


def features_of(found: Verified) -> list[dict[str, Any]]:
    """What became of each feature, as plain data."""
    rows = []
    for one in found.features.values():
        counts = {name: getattr(one, name) for name in ("vectors", "equal", "different", "missing", "extra")}
        rows.append(
            {
                "view": one.view,
                "feature": one.feature,
                **counts,
                "max_distance": one.distance.max,
                "mean_distance": one.distance.mean,
                "differ_at_newest": one.newest,
                "newest_max_distance": one.newest_distance.max,
                "newest_mean_distance": one.newest_distance.mean,
                "causes": dict(one.causes),
            }
        )
    return rows


def differences_of(found: Verified) -> list[dict[str, Any]]:
    """Each difference, as plain data."""
    return [
        {
            "view": one.vector.view,
            "feature": one.feature,
            "keys": one.vector.keys,
            "at": one.vector.at,
            "answered_at": one.vector.answered_at,
            "request": one.vector.request,
            "row": one.vector.row,
            "version": one.version,
            "newest": one.newest,
            "outcome": one.outcome,
            "served": one.served,
            "trained": one.trained,
            "cause": one.cause,
        }
        for one in found.differences
    ]


def keep(project: Project, found: Verified) -> Path:
    """Append what was found to ROOT/verified/features and ROOT/verified/differences. Raises StorageError."""
    folder = project.root / FOLDER
    rows = [{**one, "causes": list(one["causes"].items())} for one in features_of(found)]
    rows += [{"view": view, "unverified": count, "why": why} for (view, why), count in found.unverified.items()]
    _append(folder / "features", rows, FEATURES, found)
    texts = ("keys", "served", "trained")
    apart = [
        {name: json.dumps(value) if name in texts else value for name, value in one.items()}
        for one in differences_of(found)
    ]
    _append(folder / "differences", apart, DIFFERENCES, found)
    return folder


def _append(
    place: Path, rows: list[Mapping[str, Any]] | list[dict[str, Any]], schema: pa.Schema, found: Verified
) -> None:
    made = [{**row, "made_at": found.made_at} for row in rows]
    save(str(place), f"what was verified, in {place}", pa.Table.from_pylist(made, schema=schema), append=True)
