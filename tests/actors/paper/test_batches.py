"""Batches: each member by itself, in order, and the price of all of them at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.paper import bodies
from actors.paper.answers import Answer
from actors.paper.bucket import DEFAULT_COST, TIERS
from actors.paper.calls import BATCHED, WRITES
from actors.paper.routes import GETS

from .house import ORDERS as ORDERS_URL
from .house import TICKER, Client, snapshot_line
from .quiet import BEGAN, EMPTY, A, Quiet, bare, new
from .test_rest import captured, shape

MS = BEGAN // 1_000
NOBODY = "00000000-0000-4000-8000-000000000000"


def create(quiet: Quiet, *members: Any) -> Answer:
    return quiet.write("POST", BATCHED, {"orders": list(members)})


def cancel(quiet: Quiet, *members: Any) -> Answer:
    return quiet.write("DELETE", BATCHED, {"orders": list(members)})


def rows(answer: Answer) -> list[dict[str, Any]]:
    assert isinstance(answer.body, dict), answer
    found: list[dict[str, Any]] = answer.body["orders"]
    return found


def spent(quiet: Quiet) -> int:
    found: int = quiet.core.budgets.shown(0)["buckets"]["write"]["spent"]
    return found


def test_each_create_is_judged_by_itself() -> None:
    quiet = bare()
    quiet.do("public", ticker=EMPTY, side="ask", price="0.5200", count="3.00")
    got = create(
        quiet,
        new("rests"),
        new("rests"),
        new("fills", price="0.5200", count="4.00", time_in_force="immediate_or_cancel"),
        new("off", price="0.0550"),
        new("", ticker="NONE"),
        new("posts", price="0.6000", side="ask", post_only=True),
    )
    assert got.status == 201
    rests, twice, fills, off, unknown, posts = rows(got)
    orders = quiet.exchange.account.orders
    assert [order.placed.client_order_id for order in orders.values()] == [
        "rests", "fills", "posts",
    ]  # fmt: skip
    assert rests == {
        "order_id": list(orders)[0], "client_order_id": "rests", "fill_count": "0.00",
        "remaining_count": "10.00", "average_fill_price": None, "average_fee_paid": None,
        "ts_ms": MS,
    }  # fmt: skip
    assert (fills["fill_count"], fills["remaining_count"]) == ("3.00", "0.00")
    assert (fills["average_fill_price"], fills["average_fee_paid"]) == ("0.5200", "0.0175")
    assert twice == {
        "client_order_id": "rests", "fill_count": None, "remaining_count": None,
        "average_fill_price": None, "average_fee_paid": None, "ts_ms": None,
        "error": {
            "code": "order_already_exists", "message": "order already exists",
            "service": "exchange",
        },
    }  # fmt: skip
    assert [row["error"]["code"] for row in (off, unknown)] == ["invalid_price", "market_not_found"]
    assert "client_order_id" not in unknown
    assert "error" not in posts
    assert spent(quiet) == 6 * 10


def test_each_cancel_is_judged_by_itself() -> None:
    quiet = bare(shards={"KXIDLE": 2})
    here, there = quiet.order("a"), quiet.order("b", ticker=A)
    got = cancel(
        quiet,
        {"order_id": here, "subaccount": 0},
        {"order_id": here},
        {"order_id": there},  # alone it means shard 0
        {"order_id": there, "market_ticker": A, "exchange_index": -1},
        {"order_id": NOBODY, "exchange_index": -1},
        {"order_id": NOBODY, "subaccount": 3},
    )
    assert got.status == 200
    first, *others = rows(got)
    assert first == {
        "order_id": here, "client_order_id": "a", "reduced_by": "10.00", "ts_ms": MS,
    }  # fmt: skip
    dead = {
        "order_id": here, "reduced_by": "0.00", "ts_ms": None,
        "error": {"code": "not_found", "message": "not found", "service": "exchange"},
    }  # fmt: skip
    assert others[0] == dead
    assert [row.get("error", {}).get("code") for row in others] == [
        "not_found", "not_found", None, "invalid_order", "subaccount_not_found",
    ]  # fmt: skip
    assert quiet.exchange.account.resting() == []
    assert spent(quiet) == 2 * 10 + 6 * 2


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("POST", {}, "BatchCreateOrdersV2Request.Orders"),
        ("POST", {"orders": []}, "'required' tag"),
        ("POST", {"orders": {}}, "unmarshal object into Go struct field"),
        ("POST", {"orders": [new("a"), 5]}, "unmarshal number into Go value"),
        ("POST", {"orders": [new("a"), new("b", count=1)]}, "Request.orders.count of type string"),
        ("POST", {"orders": [new("a"), new("b", side="no")]}, "Request.Orders[1].Side'"),
        ("POST", {"orders": [new("a" * 65)]}, "Request.Orders[0].ClientOrderId'"),
        ("DELETE", {"orders": [{"order_id": NOBODY}, {}]}, "Request.Orders[1].OrderId'"),
        ("DELETE", {"orders": [NOBODY]}, "unmarshal string into Go value"),
        ("DELETE", None, "invalid JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_whole(method: str, body: Any, words: str) -> None:
    quiet = bare()
    got = quiet.write(method, BATCHED, body)
    assert (got.status, words in json.dumps(got.body)) == (400, True), got
    assert quiet.exchange.account.orders == {}


def test_a_batch_fits_into_the_bucket_whole_or_is_refused_whole() -> None:
    quiet = bare()
    quiet.arm(tier="basic", refusals="object")  # 100 tokens
    eleven = [new(f"n{n}", count="1.00") for n in range(11)]
    refused = create(quiet, *eleven)
    assert refused.status == 429
    assert refused.body == {"error": {"code": "too_many_requests", "message": "too many requests"}}
    assert quiet.exchange.account.orders == {}
    assert create(quiet, *eleven[:10]).status == 201
    assert create(quiet, eleven[10]).status == 429
    quiet.later(1)
    ids = [{"order_id": order_id} for order_id in quiet.exchange.account.orders]
    assert cancel(quiet, *ids * 5).status == 200
    assert cancel(quiet, ids[0]).status == 429
    assert TIERS["basic"].write.capacity == 100


def test_a_batch_names_no_shard_that_pays() -> None:
    quiet = bare(shards={"KXEMPTY": 2})
    create(quiet, new("a", exchange_index=2), new("b", exchange_index=2))
    assert set(quiet.core.budgets.shown(0)["buckets"]) == {"read", "write"}
    assert spent(quiet) == 20


def test_pauses_refuse_a_batch_whole() -> None:
    quiet = bare()
    order_id = quiet.order("a")
    quiet.arm(trading_paused=True)
    assert create(quiet, new("b")).status == 400
    assert rows(cancel(quiet, {"order_id": order_id}))[0]["reduced_by"] == "10.00"
    quiet.arm(exchange_paused=True)
    assert cancel(quiet, {"order_id": order_id}).status == 503


def test_the_price_list_says_what_every_call_costs() -> None:
    served: Any = [(get.cost, "GET", get.path) for get in GETS]
    served += [(write.cost, write.method, write.path) for write in WRITES]
    unlike = {
        (cost, method, f"/trade-api/v2{path}".replace("{name}", ":order_id"))
        for cost, method, path in served
        if cost != DEFAULT_COST
    }
    assert set(bodies.COSTS) == unlike
    assert [c["path"] for c in bodies.endpoint_costs()["endpoint_costs"]] == [
        "/trade-api/v2/portfolio/events/orders",
        "/trade-api/v2/portfolio/events/orders/:order_id",
        "/trade-api/v2/portfolio/events/orders/batched",
        "/trade-api/v2/portfolio/orders/:order_id",
    ]


def test_members_look_like_the_single_calls_that_were_captured() -> None:
    quiet = bare()
    quiet.do("public", ticker=EMPTY, side="ask", price="0.5200", count="3.00")
    rests, fills = rows(create(quiet, new("a"), new("b", price="0.5200", count="1.00")))
    (gone,) = rows(cancel(quiet, {"order_id": rests["order_id"]}))
    for member, name in ((rests, "maker"), (fills, "taker_ioc")):
        _, want = captured(f"orders__create_v2_{name}")
        assert shape({k: v for k, v in member.items() if v is not None}) == shape(want)
    _, want = captured("orders__cancel_v2")
    assert shape(gone) == shape(want | {"client_order_id": "a"})


def test_prices_are_those_that_were_captured() -> None:
    _, want = captured("account__endpoint_costs")
    listed = {(row["method"], row["path"]): row["cost"] for row in want["endpoint_costs"]}
    ours = {(method, path): cost for cost, method, path in bodies.COSTS}
    cancel_all = ("DELETE", ORDERS_URL)  # younger than the capture
    assert ours == {k: listed.get(k) for k in ours} | {cancel_all: 2}
    assert ("POST", f"{ORDERS_URL}/batched") not in listed | ours  # ten for each, the default


def test_over_the_wire_a_delete_has_a_body(tmp_path: Path, opened: Callable[..., Client]) -> None:
    (tmp_path / "f.jsonl").write_text(snapshot_line())
    client = opened(str(tmp_path / "f.jsonl"), tier="prestige")
    client.play(TICKER)
    order = {
        "ticker": TICKER, "side": "bid", "count": "1.00", "price": "0.0100",
        "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker",
    }  # fmt: skip
    many = {"orders": [order | {"client_order_id": f"{n:064}"} for n in range(400)]}
    got = client.call("POST", f"{ORDERS_URL}/batched", many)
    assert (got.status_code, len(got.json()["orders"])) == (201, 400)
    ids = [{"order_id": row["order_id"]} for row in got.json()["orders"]]
    got = client.call("DELETE", f"{ORDERS_URL}/batched", {"orders": ids})
    assert got.status_code == 200
    assert {row["reduced_by"] for row in got.json()["orders"]} == {"1.00"}
    assert client.listed("?status=resting") == []
    made, gone = client.wire()
    assert (made["method"], gone["method"]) == ("POST", "DELETE")
    assert (len(made["body"]["orders"]), made["order_id"], made["status"]) == (400, None, 201)
    assert gone["answer"] == got.json()
    assert made["client_order_ids"] == [row["client_order_id"] for row in many["orders"]]
    assert client.call("POST", f"{ORDERS_URL}/batched", key="paper-read").status_code == 403
