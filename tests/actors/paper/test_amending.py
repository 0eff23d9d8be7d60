"""Amend: what changes, who stands where in the queue then, and what comes back."""

import json
from typing import Any

import pytest

from actors.paper.account import OPENING_CASH
from actors.paper.answers import Answer
from actors.paper.calls import ORDERS
from actors.paper.fixed import SECOND, rfc3339
from actors.paper.positions import taker_fee

from .quiet import BEGAN, EMPTY, A, Quiet, bare, error, new
from .test_decreasing import decrease

S = BEGAN // SECOND
NOBODY = "00000000-0000-4000-8000-000000000000"


def amend(quiet: Quiet, order_id: str, **changes: Any) -> Answer:
    body = {"ticker": EMPTY, "side": "bid", "price": "0.0500", "count": "10.00"}
    return quiet.write("POST", f"{ORDERS}/{order_id}/amend", body | changes)


@pytest.fixture
def quiet() -> Quiet:
    return bare()


def test_another_price_is_told_and_shown(quiet: Quiet) -> None:
    order_id = quiet.order("a")
    one = quiet.connect()
    one.subscribe("orderbook_delta", "user_orders", market_ticker=EMPTY)
    quiet.later(2)
    got = amend(quiet, order_id, price="0.0600", client_order_id="a", updated_client_order_id="b")
    assert got == Answer(
        200,
        {
            "order_id": order_id,
            "client_order_id": "b",
            "fill_count": None,
            "remaining_count": None,
            "average_fill_price": None,
            "average_fee_paid": None,
            "ts_ms": (S + 2) * 1_000,
        },
    )
    away, there, order = (frame["msg"] for frame in one.told())
    assert (away["price_dollars"], away["delta_fp"]) == ("0.0500", "-10.00")
    assert (there["price_dollars"], there["delta_fp"]) == ("0.0600", "10.00")
    assert (away["client_order_id"], there["client_order_id"]) == ("b", "b")
    assert (order["client_order_id"], order["yes_price_dollars"]) == ("b", "0.0600")
    assert (order["status"], order["last_update_reason"]) == ("resting", "Amend")
    found = quiet.shown(order_id)
    assert (found["client_order_id"], found["yes_price_dollars"]) == ("b", "0.0600")
    assert found["created_time"] == rfc3339(BEGAN)
    assert found["last_update_time"] == rfc3339(BEGAN + 2 * SECOND)
    for name in "ab":  # the old id is not free either
        assert error(quiet.write("POST", ORDERS, new(name))) == (409, "order_already_exists")


def test_the_count_is_what_was_filled_and_what_shall_rest(quiet: Quiet) -> None:
    order_id = quiet.order("a")
    quiet.sell("4.00")
    assert error(amend(quiet, order_id, count="10.00")) == (400, "AMEND_ORDER_NO_OP")
    got = amend(quiet, order_id, count="16.00").body
    assert isinstance(got, dict)
    assert (got["fill_count"], got["remaining_count"]) == ("0.00", "12.00")
    found = quiet.shown(order_id)
    counts = [found[f"{name}_count_fp"] for name in ("initial", "fill", "remaining")]
    assert counts == ["16.00", "4.00", "12.00"]
    for count in ("4.00", "3.00", "0.00", "x"):
        assert error(amend(quiet, order_id, count=count)) == (400, "invalid_order_size")


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"count": "9.00"}, "a"),
        ({"expiration_time": S + 60}, "a"),
        ({"count": "9.00", "expiration_time": S + 60}, "a"),
        ({"count": "11.00"}, "b"),
        ({"price": "0.0600"}, "a"),
        ({"price": "0.0400"}, "b"),
    ],
)
@pytest.mark.parametrize("killed", [False, True])
def test_who_keeps_a_place_in_the_queue(
    quiet: Quiet, change: dict[str, Any], first: str, killed: bool
) -> None:
    ids = {"a": quiet.order("a"), "b": quiet.order("b")}
    assert amend(quiet, ids["a"], **change).status == 200
    quiet = quiet.restarted() if killed else quiet
    quiet.sell("1.00")
    by_name = {name: quiet.shown(order_id) for name, order_id in ids.items()}
    filled = [name for name, order in by_name.items() if order["fill_count_fp"] != "0.00"]
    assert filled == [first]


def test_there_and_back_again_loses_the_place(quiet: Quiet) -> None:
    first, second = quiet.order("a"), quiet.order("b")
    amend(quiet, first, price="0.0600")
    amend(quiet, first, price="0.0500")
    quiet.sell("10.00")
    assert (quiet.shown(first)["fill_count_fp"], quiet.shown(second)["fill_count_fp"]) == (
        "0.00", "10.00",
    )  # fmt: skip


