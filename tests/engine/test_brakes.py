"""The brakes in a running engine: refused before the exchange sees a byte, tightened for good."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.engine.running import Engine
from tests.engine.test_orders import busiest

RESTS = {"price": "0.0100", "time_in_force": "good_till_canceled"}
GONE_MAX_S = 20


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A narrow band, and the same order only once in half a minute."""
    with Engine() as engine:
        engine.environment |= {
            "SIDECAR_BRAKES_PRICE_BAND": "0.1000",
            "SIDECAR_BRAKES_SAME_ORDER_MS": "30000",
            "SIDECAR_BRAKES_ORDER_COUNT": "100.00",
        }
        engine.start()
        engine.until_trading()
        yield engine


def sent(engine: Engine, id: str) -> int:
    return sum(id in str(request) for request in engine.wire())


def test_what_a_brake_refuses_never_reaches_the_exchange(engine: Engine) -> None:
    ticker = busiest(engine)
    assert engine.taken(ticker, price="0.0200").status_code == 201, "its book is there"
    for id, terms, code in (
        ("too-many", {**RESTS, "count": "100.01"}, "order_count"),
        ("too-far", {"price": "0.9900"}, "price_band"),
    ):
        answer = engine.order(ticker, client_order_id=id, **terms)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, code), problem
        assert problem["limit"]
        assert problem["value"]
        assert sent(engine, id) == 0
    assert engine.order(ticker, client_order_id="first", **RESTS).status_code == 201
    again = engine.order(ticker, client_order_id="twice", **RESTS)
    assert (again.status_code, again.json()["code"]) == (422, "same_order"), again.text
    assert sent(engine, "twice") == 0
    assert sent(engine, "first") == 1
    assert engine.delete("/v1/orders/first").status_code == 200


def test_a_limit_is_tightened_by_hand_and_stays_so_when_the_gateway_dies(engine: Engine) -> None:
    ticker = busiest(engine)
    before = engine.get("/v1/brakes").json()
    assert before["limits"]["order_count"] == "100.00"
    assert before["tightened"] == []
    done = engine.sidecar("brakes", "order_count=5", "open_orders=50")
    assert done.returncode == 0, done.stderr
    assert "order_count       5.00  tightened" in done.stdout.splitlines()
    answer = engine.post("/v1/brakes", {"order_count": "4.00"})
    assert answer.json()["limits"]["order_count"] == "4.00"
    pid = engine.pids()["gateway"]
    os.kill(pid, signal.SIGKILL)
    engine.until(lambda: engine.pids().get("gateway", pid) != pid, GONE_MAX_S, "a new gateway")

    def refused() -> dict[str, str] | None:
        """What the new gateway says for good; before it is restored it says that it can't."""
        answer = engine.order(ticker, client_order_id="five", count="4.01", **RESTS)
        assert answer.status_code != 201, "it was sent"
        return answer.json() if answer.status_code == 422 else None

    problem = engine.until(refused, GONE_MAX_S, "the new gateway decides")
    assert (problem["code"], problem["limit"]) == ("order_count", "4.00")
    assert set(engine.get("/v1/brakes").json()["tightened"]) == {"order_count", "open_orders"}


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (["order_count=6"], "order_count is 4.00, 6.00 would loosen it, and that needs a restart"),
        (["order_count"], "'order_count' is not NAME=VALUE"),
        (["order_count=1", "order_count=2"], "'order_count=2' is said twice"),
        (["order_count=1e3"], "'1e3' is not a count"),
        (["orders=3"], "unknown field `orders`"),
        (["open_orders=many"], "Expected `int | null`, got `str`"),
    ],
    ids=str,
)
def test_what_can_not_be_is_one_clear_error(engine: Engine, said: list[str], text: str) -> None:
    failed = engine.sidecar("brakes", *said)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert text in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_the_front_says_what_is_wrong_with_a_limit(engine: Engine) -> None:
    for body, code, field in (
        ({"order_count": "1000"}, "brakes_refused", ""),
        ({"order_count": 1}, "invalid_brakes", "order_count"),
        ({"count": "1"}, "invalid_brakes", "count"),
        ({}, "invalid_brakes", ""),
    ):
        answer = engine.post("/v1/brakes", body)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, code), problem
        assert problem.get("field", "") == field
    assert engine.post("/v1/brakes", {"open_orders": 1}, "read").status_code == 403
    assert engine.get("/v1/brakes").json()["limits"]["open_orders"] == 50
