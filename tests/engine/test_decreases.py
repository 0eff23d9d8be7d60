"""Decreases in a running engine: the ledger follows, whatever was answered."""

from typing import Any

import pytest

from tests.engine import witness
from tests.engine.running import Engine
from tests.engine.test_amends import order, placed, until


def arm(engine: Engine, **fault: Any) -> None:
    engine.faults(calls=[{"method": "POST", "path": witness.ORDERS, "ends": "/decrease", **fault}])


def decrease(engine: Engine, id: str, reduce_to: str = "3.00") -> Any:
    return engine.post(f"/v1/orders/{id}/decrease", {"reduce_to": reduce_to})


def decreases(engine: Engine, id: str) -> int:
    path = f"{order(engine, id)['order_id']}/decrease"
    return sum(path in r["path"] for r in engine.wire() if r["method"] == "POST")


def rests(engine: Engine, id: str) -> str:
    return str(witness.orders(engine)[id]["remaining_count_fp"])


def test_less_rests_and_the_ledger_knows_it_with_the_answer(
    engine: Engine, free: list[str]
) -> None:
    placed(engine, free[0], "d1")
    answer = decrease(engine, "d1")
    assert (answer.status_code, answer.json()["remaining"]) == (200, "3.00"), answer.text
    assert until(engine, "d1", remaining="3.00", count="3.00", price="0.0100", state="resting")
    assert rests(engine, "d1") == "3.00"
    again = decrease(engine, "d1")
    assert (again.status_code, again.json()["outcome"]) == (200, "decreased")
    more = decrease(engine, "d1", "4.00")
    assert (more.status_code, more.json()["code"]) == (422, "invalid_reduce_to"), more.text
    assert decreases(engine, "d1") == 1


def test_it_goes_while_trading_is_halted(engine: Engine, free: list[str]) -> None:
    placed(engine, free[1], "d2")
    assert engine.post("/v1/halt", {"reason": "lunch"}).status_code == 200
    answer = decrease(engine, "d2")
    assert (answer.status_code, answer.json()["remaining"]) == (200, "3.00"), answer.text
    engine.resume("done")


@pytest.mark.parametrize("fault", [{"answer": "reset"}, {"answer": "html"}, {"answer": "empty"}])
@pytest.mark.parametrize("when", ["before", "after"])
def test_without_an_answer_the_order_s_row_says_what_came_of_it(
    engine: Engine, free: list[str], fault: dict[str, str], when: str
) -> None:
    id = f"d3-{when}-{fault['answer']}"
    placed(engine, free[2], id)
    arm(engine, when=when, **fault)
    answer = decrease(engine, id)
    wanted = (200, "decreased", "3.00") if when == "after" else (202, "unknown", "10.00")
    said = answer.json()
    assert (answer.status_code, said["outcome"], said["remaining"]) == wanted, answer.text
    assert until(engine, id, remaining=said["remaining"])
    assert rests(engine, id) == said["remaining"]
    assert decreases(engine, id) == 1, "it is never sent again by itself"
    if when == "before":
        assert decrease(engine, id).status_code == 200, "asking again is safe"
        assert rests(engine, id) == "3.00"
    assert engine.delete(f"/v1/orders/{id}").status_code == 200


def test_a_200_that_says_nothing_is_looked_into(engine: Engine, free: list[str]) -> None:
    placed(engine, free[3], "d4")
    arm(engine, when="after", answer="json", body={})
    answer = decrease(engine, "d4")
    assert (answer.status_code, answer.json()["remaining"]) == (200, "3.00"), answer.text
    assert until(engine, "d4", remaining="3.00")


def test_what_does_not_rest_is_gone_and_what_nobody_knows_is_not_found(
    engine: Engine, free: list[str]
) -> None:
    placed(engine, free[4], "d5")
    assert engine.delete("/v1/orders/d5").status_code == 200
    assert (decrease(engine, "d5").status_code, decrease(engine, "nobody").status_code) == (
        409,
        404,
    )
