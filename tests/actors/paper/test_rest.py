"""REST against the captures: same request, same status, same members, same error bodies."""

import json
from typing import Any

import pytest

from .house import ORDERS, TICKER, Client, capture

REST = "rest/demo-2026-06-11"
NOT_EVERYWHERE = {  # members that only some captured markets have
    "custom_strike",
    "floor_strike",
    "is_provisional",
    "mve_collection_ticker",
    "mve_selected_legs",
    "primary_participant_key",
    "subtitle",
}
SINCE = {"exchange_index", "exchange_index_statuses"}  # members younger than the captures


def captured(name: str) -> tuple[dict[str, Any], Any]:
    meta = json.loads(capture(f"{REST}/{name}.meta.json").read_text())
    return meta, json.loads(capture(f"{REST}/{name}.json").read_text())


def shape(body: Any) -> Any:
    """Names and types of members, of a list those of its first element."""
    if isinstance(body, dict):
        left_out = NOT_EVERYWHERE | SINCE
        return {k: shape(v) for k, v in sorted(body.items()) if k not in left_out}
    if isinstance(body, list):
        return [shape(body[0])] if body else []
    return type(body).__name__


AUTH = [
    ("auth__balance_ok", {}),
    ("auth__skew_minus5s", {"skew_ms": -5_000}),
    ("auth__skew_plus5s", {"skew_ms": 5_000}),
    ("auth__skew_minus30s", {"skew_ms": -30_000}),
    ("auth__skew_plus5min", {"skew_ms": 300_000}),
    ("auth__skew_minus5min", {"skew_ms": -300_000}),
]


@pytest.mark.parametrize(("name", "how"), AUTH)
def test_the_timestamp_has_a_window(client: Client, name: str, how: dict[str, int]) -> None:
    meta, body = captured(name)
    got = client.call("GET", meta["path"], **how)
    assert got.status_code == meta["status"]
    assert (shape(got.json()) if got.ok else got.json()) == (shape(body) if got.ok else body)


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("auth__bad_signature", "KALSHI-ACCESS-SIGNATURE", "AAAA"),
        ("auth__unknown_key_id", "KALSHI-ACCESS-KEY", "nobody"),
        ("auth__missing_signature_header", "KALSHI-ACCESS-SIGNATURE", None),
    ],
)
def test_a_bad_signature_is_refused_in_the_words_of_the_capture(
    client: Client, name: str, header: str, value: str | None
) -> None:
    from .house import signed

    meta, body = captured(name)
    headers: dict[str, str | None] = {**signed("GET", meta["path"]), header: value}
    got = client.session.get(client.root + meta["path"], headers=headers)
    assert (got.status_code, got.json()) == (meta["status"], body)


def test_the_key_that_reads_may_not_write(client: Client) -> None:
    assert client.call("GET", "/trade-api/v2/portfolio/balance", key="paper-read").ok
    got = client.call("DELETE", ORDERS, key="paper-read")
    assert (got.status_code, got.json()["error"]["code"]) == (403, "permission_denied")


STORY = [  # in the order in which they were recorded
    "orders__create_v2_maker",
    "orders__duplicate_client_order_id",
    "orders__get_after_create",
    "orders__cancel_v2",
    "orders__cancel_already_canceled",
    "orders__reuse_canceled_client_id",
    "orders__cancel_unknown_id",
    "orders__create_v2_taker_ioc",
    "orders__cancel_executed",
    "fills__after_taker",
    "portfolio__positions",
    "portfolio__orders_list",
    "orders__insufficient_balance",
    "orders__invalid_price_structure",
    "orders__numeric_field_types",
    "orders__post_only_cross",
    "orders__stp_setup",
    "orders__stp_self_cross",
    "orders__stp_resting_after",
    "settlements__page",
    "account__endpoint_costs",
    "account__limits",
    "exchange__status",
    "series__fee_changes",
    "orderbook__base",
]
SAME = {"fill_count", "remaining_count", "average_fill_price", "average_fee_paid", "reduced_by"}


def test_the_recorded_session_goes_the_same_way_here(client: Client) -> None:
    ours: dict[str, str] = {}  # captured order ids to those given here
    for name in STORY:
        meta, want = captured(name)
        body, path = meta["request_body"], meta["path"]
        if name == "orders__insufficient_balance":
            body = body | {"count": "10199.00"}  # this account is a hundred times richer
        for theirs, here in ours.items():
            path = path.replace(theirs, here)
        got = client.call(meta["method"], path, body)
        assert got.status_code == meta["status"], (name, got.text)
        if meta["status"] >= 400:
            assert got.json() == want, name
            continue
        if "order_id" in want:
            ours[want["order_id"]] = got.json()["order_id"]
        assert shape(got.json()) == shape(want), name
        assert {k: got.json()[k] for k in SAME & want.keys()} == {
            k: want[k] for k in SAME & want.keys()
        }


