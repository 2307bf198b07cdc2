"""feature_store.yaml of a project, read without importing Feast, so that finding nothing to do costs little."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

import lakehouse
from lakehouse.config import Project
from lakehouse.errors import ConfigError, did_you_mean

SQLITE = "lakehouse.online.sqlite.SqliteOnlineStore"
REDIS = "lakehouse.online.redis.RedisOnlineStore"
REGISTRY_SCHEME = "sqlite+project:///"
SETTINGS = """
    project project_description provider registry online_store offline_store batch_engine auth feature_server flags
    entity_key_serialization_version coerce_tz_aware materialization openlineage mlflow embedding_model
    data_quality_monitoring
""".split()  # noqa: SIM905
"""The keys that Feast knows."""


@dataclass(frozen=True)
class Settings:
    """What feature_store.yaml says, with the paths of this project and environment put in."""

    file: Path
    raw: dict[str, Any]

    @property
    def project(self) -> str:
        """Feast's project: the name space of the registry and the online store."""
        return str(self.raw.get("project", ""))

    @property
    def versioned(self) -> bool:
        """Whether Feast keeps the records of each version of a view apart."""
        registry = self.raw.get("registry")
        return isinstance(registry, dict) and bool(registry.get("enable_online_feature_view_versioning"))

    def cursors(self) -> dict[str, str]:
        """How far each view was published, by its name in the online store. Raises OnlineStoreError."""
        online = self.raw.get("online_store") or {}
        if isinstance(online, dict) and online.get("type") == SQLITE:
            from lakehouse.online.file import cursors

            return cursors((self.file.parent / str(online.get("path", "data/online.db"))).resolve())
        if isinstance(online, dict) and online.get("type") == REDIS:
            from lakehouse.online.address import Address
            from lakehouse.online.server import RecordServer

            return RecordServer(Address.of_settings(online), publish_timeout_s=30.0).cursors()
        return {}

    @property
    def registry_file(self) -> Path | None:
        """The SQLite file of the registry; None for another kind of registry."""
        registry = self.raw.get("registry")
        path = str(registry.get("path", "")) if isinstance(registry, dict) else ""
        return Path(path.removeprefix("sqlite:///")) if path.startswith("sqlite:////") else None


def read_settings(project: Project) -> Settings:
    """feature_store.ENV.yaml of the project's Feast repository where there is one, else feature_store.yaml.

    Raises ConfigError for a missing file and for a key that Feast doesn't know (Feast itself would ignore it).
    """
    folder = project.features
    own = folder / f"feature_store.{project.env}.yaml"
    file = own if own.is_file() else folder / "feature_store.yaml"
    if not file.is_file():
        raise ConfigError(f"no {file}", hint="A Feast repository needs it; `features:` in conf/base.yaml says where.")
    try:
        raw = yaml.safe_load(os.path.expandvars(file.read_text()))
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{file}: it holds no settings")
    for key in raw:
        if key not in SETTINGS:
            raise ConfigError(f"{file}: '{key}' is not a setting of Feast", hint=did_you_mean(str(key), SETTINGS))
    registry, offline = raw.get("registry"), raw.get("offline_store")
    if isinstance(registry, dict) and str(registry.get("path", "")).startswith(REGISTRY_SCHEME):
        path = project.folder / str(registry["path"]).removeprefix(REGISTRY_SCHEME)
        path.parent.mkdir(parents=True, exist_ok=True)
        raw["registry"] = {**registry, "path": f"sqlite:///{path}"}
    if isinstance(offline, dict) and str(offline.get("type", "")).endswith("DeltaOfflineStore"):
        raw["offline_store"] = {"project": str(project.folder), "env": project.env, **offline}
    # Feast's own choice among tied rows depends on their order; the offline store's does not.
    raw["materialization"] = {"pull_latest_features": True, **(raw.get("materialization") or {})}
    return Settings(file, raw)


def code_fingerprint(project: Project) -> str:
    """Changes when anything does that feature views are made of: the Feast repository or the tables' declarations."""
    digest = hashlib.sha256(f"{lakehouse.__version__} {project.env} {project.root}".encode())
    tables = project.folder.joinpath(project.config.tables.partition(".")[0])
    files = [path for folder in (project.features, tables) for path in folder.rglob("*.py")]
    for path in sorted({*files, *project.features.glob("*.yaml"), tables.with_suffix(".py")}):
        if path.is_file():
            digest.update(f"\0{path.relative_to(project.folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
