"""What earlier builds taught, in small JSON files below ROOT/state: what a table costs, and what its columns come from.

Nothing rests on it but what a plan says. Whoever deletes it finds "unknown until built" there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from lakehouse.pipeline.lineage import Lineage, lineage
from lakehouse.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LAST_RUNS = 5
DEFINITIONS = 20
"""So many definitions of a table are remembered: one may come back."""


def remember_cost(workspace: Workspace, address: str, action: str, seconds: float, rows: int) -> None:
    """Keep how long a step took (wall-clock seconds), beside the last few of its kind."""
    file = _costs(workspace, address)
    known = _read(file) or {}
    known[action] = [*known.get(action, []), {"seconds": round(seconds, 3), "rows": rows}][-LAST_RUNS:]
    _write(file, known)


def expected_cost(workspace: Workspace, address: str, action: str) -> float | None:
    """Seconds that a step of this kind took lately (the median of the last runs); None where there was none."""
    runs = (_read(_costs(workspace, address)) or {}).get(action, [])
    return median(float(run["seconds"]) for run in runs) if runs else None


def analyse(workspace: Workspace, address: str, inputs: Iterable[DataFrame]) -> None:
    """Keep what the table's columns come from, once for each definition and columns of its inputs."""
    frames = list(inputs)
    file, columns = _lineages(workspace, address), [frame.columns for frame in frames]
    known = _read(file)
    if known is not None and known.get("inputs") == columns:
        return
    with suppress(Exception):  # the build that follows says what is wrong with the function; nothing else rests on it
        found = lineage(workspace.graph.table(address), frames)
        _write(file, {"inputs": columns, **asdict(found)})
        for old in sorted(file.parent.glob("*.json"), key=lambda one: one.stat().st_mtime)[:-DEFINITIONS]:
            old.unlink(missing_ok=True)


def known_lineage(workspace: Workspace, address: str, fingerprint: str = "") -> Lineage | None:
    """Of a table under a definition (else its own now); None where it was never analysed under it."""
    known = _read(_lineages(workspace, address, fingerprint))
    if known is None:
        return None
    known.pop("inputs", None)
    return Lineage(**known)


def _costs(workspace: Workspace, address: str) -> Path:
    return workspace.project.root / "state" / "costs" / f"{address}.json"


def _lineages(workspace: Workspace, address: str, fingerprint: str = "") -> Path:
    name = fingerprint or workspace.fingerprint(address)
    return workspace.project.root / "state" / "lineage" / address / f"{name}.json"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):  # a run that was killed, or somebody, left none
        return None
    return found if isinstance(found, dict) else None


def _write(file: Path, content: dict[str, Any]) -> None:
    with suppress(OSError):  # a full disk stops the tables, which say so
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(content))
        draft.replace(file)
