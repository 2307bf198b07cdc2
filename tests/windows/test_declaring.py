"""What ``gold.windows`` says of a mistake, and how it names what it makes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lakehouse import gold
from lakehouse.errors import DefinitionError
from lakehouse.gold.aggregates import Wish
from lakehouse.tables import Table

load: Table = gold.windows(of="silver.events", entity="k", at="t", features=[gold.count(over=["90m", "36h"])])


def declared(**given: Any) -> Table:
    settings = {"of": "silver.events", "entity": "k", "at": "t", "features": [gold.count(over="1h")], "name": "one"}
    return gold.windows(**{**settings, **given})


def test_a_table_is_called_as_its_variable() -> None:
    other = gold.windows(
        of="silver.events",
        entity=["k", "shop"],
        at="t",
        features=[gold.count(over="1h")],
    )
    assert (load.address, other.address) == ("gold.load", "gold.other")
    assert other.key == ("k", "shop", "hop_s", "start")
    assert load.module == __name__
    assert load.file.name == "test_declaring.py"
    with pytest.raises(DefinitionError, match="assigned to a variable"):
        gold.windows(of="silver.events", entity="k", at="t", features=[gold.count(over="1h")])


def test_names_and_hops() -> None:
    table = declared(
        features=[
            *(gold.count(over=["90m", "36h"]), gold.count("v", over="13d"), gold.mean("v", over=timedelta(weeks=1))),
            *(gold.rate("v - 1 >= 15", over="7d"), gold.rate("flag", over="1d"), gold.max("flag", over="1d")),
            *(gold.first("s"), gold.last("s", over="7d"), gold.last_n("s", 5, over="12h", name="recent")),
        ]
    )
    assert table.windows is not None
    assert {one.name: one.hop_s for one in table.windows.features} == {
        "count_90m": 300,
        "count_36h": 3600,
        "v_count_13d": 86_400,
        "v_mean_7d": 3600,
        "v_minus_1_ge_15_rate_7d": 3600,
        "flag_true_rate_1d": 3600,
        "flag_max_1d": 3600,
        "s_first": 86_400,
        "s_last_7d": 3600,
        "recent": 3600,
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"of": "bronze.events"}, "not the address of a silver or gold table"),
        ({"of": "events"}, "not the address"),
        ({"features": []}, "names none"),
        ({"features": ["count"]}, "'count' is no feature"),
        ({"features": [gold.count(over="1y")]}, "'1y' is no length of time"),
        ({"features": [gold.count(over=timedelta(microseconds=1))]}, "no length of time"),
        ({"features": [gold.count(over="1h"), gold.count(over="1h")]}, "two features are called 'count_1h'"),
        ({"features": [gold.count(over="1h", name="k")]}, "'k' is a key and a feature"),
        ({"features": [gold.count(over="1h", name="start")]}, "can be called 'start'"),
        ({"features": [gold.rate("v / 2 > 1", over="1h")]}, "'/' is not shared"),
        ({"features": [gold.mean("", over="1h")]}, "names no column"),
        ({"hop": "7h"}, "does not part a day"),
        ({"hop": "2d"}, "does not part a day"),
        ({"where": "v >"}, "a value is needed"),
        ({"entity": []}, "must be different columns"),
        ({"bucket": "k"}, "must be different columns"),
        ({"features": [gold.count(over=7)]}, "7 is no length of time"),  # type: ignore[arg-type]
        ({"features": [gold.count(over=[7, "1h"])]}, "7 is no length of time"),  # type: ignore[list-item]
        ({"features": [gold.count(over="0h")]}, "'0h' is no length of time"),
        ({"features": [gold.count(over=timedelta(0))]}, "no length of time"),
        ({"features": [gold.count(over="9999999999d")]}, "longer than 1,000 years"),
        ({"features": [gold.count(over="99999999w")]}, "longer than 1,000 years"),
        ({"features": [gold.count(over=timedelta(days=365_251))]}, "longer than 1,000 years"),
        ({"features": [gold.count(over="9" * 5000 + "d")]}, "no length of time"),
        ({"hop": None}, "None is no length of time"),
        ({"features": None}, "None is no feature"),
        ({"features": [gold.count]}, "is no feature"),
        ({"of": None}, "of=None is not the address"),
        ({"of": load}, "not the address"),
        ({"entity": None}, "entity=None is not the name of a column"),
        ({"entity": ["k", 7]}, "entity=7 is not the name of a column"),
        ({"at": None}, "at=None is not the name of a column"),
        ({"at": ""}, "at='' is not the name of a column"),
        ({"bucket": ["shop"]}, "bucket=.* is not the name of a column"),
        ({"where": ["n > 3"]}, "where=.* is not a condition"),
        ({"features": [gold.mean("a:b", over="1h")]}, "'a:b_mean_1h', which has a ':'"),
    ],
)
def test_a_mistake_is_said_in_words(given: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        declared(**given)


def test_the_longest_window_and_a_column_with_a_colon() -> None:
    table = declared(features=[gold.count(over="365250d"), gold.mean("a:b", over="1h", name="ab")])
    assert table.windows is not None
    assert [one.name for one in table.windows.features] == ["count_365250d", "ab"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: gold.last_n("s", 0, over="1h"),
        lambda: gold.count(over=[]),
        lambda: gold.count(over=None),
        lambda: gold.sum("v", over=[None]),
        lambda: gold.last("v", over=["1d", None]),
        lambda: gold.last_n("v", 2, over=None),
        lambda: gold.count(over="1h", name=["a"]),  # type: ignore[arg-type]
    ],
)
def test_a_feature_of_nothing(make: Any) -> None:
    with pytest.raises(DefinitionError):
        make()
    assert isinstance(gold.last("s"), Wish)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"entity": "n_gt_5", "features": [gold.rate("n > 5", over="1d")]},
            "'n_gt_5' would also be the column of rate",
        ),
        ({"at": "n_gt_5", "features": [gold.rate("n > 5", over="1d")]}, "'n_gt_5' would also be the column of rate"),
        (
            {"entity": ["k", "v__sum"], "features": [gold.sum("v", over="1d")]},
            "'v__sum' would also be the column of sum of v",
        ),
        ({"bucket": "v__last", "features": [gold.last("v")]}, "'v__last' would also be the column of last of v"),
    ],
)
def test_columns_that_would_be_called_alike(given: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        declared(**given)


def test_columns_that_are_called_alike_and_are_the_same() -> None:
    assert declared(features=[gold.count("k", over="1d"), gold.max("t", over="1d")]).windows is not None
    assert declared(at="events").windows is not None
