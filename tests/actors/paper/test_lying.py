"""Reads that are late or wrong, pauses, and a cancel-all that takes more than it should."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.paper.account import Account
from actors.paper.collateral import More, Order, Resting
from actors.paper.entries import Gone, Moved, Placed
from actors.paper.fixed import DOLLAR, cost
from actors.paper.lag import Lag
from actors.paper.matching import Side

from .house import ORDERS, TICKER, Client, hear_until, say

LONG = 600_000  # ms: longer than any test


def placed(name: str, at: int) -> Placed:
    return Placed(name, name, "KXA-1", "bid", 10_000, 100, "maker", at)


def test_reads_lag_writes(client: Client) -> None:
    old = client.order("old", price="0.4000").json()["order_id"]
    before = client.get("/exchange/user_data_timestamp")["as_of_time"]
    client.arm(read_lag_ms=LONG)
    new = client.order("new").json()["order_id"]
    client.order("fills", price="0.5200", time_in_force="immediate_or_cancel")
    client.cancel(old)
    assert client.listed() == client.listed("?status=resting") == ["old"]
    assert client.get(f"/portfolio/orders/{old}")["order"]["status"] == "resting"
    assert client.call("GET", f"/trade-api/v2/portfolio/orders/{new}").status_code == 404
    assert client.get("/portfolio/fills")["fills"] == []
    assert (client.cash(), client.held()) == ("9999.6000", {})
    as_of = client.get("/exchange/user_data_timestamp")["as_of_time"]
    assert as_of == client.get("/exchange/user_data_timestamp")["as_of_time"] > before
    assert client.order("new").status_code == 409  # the order itself is there
    client.arm(read_lag_ms=0)
    assert client.listed() == ["fills", "new", "old"]
    assert client.get(f"/portfolio/orders/{old}")["order"]["status"] == "canceled"
    assert client.held() == {TICKER: "1.00"}
    assert client.get("/exchange/user_data_timestamp")["as_of_time"] > as_of


def test_the_lag_follows_at_its_distance() -> None:
    account = Account()
    lag = Lag(account)
    account.apply(placed("a", 5))
    lag.arm(100, 10)
    for entry in (placed("b", 20), Gone("a", "", 30), Moved("c", 5, 0, 40)):
        account.apply(entry)
        lag.note([entry])
    seen = []
    for at in (40, 119, 120, 130, 140, 150):
        found, as_of = lag.seen(100, at)
        statuses = {name: order.status for name, order in found.orders.items()}
        seen.append((as_of, statuses, found.cash - Account().cash))
    resting, both, gone = {"a": "resting"}, {"a": "resting", "b": "resting"}, "canceled"
    assert seen == [
        (10, resting, 0), (19, resting, 0), (20, both, 0), (30, both | {"a": gone}, 0),
        (40, both | {"a": gone}, 5), (50, both | {"a": gone}, 5),
    ]  # fmt: skip
    lag.arm(0, 150)
    assert lag.seen(0, 150) == (account, 150)


def test_old_orders_are_in_history_only(client: Client) -> None:
    client.order("done", price="0.5200", time_in_force="immediate_or_cancel")
    client.order("rests")
    assert client.get("/historical/orders")["orders"] == []
    before = client.get("/historical/cutoff")
    assert sorted(before) == [
        "market_positions_last_updated_ts", "market_settled_ts", "orders_updated_ts",
        "trades_created_ts",
    ]  # fmt: skip
    assert all(stamp.endswith("Z") for stamp in before.values())
    client.arm(history_cutoff_s=0)
    assert client.listed() == ["rests"]
    (old,) = client.get("/historical/orders")["orders"]
    assert (old["client_order_id"], old["status"]) == ("done", "executed")
    got = client.call("GET", f"/trade-api/v2/portfolio/orders/{old['order_id']}")
    assert got.status_code == 404
    assert client.get("/historical/cutoff")["orders_updated_ts"] > before["orders_updated_ts"]


def test_a_listing_misses_an_order_for_a_while(client: Client) -> None:
    ids = {name: client.order(name).json()["order_id"] for name in "abc"}
    client.arm(listing_misses=["b", ids["c"]], listing_misses_times=2)
    assert client.listed("?ticker=OTHER") == []  # leaves nothing out, so it does not count
    assert [client.listed(), client.listed(), client.listed()] == [["a"], ["a"], ["c", "b", "a"]]


def walk(client: Client, path: str, rows: str, most: int = 10) -> Iterator[tuple[int, str]]:
    """Pages of a listing: how many rows, which cursor."""
    cursor = ""
    for _ in range(most):
        page = client.get(f"{path}?limit=2&cursor={cursor}")
        cursor = page["cursor"]
        yield len(page[rows]), cursor
        if not cursor:
            return


@pytest.mark.parametrize(
    ("path", "rows"), [("/portfolio/orders", "orders"), ("/portfolio/fills", "fills")]
)
def test_cursors_that_loop_and_pages_that_are_empty(client: Client, path: str, rows: str) -> None:
    for name in "abc":
        client.order(name, price="0.5200", time_in_force="immediate_or_cancel")
    assert list(walk(client, path, rows)) == [(2, "p2"), (1, "")]
    client.arm(looping_cursor=True)
    assert list(walk(client, path, rows, 4)) == [(2, "p4")] * 4
    client.arm(looping_cursor=False, empty_page_with_cursor=True)
    assert list(walk(client, path, rows)) == [(0, "p4"), (2, "p2"), (1, "")]


def test_a_trading_pause_lets_cancels_through(client: Client) -> None:
    resting = client.order("a").json()["order_id"]
    client.arm(trading_paused=True)
    refused = client.order("b")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "trading_paused")
    assert client.cancel(resting).status_code == 200
    status = client.get("/exchange/status")
    assert (status["exchange_active"], status["trading_active"]) == (True, False)
    (shard,) = status["exchange_index_statuses"]
    assert (shard["exchange_active"], shard["trading_active"]) == (True, False)


def test_an_exchange_pause_lets_nothing_through(client: Client) -> None:
    resting = client.order("a").json()["order_id"]
    client.arm(exchange_paused=True)
    for refused in (client.order("b"), client.cancel(resting), client.call("DELETE", ORDERS)):
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "exchange_paused")
    status = client.get("/exchange/status")
    assert (status["exchange_active"], status["trading_active"]) == (False, False)
    client.arm(exchange_paused=False)
    assert client.listed("?status=resting") == ["a"]


def test_a_cancel_all_takes_the_orders_of_the_next_minute(client: Client) -> None:
    client.arm(cancel_all_takes_ms=60_000)
    client.order("before")
    with client.socket() as ws:
        say(ws, "subscribe", channels=["user_orders"])
        hear_until(ws, "subscribed")
        client.call("DELETE", ORDERS)
        got = client.order("after")
        assert (got.status_code, got.json()["remaining_count"]) == (201, "1.00")
        heard = []
        while ("after", "canceled") not in heard:
            found = hear_until(ws, "user_order")["msg"]
            heard.append((found["client_order_id"], found["status"]))
    assert heard == [("before", "canceled"), ("after", "resting"), ("after", "canceled")]
    client.arm(cancel_all_takes_ms=0)
    client.call("DELETE", ORDERS)
    client.order("stays")
    assert client.listed("?status=resting") == ["stays"]


def plain_reserve(held: int, resting: list[Order]) -> int:
    """What to keep for resting orders, order by order: the plainest way to count it."""
    total = 0
    for side in Side:
        orders = [order for order in resting if order.side is side]
        orders.sort(key=lambda order: side.own_price(order.placed.price), reverse=True)
        free = max(-held if side is Side.BID else held, 0)
        for order in orders:
            paid = max(order.remaining - free, 0)
            free = max(free - order.remaining, 0)
            total += cost(side.own_price(order.placed.price), paid)
    return total


steps = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 9_999), st.integers(1, 500), st.booleans()),
    max_size=20,
)


@given(steps, st.integers(-1_000, 1_000))
def test_the_reserve_is_that_of_every_order_by_itself(
    sent: list[tuple[Side, int, int, bool]], held: int
) -> None:
    resting, orders = Resting(), []
    for n, (side, price, count, shrinks) in enumerate(sent, 1):
        entry = Placed(f"o{n}", "", "KXA-1", side.value, price * 100, count, "maker", 0)
        order = Order(n, entry, side, count)
        resting.add(order)
        orders.append(order)
        if shrinks:
            victim = orders[price % len(orders)]
            part = min(victim.remaining, count)
            resting.take(victim, part)
            victim.remaining -= part
            orders = [order for order in orders if order.remaining]
        assert resting.reserve(held) == plain_reserve(held, orders)
        for old in orders[-1:]:  # what it would be if another stood in its place
            new = Order(0, replace(entry, price=DOLLAR - price * 100), side, 2 * count)
            less = More(old.side, old.placed.price, -old.remaining)
            more = More(side, new.placed.price, new.remaining)
            assert resting.reserve(held, more, less) == plain_reserve(held, [*orders[:-1], new])
