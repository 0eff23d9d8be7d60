"""Without the exchange a boot ends read-only; when it is there again, all goes on by itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.engine import witness
from tests.engine.running import Engine
from tests.engine.test_orders import busiest
from tests.engine.witness import RESTS, state

BACK_MAX_S = 75.0  # the stream tries again at intervals that may have grown to a minute
READ_ONLY_MAX_S = 18.0  # 10 s of trying, and the start


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One that has traded before, and has been stopped."""
    with Engine(speed=0.1) as engine:
        engine.launch("paper")
        engine.start_without("paper")
        engine.until_trading()
        ticker = busiest(engine)
        assert engine.order(ticker, client_order_id="filled").status_code == 201
        assert engine.order(ticker, client_order_id="resting", **RESTS).status_code == 201
        engine.until(lambda: engine.get("/v1/fills").json()["fills"], 20, "it is booked")
        engine.stop()
        engine.strike("paper")
        yield engine


def test_a_boot_without_the_exchange_ends_read_only_and_heals(engine: Engine) -> None:
    engine.start_without("paper")
    system = engine.until_system(
        lambda s: s.read_only and s.flags.get("routes_ready", False), READ_ONLY_MAX_S
    )
    assert (system.healthy, system.gate) == (False, "closed")
    assert any("gateway" in reason and "rest" in reason for reason in system.reasons)
    shown = engine.get("/v1/status").json()
    assert (shown["read_only"], shown["healthy"], shown["flags"]["rest_ready"]) == (
        True,
        False,
        False,
    )
    orders = engine.get("/v1/orders").json()["orders"]
    assert {o["client_order_id"]: o["state"] for o in orders} == {
        "filled": "executed",
        "resting": "resting",
    }
    [position] = engine.get("/v1/positions").json()["positions"]
    assert position["position"] == "1.00"
    assert [f["client_order_id"] for f in engine.get("/v1/fills").json()["fills"]] == ["filled"]
    assert engine.get("/v1/balance").json()["balance"]
    ticker = position["ticker"]
    refused = engine.order(ticker, client_order_id="offline", **RESTS)
    assert (refused.status_code, refused.json()["code"]) == (503, "rest_not_ready")
    assert engine.order(ticker, client_order_id="filled").status_code == 201, "answered again"
    with ThreadPoolExecutor(1) as pool:
        canceling = pool.submit(engine.delete, "/v1/orders/resting")
        engine.until_system(lambda s: s.processes["gateway"].counters["cancels_open"] == 1, 20)
        engine.launch("paper")
        assert canceling.result().status_code in (200, 202, 409), "a cancel waits for nothing"
    engine.until_healthy(BACK_MAX_S)
    engine.until(lambda: state(engine, "resting") == "canceled", 20, "it was not forgotten")
    answer = engine.taken(ticker, client_order_id="offline", **RESTS)
    assert answer.status_code == 201, answer.text
    assert not engine.until_healthy().read_only


def test_an_exchange_that_dies_and_comes_back(engine: Engine) -> None:
    engine.until_healthy()
    ticker = busiest(engine)
    engine.strike("paper")
    engine.until_system(lambda s: s.gate == "closed", 20)
    closed = ("gate_closed", "rest_not_ready")  # whichever is seen first
    engine.until_refused(*closed)
    refused = engine.order(ticker, client_order_id="meanwhile", **RESTS)
    assert refused.status_code == 503
    assert refused.json()["code"] in closed
    assert engine.get("/v1/orders").status_code == 200
    assert engine.get("/v1/positions").status_code == 200
    engine.launch("paper")
    engine.until_healthy(BACK_MAX_S)
    answer = engine.taken(ticker, client_order_id="meanwhile", **RESTS)
    assert answer.status_code == 201, answer.text
    theirs = {id: row["status"] for id, row in witness.orders(engine).items()}
    engine.until(lambda: {id: state(engine, id) for id in theirs} == theirs, 20, f"{theirs}")
    assert witness.sent_twice(engine) == []