def test_markets_look_as_captured(client: Client) -> None:
    for name in ("markets__page1", "markets__single_filter_lastpage", "markets__garbage_cursor"):
        meta, want = captured(name)
        got = client.session.get(client.root + meta["path"])
        assert got.status_code == meta["status"]
        assert shape(got.json()) == shape(want), name
    meta, want = captured("markets__limit_over_max")
    got = client.session.get(client.root + meta["path"])
    assert (got.status_code, got.json()) == (meta["status"], want)
    meta, want = captured("markets__single")
    found = client.session.get(client.root + meta["path"]).json()["market"]
    for member in ("yes_bid_dollars", "yes_ask_dollars", "no_bid_dollars", "price_ranges"):
        assert found[member] == want["market"][member]


def test_public_trades_look_as_captured(client: Client) -> None:
    client.order("a", price="0.9900", time_in_force="immediate_or_cancel")
    _, want = captured("trades__public_recorded")
    got = client.session.get(f"{client.root}/trade-api/v2/markets/trades?limit=1").json()
    assert shape(got) == shape(want)


def test_the_order_book_ascends_and_a_depth_takes_the_best(client: Client) -> None:
    path = f"{client.root}/trade-api/v2/markets/{TICKER}/orderbook"
    want = {"no_dollars": [["0.4800", "3.00"]], "yes_dollars": [["0.4700", "3.00"]]}
    assert client.session.get(path).json() == {"orderbook_fp": want}
    assert client.session.get(f"{path}?depth=101").status_code == 400
    empty = client.session.get(f"{client.root}/trade-api/v2/markets/NONE/orderbook")
    assert empty.json() == {"orderbook_fp": {"no_dollars": [], "yes_dollars": []}}


def test_pages_cover_every_order_once_though_more_arrive(client: Client) -> None:
    sent = [client.order(f"id-{n}").json()["order_id"] for n in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"/portfolio/orders?limit=2&cursor={cursor}")
        seen += [order["order_id"] for order in page["orders"]]
        client.order(f"later-{len(seen)}")
        cursor = page["cursor"]
        if not cursor:
            break
    assert seen == sent[::-1]
    assert client.get("/portfolio/orders?status=canceled")["orders"] == []


def test_strangers_and_unknown_roads(client: Client) -> None:
    assert client.call("GET", "/trade-api/v2/portfolio/orders/nonsense").status_code == 400
    got = client.call("GET", f"/trade-api/v2/portfolio/orders/{'0' * 8}-0000-4000-8000-{'0' * 12}")
    assert (got.status_code, got.json()["error"]["code"]) == (404, "not_found")
    for path in ("/trade-api/v2/nothing", ORDERS):
        got = client.session.get(client.root + path)
        assert (got.status_code, got.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert client.session.get(f"{client.root}/trade-api/v2/portfolio/balance").status_code == 401


def test_time_in_force(client: Client) -> None:
    killed = client.order("f", price="0.5200", count="4.00", time_in_force="fill_or_kill")
    assert (killed.status_code, killed.json()["error"]["code"]) == (400, "fok_insufficient_volume")
    whole = client.order("g", price="0.5200", count="3.00", time_in_force="fill_or_kill").json()
    assert (whole["fill_count"], whole["remaining_count"]) == ("3.00", "0.00")
    part = client.order("h", price="0.5200", count="4.00", time_in_force="immediate_or_cancel")
    assert (part.json()["fill_count"], part.json()["remaining_count"]) == ("3.00", "0.00")
    past = client.order("i", expiration_time=1)
    assert (past.status_code, past.json()["error"]["code"]) == (400, "invalid_order")
    assert client.call("DELETE", ORDERS).status_code == 204


def test_the_write_budget_ends_and_says_so_without_headers(client: Client) -> None:
    client.arm(tier="basic")  # 10 orders a second: fewer than any machine can send
    codes = []
    for number in range(200):
        got = client.order(f"n{number}", price="0.0001")
        codes.append(got.status_code)
        if got.status_code == 429:
            break
    assert codes.count(400) >= 10  # 100 tokens at 10 each, and what was refilled meanwhile
    error = {"code": "too_many_requests", "message": "too many requests"}
    assert got.json() == {"error": error}
    assert "retry-after" not in got.headers
