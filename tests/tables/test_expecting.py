"""Rules of conf/ and rules that compare with another table: joined, ordered, part of the fingerprint, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import gold, silver
from lakehouse.config.expectations import Rule
from lakehouse.errors import DefinitionError
from lakehouse.quality import not_null, references, row_count, sum_matches
from lakehouse.tables import Graph, Table, fingerprint

SOURCES = ["orders", "places"]


def orders(*expect: object) -> Table:
    def orders(bronze_orders): ...

    return silver.table(key="id", expect=expect)(orders)


def places(*expect: object) -> Table:
    def places(bronze_places): ...

    return silver.table(key="code", expect=expect)(places)


def totals(*expect: object) -> Table:
    def totals(silver_orders): ...

    return gold.table(key="place", expect=expect)(totals)


TO_PLACES = references("place", "silver.places", "code")


def rule(line: int, **said: object) -> Rule:
    return Rule.model_validate(said).at(f"conf/base.yaml:{line}")


def test_a_table_comes_after_what_it_is_compared_with() -> None:
    graph = Graph.of([orders(TO_PLACES), places(), totals()], SOURCES)
    assert graph.order() == ("bronze.orders", "bronze.places", "silver.places", "silver.orders", "gold.totals")
    assert graph.inputs("silver.orders") == ("bronze.orders",)
    assert graph.needs("silver.orders") == ("bronze.orders", "silver.places")
    assert graph.readers("silver.places") == ()
    assert graph.select(["+gold.totals"]) == graph.order()  # all that must be built for it
    assert graph.select(["silver.places+"]) == ("silver.places",)  # its change makes no other table anew


def test_rules_of_conf_come_after_those_of_the_table_and_change_its_fingerprint(tmp_path: Path) -> None:
    plain = Graph.of([orders(not_null("id")), places()], SOURCES)
    said = {
        "silver.orders": [
            rule(7, in_range={"column": "amount", "low": 0, "high": 9.5}, on_fail="warn"),
            rule(8, references={"columns": "place", "table": "silver.places", "to": ["code"]}),
            rule(9, one_of={"column": "state", "values": ["new", "paid"]}),
            rule(10, expression="amount > 0", on_fail="fail"),
        ]
    }
    joined = Graph.of(plain.tables, SOURCES, said)
    table = joined.table("silver.orders")
    assert [(one.name, one.on_fail, one.place) for one in table.expect] == [
        ("not_null(id)", "quarantine", ""),
        ("in_range(amount, 0, 9.5)", "warn", "conf/base.yaml:7"),
        ("references(place, 'silver.places', 'code')", "fail", "conf/base.yaml:8"),
        ("one_of(state, 'new', 'paid')", "quarantine", "conf/base.yaml:9"),
        ("expression('amount > 0')", "fail", "conf/base.yaml:10"),
    ]
    assert joined.needs("silver.orders") == ("bronze.orders", "silver.places")
    moved = {"silver.orders": [one.at("conf/env/prod.yaml:2") for one in said["silver.orders"]]}
    marks = [
        fingerprint(graph.table("silver.orders"), tmp_path)
        for graph in (plain, joined, Graph.of(plain.tables, SOURCES, moved))
    ]
    assert marks[0] != marks[1] == marks[2]
    assert joined.table("silver.places") is plain.table("silver.places")


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (
            [orders(references("place", "silver.plcaes", "code"))],
            "silver.plcaes is not there. Did you mean 'silver.places'",
        ),
        ([orders(references("a", "silver.orders", "id"))], "it compares the table with itself"),
        ([orders(references("a", "bronze.places", "code"))], "compare with a silver or gold table"),
        ([orders(references("a", "gold.totals", "place"))], "silver.orders is compared with gold.totals"),
        (
            [orders(sum_matches("a", "silver.places", "n"))],
            "silver.places is none of its inputs. Known: bronze.orders.",
        ),
        ([totals(sum_matches("a", "silver.ordres", "n"))], "Did you mean 'silver.orders'?"),
        ([totals(not_null("a"))], "on_fail='quarantine', which gold has not"),
        ([orders(not_null("a"), not_null("a", on_fail="warn"))], "the expectation not_null(a) twice"),
    ],
)
def test_a_rule_that_can_not_be_asked_is_refused(tables: list[Table], said: str) -> None:
    all_tables = {table.address: table for table in (orders(), places(), totals(), *tables)}
    with pytest.raises(DefinitionError) as caught:
        Graph.of(all_tables.values(), SOURCES)
    assert said in caught.value.message
    assert "have a mistake" in caught.value.message


def test_two_tables_that_are_compared_with_each_other_are_a_circle() -> None:
    tables = [orders(TO_PLACES), places(references("code", "silver.orders", "place"))]
    said = "silver.orders is compared with silver.places is compared with silver.orders"
    with pytest.raises(DefinitionError, match=said):
        Graph.of(tables, SOURCES)


def test_mistakes_of_conf_have_its_place_and_come_with_the_others() -> None:
    said = {
        "silver.orders": [
            rule(3, matches={"column": "a", "pattern": "(?=a)"}),
            rule(4, row_count={"least": 1}, on_fail="quarantine"),
            rule(5, not_null="id"),
            rule(6, references={"columns": "a", "table": "silver.x", "to": "b"}),
        ],
        "silver.odrers": [rule(8, not_null="id")],
        "bronze.orders": [rule(9, not_null="id")],
        "silver.nothing": [],
    }
    with pytest.raises(DefinitionError) as caught:
        Graph.of([orders(not_null("id"), row_count(1)), places()], SOURCES, said)
    lines = [line.strip() for line in caught.value.message.splitlines()[1:]]
    for place, words in (
        (3, "look-ahead"),
        (4, "no row is to blame for their number. Use on_fail='warn' or 'fail'."),
        (5, "silver.orders has the expectation not_null(id) twice."),
        (6, "silver.x is not there"),
        (8, "there is no table 'silver.odrers'. Did you mean 'silver.orders'?"),
        (9, "bronze takes what comes; expect it of silver."),
    ):
        assert any(line.startswith(f"conf/base.yaml:{place}: ") and words in line for line in lines), (words, lines)
    assert len(lines) == 6
