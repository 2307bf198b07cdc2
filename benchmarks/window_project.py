"""A project with window features of ``silver.events``, published to Redis: what their benchmarks run on."""

from __future__ import annotations

import json
from pathlib import Path


def write_project(folder: Path, redis: int, tables: str, definitions: str, source: str) -> None:
    """Write conf/, jobs/bench.py and features/. ``source`` is that of ``events``, as YAML; ``redis`` a port."""
    store = {
        "project": "bench",
        "provider": "local",
        "registry": {"registry_type": "sql", "path": "sqlite+project:///data/registry.db"},
        "offline_store": {"type": "lakehouse.features.offline_store.DeltaOfflineStore"},
        "batch_engine": {"type": "lakehouse.features.engine.DeltaEngine"},
        "online_store": {
            "type": "lakehouse.online.redis.RedisOnlineStore",
            "connection_string": f"localhost:{redis}",
        },
        "entity_key_serialization_version": 3,
    }
    files = {
        "conf/base.yaml": f"name: bench\nroot: lake\ntables: jobs.bench\nsources:\n  events: {source}\n",
        "jobs/bench.py": tables,
        "features/definitions.py": definitions,
        "features/feature_store.yaml": json.dumps(store),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
