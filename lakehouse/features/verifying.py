"""Compare what was served with what training says: at the version that it was made of, and at the newest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from feast import FeatureStore
from feast.feature_view import FeatureView

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, LakehouseError
from lakehouse.features.repository import open_store, quiet
from lakehouse.features.retrieval import Wanted
from lakehouse.features.verifying_causes import DEFINITION, Causes, outcome
from lakehouse.features.verifying_log import Served, served
from lakehouse.features.verifying_replay import Replay, Trained


@dataclass
class Distance:
    """How far numbers were from each other."""

    pairs: int = 0
    total: float = 0.0
    most: float = 0.0

    def add(self, one: Any, other: Any) -> None:
        if _is_number(one) and _is_number(other):
            apart = abs(one - other)
            self.pairs, self.total, self.most = self.pairs + 1, self.total + apart, max(self.most, apart)

    @property
    def mean(self) -> float | None:
        """None where nothing was a number."""
        return self.total / self.pairs if self.pairs else None

    @property
    def max(self) -> float | None:
        return self.most if self.pairs else None


@dataclass
class Tally:
    """What became of one feature: of each vector one of the four, at the version that it was made of."""

    view: str
    feature: str
    equal: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    distance: Distance = field(default_factory=Distance)
    newest: int = 0
    """How many differ at the newest version, those that were equal at their own."""
    newest_distance: Distance = field(default_factory=Distance)
    causes: Counter[str] = field(default_factory=Counter)

    @property
    def vectors(self) -> int:
        return self.equal + self.different + self.missing + self.extra


@dataclass(frozen=True)
class Difference:
    """One feature of one vector."""

    vector: Served
    feature: str
    newest: bool
    """Whether it is equal at its version, and differs at the newest."""
    version: int
    """Of the table, that it was compared at."""
    outcome: str
    served: Any
    trained: Any
    cause: str


@dataclass
class Verified:
    """What ``verify`` found."""

    made_at: datetime
    vectors: int = 0
    compared: int = 0
    pushed: int = 0
    """Vectors with a pushed row over the record: they are of no version of a table, so nothing is said of them."""
    dropped: int = 0
    """Vectors that the log had no room for."""
    features: dict[tuple[str, str], Tally] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    unverified: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Vectors of a view that could not be computed again, and why."""

    @property
    def equal(self) -> bool:
        """Whether every vector that was served is what training says at its version."""
        return not self.unverified and all(one.vectors == one.equal for one in self.features.values())

    def causes(self) -> Counter[str]:
        return Counter(one.cause for one in self.differences)


def verify(
    project: Project, *, now: datetime, since: datetime | None = None, until: datetime | None = None
) -> Verified:
    """Compute what was logged within [since, until] again, by the definitions that were applied last.

    A vector is computed at its moment and at the version of the table that its record was made of, then at the newest.
    Raises UsageError where nothing is logged, NotBuiltError where nothing was yet.
    """
    vectors = served(project, since, until)
    found = Verified(now.astimezone(UTC), len(vectors), dropped=sum(one.dropped for one in vectors))
    with quiet():
        store = open_store(project)
        views = {view.name: view for view in store.list_feature_views()}
        for name, group in _by(vectors, lambda one: one.view).items():
            own = [one for one in group if not one.pushed]
            found.pushed += len(group) - len(own)
            if name in views:
                _verify_view(found, store, views[name], own)
            elif own:
                found.unverified[name, "no such feature view is applied"] += len(own)
    return found


def _verify_view(found: Verified, store: FeatureStore, view: FeatureView, vectors: Sequence[Served]) -> None:
    try:
        replay = Replay(store.config, view)
    except LakehouseError as error:
        found.unverified[view.name, error.message] += len(vectors)
        return
    for (table_id, version, published), group in _by(vectors, _of_table).items():
        if table_id is None and version is not None:
            found.unverified[view.name, "the log does not say which table it was"] += len(group)
        elif table_id not in (None, replay.id):
            found.unverified[view.name, "its table was made anew since"] += len(group)
        elif version is None:  # nothing was published: the table as it was when that was answered
            for at, part in _by(group, lambda one: replay.version_at(one.answered_at)).items():
                _verify_at(found, replay, part, [] if at is None else [at])
        else:
            # A record holds up to the version that was published, which stands in for its own where that is gone.
            later = [published] if published is not None and published > version else []
            _verify_at(found, replay, group, [version, *later])


def _verify_at(found: Verified, replay: Replay, vectors: Sequence[Served], versions: Sequence[int]) -> None:
    """Vectors of one record's version, at the first of some versions that can be read."""
    why = "the table's log does not go back to then"
    for version in versions:
        try:
            _verify_part(found, replay, replay.wanted(version), vectors)
            return
        except LakehouseError as error:
            why = error.message
            if isinstance(error, DefinitionError) and vectors[0].definition != replay.definition:
                why = f"the view is defined otherwise: {why}"
    found.unverified[replay.view.name, why] += len(vectors)


def _of_table(one: Served) -> tuple[str | None, int | None, int | None]:
    return one.table_id, one.made_of, one.published


def _verify_part(found: Verified, replay: Replay, wanted: Wanted, vectors: Sequence[Served]) -> None:
    """Vectors of one version. What can't be computed is raised before anything is counted."""
    causes = Causes(replay)
    own = replay.trained(vectors, wanted)
    why = causes.at_its_version(vectors, wanted, own)
    newest, later = own, [dict[str, str]() for _ in vectors]
    if wanted.opened.version != replay.newest.opened.version:
        newest = replay.trained(vectors, replay.newest)
        later = causes.at_the_newest(vectors, wanted, own, newest)
    found.compared += len(vectors)
    versions = wanted.opened.version, replay.newest.opened.version
    for place, vector in enumerate(vectors):
        for name in sorted(vector.features):  # Feast asks for them in any order
            tally = found.features.setdefault((vector.view, name), Tally(vector.view, name))
            if name not in own[place].features:
                tally.extra += 1
                _differs(
                    found,
                    tally,
                    Difference(vector, name, False, versions[0], "extra", vector.features[name], None, DEFINITION),
                )
                continue
            _count(found, tally, vector, name, (own[place], newest[place]), versions, (why[place], later[place]))


def _count(
    found: Verified,
    tally: Tally,
    vector: Served,
    name: str,
    trained: tuple[Trained, Trained],
    versions: tuple[int, int],
    causes: tuple[Mapping[str, str], Mapping[str, str]],
) -> None:
    value, (own, newest) = vector.features[name], (one.features[name] for one in trained)
    how = outcome(vector, name, trained[0])
    setattr(tally, how, getattr(tally, how) + 1)
    tally.distance.add(value, own)
    tally.newest_distance.add(value, newest)
    if name in causes[0]:
        _differs(found, tally, Difference(vector, name, False, versions[0], how, value, own, causes[0][name]))
    if name in causes[1]:
        tally.newest += 1
        how = outcome(vector, name, trained[1])
        _differs(found, tally, Difference(vector, name, True, versions[1], how, value, newest, causes[1][name]))


def _differs(found: Verified, tally: Tally, one: Difference) -> None:
    tally.causes[one.cause] += 1
    found.differences.append(one)


def _by(vectors: Iterable[Served], what: Any) -> dict[Any, list[Served]]:
    groups: dict[Any, list[Served]] = {}
    for one in vectors:
        groups.setdefault(what(one), []).append(one)
    return groups


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
