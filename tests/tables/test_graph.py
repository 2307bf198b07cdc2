from __future__ import annotations

import random
from datetime import timedelta

import pytest

from lakehouse import gold, silver
from lakehouse.errors import DefinitionError, UsageError
from lakehouse.quality import not_null
from lakehouse.tables import Graph, Table
from lakehouse.tables.graph import problems

SOURCES = ["flights", "planes", "weather"]


def table(layer: str, name: str, *inputs: str, tags: tuple[str, ...] = (), **settings: object) -> Table:
    """Declares a table whose parameters are these."""
    names: dict[str, object] = {}
    exec(f"def {name}({', '.join(inputs)}): ...", names)
    declare = silver.table if layer == "silver" else gold.table
    return declare(**{"key": "id", "tags": tags, **settings})(names[name])


@pytest.fixture
def graph() -> Graph:
    tables = [
        table("silver", "flights", "bronze_flights", tags=("hourly",)),
        table("silver", "planes", "bronze_planes"),
        table("gold", "delays", "silver_flights", tags=("hourly", "features")),
        table("gold", "ages", "silver_planes", "gold_delays"),
        table("gold", "report", "gold_ages", tags=("daily",)),
    ]
    return Graph.of(tables, SOURCES)


ORDER = (
    *("bronze.flights", "bronze.planes", "bronze.weather"),
    *("silver.flights", "silver.planes", "gold.delays", "gold.ages", "gold.report"),
)


def test_each_table_comes_after_what_it_reads(graph):
    assert graph.order() == ORDER


def test_the_order_does_not_depend_on_that_of_the_declarations(graph):
    for seed in range(20):
        tables, sources = list(graph.tables), list(SOURCES)
        random.Random(seed).shuffle(tables)
        random.Random(seed).shuffle(sources)
        assert Graph.of(tables, sources).order() == ORDER


