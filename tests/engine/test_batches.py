"""Batches in a running engine, against an exchange whose answers lie about their members."""

from collections import Counter
from typing import Any

import pytest

from tests.engine import witness
from tests.engine.running import Engine
from tests.engine.witness import RESTS, state

SETTLED_MAX_S = 75.0  # 35 s until nothing can land any more, and two listings
SHOWN_MAX_S = 20.0
MANNERS = ("missing", "reordered", "extra", "repeated", "failed")


def place_nothing(engine: Engine) -> bool:
    """Whether six orders fit into one batch: right after a start the least that they may."""
    orders = [body("KXNOBODY-1", f"nobody-{i}") for i in range(6)]
    answer = engine.post("/v1/orders/batch", {"orders": orders})
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


@pytest.fixture(scope="module")
def free(engine: Engine, free: list[str]) -> list[str]:
    """As many as all of these take."""
    engine.until(lambda: place_nothing(engine), SHOWN_MAX_S, "the budget is known for sure")
    assert len(free) >= 26, free
    return free


def body(ticker: str, id: str, **terms: Any) -> dict[str, Any]:
    return {"ticker": ticker, "side": "bid", "count": "1.00", "client_order_id": id} | RESTS | terms


def place(engine: Engine, *orders: dict[str, Any]) -> list[tuple[int, str]]:
    """Status and outcome (or code) of each."""
    answer = engine.post("/v1/orders/batch", {"orders": orders})
    assert answer.status_code == 200, answer.text
    rows = answer.json()["orders"]
    assert [row["client_order_id"] for row in rows] == [o["client_order_id"] for o in orders]
    return [(row["status"], row.get("outcome") or row["code"]) for row in rows]


def cancel(engine: Engine, *ids: str) -> list[tuple[int, str]]:
    answer = engine._ask("DELETE", "/v1/orders/batch", {"client_order_ids": ids}, "trade")
    assert answer.status_code == 200, answer.text
    rows = answer.json()["orders"]
    assert [row["client_order_id"] for row in rows] == list(ids)
    return [(row["status"], row.get("outcome") or row["code"]) for row in rows]


def arm(engine: Engine, method: str, **fault: Any) -> None:
    path = witness.ORDERS
    engine.faults(calls=[{"method": method, "path": path, "ends": "/batched", **fault}])


def sent(engine: Engine, id: str) -> list[str]:
    """The paths of the creates that named this order."""
    return [
        r["path"]
        for r in engine.wire()
        if r["method"] == "POST"
        and (r["client_order_id"] == id or id in (r.get("client_order_ids") or ()))
    ]


def once(engine: Engine, *ids: str) -> None:
    """Each reached the exchange at most once, in a batch or alone."""
    times = Counter({id: len(sent(engine, id)) for id in ids})
    assert max(times.values()) <= 1, times


def until(engine: Engine, wanted: dict[str, str], seconds: float = SHOWN_MAX_S) -> None:
    def found() -> dict[str, str]:
        return {id: state(engine, id) for id in wanted}

    try:
        engine.until(lambda: found() == wanted, seconds, f"{wanted}")
    except AssertionError:
        raise AssertionError(f"wanted {wanted}, is {found()}\n{engine.tail()}") from None


def test_each_of_a_batch_is_an_order_of_its_own(engine: Engine, free: list[str]) -> None:
    a, b, before = free[0], free[1], len(engine.wire())
    told = place(
        engine,
        body(a, "n1"),
        body(b, "n2", price="0.0001"),
        body("KXNOBODY-1", "n3"),
        body(b, "n4"),
        body(a, "n5", count="99999.00", price="0.5000"),
    )
    assert told[0] == told[3] == (201, "accepted")
    assert told[1] == (422, "off_grid_price")
    assert told[2] == (422, "market_not_found")
    assert told[4][0] == 422, told
    assert [p.rpartition("/")[2] for p in sent(engine, "n1")] == ["batched"]
    theirs = witness.orders(engine)
    assert {"n1", "n4"} <= theirs.keys()
    assert not {"n2", "n3", "n5"} & theirs.keys()
    until(engine, {"n1": "resting", "n4": "resting"})
    again = place(engine, body(a, "n1"), body(b, "n4"))
    assert again == [(201, "accepted")] * 2
    assert cancel(engine, "n4", "n1", "nobody-1") == [
        (200, "canceled"),
        (200, "canceled"),
        (404, "not_found"),
    ]
    deletes = [r for r in engine.wire()[before:] if r["method"] == "DELETE"]
    assert [r["path"].rpartition("/")[2] for r in deletes] == ["batched"]
    until(engine, {"n1": "canceled", "n4": "canceled"})
    once(engine, "n1", "n2", "n3", "n4", "n5")


