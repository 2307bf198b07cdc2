"""A view whose table failed its gate, or is past its freshness, is not published and says so; others are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from lakehouse.config import Project
from lakehouse.errors import GateError
from lakehouse.features.cursor import Published
from lakehouse.features.publishing import publish
from lakehouse.features.repository import apply, look_up, open_store
from lakehouse.pipeline import publish as publish_all
from lakehouse.quality import Expectation, fresh_within, in_range
from lakehouse.quality.gate import Found, Gate
from lakehouse.tables.notes import noted
from tests.features.conftest import DAY, START, delays, make_project

NOW = START + 5 * DAY
BAD = in_range("mean", 0, 99, on_fail="fail")
FRESH = fresh_within("known_at", "2d")
ORIGIN = "gold.carrier_delay:0:x:y"


@pytest.fixture
def shop(tmp_path: Any, module_patch: pytest.MonkeyPatch) -> Iterator[Project]:
    project = make_project(tmp_path)
    built(project, 7)
    apply(project)
    return project


def built(project: Project, cursor: int) -> None:
    """A build of three days' rows that ended."""
    write_deltalake(
        project.path("gold.carrier_delay"),
        delays([("AA", day, day, float(cursor), day) for day in (1, 2, 3)]),
        mode="overwrite",
        commit_properties=CommitProperties(app_transactions=[Transaction(ORIGIN, cursor)]),
    )


def judged(project: Project, cursor: int, at: datetime, failed: Expectation | None, *rules: Expectation) -> None:
    """What the rules found in a build, as a build leaves it."""
    rules = rules or (BAD,)
    gate = Gate("gold.carrier_delay", ("carrier",), rules, at, {"versions": {}})
    gate.found.update({rule: Found(3, int(rule == failed)) for rule in rules})
    write_deltalake(project.state("gold.carrier_delay"), noted(gate.rows(cursor), ORIGIN), mode="append")


def published(project: Project, now: datetime = NOW) -> dict[str, Any]:
    """What became of each view: its status, or the error."""
    heard: dict[str, Any] = {}

    def listen(view: str, one: Any) -> None:
        heard[view] = one.status if isinstance(one, Published) else one

    with suppress(GateError):
        publish(project, now=now, listen=listen)
    return heard


def served(project: Project) -> Any:
    return look_up(project, "carrier_delay", {"carrier": "AA"}, open_store(project, as_of=START + 3 * DAY))[0]["mean"]


def test_a_table_whose_newest_build_was_refused(shop: Project) -> None:
    judged(shop, 7, NOW - DAY, None)
    assert published(shop) == {"carrier_delay": "done", "route_load": "done"}
    judged(shop, 8, NOW, BAD)
    for _ in range(2):
        got = published(shop)
        assert got["route_load"] == "unchanged"
        assert isinstance(got["carrier_delay"], GateError)
        assert str(got["carrier_delay"]).startswith(
            "gold.carrier_delay is not published: in_range(mean, 0, 99) did not hold in its newest build"
        )
    assert served(shop) == 7.0
    report = publish_all(shop)
    assert (report.exit_code, [result.status for result in report.results]) == (3, ["failed", "unchanged"])


def test_a_build_that_ended_after_it_opens_the_gate(shop: Project) -> None:
    judged(shop, 8, NOW - DAY, BAD)
    assert isinstance(published(shop)["carrier_delay"], GateError)
    built(shop, 8)  # the same inputs, with the rule taken away: nothing was asked
    assert published(shop)["carrier_delay"] == "done"
    judged(shop, 9, NOW - timedelta(hours=1), BAD)
    judged(shop, 10, NOW, None)  # nothing to write: the inputs said the same again
    assert published(shop)["carrier_delay"] == "unchanged"
    assert served(shop) == 8.0


def test_rows_that_stop_a_table_without_rules(shop: Project) -> None:
    row = {"_kind": "blocking", "_batch": 8, "_reasons": ["its key is there 2 times"], "_record": "{}"}
    write_deltalake(shop.state("gold.carrier_delay"), noted([row], ORIGIN))
    assert "rows stopped its newest build" in str(published(shop)["carrier_delay"])
    built(shop, 8)
    assert published(shop)["carrier_delay"] == "done"


@pytest.mark.parametrize("before", [True, False])
def test_freshness_is_asked_of_now_even_of_what_is_published(shop: Project, before: bool) -> None:
    judged(shop, 7, START + 3 * DAY, None, FRESH, BAD)
    if before:
        published(shop)
    assert published(shop)["carrier_delay"] == ("unchanged" if before else "done")
    late = published(shop, NOW + timedelta(microseconds=1))["carrier_delay"]
    assert isinstance(late, GateError)
    assert "fresh_within(known_at, '2d') does not hold now, its newest is 2026-01-04 00:00:00 UTC" in str(late)
    DeltaTable(shop.path("gold.carrier_delay")).delete()
    assert "it has none" in str(published(shop)["carrier_delay"])


def test_a_rule_that_only_warns_is_no_gate(shop: Project) -> None:
    judged(shop, 8, NOW, None, fresh_within("known_at", "1s", on_fail="warn"))
    warned = in_range("mean", 0, 1, on_fail="warn")
    judged(shop, 9, NOW, warned, warned)
    assert published(shop)["carrier_delay"] == "done"


def test_a_view_that_is_pinned_passes(shop: Project) -> None:
    judged(shop, 8, NOW, BAD, BAD, FRESH)
    file = shop.features / "definitions.py"
    text = file.read_text()
    file.write_text(text.replace("ttl=timedelta(days=2),", "ttl=timedelta(days=2), version=1,"))
    apply(shop)
    late = NOW + 99 * DAY
    assert published(shop, late)["carrier_delay"] == "done"
    assert published(shop, late)["carrier_delay"] == "unchanged"
    built(shop, 9)
    file.write_text(text.replace("ttl=timedelta(days=2),", "ttl=timedelta(days=2), version=2,"))
    apply(shop)
    assert published(shop, late)["carrier_delay"] == "done"
    assert served(shop) == 9.0


def test_feasts_own_materialize_says_it_too(shop: Project) -> None:
    judged(shop, 8, NOW, BAD)
    with pytest.raises(GateError, match="is not published"):
        open_store(shop).materialize(START, NOW, feature_views=["carrier_delay"])
