"""Requests that were worked out before; they outlive a refresh of Feast's registry that changed nothing about them.

Feast works a request out again, view by view, whenever its registry was read again, which is on the path of one look-up
each time. Here the definitions that a request was made of are compared instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from feast import FeatureService, utils
from feast.errors import FeastError
from feast.repo_config import RepoConfig

from lakehouse.errors import UsageError, did_you_mean
from lakehouse.online.request import Request, compile_request

MOST = 1000
_VIEWS = ("feature_views", "stream_feature_views", "on_demand_feature_views", "label_views")
_OF_PUBLISHING = ("materialization_intervals", "last_updated_timestamp")
"""What a publish changes about a view, and no look-up depends on."""


@dataclass
class Compiled:
    """A request with the definitions that it was made of."""

    request: Request
    service: FeatureService | None
    definitions: list[bytes] | None
    """None where they are not known to be all that it was made of."""
    read: Any
    """When the registry that had them was read."""


class UnknownFeatureError(UsageError, FeastError):
    """A feature that its view has not; Feast's server answers it as it does a view that is not there."""

    def http_status_code(self) -> int:
        return 404


class CompiledRequests:
    """Threads may share one."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Compiled] = {}

    def of(self, config: RepoConfig, registry: Any, project: str, features: Any, full_names: bool) -> Request:
        """The request for features, or for a feature service, as Feast resolves them in its registry now."""
        service = features if isinstance(features, FeatureService) else None
        asked = (project, full_names, service.name if service else tuple(features))
        known = self._known.get(asked)
        if known is not None and registry.is_cache_valid() and known.read == registry.cached_registry_proto_created:
            return known.request
        if known is not None and known.definitions is not None and known.service == service:
            registry.list_saved_datasets(project, allow_cache=True)  # reads the registry again if that is due
            read = registry.cached_registry_proto_created  # first: what is read next is of then, or later
            if _definitions(registry.cached_registry_proto, project, known.request, service) == known.definitions:
                known.read = read
                return known.request
        return self._compile(config, registry, project, features, full_names, asked)

    def _compile(
        self, config: RepoConfig, registry: Any, project: str, features: Any, full_names: bool, asked: tuple[Any, ...]
    ) -> Request:
        registry.list_saved_datasets(project, allow_cache=True)
        read, proto = (getattr(registry, f"cached_registry_proto{part}", None) for part in ("_created", ""))
        try:
            context = utils._get_cached_request_context(registry, project, features, full_names)
        except KeyError as error:
            raise _unknown(registry, project, features, error) from error
        request = compile_request(config, context, full_names)
        if read is not None:
            if len(self._known) >= MOST:
                self._known.clear()
            service = features if isinstance(features, FeatureService) else None
            versioned = any("@" in reference for reference in request.references)
            definitions = None if versioned else _definitions(proto, project, request, service)
            self._known[asked] = Compiled(request, service, definitions, read)
        return request


def _unknown(registry: Any, project: str, references: Any, error: KeyError) -> Exception:
    """What to say where Feast found no feature of a name."""
    for reference in references if isinstance(references, list) else ():
        name, _, feature = reference.rpartition(":")
        plain, version, _ = utils._parse_feature_ref(reference)
        if version is None:
            view = registry.get_any_feature_view(plain, project, allow_cache=True)
        else:  # what it has now may be another set
            view = registry.get_feature_view_by_version(plain, project, version, allow_cache=True)
        known = [field.name for field in view.features]
        if feature not in known:
            return UnknownFeatureError(f"'{name}' has no feature '{feature}'", hint=did_you_mean(feature, known))
    return error


def _definitions(proto: Any, project: str, request: Request, service: FeatureService | None) -> list[bytes]:
    """What the registry says of all that a request is made of, as bytes."""
    views = {part.view.name for part in request.parts} | {view.name for view in request.on_demand}
    entities = {name for part in request.parts for name in part.view.entities}
    found = [_bytes(view) for kind in _VIEWS for view in _named(getattr(proto, kind), project, views)]
    found += [_bytes(entity) for entity in _named(proto.entities, project, entities)]
    return found + [_bytes(one) for one in _named(proto.feature_services, project, {service.name} if service else ())]


def _named(messages: Any, project: str, names: Any) -> Iterator[Any]:
    return (one for one in messages if one.spec.name in names and one.spec.project == project)


def _bytes(message: Any) -> bytes:
    copy = type(message)()
    copy.CopyFrom(message)
    for name in _OF_PUBLISHING:
        if name in copy.meta.DESCRIPTOR.fields_by_name:
            copy.meta.ClearField(name)
    return bytes(copy.SerializeToString(deterministic=True))