def test_a_crossing_price_trades_as_a_taker(quiet: Quiet) -> None:
    quiet.do("public", ticker=EMPTY, side="ask", price="0.5200", count="3.00")
    order_id = quiet.order("a")
    quiet.sell("4.00")
    one = quiet.connect()
    one.subscribe("fill", "user_orders")
    got = amend(quiet, order_id, price="0.5200").body
    assert isinstance(got, dict)
    assert (got["fill_count"], got["remaining_count"]) == ("3.00", "3.00")
    assert (got["average_fill_price"], got["average_fee_paid"]) == ("0.5200", "0.0175")
    fill, order = (frame["msg"] for frame in one.told())
    assert (fill["is_taker"], fill["count_fp"], fill["order_id"]) == (True, "3.00", order_id)
    assert (order["last_update_reason"], order["yes_price_dollars"]) == ("Trade", "0.5200")
    assert (order["fill_count_fp"], order["remaining_count_fp"]) == ("7.00", "3.00")
    account = quiet.exchange.account
    assert account.cash == OPENING_CASH - 4 * 50_000 - 3 * 520_000 - taker_fee(520_000, 300)
    assert account.available() == account.cash - 3 * 520_000


@pytest.mark.parametrize(
    ("policy", "mine", "theirs"),
    [("taker_at_cross", "canceled", "resting"), ("maker", "resting", "canceled")],
)
def test_a_crossing_price_never_meets_an_order_of_ours(
    quiet: Quiet, policy: str, mine: str, theirs: str
) -> None:
    other = quiet.order("b", side="ask", price="0.5200")
    order_id = quiet.order("a", self_trade_prevention_type=policy)
    got = amend(quiet, order_id, price="0.5300").body
    assert isinstance(got, dict)
    left = "10.00" if mine == "resting" else "0.00"
    assert (got["fill_count"], got["remaining_count"]) == (
        ("0.00", "0.00") if mine == "canceled" else (None, None)
    )
    found = quiet.shown(order_id)
    assert (found["status"], found["remaining_count_fp"]) == (mine, left)
    assert quiet.shown(other)["status"] == theirs
    assert quiet.exchange.account.fills == []


def test_one_that_may_only_post_does_not_cross(quiet: Quiet) -> None:
    quiet.do("public", ticker=EMPTY, side="ask", price="0.5200", count="3.00")
    order_id = quiet.order("a", post_only=True)
    before = quiet.shown(order_id)
    got = amend(quiet, order_id, price="0.5200")
    assert error(got) == (400, "invalid_order")
    assert "post only cross" in json.dumps(got.body)
    assert quiet.shown(order_id) == before


def test_an_expiry_is_set_moved_kept_and_cleared(quiet: Quiet) -> None:
    order_id = quiet.order("a", expiration_time=S + 10)
    amend(quiet, order_id, expiration_time=S + 20)
    quiet.later(11)
    assert quiet.shown(order_id)["status"] == "resting"
    amend(quiet, order_id, price="0.0600")
    assert quiet.shown(order_id)["expiration_time"] == rfc3339((S + 20) * SECOND)
    amend(quiet, order_id, price="0.0600", expiration_time=0)
    assert "expiration_time" not in quiet.shown(order_id)
    quiet.later(11)
    assert quiet.shown(order_id)["status"] == "resting"
    assert error(amend(quiet, order_id, expiration_time=S)) == (400, "invalid_order")
    amend(quiet, order_id, price="0.0600", expiration_time=S + 30)
    quiet = quiet.restarted()
    quiet.later(9)
    assert quiet.shown(order_id)["status"] == "canceled"
    assert quiet.exchange.account.orders[order_id].reason == "ExpiryCancel"


@pytest.mark.parametrize("price", ["0.0500", "0.0600"])
def test_an_order_that_had_no_expiry_may_get_one(quiet: Quiet, price: str) -> None:
    order_id = quiet.order("a")
    amend(quiet, order_id, price=price, expiration_time=S + 5)
    quiet.later(4)
    assert quiet.shown(order_id)["status"] == "resting"
    quiet.later(1)
    assert quiet.shown(order_id)["status"] == "canceled"


