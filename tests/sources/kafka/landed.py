"""Take batches of a source, and see what landed of its topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakehouse.config import Project
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed

Reading = Callable[..., Project]
"""A project whose source ``events`` has these settings."""


def take(project: Project, source: str = "events") -> tuple[int, int]:
    """Ingest one source once; how much landed and how much was quarantined."""
    (result,) = ingest(project, select=[f"bronze.{source}"]).results
    assert result.error is None, result.error
    return result.landed, result.quarantined


def refused(project: Project, source: str = "events") -> str:
    """Ingest one source, which fails; what it says."""
    (result,) = ingest(project, select=[f"bronze.{source}"]).results
    assert result.error is not None
    return str(result.error)


def places(project: Project, source: str = "events") -> list[tuple[str, int, Any]]:
    """Each record's topic and partition, offset and value."""
    rows = Landed(project, source).kinds["record"]
    return sorted((row["_file"], row["_row"], row["value"]) for row in rows)


def last_cursor(project: Project, source: str = "events") -> dict[str, Any]:
    """Where the last receipt says that the next batch begins."""
    _, last = max(Landed(project, source).receipts.items())
    found: dict[str, Any] = last["cursor"]
    return found
