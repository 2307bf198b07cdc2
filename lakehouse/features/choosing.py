"""Which features somebody asks for: a service, views, or single features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feast import FeatureService, FeatureStore, FeatureView
from feast.on_demand_feature_view import OnDemandFeatureView

from lakehouse.errors import DefinitionError, UsageError, did_you_mean


@dataclass(frozen=True)
class Chosen:
    """What somebody asked for, as Feast knows it."""

    asked: tuple[str, ...]
    """References such as "view:feature", or the name of one service."""
    views: tuple[FeatureView, ...]
    on_demand: tuple[OnDemandFeatureView, ...]
    service: FeatureService | None


def choose(store: FeatureStore, features: Any) -> Chosen:
    """``features``: a service, a view, "view:feature", or a list of the last two. Raises UsageError with the
    nearest name, and DefinitionError for a kind of view that can't be pinned.
    """
    services = {one.name: one for one in store.list_feature_services()}
    known: dict[str, Any] = {one.name: one for one in store.list_all_feature_views()}
    if isinstance(features, FeatureService):
        features = features.name
    if isinstance(features, str) and features in services:
        service = services[features]
        asked = [f"{part.name}:{one.name}" for part in service.feature_view_projections for one in part.features]
        return Chosen((features,), *_views(known, asked), service)
    references: list[str] = []
    for word in [features] if isinstance(features, str) else list(features):
        name, _, feature = str(word).partition(":")
        if name not in known:
            hint = did_you_mean(name, [*known, *services]) if known else "Apply the definitions: lakehouse publish"
            raise UsageError(f"there is no view or service '{name}'", hint=hint)
        inside = [one.name for one in known[name].features]
        if feature and feature not in inside:
            raise UsageError(f"'{name}' has no feature '{feature}'", hint=did_you_mean(feature, inside))
        references += [f"{name}:{one}" for one in ([feature] if feature else inside)]
    if not references:
        raise UsageError("no features were asked for", hint=did_you_mean("", [*services, *known]))
    references = list(dict.fromkeys(references))
    return Chosen(tuple(references), *_views(known, references), None)


def _views(
    known: Mapping[str, Any], references: Sequence[str]
) -> tuple[tuple[FeatureView, ...], tuple[OnDemandFeatureView, ...]]:
    """The views that the references need, those behind on-demand views too, each once."""
    names = list(dict.fromkeys(reference.partition(":")[0] for reference in references))
    found: dict[str, Any] = {}
    for name in names:
        view = known[name]
        found[name] = view
        if isinstance(view, OnDemandFeatureView):
            names += [part.name for part in view.source_feature_view_projections.values() if part.name not in names]
        elif type(view) is not FeatureView:
            raise DefinitionError(
                f"'{name}' is a {type(view).__name__}, whose rows can't be made again",
                hint="A training set takes feature views of Delta tables, and on-demand views of those.",
            )
    plain = tuple(view for view in found.values() if isinstance(view, FeatureView))
    return plain, tuple(view for view in found.values() if isinstance(view, OnDemandFeatureView))
