"""Answers to batches: read by identity; whoever is not in one, or not clearly, is unknown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.kalshi import batches, calls
from protocol.kalshi.answers import Canceled, Created, Refusal
from protocol.messages import PlaceOrder
from protocol.units import Count, Price

WANTED = {"a": Count(1_000), "b": Count(500), "c": Count(200)}
ERROR = {"code": "insufficient_balance", "message": "insufficient balance", "service": "exchange"}
UNDONE = dict.fromkeys(
    ("fill_count", "remaining_count", "average_fill_price", "average_fee_paid", "ts_ms")
)


def made(id: str, **other: Any) -> dict[str, Any]:
    return {
        "order_id": f"o-{id}", "client_order_id": id, "fill_count": "1.00",
        "remaining_count": "1.00", "average_fill_price": None, "ts_ms": 5,
    } | other  # fmt: skip


def failed(id: str, code: str = "insufficient_balance") -> dict[str, Any]:
    return {"client_order_id": id, **UNDONE, "error": ERROR | {"code": code}}


def read(*members: Any, status: int = 201) -> dict[str, Any]:
    body = json.dumps({"orders": members}).encode()
    return dict(batches.created(WANTED, status, body).outcomes)


def what(outcome: Any) -> str:
    return outcome if isinstance(outcome, str) else type(outcome).__name__


A = Created("o-a", "a", Count(100), Count(100), 5)


def test_each_member_is_found_by_its_name_wherever_it_stands() -> None:
    found = read(failed("c"), made("b"), made("a"))
    assert list(found) == ["a", "b", "c"]
    assert found["a"] == A
    assert found["b"] == Created("o-b", "b", Count(100), Count(100), 5)
    assert found["c"] == Refusal("insufficient_balance", "insufficient balance")


@pytest.mark.parametrize(
    ("members", "a", "b"),
    [
        ([made("a")], "Created", "absent from the answer to its batch"),
        ([made("a"), made("a"), made("b")], "Created", "Created"),
        (
            [made("a"), made("a", fill_count="2.00"), made("b")],
            "named twice, and each time as something else",
            "Created",
        ),
        ([failed("a"), made("a"), made("b")],
         "named twice, and each time as something else", "Created"),
        ([made("a", order_id="x"), made("b", order_id="x")],
         "two orders under one order_id", "two orders under one order_id"),
        ([made("a", error=ERROR), made("b", error=None)],
         "an error beside an order: insufficient_balance", "Created"),
        ([{"client_order_id": "a", "error": {}}, failed("b", "POST_ONLY_CROSS")],
         "an error that makes no sense", "Refusal"),
        ([failed("a", "exchange_unavailable"), failed("b", "order_already_exists")],
         "error exchange_unavailable", "error order_already_exists"),
        ([failed("a", "INTERNAL_ERROR"), failed("b", "something_new")],
         "error INTERNAL_ERROR", "error something_new"),
        ([failed("a", "MARKET_INACTIVE"), failed("b", "invalid_order")], "Refusal", "Refusal"),
        ([5, None, [], made("b")], "absent from the answer to its batch", "Created"),
        ([{**made("a"), "client_order_id": None}, made("b")],
         "absent from the answer to its batch", "Created"),
        ([{"client_order_id": "a", "fill_count": "0.00"}, made("b")],
         "201 without the order: Made: Object missing required field `order_id`", "Created"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_unknown(members: list[Any], a: str, b: str) -> None:
    found = read(*members)
    assert (what(found["a"]), what(found["b"])) == (a, b)


def test_counts_that_make_no_sense_count_as_resting() -> None:
    found = read(made("a", fill_count="many", remaining_count=None))
    assert found["a"] == Created("o-a", "a", Count(0), Count(1_000), 5)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"<html>", b'{"orders": null}', b'{"orders": {']
)
def test_a_body_without_members_says_nothing(raw: bytes) -> None:
    found = batches.created(WANTED, 201, raw).outcomes
    assert set(found.values()) == {"201 without the orders"}
    assert isinstance(batches.canceled(["o-a"], 200, raw), str)


def test_another_status_is_one_word_for_all() -> None:
    refused = json.dumps({"error": {"code": "too_many_requests", "message": "too many"}}).encode()
    for status in (400, 401, 403, 404, 410, 429):
        found = batches.created(WANTED, status, refused).outcomes
        assert {what(o) for o in found.values()} == {"Refusal"}
    for status in (200, 202, 307, 408, 409, 500, 502, 503, 504):
        body = json.dumps({"orders": [made("a")]}).encode()
        assert all(
            isinstance(o, str) for o in batches.created(WANTED, status, body).outcomes.values()
        )
        refused_too = batches.created(WANTED, status, refused).outcomes
        assert all(isinstance(o, str) for o in refused_too.values())


def test_strangers_are_named_and_change_nothing() -> None:
    others = [made(f"s{i}", order_id="o-a") for i in range(7)]
    body = json.dumps({"orders": [*others, {"order_id": "o\n"}, made("a"), {}]}).encode()
    found = batches.created(WANTED, 201, body)
    assert found.outcomes["a"] == A
    assert found.strangers == ("s0", "s1", "s2", "s3", "s4", "4 more")
    canceled = batches.canceled(["o-a"], 200, body)
    assert not isinstance(canceled, str)
    assert canceled.strangers == ("o?", "nobody")


@given(st.data())
def test_any_order_of_members_is_the_same_answer(data: st.DataObject) -> None:
    members = [made("a"), made("b"), failed("c"), made("stranger")]
    doubled = data.draw(st.lists(st.sampled_from(members), max_size=4))
    shown = data.draw(st.permutations(members + doubled))
    assert read(*shown) == read(*members)


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
def test_whoever_is_left_out_is_unknown_and_nobody_else(left: list[str]) -> None:
    found = read(*[made(id) for id in WANTED if id not in left])
    assert [id for id, outcome in found.items() if isinstance(outcome, str)] == sorted(left)


# Cancels


def gone(order_id: str, reduced_by: Any = "2.00", **other: Any) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "client_order_id": "x",
        "reduced_by": reduced_by,
        "ts_ms": 7,
    } | other


def test_a_cancel_is_found_by_its_order_id() -> None:
    error = {"code": "not_found", "message": "not found"}
    members = [
        gone("stranger"), gone("d", "0.00", error=error), gone("c"), gone("c"), gone("b", "0.00"),
        gone("a"), gone("f", error=error),
    ]  # fmt: skip
    body = json.dumps({"orders": members}).encode()
    found = batches.canceled(["a", "b", "c", "d", "e", "f"], 200, body)
    assert not isinstance(found, str)
    assert found.outcomes == {
        "a": Canceled("a", Count(200), 7),
        "b": Canceled("b", Count(0), 7),
        "c": "named twice",
        "d": "200 that is not the answer to a cancel",
        "e": "absent from the answer to its batch",
        "f": "200 that is not the answer to a cancel",
    }
    assert found.strangers == ("stranger",)


def test_another_status_of_a_batch_of_cancels_says_nothing() -> None:
    body = json.dumps({"orders": [gone("a")]}).encode()
    assert batches.canceled(["a"], 503, body) == "status 503"
    refused = b'{"error":{"code":"exchange_paused","message":"exchange paused"}}'
    assert batches.canceled(["a"], 503, refused) == "status 503: exchange_paused"


# How they are asked


def order(id: str) -> PlaceOrder:
    return PlaceOrder(id, "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled")


def test_a_batch_of_creates_has_the_bodies_of_single_ones() -> None:
    call = calls.create_batch([(order("a"), 0, 0), (order("b"), 2, 99)])
    single = [
        json.loads(calls.create(order("a")).body),
        json.loads(calls.create(order("b"), 2, 99).body),
    ]
    assert json.loads(call.body) == {"orders": single}
    assert (call.method, call.path) == ("POST", "/portfolio/events/orders/batched")
    assert (call.lane, call.items, call.shard) == ("order", 2, 0)


def test_a_batch_of_cancels_names_each_market() -> None:
    call = calls.cancel_batch([("o1", "KXA-1", 0), ("o2", "KXB-1", 2)])
    assert json.loads(call.body) == {
        "orders": [
            {"order_id": "o1", "market_ticker": "KXA-1"},
            {"order_id": "o2", "market_ticker": "KXB-1", "exchange_index": 2},
        ]
    }
    assert (call.method, call.path) == ("DELETE", "/portfolio/events/orders/batched")
    assert (call.lane, call.items, call.shard) == ("cancel", 2, 0)