def test_what_a_table_reads_and_what_reads_it(graph):
    assert graph.inputs("gold.ages") == ("silver.planes", "gold.delays")
    assert graph.inputs("bronze.planes") == ()
    assert graph.readers("silver.flights") == ("gold.delays",)
    assert graph.downstream("bronze.flights") == ("silver.flights", "gold.delays", "gold.ages", "gold.report")
    assert graph.upstream("gold.delays") == ("bronze.flights", "silver.flights")
    assert graph.downstream("bronze.weather") == ()
    assert graph.table("gold.ages").name == "ages"
    with pytest.raises(UsageError, match="Did you mean 'gold.ages'"):
        graph.table("gold.aegs")
    with pytest.raises(UsageError, match="Did you mean 'bronze.planes'"):
        graph.inputs("bronze.plane")


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([], ORDER),
        (["flights"], ("bronze.flights", "silver.flights")),
        (["silver.flights"], ("silver.flights",)),
        (["silver.*"], ("silver.flights", "silver.planes")),
        (["*.flights"], ("bronze.flights", "silver.flights")),
        (["*a*"], ("bronze.planes", "bronze.weather", "silver.planes", "gold.delays", "gold.ages")),
        (["tag:hourly"], ("silver.flights", "gold.delays")),
        (["tag:*ly"], ("silver.flights", "gold.delays", "gold.report")),
        (["+delays"], ("bronze.flights", "silver.flights", "gold.delays")),
        (["1+delays"], ("silver.flights", "gold.delays")),
        (["0+delays"], ("gold.delays",)),
        (["delays+"], ("gold.delays", "gold.ages", "gold.report")),
        (["delays+1"], ("gold.delays", "gold.ages")),
        (["2+report"], ("silver.planes", "gold.delays", "gold.ages", "gold.report")),
        (["+delays+"], ("bronze.flights", "silver.flights", "gold.delays", "gold.ages", "gold.report")),
        (["1+delays+1"], ("silver.flights", "gold.delays", "gold.ages")),
        (["tag:daily", "bronze.weather"], ("bronze.weather", "gold.report")),
        (["report weather"], ("bronze.weather", "gold.report")),
        (["+report,silver.*"], ("silver.flights", "silver.planes")),
        (["tag:hourly,gold.*"], ("gold.delays",)),
        (["tag:hourly,gold.*", "weather"], ("bronze.weather", "gold.delays")),
    ],
)
def test_selects_in_dbts_grammar(graph, expressions, expected):
    assert graph.select(expressions) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("flihgts", "there is no table 'flihgts'\n  Did you mean 'flights'?"),
        ("+silver.flihgts+", "there is no table 'silver.flihgts'\n  Did you mean 'silver.flights'?"),
        ("gold.z*", "there is no table 'gold.z*'"),
        ("tag:dialy", "no table has the tag 'dialy'\n  Did you mean 'daily'?"),
        ("tags:daily", "the method 'tags:' is not known"),
        ("silver", "For the whole layer: 'silver.*'."),
        ("flights,planes", "'flights,planes' selects nothing"),
        ("+", "'+' can't be read"),
        ("x+y", "'x+y' can't be read"),
        ("flights,", "'' can't be read"),
    ],
)
def test_a_selection_that_means_nothing_is_an_error(graph, expression, expected):
    with pytest.raises(UsageError) as caught:
        graph.select(["planes", expression])
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (
            [table("silver", "x", "bronze_flihgts")],
            "reads bronze.flihgts (its parameter 'bronze_flihgts'), which is not",
        ),
        ([table("silver", "x", "bronze_flihgts")], "Did you mean 'bronze.flights'?"),
        ([table("silver", "x", "bronze_flights", "bronze_planes")], "reads 2 tables (bronze.flights, bronze.planes)"),
        ([table("silver", "x", "silver_x")], "silver.x reads silver.x: a silver table reads one bronze table"),
        ([table("silver", "x", "gold_y"), table("gold", "y", "silver_x")], "What needs gold rows belongs in gold."),
        ([table("silver", "x")], "silver.x reads nothing"),
        ([table("gold", "x")], "gold.x reads nothing"),
        (
            [table("gold", "x", "bronze_flights")],
            "gold.x reads bronze.flights: a gold table reads silver and gold only",
        ),
        ([table("gold", "x", "gold_x")], "in a circle: gold.x reads gold.x"),
        ([table("gold", "y", "gold_z"), table("gold", "z", "gold_y")], "gold.y reads gold.z reads gold.y"),
        (
            [table("gold", "b", "gold_a"), table("gold", "a", "gold_c"), table("gold", "c", "gold_b")],
            "gold.a reads gold.c reads gold.b reads gold.a",
        ),
        ([table("silver", "x", "bronze_planes", key=["a", " "])], "silver.x has key=' '"),
        ([table("silver", "x", "bronze_planes", sequence_by="")], "silver.x has sequence_by=''"),
        ([table("silver", "x", "bronze_planes", sequence_by="id")], "has sequence_by='id' in its key"),
        ([table("silver", "x", "bronze_planes", expect=[not_null])], "in expect: an expectation is needed"),
        (
            [table("silver", "x", "bronze_planes", expect=[not_null("a"), not_null("a", on_fail="warn")])],
            "silver.x has the expectation not_null(a) twice.",
        ),
        (
            [table("silver", "x", "bronze_planes"), table("silver", "x", "bronze_planes")],
            "silver.x is declared twice: ",
        ),
        (
            [table("gold", "x", "silver_y", refresh="day")],
            "has refresh='day': write refresh='all', or refresh=by('day')",
        ),
        ([table("gold", "x", "silver_y", refresh=gold.by(" "))], "has refresh=by(' '): the name of a column is needed"),
        ([table("gold", "x", "silver_y", lookback=timedelta(1))], "has lookback= without refresh=by(…)"),
        (
            [table("gold", "x", "silver_y", refresh=gold.by("d"), lookback=2)],
            "has lookback=2: a time above zero is needed",
        ),
        (
            [table("gold", "x", "silver_y", refresh=gold.by("d"), lookback=timedelta(0))],
            "has lookback=datetime.timedelta(0)",
        ),
    ],
)
def test_a_mistake_is_a_problem(tables, expected):
    assert any(expected in problem for problem in problems(tables, SOURCES))


def test_a_good_graph_has_no_problems(graph):
    assert problems(graph.tables, SOURCES) == []


def test_a_problem_says_file_and_line():
    @silver.table(key="id")
    def flights(bronze_nowhere):
        return bronze_nowhere

    assert problems([flights], SOURCES)[0].startswith(
        f"tests/tables/test_graph.py:{flights.line}: silver.flights reads "
    )


def test_all_problems_are_told_at_once():
    tables = [
        table("silver", "x", "bronze_flihgts"),
        table("gold", "y", "bronze_planes", "gold_nothing"),
        table("gold", "z", "gold_z"),
    ]
    assert len(problems(tables, SOURCES)) == 4
    with pytest.raises(DefinitionError) as caught:
        Graph.of(tables, SOURCES)
    assert str(caught.value).startswith("The tables have 4 mistakes:\n")
    assert str(caught.value).count("\n") == 4