def test_what_an_order_kept_is_free_for_what_it_becomes(quiet: Quiet) -> None:
    order_id = quiet.order("a", price="0.5000", count="16000.00")  # $8,000 of $10,000
    assert amend(quiet, order_id, price="0.6000", count="16000.00").status == 200
    assert quiet.exchange.account.available() == OPENING_CASH - 16_000 * 600_000
    refused = amend(quiet, order_id, price="0.6300", count="16000.00")
    assert error(refused) == (400, "insufficient_balance")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ticker": A}, "order_ticker_mismatch"),
        ({"side": "ask"}, "order_side_mismatch"),
        ({"client_order_id": "b"}, "order_id_and_client_order_id_mismatch"),
        ({"updated_client_order_id": "c"}, "AMEND_ORDER_NO_OP"),
        ({"price": "0.0550"}, "invalid_price"),
        ({"price": "0.06x"}, "invalid_price"),
        ({"price": "0.0600", "expiration_time": 1}, "invalid_order"),
        ({"price": "0.0600", "count": "1000000.00"}, "insufficient_balance"),
        ({"count": "300000.00"}, "insufficient_balance"),
    ],
)
def test_what_cannot_be_amended_stays_as_it_was(
    quiet: Quiet, change: dict[str, Any], code: str
) -> None:
    order_id = quiet.order("a")
    before = quiet.shown(order_id)
    written = len(quiet.journal)
    assert error(amend(quiet, order_id, **change)) == (400, code)
    assert (quiet.shown(order_id), len(quiet.journal)) == (before, written)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"side": "bid", "price": "0.06", "count": "1"}, "AmendOrderV2Request.Ticker"),
        ({"ticker": EMPTY, "side": "yes", "price": "0.06", "count": "1"}, "'oneof' tag"),
        (
            {"ticker": EMPTY, "side": "bid", "price": 0.06, "count": "1"},
            "AmendOrderV2Request.price",
        ),
        ({"ticker": EMPTY, "side": "bid", "count": "1"}, "AmendOrderV2Request.Price"),
    ],
)
def test_a_body_of_an_amend_is_read_strictly(quiet: Quiet, body: Any, words: str) -> None:
    got = quiet.write("POST", f"{ORDERS}/{quiet.order('a')}/amend", body)
    assert (got.status, words in json.dumps(got.body)) == (400, True)


def test_an_order_that_does_not_rest_cannot_be_amended(quiet: Quiet) -> None:
    order_id = quiet.order("a")
    taken = quiet.order("taken")
    assert error(amend(quiet, order_id, updated_client_order_id="taken", count="9.00")) == (
        409, "order_already_exists",
    )  # fmt: skip
    assert error(amend(quiet, NOBODY)) == error(decrease(quiet, NOBODY, reduce_to="1.00")) == (
        404, "not_found",
    )  # fmt: skip
    assert error(amend(quiet, "x")) == (400, "invalid_UUID")
    quiet.do("deactivate", ticker=EMPTY)
    assert error(amend(quiet, order_id, price="0.0600")) == (400, "market_inactive")
    assert decrease(quiet, order_id, reduce_by="1.00").status == 200  # it only takes away
    quiet.write("DELETE", f"{ORDERS}/{taken}")
    assert error(amend(quiet, taken, price="0.0600")) == (404, "not_found")


def test_while_trading_is_paused_an_order_may_only_shrink(quiet: Quiet) -> None:
    order_id = quiet.order("a")
    quiet.arm(trading_paused=True)
    assert error(amend(quiet, order_id, price="0.0600")) == (400, "trading_paused")
    assert decrease(quiet, order_id, reduce_to="1.00").status == 200
    quiet.arm(exchange_paused=True)
    assert error(decrease(quiet, order_id, reduce_to="0.50")) == (503, "exchange_paused")


def test_a_decrease_by_id_alone_looks_on_shard_0() -> None:
    quiet = bare(shards={"KXEMPTY": 2})
    order_id = quiet.order("a")
    assert error(decrease(quiet, order_id, reduce_by="1.00")) == (404, "not_found")
    assert decrease(quiet, order_id, reduce_by="1.00", market_ticker=EMPTY).status == 200
    assert decrease(quiet, order_id, reduce_by="1.00", exchange_index=2).status == 200
    assert amend(quiet, order_id, price="0.0600").status == 200  # its ticker says where
    assert error(amend(quiet, order_id, price="0.0500", exchange_index=0)) == (404, "not_found")
    buckets = quiet.core.budgets.shown(0)["buckets"]
    assert {name: bucket["spent"] for name, bucket in buckets.items()} == {
        "read": 0, "write": 10 + 10 + 10 + 10 + 10, "write:2": 10,
    }  # fmt: skip


def test_it_comes_back_as_it_was(quiet: Quiet) -> None:
    quiet.do("public", ticker=EMPTY, side="ask", price="0.5200", count="3.00")
    order_id = quiet.order("a")
    amend(quiet, order_id, price="0.0600", count="20.00", updated_client_order_id="b")
    decrease(quiet, order_id, reduce_by="5.00")
    amend(quiet, order_id, price="0.5200", count="12.00")
    again = quiet.restarted()
    was, now = quiet.exchange.account, again.exchange.account
    assert (now.orders, now.cash, now.available()) == (was.orders, was.cash, was.available())
    assert now.client_order_ids == was.client_order_ids
    assert again.shown(order_id) == quiet.shown(order_id)
