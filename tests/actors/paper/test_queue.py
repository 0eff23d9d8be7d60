"""Who stands where in the queue; pauses that cancel; orders of ours that meet each other."""

from typing import Any

import pytest

from actors.paper.calls import ORDERS
from actors.paper.matching import Book, Lot, Side, TapeBook

from .house import TICKER, Client
from .quiet import EMPTY, A, Quiet, bare, error, new

CENT = 10_000
NOBODY = "00000000-0000-4000-8000-000000000000"


def public(quiet: Quiet, side: str, price: str, count: str) -> None:
    assert "error" not in quiet.do("public", ticker=EMPTY, side=side, price=price, count=count)


def ahead(quiet: Quiet, order_id: str) -> Any:
    body = quiet.get(f"/portfolio/orders/{order_id}/queue_position").body
    assert isinstance(body, dict)
    return body["queue_position_fp"]


def positions(quiet: Quiet, **query: str) -> dict[str, str]:
    body = quiet.get("/portfolio/orders/queue_positions", **query).body
    assert isinstance(body, dict)
    return {row["order_id"]: row["queue_position_fp"] for row in body["queue_positions"]}


def test_better_prices_and_earlier_orders_are_ahead() -> None:
    quiet = bare()
    public(quiet, "bid", "0.0600", "3.00")
    public(quiet, "bid", "0.0500", "2.00")
    first = quiet.order("a", count="4.00")
    public(quiet, "bid", "0.0500", "1.50")
    second, ask = quiet.order("b"), quiet.order("c", side="ask", price="0.9000")
    other = quiet.order("d", ticker=A, price="0.1000")
    want = {first: "5.00", second: "10.50", ask: "0.00", other: ahead(quiet, other)}
    assert positions(quiet) == want
    assert float(want[other]) > 0  # the public was there first
    assert positions(quiet, market_tickers=f"{A},NONE") == {other: want[other]}
    assert positions(quiet, event_ticker="KXEMPTY-27JAN01").keys() == {first, second, ask}
    public(quiet, "ask", "0.0500", "6.00")
    assert (ahead(quiet, first), ahead(quiet, second)) == ("0.00", "4.50")
    quiet.write("DELETE", f"{ORDERS}/{first}")
    for order_id in (first, NOBODY):
        answer = quiet.get(f"/portfolio/orders/{order_id}/queue_position")
        assert error(answer) == (404, "not_found")
    assert error(quiet.get("/portfolio/orders/x/queue_position")) == (400, "invalid_UUID")
    assert first not in positions(quiet)


def test_the_wall_of_a_capture_is_ahead_of_ours() -> None:
    book = TapeBook()
    book.replace({47 * CENT: 300, 46 * CENT: 100}, {52 * CENT: 200, 53 * CENT: 50})
    for number, (side, cents) in enumerate(
        ((Side.BID, 46), (Side.BID, 48), (Side.ASK, 52), (Side.ASK, 53))
    ):
        book.add(Lot(str(number), True, side, cents * CENT, 10))
    found = {lot.order_id: count for side in Side for lot, count in book.queue(side)}
    assert found == {"1": 0, "0": 10 + 400, "2": 200, "3": 10 + 250}
    assert list(Book().queue(Side.BID)) == []


def test_positions_are_served(client: Client) -> None:
    order_id = client.order("a", price="0.4700").json()["order_id"]
    row = {"market_ticker": TICKER, "order_id": order_id, "queue_position_fp": "3.00"}
    assert client.get("/portfolio/orders/queue_positions")["queue_positions"] == [row]
    one = client.get(f"/portfolio/orders/{order_id}/queue_position")
    assert one == {"queue_position_fp": "3.00"}


@pytest.mark.parametrize("pause", ["trading_paused", "exchange_paused", "maintenance"])
def test_a_pause_cancels_the_orders_that_want_none(pause: str) -> None:
    quiet = bare()
    stays = quiet.order("stays")
    goes = quiet.order("goes", cancel_order_on_pause=True)
    quiet = quiet.restarted()  # the wish is written down
    shown = quiet.get(f"/portfolio/orders/{goes}").body
    assert isinstance(shown, dict) and shown["order"]["cancel_order_on_pause"] is True
    one = quiet.connect()
    one.subscribe("user_orders")
    quiet.arm(read_lag_ms=0)  # arming something else is no pause
    assert one.told() == []
    quiet.arm(**{pause: True})
    (frame,) = one.told()
    assert (frame["msg"]["order_id"], frame["msg"]["status"]) == (goes, "canceled")
    assert frame["msg"]["last_update_reason"] == "HaltCancel"
    assert [order.placed.order_id for order in quiet.exchange.account.resting()] == [stays]
    quiet.arm(**{pause: False})
    assert [order.placed.order_id for order in quiet.exchange.account.resting()] == [stays]


def test_a_taker_that_meets_its_owner_stops_or_goes_on() -> None:
    quiet = bare()
    public(quiet, "ask", "0.5000", "2.00")
    mine = quiet.order("mine", side="ask", price="0.5100")
    public(quiet, "ask", "0.5200", "3.00")
    cross = {"price": "0.5200", "count": "4.00"}
    body = quiet.write("POST", ORDERS, new("a", time_in_force="fill_or_kill", **cross)).body
    assert isinstance(body, dict)  # it stops, with what it has; not killed
    assert (body["fill_count"], body["remaining_count"]) == ("2.00", "0.00")
    orders = quiet.exchange.account.orders
    assert (orders[body["order_id"]].reason, orders[mine].status) == ("SelfTradeCancel", "resting")
    cross["self_trade_prevention_type"] = "maker"
    body = quiet.write("POST", ORDERS, new("b", **cross)).body
    assert isinstance(body, dict)
    assert (body["fill_count"], body["remaining_count"]) == ("3.00", "1.00")
    assert (orders[mine].status, orders[mine].reason) == ("canceled", "SelfTradeCancel")