def test_what_is_wrong_with_the_whole_sends_nothing(engine: Engine, free: list[str]) -> None:
    before = len(engine.wire())
    for orders, code, field in (
        ([], "invalid_batch", "orders"),
        ([body(free[0], f"w{i}") for i in range(51)], "invalid_batch", "orders"),
        ([body(free[0], "w1")] * 2, "invalid_batch", "orders[1].client_order_id"),
        ([body(free[0], "w1"), body(free[0], "w2", price="2")], "invalid_price", "orders[1].price"),
    ):
        answer = engine.post("/v1/orders/batch", {"orders": orders})
        found = answer.json()
        assert (answer.status_code, found["code"], found["field"]) == (422, code, field), found
    assert engine.post("/v1/orders/batch", {"orders": []}, "read").status_code == 403
    assert len(engine.wire()) == before


@pytest.mark.parametrize("manner", MANNERS)
def test_whatever_an_answer_says_each_order_ends_right(
    engine: Engine, free: list[str], manner: str
) -> None:
    markets = free[2 + 3 * MANNERS.index(manner) :][:3]
    ids = [f"{manner}-{i}" for i in range(3)]
    arm(engine, "POST", batch=manner)
    told = place(engine, *(body(t, id) for t, id in zip(markets, ids, strict=True)))
    first = (202, "unknown") if manner in ("missing", "failed") else (201, "accepted")
    assert told == [first, (201, "accepted"), (201, "accepted")], told
    until(engine, dict.fromkeys(ids, "resting"), SETTLED_MAX_S)
    once(engine, *ids)
    arm(engine, "DELETE", batch=manner)
    gone = cancel(engine, *ids)
    assert all(status in (200, 409) for status, _ in gone), gone
    assert gone[1:] == [(200, "canceled")] * 2
    until(engine, dict.fromkeys(ids, "canceled"))
    theirs = witness.orders(engine)
    assert {theirs[id]["status"] for id in ids} == {"canceled"}


@pytest.mark.parametrize(
    ("name", "fault", "told", "becomes"),
    [
        ("refused", {"answer": "json", "status": 429, "body": {"error": "too many requests"}},
         (422, "too_many_requests"), "rejected"),
        ("lost", {"answer": "reset", "when": "after"}, (202, "unknown"), "resting"),
        ("cut", {"answer": "truncate", "when": "after"}, (202, "unknown"), "resting"),
        ("html", {"answer": "html", "when": "after"}, (202, "unknown"), "resting"),
        ("hollow", {"answer": "json", "status": 201, "body": {}, "when": "after"},
         (202, "unknown"), "resting"),
        ("dropped", {"answer": "reset"}, (202, "unknown"), "absent"),
    ],
)  # fmt: skip
def test_what_befalls_the_call_befalls_each(
    engine: Engine, free: list[str], name: str, fault: Any, told: tuple[int, str], becomes: str
) -> None:
    markets = free[20:23] if becomes != "absent" else free[23:26]
    ids = [f"{name}-{i}" for i in range(3)]
    arm(engine, "POST", **fault)
    assert place(engine, *(body(t, id) for t, id in zip(markets, ids, strict=True))) == [told] * 3
    until(engine, dict.fromkeys(ids, becomes), SETTLED_MAX_S)
    once(engine, *ids)
    if becomes == "resting":
        arm(engine, "DELETE", answer="json", status=503, body={})
        gone = cancel(engine, *ids)
        assert gone == [(200, "canceled")] * 3, gone
        until(engine, dict.fromkeys(ids, "canceled"))
