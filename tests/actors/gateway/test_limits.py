"""The gateway with the exchange's word on limits and costs: 429s, ends of grants, dear orders."""

import json
from typing import Any

import pytest

from actors.gateway.desk import CallAnswered
from protocol.limits import MS, QUEUED_MAX, SECOND
from protocol.machine import Report
from protocol.messages import AcquireTokens, OrderAnswer
from tests.actors.gateway import scene as surroundings
from tests.actors.gateway.scene import Scene, order

TOO_MANY = json.dumps({"error": {"code": "too_many_requests", "message": "x"}}).encode()


def counter(scene: Scene, name: str) -> int:
    return scene.core._counters(scene.now)[name]


def times_read(scene: Scene, path: str) -> int:
    return sum(made.call.path == path for made in scene.made)


def answering(monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]) -> None:
    monkeypatch.setitem(surroundings.ANSWERS, path, body)


def test_a_429_is_counted_shouted_about_and_limits_are_read_again() -> None:
    scene = Scene().ready().pass_time(6 * SECOND).beat()
    scene.ask(order("c1"))
    scene.acknowledge()
    before = times_read(scene, "/account/limits"), times_read(scene, "/account/endpoint_costs")
    effects = scene.core.step(scene.now, CallAnswered(0, scene.calls.pop(0).id, 429, TOO_MANY))
    [shout] = [e for e in effects if isinstance(e, Report)]
    assert shout.grave and shout.text.startswith("429 for a call that the write budget covered")
    for effect in effects:
        scene._take(effect)
    scene.pass_time(MS)
    after = times_read(scene, "/account/limits"), times_read(scene, "/account/endpoint_costs")
    assert after == (before[0] + 1, before[1] + 1)
    assert counter(scene, "calls_429") == 1
    assert counter(scene, "write_tokens") < 10
    scene.acknowledge()
    assert (scene.told.outcome, scene.told.code) == ("rejected", "too_many_requests")


def test_a_grant_that_ends_is_noticed_without_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    grant = {"exchange_instance": "event_contract", "level": "premier", "expires_ts": 30}
    answering(monkeypatch, "/account/limits", surroundings.LIMITS | {"grants": [grant]})
    scene = Scene().ready().pass_time(10 * SECOND)
    assert counter(scene, "write_tokens") > 1_000
    read = times_read(scene, "/account/limits")
    scene.pass_time(12 * SECOND)  # our clock may be 5 s late
    assert counter(scene, "write_tokens") == 74
    assert times_read(scene, "/account/limits") > read


def test_an_order_that_no_budget_can_pay_for_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    create = {"method": "POST", "path": "/trade-api/v2/portfolio/events/orders", "cost": 5_000}
    dear = {"default_cost": 10, "endpoint_costs": [create]}
    answering(monkeypatch, "/account/endpoint_costs", dear)
    scene = Scene().ready().pass_time(3 * SECOND).beat()
    scene.ask(order("c1"))
    scene.acknowledge()
    scene.acknowledge()
    assert (scene.told.outcome, scene.told.code) == ("denied", "budget")
    assert scene.told.text == "it costs more tokens than its budget can ever hold"


def test_a_table_that_can_t_be_one_keeps_the_gateway_unready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, "/account/endpoint_costs", {"default_cost": -1, "endpoint_costs": []})
    scene = Scene().ready()
    assert (
        "CostsBody: Expected `int` >= 1 - at `$.default_cost`"
        in scene.core._vitals(scene.now).reasons[0]
    )


def test_an_order_that_waited_too_long_says_when_to_come_again() -> None:
    scene = Scene().ready().pass_time(6 * SECOND).beat()
    scene.ask(order("c1"))
    scene.acknowledge()
    call = scene.calls.pop(0)
    scene.feed(CallAnswered(0, call.id, 429, TOO_MANY))
    scene.acknowledge()
    for i in range(2, 9):  # the first may try, alone; no answer comes
        scene.ask(order(f"c{i}"), f"q{i}")
    scene.acknowledge()
    scene.beat().pass_time(QUEUED_MAX // 2).beat().pass_time(QUEUED_MAX).beat()
    scene.acknowledge()
    late = [a for a in scene.answers if isinstance(a, OrderAnswer) and a.code == "busy"]
    assert {answer.client_order_id for answer in late} == {f"c{i}" for i in range(3, 9)}
    assert all(answer.retry_after_ms >= 1 for answer in late)


def test_what_programs_and_orders_spent_stands_in_the_heartbeat() -> None:
    scene = Scene().ready().pass_time(6 * SECOND).beat()
    scene.ask(AcquireTokens("read", 30))
    scene.ask(order("c1"))
    scene.acknowledge()
    assert (counter(scene, "spent.orders"), counter(scene, "calls.orders")) == (10, 1)
    assert counter(scene, "spent.program:api") == 30
    assert counter(scene, "spent.reads") > 0
