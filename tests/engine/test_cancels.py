"""A cancel goes on until something proves that nothing rests, whatever the exchange answers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from protocol.messages import Reconcile, ReconcileAnswer
from tests.engine import witness
from tests.engine.outcome_cases import nested, said
from tests.engine.running import Engine
from tests.engine.witness import ORDERS, RESTS, arm, state

LAG_MS = 1_500
NOT_FOUND = said(404, nested("not_found"))


@pytest.fixture(autouse=True)
def truth(engine: Engine) -> None:
    """Each story begins with nothing armed."""
    engine.faults(read_lag_ms=0, mute_private=0, calls=[])


@pytest.fixture
def ticker(free: list[str], request: pytest.FixtureRequest) -> str:
    """A market for each story: what is unknown in one is none of the others' business."""
    return free[sum(map(ord, request.node.name)) % len(free)]


def rest(engine: Engine, ticker: str, id: str) -> None:
    answer = engine.order(ticker, client_order_id=id, **RESTS)
    assert answer.status_code == 201, answer.text


def deletes(engine: Engine, id: str) -> list[Any]:
    order_id = witness.orders(engine)[id]["order_id"]
    return [r for r in engine.wire() if r["method"] == "DELETE" and r["order_id"] == order_id]


def until_canceled(engine: Engine, id: str) -> None:
    engine.until(lambda: state(engine, id) == "canceled", 15, f"{id} is canceled")
    assert witness.orders(engine)[id]["status"] == "canceled"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("404", NOT_FOUND),
        ("404-twice", {**NOT_FOUND, "times": 2}),
        ("500", said(500, nested("internal_error"))),
        ("503", said(503, nested("exchange_paused"))),
        ("html", {"answer": "html"}),
        ("307", {"answer": "empty", "status": 307}),
        ("reset", {"answer": "reset"}),
        ("cut-off", {"answer": "truncate", "when": "after"}),
        ("lost", {"answer": "close", "when": "after"}),
        ("nothing", said(200, {}, when="after")),
        ("another", {"merge": {"order_id": "another"}}),
    ],
)
def test_a_cancel_is_repeated_until_there_is_evidence(
    engine: Engine, ticker: str, name: str, fault: dict[str, Any]
) -> None:
    id = f"cancel-{name}"
    rest(engine, ticker, id)
    engine.faults(calls=[{"method": "DELETE", "path": ORDERS, **fault}])
    answer = engine.delete(f"/v1/orders/{id}")
    taken = fault.get("when") == "after" or "merge" in fault
    told = "gone" if taken else "canceled"
    assert answer.json().get("outcome", answer.json().get("code")) == told, answer.text
    assert answer.status_code == (200 if told == "canceled" else 409)
    until_canceled(engine, id)
    sent = deletes(engine, id)
    refused = 2 if name == "404-twice" else 1
    assert len(sent) >= (1 if taken else refused + 1)
    assert all("market_ticker=" in r["path"] for r in sent), "a cancel names its market"
    assert not [r for r in engine.wire() if r["path"].startswith("/paper/redirected")]


def test_whoever_asks_is_told_unknown_after_a_while_and_it_goes_on(
    engine: Engine, ticker: str
) -> None:
    rest(engine, ticker, "stubborn")
    engine.faults(calls=[{"method": "DELETE", "path": ORDERS, **NOT_FOUND, "times": 5}])
    answer = engine.delete("/v1/orders/stubborn")
    assert (answer.status_code, answer.json()["outcome"]) == (202, "unknown"), answer.text
    until_canceled(engine, "stubborn")
    assert len(deletes(engine, "stubborn")) == 6
    again = engine.delete("/v1/orders/stubborn")
    assert (again.status_code, again.json()["code"]) == (409, "gone")


def test_a_read_that_lags_is_not_taken_for_the_truth(engine: Engine, ticker: str) -> None:
    """The answer to the cancel is lost, and for a while every read shows the order as resting."""
    rest(engine, ticker, "lagging")
    engine.faults(
        read_lag_ms=LAG_MS,
        mute_private=10,
        calls=[{"method": "DELETE", "path": ORDERS, "when": "after", **NOT_FOUND}],
    )
    answer = engine.delete("/v1/orders/lagging")
    assert answer.status_code in (200, 409), answer.text
    engine.until(lambda: state(engine, "lagging") == "canceled", 15)
    engine.faults(read_lag_ms=0, mute_private=0)
    until_canceled(engine, "lagging")
    assert len(deletes(engine, "lagging")) >= 2


def test_a_cancel_that_was_acknowledged_stays_so_while_reads_lag(
    engine: Engine, ticker: str
) -> None:
    rest(engine, ticker, "acked")
    engine.faults(read_lag_ms=LAG_MS, mute_private=10)
    answer = engine.delete("/v1/orders/acked")
    assert (answer.status_code, answer.json()["outcome"]) == (200, "canceled")
    reconciled = engine.tell("gateway", Reconcile("while reads lag"), 20)
    assert isinstance(reconciled, ReconcileAnswer), "its listing shows the order as resting"
    engine.faults(read_lag_ms=0, mute_private=0)
    until_canceled(engine, "acked")


def test_a_cancel_of_an_unknown_order_finds_it(engine: Engine, ticker: str) -> None:
    engine.faults(mute_private=10)
    arm(engine, answer="json", status=500, when="after", body=nested("internal_error"))
    unknown = engine.order(ticker, client_order_id="unknown", **RESTS)
    assert unknown.status_code == 202, unknown.text
    answer = engine.delete("/v1/orders/unknown")
    assert answer.status_code in (200, 409), answer.text
    engine.faults(mute_private=0)
    until_canceled(engine, "unknown")


def test_a_cancel_of_an_order_in_flight_comes_after_it(engine: Engine, ticker: str) -> None:
    arm(engine, delay_ms=700, when="after")
    with ThreadPoolExecutor(1) as pool:
        before = len(engine.wire())
        placing = pool.submit(engine.order, ticker, client_order_id="flying", **RESTS)
        engine.until(lambda: len(engine.wire()) > before, 20)
        answer = engine.delete("/v1/orders/flying")
        assert answer.status_code in (200, 409), answer.text
        assert placing.result().status_code == 201
    until_canceled(engine, "flying")
    flight = [r for r in engine.wire() if "flying" in (r["client_order_id"] or "")]
    assert len(flight) == 1


def test_many_cancels_of_one_order_are_one(engine: Engine, ticker: str) -> None:
    rest(engine, ticker, "popular")
    engine.faults(calls=[{"method": "DELETE", "path": ORDERS, "delay_ms": 700}])
    gate = threading.Barrier(8)

    def cancel(_: int) -> int:
        gate.wait()
        return engine.delete("/v1/orders/popular").status_code

    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(cancel, range(8)))
    assert told == [200] * 8
    assert len(deletes(engine, "popular")) == 1


def test_nobody_s_order_is_not_found(engine: Engine) -> None:
    answer = engine.delete("/v1/orders/nobodys")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert witness.sent_twice(engine) == []
