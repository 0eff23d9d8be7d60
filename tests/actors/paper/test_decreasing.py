"""Decrease: less rests, in the same place; with nothing left it is a cancel."""

from typing import Any

import pytest

from actors.paper.account import OPENING_CASH
from actors.paper.answers import Answer
from actors.paper.calls import ORDERS
from actors.paper.fixed import SECOND

from .quiet import BEGAN, EMPTY, Quiet, bare, error

S = BEGAN // SECOND


def decrease(quiet: Quiet, order_id: str, **body: Any) -> Answer:
    return quiet.write("POST", f"{ORDERS}/{order_id}/decrease", body)


@pytest.fixture
def quiet() -> Quiet:
    return bare()


def test_a_decrease_keeps_the_place_and_the_initial_count(quiet: Quiet) -> None:
    first, second = quiet.order("a"), quiet.order("b")
    one = quiet.connect()
    one.subscribe("orderbook_delta", "user_orders", market_ticker=EMPTY)
    got = decrease(quiet, first, reduce_by="2.50")
    body = {
        "order_id": first,
        "client_order_id": "a",
        "remaining_count": "7.50",
        "ts_ms": S * 1_000,
    }
    assert got == Answer(200, body)
    level, order = (frame["msg"] for frame in one.told())
    assert (level["delta_fp"], level["client_order_id"]) == ("-2.50", "a")
    assert (order["last_update_reason"], order["remaining_count_fp"]) == ("Decrease", "7.50")
    got = decrease(quiet, first, reduce_to="5.00")
    assert isinstance(got.body, dict) and got.body["remaining_count"] == "5.00"
    assert quiet.shown(first)["initial_count_fp"] == "10.00"
    quiet.sell("6.00")
    assert quiet.shown(first)["status"] == "executed"
    assert quiet.shown(second)["fill_count_fp"] == "1.00"


@pytest.mark.parametrize(
    "body", [{"reduce_to": "0.00"}, {"reduce_by": "10.00"}, {"reduce_by": "99"}]
)
def test_a_decrease_to_nothing_is_a_cancel(quiet: Quiet, body: dict[str, str]) -> None:
    order_id = quiet.order("a")
    got = decrease(quiet, order_id, **body).body
    assert isinstance(got, dict) and got["remaining_count"] == "0.00"
    found = quiet.shown(order_id)
    assert (found["status"], found["remaining_count_fp"]) == ("canceled", "0.00")
    assert quiet.exchange.account.available() == OPENING_CASH
    assert error(decrease(quiet, order_id, **body)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_order"),
        ({"reduce_by": "1.00", "reduce_to": "1.00"}, "invalid_order"),
        ({"reduce_by": "0.00"}, "invalid_order_size"),
        ({"reduce_by": "-1.00"}, "invalid_order_size"),
        ({"reduce_to": "10.00"}, "invalid_order"),
        ({"reduce_to": "10.01"}, "invalid_order"),
        ({"reduce_by": "1.00", "exchange_index": -1}, "invalid_order"),
    ],
)
def test_a_decrease_that_is_none_is_refused(quiet: Quiet, body: dict[str, Any], code: str) -> None:
    order_id = quiet.order("a")
    assert error(decrease(quiet, order_id, **body)) == (400, code)
    assert quiet.shown(order_id)["remaining_count_fp"] == "10.00"
