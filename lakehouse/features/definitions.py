"""Which features a training set has, and a Feast store in which their tables stand still at pinned versions."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feast import FeatureStore, FeatureView
from feast import Project as FeastProject
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RepoConfig
from google.protobuf.json_format import MessageToDict, ParseDict

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.features.choosing import Chosen
from lakehouse.features.pinned import Tables, portable
from lakehouse.features.settings import read_settings
from lakehouse.features.source import CLASS, delta_source, view_source

CHANGING = ("meta", "project", "body", "batch_source", "stream_source")
"""Of Feast's descriptions: what says nothing of the values, or is said with the view."""


def described(store: FeatureStore, chosen: Chosen) -> dict[str, Any]:
    """The definitions as plain data, without times: the code of on-demand views as text, and what tells its change."""
    entities = {name for view in chosen.views for name in view.entities if name != DUMMY_ENTITY_NAME}
    data: dict[str, Any] = {
        "entities": [_data(store.get_entity(name)) for name in sorted(entities)],
        "views": [_view(store, view) for view in chosen.views],
        "on_demand": {view.name: _print(view) for view in chosen.on_demand},
        "code": {view.name: getattr(view.feature_transformation, "udf_string", "") for view in chosen.on_demand},
    }
    if chosen.service is not None:
        data["service"] = _data(chosen.service)
    return data


@contextmanager
def still_store(
    project: Project, store: FeatureStore, definitions: Mapping[str, Any], tables: Tables
) -> Iterator[FeatureStore]:
    """A Feast store of these definitions whose views read the versions that ``tables`` opens. It lasts for the block.

    A manifest is data and runs no code, so on-demand views are the project's own, as they are now.
    Raises DefinitionError where it has not got one any more.
    """
    registry = Registry(registry_schema_version="1")
    registry.projects.append(FeastProject(name=store.project).to_proto())
    for spec in definitions["entities"]:
        ParseDict(spec, registry.entities.add().spec).project = store.project
    for spec in definitions["views"]:
        proto = _parsed(spec)
        source = copy.copy(delta_source(FeatureView.from_proto(proto).batch_source, spec["name"]))
        opened = tables.open(source, spec["name"])
        if source.windows is not None:
            source.events_version = tables.open_events(source, opened, spec["name"]).version
        source.version = opened.version
        proto.spec.batch_source.CopyFrom(source.to_proto())
        proto.spec.project = store.project
        registry.feature_views.append(proto)
    known = {view.name: view for view in store.list_on_demand_feature_views()}
    for name in definitions["on_demand"]:
        if name not in known:
            raise DefinitionError(f"the on-demand view '{name}' is gone", hint=did_you_mean(name, known))
        proto = known[name].to_proto()
        proto.spec.project = store.project
        registry.on_demand_feature_views.append(proto)
    if "service" in definitions:
        ParseDict(definitions["service"], registry.feature_services.add().spec).project = store.project
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "registry.db"
        file.write_bytes(registry.SerializeToString())
        raw = {**read_settings(project).raw, "registry": {"registry_type": "file", "path": str(file)}}
        config = RepoConfig(**raw)
        config.repo_path = store.config.repo_path
        yield FeatureStore(config=config)


def changed_code(store: FeatureStore, definitions: Mapping[str, Any]) -> list[str]:
    """The on-demand views that are not what they were."""
    now = {view.name: _print(view) for view in store.list_on_demand_feature_views()}
    return sorted(name for name, was in definitions["on_demand"].items() if now.get(name) != was)


def _view(store: FeatureStore, view: FeatureView) -> dict[str, Any]:
    """A view with where its table is, in words that hold on any machine."""
    source = copy.copy(view_source(view, view.name))
    if source.path is not None:
        source.path = portable(source, store.config)
    said = json.loads(source.to_proto().custom_options.configuration)
    shown = MessageToDict(source.to_proto(), preserving_proto_field_name=True)
    shown = {key: value for key, value in shown.items() if key not in ("meta", "data_source_class_type")}
    return {**_data(view), "batch_source": {**shown, "custom_options": {"configuration": said}}}


def _parsed(spec: Mapping[str, Any]) -> FeatureViewProto:
    source = spec["batch_source"]
    packed = base64.b64encode(json.dumps(source["custom_options"]["configuration"], sort_keys=True).encode())
    # Feast imports the class that a source names; a manifest is data, and names none.
    source = {**source, "custom_options": {"configuration": packed.decode()}, "data_source_class_type": CLASS}
    proto = FeatureViewProto()
    ParseDict({"spec": {**spec, "batch_source": source}}, proto)
    return proto


def _print(view: OnDemandFeatureView) -> str:
    """A fingerprint of its code as text, its columns and sources; pickled code differs from Python to Python."""
    return hashlib.sha256(json.dumps(_data(view), sort_keys=True).encode()).hexdigest()


def _data(definition: Any) -> dict[str, Any]:
    """What Feast says of an entity, a view or a service."""
    found: dict[str, Any] = _without(MessageToDict(definition.to_proto().spec, preserving_proto_field_name=True))
    return found


def _without(data: Any) -> Any:
    if isinstance(data, list):
        return [_without(one) for one in data]
    if isinstance(data, dict):
        return {key: value if key == "tags" else _without(value) for key, value in data.items() if key not in CHANGING}
    return data
