"""Batches over HTTP: read as one order is, answered as one order is, refused as a whole."""

import json
from typing import Any

import pytest

from actors.api.asks import Problem
from actors.api.batches import CancelMany, PlaceMany
from actors.api.core import Api, Requested
from actors.api.replies import placed
from protocol.envelope import Letter
from protocol.limits import BATCH_MAX, REQUEST_MAX, SECOND
from protocol.machine import Answered, Elapsed
from protocol.messages import (
    AnyMessage,
    BatchAnswer,
    CancelAnswer,
    CancelBatch,
    CancelBatchAnswer,
    Order,
    OrderAnswer,
    PlaceBatch,
    PlaceOrder,
)
from protocol.pulse import Identity
from protocol.units import Count, Price
from tests.actors.api.reading import read, scope_of
from tests.actors.api.test_amends import letters, replies, served

PATH = "/v1/orders/batch"
BODY = {"ticker": "KXA-1", "side": "bid", "price": "0.5600", "count": "10.00"}


def body(*ids: str, **terms: Any) -> dict[str, Any]:
    return {"orders": [BODY | {"client_order_id": id} | terms for id in ids]}


def asked(method: str, wanted: Any) -> Any:
    return read(method, PATH, {}, json.dumps(wanted).encode(), "fresh")


def order(id: str, minted: bool = False) -> PlaceOrder:
    return PlaceOrder(
        id, "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled", minted=minted
    )


def test_each_is_read_as_it_would_be_alone() -> None:
    assert asked("POST", body("a", "b")) == ("trade", PlaceMany((order("a"), order("b"))))
    assert asked("POST", {"orders": [BODY, BODY | {"client_order_id": "b"}, BODY]}) == (
        "trade",
        PlaceMany((order("fresh-0", True), order("b"), order("fresh-2", True))),
    )
    ids = asked("DELETE", {"client_order_ids": ["a", "b"]})
    assert ids == ("trade", CancelMany(("a", "b")))
    assert scope_of("POST", PATH) == scope_of("DELETE", PATH) == "trade"
    assert scope_of("GET", PATH) == "read", "an order may have this name"
    assert isinstance(read("PUT", PATH, {}, b"", ""), Problem)


MANY = [str(i) for i in range(BATCH_MAX + 1)]


@pytest.mark.parametrize(
    ("wanted", "status", "code", "field"),
    [
        ({}, 422, "invalid_batch", "orders"),
        ([], 422, "invalid_batch", ""),
        ({"orders": 5}, 422, "invalid_batch", "orders"),
        ({"orders": []}, 422, "invalid_batch", "orders"),
        (body(*MANY), 422, "invalid_batch", "orders"),
        ({**body("a"), "atomic": True}, 422, "invalid_batch", "atomic"),
        (body("a", "b", "a"), 422, "invalid_batch", "orders[2].client_order_id"),
        ({"orders": [BODY, 5]}, 422, "invalid_order", "orders[1]"),
        ({"orders": [BODY, BODY | {"price": "1.0000"}]}, 422, "invalid_price", "orders[1].price"),
        ({"orders": [BODY, BODY | {"price": 0.5}]}, 422, "invalid_order", "orders[1].price"),
        ({"orders": [BODY, BODY, BODY | {"count": "0"}]}, 422, "invalid_count", "orders[2].count"),
        ({"orders": [BODY | {"side": "buy"}]}, 422, "invalid_order", "orders[0].side"),
        ({"orders": [BODY | {"sise": "bid"}]}, 422, "invalid_order", "orders[0].sise"),
        ({"orders": [{"ticker": "KXA-1"}]}, 422, "invalid_order", "orders[0].side"),
        (body("a b"), 422, "invalid_client_order_id", "orders[0].client_order_id"),
        ({"orders": [BODY | {"ticker": "a b"}]}, 422, "invalid_ticker", "orders[0].ticker"),
    ],
    ids=lambda v: str(v)[:60],
)
def test_one_that_makes_no_sense_refuses_all(
    wanted: Any, status: int, code: str, field: str
) -> None:
    found = asked("POST", wanted)
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (status, code, field)


def test_a_field_that_a_member_says_twice_is_refused() -> None:
    raw = json.dumps(body("a", "b")).replace('"b"', '"b", "price": "0.9900"')
    found = read("POST", PATH, {}, raw.encode(), "fresh")
    assert isinstance(found, Problem)
    assert (found.status, found.field) == (422, "orders[1].price")


@pytest.mark.parametrize("raw", [b"", b"{", b'{"orders": [', b"\xff"])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    for method in ("POST", "DELETE"):
        said = raw if method == "POST" else raw.replace(b"orders", b"client_order_ids")
        found = read(method, PATH, {}, said, "fresh")
        assert isinstance(found, Problem)
        assert (found.status, found.code) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("wanted", "code", "field"),
    [
        ({}, "invalid_batch", "client_order_ids"),
        ({"client_order_ids": []}, "invalid_batch", "client_order_ids"),
        ({"client_order_ids": MANY}, "invalid_batch", "client_order_ids"),
        ({"client_order_ids": ["a", 5]}, "invalid_batch", "client_order_ids"),
        ({"client_order_ids": ["a", "b", "a"]}, "invalid_batch", "client_order_ids[2]"),
        ({"client_order_ids": ["a", "b c"]}, "invalid_client_order_id", "client_order_ids[1]"),
        ({"orders": ["a"]}, "invalid_batch", "orders"),
    ],
    ids=lambda v: str(v)[:60],
)
def test_cancels_that_make_no_sense(wanted: Any, code: str, field: str) -> None:
    found = asked("DELETE", wanted)
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (422, code, field)


