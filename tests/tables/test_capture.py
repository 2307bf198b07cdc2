"""Settings for change events are refused where they can't be, before anything runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lakehouse import silver
from lakehouse.errors import DefinitionError

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"apply_as_deletes": "op ="}, r"silver.orders: apply_as_deletes: .* a value is needed"),
    ({"apply_as_truncates": 3}, "apply_as_truncates= takes a SQL condition"),
    ({"apply_as_deletes": "rand() > 1"}, r"the function rand\(\) is not shared"),
    ({"except_column_list": "op"}, "takes a list"),
    ({"except_column_list": ["id"]}, "has 'id', which is its key"),
    ({"except_column_list": ["seq"], "sequence_by": "seq"}, "has 'seq', which is sequence_by"),
    ({"late_by": timedelta(days=1)}, "late_by needs sequence_by"),
    ({"late_by": "3 days", "sequence_by": "seq"}, "no length of time and no number"),
    ({"late_by": timedelta(-1), "sequence_by": "seq"}, "no length of time and no number"),
    ({"late_by": float("nan"), "sequence_by": "seq"}, "no length of time and no number"),
    ({"late_by": True, "sequence_by": "seq"}, "no length of time and no number"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_what_can_not_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said) as caught:

        @silver.table(key="id", **settings)
        def orders(bronze_orders: Any) -> Any:
            return bronze_orders

    assert "silver.orders" in str(caught.value)


def test_what_is_kept_beside_a_table_and_what_is_said_of_it() -> None:
    @silver.table(
        key="id",
        sequence_by="seq",
        apply_as_deletes="op = 'D'",
        except_column_list=["op"],
        late_by=timedelta(days=3),
        keep_versions=True,
    )
    def orders(bronze_orders: Any) -> Any:
        return bronze_orders

    assert orders.beside == ("fold", "versions", "receipts")
    assert orders.ordering == {
        "sequence_by": "seq",
        "apply_as_deletes": "op = 'D'",
        "except_column_list": "op",
        "late_by": "3 days, 0:00:00",
        "keep_versions": "True",
    }

    @silver.table(key="id", apply_as_deletes="op = 'D'")
    def landed(bronze_orders: Any) -> Any:
        return bronze_orders

    assert landed.beside == (), "in the order in which events landed nothing need be remembered"
