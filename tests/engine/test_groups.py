"""Order groups in a running engine: made, exceeded, reset, triggered, deleted."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.running import Engine
from tests.engine.test_amends import until
from tests.engine.test_orders import busiest
from tests.engine.witness import RESTS

GROUPS = "/portfolio/order_groups"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """All orders that name no group are in one that there is not."""
    with Engine() as engine:
        engine.environment["SIDECAR_API_ORDER_GROUP"] = "no-such-group"
        engine.start()
        engine.until_trading()
        yield engine


def listed(engine: Engine) -> dict[str, Any]:
    """The exchange's groups, read through the engine."""
    answer = engine.get(f"/v1/exchange{GROUPS}")
    assert answer.status_code == 200, answer.text
    return {row["id"]: row for row in answer.json()["order_groups"]}


def made(engine: Engine, limit: str = "1.00") -> str:
    answer = engine.post("/v1/groups", {"contracts_limit": limit})
    assert (answer.status_code, answer.json()["state"]) == (201, "done"), answer.text
    return str(answer.json()["order_group_id"])


def said(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def test_above_its_limit_a_group_takes_nothing_until_it_is_reset(engine: Engine) -> None:
    ticker, group = busiest(engine), made(engine)
    assert listed(engine)[group]["contracts_limit_fp"] == "1.00"
    rests = engine.order(ticker, client_order_id="g1", order_group_id=group, **RESTS)
    assert rests.status_code == 201, rests.text
    takes = engine.order(ticker, count="2.00", order_group_id=group)
    assert (takes.status_code, takes.json()["order"]["filled"]) == (201, "2.00"), takes.text
    assert until(engine, "g1", state="canceled"), "the exchange has canceled what rests in it"
    refused = engine.order(ticker, client_order_id="g2", order_group_id=group, **RESTS)
    assert said(refused) == (422, "exceeded_order_group_risk_limit"), refused.text
    assert until(engine, "g2", state="rejected")
    assert engine.post(f"/v1/groups/{group}/reset", {}).status_code == 200
    again = engine.order(ticker, client_order_id="g3", order_group_id=group, **RESTS)
    assert again.status_code == 201, again.text
    assert engine.post(f"/v1/groups/{group}/limit", {"contracts_limit": "50"}).status_code == 200
    assert listed(engine)[group]["contracts_limit_fp"] == "50.00"
    assert engine.delete(f"/v1/groups/{group}").status_code == 200
    assert until(engine, "g3", state="canceled")
    gone = engine.order(ticker, order_group_id=group, **RESTS)
    assert said(gone) == (422, "order_group_not_found"), gone.text
    assert said(engine.delete(f"/v1/groups/{group}")) == (404, "not_found")


def test_the_setting_s_group_is_that_of_orders_that_name_none(engine: Engine) -> None:
    refused = engine.order(busiest(engine), **RESTS)
    assert said(refused) == (422, "order_group_not_found"), refused.text


def test_halted_a_group_is_triggered_and_not_reset(engine: Engine) -> None:
    ticker, group = busiest(engine), made(engine, "50.00")
    rests = engine.order(ticker, client_order_id="g5", order_group_id=group, **RESTS)
    assert rests.status_code == 201, rests.text
    assert engine.post("/v1/halt", {"reason": "lunch"}).status_code == 200
    assert said(engine.post(f"/v1/groups/{group}/reset", {})) == (503, "halted")
    assert said(engine.post("/v1/groups", {"contracts_limit": "1.00"})) == (503, "halted")
    assert engine.post(f"/v1/groups/{group}/trigger", {}).status_code == 200
    assert until(engine, "g5", state="canceled")
    engine.resume("done")
    refused = engine.order(ticker, order_group_id=group, **RESTS)
    assert said(refused) == (422, "exceeded_order_group_risk_limit"), refused.text


def test_a_create_without_an_answer_is_not_sent_again(engine: Engine) -> None:
    before = len(listed(engine))
    engine.faults(calls=[{"method": "POST", "path": GROUPS, "answer": "reset", "when": "after"}])
    answer = engine.post("/v1/groups", {"contracts_limit": "7.00"})
    assert (answer.status_code, answer.json()["state"]) == (202, "unknown"), answer.text
    assert "list the groups" in answer.json()["text"]
    limits = [row["contracts_limit_fp"] for row in listed(engine).values()]
    assert (len(limits), limits.count("7.00")) == (before + 1, 1)


def test_what_the_exchange_does_not_take_is_its_word(engine: Engine) -> None:
    elsewhere = engine.post("/v1/groups", {"contracts_limit": "1.00", "exchange_index": 7})
    assert said(elsewhere) == (422, "invalid_exchange_index"), elsewhere.text
    nothing = engine.post("/v1/groups", {"contracts_limit": "0.00"})
    assert said(nothing) == (422, "invalid_contracts_limit"), nothing.text
    nobody = engine.post("/v1/groups/nobody/trigger", {})
    assert said(nobody) == (404, "not_found"), nobody.text
