"""Amends in a running engine: done, refused, and done without an answer; the ledger follows."""

import os
import signal
from typing import Any

import pytest

from tests.engine import witness
from tests.engine.running import Engine
from tests.engine.witness import RESTS

SHOWN_MAX_S = 20.0
SETTLED_MAX_S = 75.0  # 35 s until nothing can land any more, and two listings


def placed(engine: Engine, ticker: str, id: str) -> None:
    answer = engine.order(ticker, client_order_id=id, count="10.00", **RESTS)
    assert answer.status_code == 201, answer.text


def order(engine: Engine, id: str) -> Any:
    answer = engine.get(f"/v1/orders/{id}")
    return answer.json()["order"] if answer.status_code == 200 else None


def until(engine: Engine, id: str, seconds: float = SHOWN_MAX_S, **wanted: Any) -> Any:
    def shown() -> Any:
        found = order(engine, id)
        return found if found and all(found[k] == v for k, v in wanted.items()) else None

    return engine.until(shown, seconds, f"{id} has {wanted}")


def until_amended(engine: Engine, id: str, state: str, **wanted: Any) -> Any:
    """Until the front knows how the last amend has ended, which it hears after us."""

    def shown() -> Any:
        found = order(engine, id)
        ended = found and found["amend"] and found["amend"]["state"] == state
        return found if ended and all(found[k] == v for k, v in wanted.items()) else None

    return engine.until(shown, SHOWN_MAX_S, f"{id}: its amend is {state}, {wanted}")


def arm(engine: Engine, **fault: Any) -> None:
    engine.faults(calls=[{"method": "POST", "path": witness.ORDERS, "ends": "/amend", **fault}])


def amends(engine: Engine, order_id: str) -> int:
    return sum(f"{order_id}/amend" in r["path"] for r in engine.wire() if r["method"] == "POST")


def test_an_order_gets_other_terms(engine: Engine, free: list[str]) -> None:
    placed(engine, free[0], "m1")
    path = "/v1/orders/m1/amend"
    answer = engine.post(path, {"price": "0.0200", "count": "12.00", "amend_id": "first"})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "accepted"), answer.text
    found = until_amended(engine, "m1", "done", price="0.0200", count="12.00", remaining="12.00")
    again = engine.post(path, {"price": "0.0200", "count": "12.00", "amend_id": "first"})
    assert again.status_code == 200, again.text
    assert amends(engine, found["order_id"]) == 1, "asked twice, sent once"
    theirs = witness.orders(engine)["m1"]
    assert (theirs["yes_price_dollars"], theirs["remaining_count_fp"]) == ("0.0200", "12.00")
    evidence = engine.get("/v1/orders/m1/evidence").json()["evidence"]
    kinds = [entry["fact"]["type"] for entry in evidence]
    assert "AmendIntended" in kinds
    assert "AmendOutcome" in kinds


def test_what_the_exchange_refuses_changes_nothing(engine: Engine, free: list[str]) -> None:
    placed(engine, free[1], "m2")
    body = {"error": {"code": "AMEND_ORDER_NO_OP", "message": "nothing"}}
    arm(engine, answer="json", status=400, body=body)
    answer = engine.post("/v1/orders/m2/amend", {"price": "0.0300"})
    assert (answer.status_code, answer.json()["code"]) == (422, "AMEND_ORDER_NO_OP")
    until_amended(engine, "m2", "rejected", price="0.0100")
    answer = engine.post("/v1/orders/m2/amend", {"price": "0.0300"})
    assert answer.status_code == 200, "another amend may come"


@pytest.mark.parametrize("when", ["before", "after"])
def test_without_an_answer_the_larger_counts_until_evidence_settles_it(
    engine: Engine, free: list[str], when: str
) -> None:
    """Done and not answered, the stream shows it at once; never done, listings do in the end."""
    id, ticker = f"m3-{when}", free[2 if when == "before" else 3]
    placed(engine, ticker, id)
    arm(engine, answer="reset", when=when)
    answer = engine.post(f"/v1/orders/{id}/amend", {"price": "0.0500", "amend_id": "lost"})
    assert (answer.status_code, answer.json()["outcome"]) == (202, "unknown"), answer.text
    if when == "after":
        until_amended(engine, id, "done", price="0.0500")
        return

    def exposures() -> list[str]:
        rows = engine.get("/v1/positions").json()["positions"]
        return [row["exposure"] for row in rows if row["ticker"] == ticker]

    engine.until(lambda: exposures() == ["0.5000"], SHOWN_MAX_S, "ten at five cents")
    refused = engine.post(f"/v1/orders/{id}/amend", {"price": "0.0300"})
    assert (refused.status_code, refused.json()["code"]) == (409, "amend_under_way")
    pid = engine.pids()["gateway"]
    os.kill(pid, signal.SIGKILL)
    engine.until(lambda: engine.pids().get("gateway", pid) != pid, 20, "a new gateway")

    def settled() -> Any:
        found = order(engine, id)
        return found if found and found["amend"]["state"] == "absent" else None

    found = engine.until(settled, SETTLED_MAX_S, "two listings show its former terms")
    assert found["price"] == "0.0100"
    assert amends(engine, found["order_id"]) == 1, "no life sends it again"


def test_an_order_that_has_ended_is_not_amended(engine: Engine, free: list[str]) -> None:
    placed(engine, free[4], "m4")
    assert engine.delete("/v1/orders/m4").status_code == 200
    until(engine, "m4", state="canceled")
    answer = engine.post("/v1/orders/m4/amend", {"price": "0.0300"})
    assert (answer.status_code, answer.json()["code"]) == (409, "order_not_open")
    answer = engine.post("/v1/orders/nobody/amend", {"price": "0.0300"})
    assert (answer.status_code, answer.json()["code"]) == (404, "order_not_found")