# Through the front's core


def answered(api: Api, ask: Any, said: AnyMessage) -> tuple[AnyMessage, int, Any]:
    """What the gateway is told for it, and what its answer becomes."""
    [letter] = letters(api.step(SECOND, Requested(0, 1, ask)))
    effects = api.step(SECOND, Answered(0, "gateway", Letter("gateway", 1, letter.id, 0, said)))
    [(status, found)] = replies(effects)
    return letter.body, status, found


def shown(id: str) -> Order:
    return Order(
        id, f"o-{id}", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled",
        "resting", remaining=Count(1_000),
    )  # fmt: skip


def test_each_gets_the_answer_that_it_would_get_alone() -> None:
    said = (
        OrderAnswer("a", "accepted", shown("a")),
        OrderAnswer("b", "unknown", code="no_answer", text="no answer"),
        OrderAnswer("c", "denied", None, "open_orders", "open_orders: ...", 0, "", "2", "3"),
        OrderAnswer("d", "denied", None, "halted", "by hand"),
        OrderAnswer("e", "conflict", None, "order_id_taken", "taken", 0, "client_order_id"),
    )
    wanted = PlaceMany(tuple(order(id) for id in "abcde"))
    letter, status, found = answered(served(), wanted, BatchAnswer(said))
    assert letter == PlaceBatch(wanted.orders)
    assert status == 200
    rows = found["orders"]
    assert [(row["status"], row["client_order_id"]) for row in rows] == [
        (201, "a"), (202, "b"), (422, "c"), (503, "d"), (409, "e"),
    ]  # fmt: skip
    for alone, row in zip(said, rows, strict=True):
        reply = placed(1, alone)
        assert reply.status == row["status"]
        assert json.loads(reply.body) | {"status": row["status"]} == {
            k: v for k, v in row.items() if k != "client_order_id" or reply.status < 300
        }
    assert (rows[2]["limit"], rows[2]["value"]) == ("2", "3")


def test_each_cancel_gets_the_answer_that_it_would_get_alone() -> None:
    said = (
        CancelAnswer("a", "canceled", "o-a", Count(1_000)),
        CancelAnswer("b", "gone", text="executed"),
        CancelAnswer("c", "not_found", text="no such order"),
        CancelAnswer("d", "unknown", text="no answer"),
    )
    wanted = CancelMany(tuple("abcd"))
    api = Api(Identity("api", 1))  # a cancel waits for nothing
    letter, status, found = answered(api, wanted, CancelBatchAnswer(said))
    assert letter == CancelBatch(tuple("abcd"))
    assert status == 200
    assert [(row["status"], row["client_order_id"]) for row in found["orders"]] == [
        (200, "a"), (409, "b"), (404, "c"), (202, "d"),
    ]  # fmt: skip
    assert found["orders"][0]["reduced_by"] == "10.00"
    assert found["orders"][1]["code"] == "gone"


def test_what_refuses_the_whole_is_one_problem() -> None:
    text = "7 orders cost 70 tokens; at most 6 orders fit into one batch"
    large = BatchAnswer((), "batch_too_large", text, 0, "orders", "6", "7")
    _, status, found = answered(served(), PlaceMany((order("a"),)), large)
    assert status == 422
    assert (found["code"], found["detail"]) == ("batch_too_large", text)
    assert (found["field"], found["limit"], found["value"]) == ("orders", "6", "7")
    soon = BatchAnswer((), "batch_too_large", text, 2_000, "orders", "6", "7")
    _, status, found = answered(served(), PlaceMany((order("a"),)), soon)
    assert (status, found["retry_after_ms"]) == (503, 2_000)
    busy = BatchAnswer((), "busy", "too many batches are under way")
    assert answered(served(), PlaceMany((order("a"),)), busy)[1:2] == (503,)
    busy_too = CancelBatchAnswer((), "busy", "too many batches are under way")
    assert answered(served(), CancelMany(("a",)), busy_too)[1:2] == (503,)


@pytest.mark.parametrize("wanted", [PlaceMany((order("a"), order("b"))), CancelMany(("a", "b"))])
def test_without_an_answer_each_is_unknown(wanted: Any) -> None:
    api = served()
    api.step(SECOND, Requested(0, 1, wanted))
    [(status, found)] = replies(api.step(SECOND + REQUEST_MAX, Elapsed(0)))
    assert status == 200
    rows = [(row["status"], row["client_order_id"], row["outcome"]) for row in found["orders"]]
    assert rows == [(202, "a", "unknown"), (202, "b", "unknown")]


def test_orders_wait_until_the_front_is_ready() -> None:
    api = Api(Identity("api", 1))
    effects = api.step(SECOND, Requested(0, 1, PlaceMany((order("a"),))))
    assert [(status, found["code"]) for status, found in replies(effects)] == [(503, "not_ready")]
