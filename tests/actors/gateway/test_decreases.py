"""Decreases: always allowed, sent once, and the ledger gets to know what rests."""

import json
from typing import Any

import pytest

from actors.gateway.allowance import WRITE
from protocol.facts import OrderAccepted, OrderCanceled, OrderIntended, OrderSeen
from protocol.limits import (
    ABSENCE_AFTER,
    CANCEL_ASKERS_MAX,
    DECREASE_LOOK_MAX,
    DECREASES_MAX,
    LEASE_AGAIN,
    QUEUED_MAX,
    SECOND,
)
from protocol.messages import AmendOrder, DecreaseAnswer, DecreaseOrder
from protocol.units import Count, Price
from tests.actors.gateway.scene import Scene, order, rfc
from tests.actors.gateway.test_amends import asked, live, said
from tests.actors.gateway.test_leases import LEASE, placed
from tests.actors.gateway.test_orders import ROW

THREE = DecreaseOrder("c1", Count(300))
DONE = {"order_id": "o1", "client_order_id": "c1", "remaining_count": "3.00", "ts_ms": 9}
NOT_FOUND = {"error": {"code": "not_found", "message": "not found"}}
LOWER = {"error": {"code": "invalid_order", "message": "reduce_to is not below what rests"}}

PLACED = ROW | {"created_time": rfc(5)}


def resting(*ids: str, gate: str = "open", halt: str = "") -> Scene:
    """Orders of ten rest: `c1` as `o1`, and so on."""
    o = order()
    facts: list[Any] = []
    for id in ids or ("c1",):
        terms = (o.ticker, o.side, o.price, o.count, o.time_in_force, "hash")
        facts.append(OrderIntended(id, *terms))
        facts.append(OrderAccepted(id, f"o{id[1:]}", Count(0), Count(1_000), 5))
    rows = [PLACED | {"order_id": f"o{id[1:]}", "client_order_id": id} for id in ids or ("c1",)]
    scene = Scene(halt, rows).restore(*facts)
    return scene.pass_time(3 * SECOND).beat(gate).settle()


def shows(scene: Scene, remaining: str, status: str = "resting", filled: str = "0.00") -> None:
    """What the exchange shows of the order from now on."""
    row = PLACED | {
        "status": status,
        "remaining_count_fp": remaining,
        "fill_count_fp": filled,
        "last_update_time": rfc(scene.at),
    }
    scene.instead["/portfolio/orders/o1"] = {"order": row}


def told(scene: Scene) -> list[tuple[str, int]]:
    return [(a.outcome, a.remaining) for a in scene.answers if isinstance(a, DecreaseAnswer)]


def last(scene: Scene) -> DecreaseAnswer:
    found = scene.answers[-1]
    assert isinstance(found, DecreaseAnswer)
    return found


def in_ledger(scene: Scene) -> tuple[str, int, int]:
    account = scene.core.ledger.account  # type: ignore[attr-defined]
    found = account.order("c1")
    return found.state, found.count, found.remaining


def test_less_rests_and_the_ledger_knows_before_the_asker() -> None:
    scene = resting()
    shows(scene, "3.00")
    scene.ask(THREE)
    [call] = [made.call for made in scene.calls]
    assert (call.method, call.path) == ("POST", "/portfolio/events/orders/o1/decrease")
    assert json.loads(call.body) == {"reduce_to": "3.00", "market_ticker": "KXA-1"}
    scene.reply(200, DONE)
    assert told(scene) == [], "the row is recorded before it is told"
    [seen] = scene.acknowledge()
    assert isinstance(seen, OrderSeen)
    assert told(scene) == [("decreased", 300)]
    assert in_ledger(scene) == ("resting", 300, 300)


@pytest.mark.parametrize("story", [{"halt": "lunch"}, {"gate": "closed"}], ids=str)
def test_neither_a_halt_nor_a_closed_gate_keeps_it(story: dict[str, str]) -> None:
    scene = resting(**story)
    scene.ask(THREE)
    assert [made.call.name for made in scene.calls] == ["decrease"]
    assert scene.calls[0].passed is None


def test_asked_by_several_it_is_sent_once() -> None:
    scene = resting()
    scene.ask(THREE, "one")
    scene.ask(THREE, "one")
    for n in range(CANCEL_ASKERS_MAX):
        scene.ask(THREE, f"more-{n}")
    assert len(scene.calls) == 1
    assert told(scene) == [("unknown", 1_000)], "more than can wait"
    scene.ask(DecreaseOrder("c1", Count(200)))
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "busy")
    shows(scene, "3.00")
    scene.reply(200, DONE)
    scene.acknowledge()
    assert told(scene)[2:] == [("decreased", 300)] * CANCEL_ASKERS_MAX


def test_asked_again_afterwards_nothing_is_sent() -> None:
    scene = resting()
    shows(scene, "3.00")
    scene.ask(THREE)
    scene.reply(200, DONE)
    scene.acknowledge()
    scene.ask(THREE)
    assert told(scene) == [("decreased", 300)] * 2
    assert scene.calls == []


@pytest.mark.parametrize("count", [0, -100, 1_001])
def test_what_makes_no_sense_is_not_sent(count: int) -> None:
    scene = resting()
    scene.ask(DecreaseOrder("c1", Count(count)))
    assert (last(scene).outcome, last(scene).code) == ("rejected", "invalid_reduce_to")
    assert ("cancel the order" in last(scene).text) == (count <= 0)
    assert scene.calls == []


def test_an_order_that_has_ended_is_gone_and_one_that_nobody_knows_is_not_found() -> None:
    scene = resting()
    scene.told_by_stream(OrderCanceled("o1", "c1", Count(1_000), 5_000))
    scene.ask(THREE)
    scene.ask(DecreaseOrder("c2", Count(300)))
    scene.ask(DecreaseOrder("no id", Count(300)))
    assert [outcome for outcome, _ in told(scene)] == ["gone", "not_found", "not_found"]
    assert scene.calls == []


def test_before_the_exchange_s_id_is_known_nothing_can_be_sent() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.ask(THREE)
    scene.acknowledge()
    scene.ask(THREE)
    blind = Scene().pass_time(SECOND)
    blind.ask(THREE)
    for found in (*scene.answers, *blind.answers):
        assert isinstance(found, DecreaseAnswer)
        assert (found.outcome, found.code) == ("unavailable", "not_known_yet")
    assert len(scene.answers) == 2


def test_one_that_was_accepted_just_now_is_known() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    made = {"order_id": "o1", "client_order_id": "c1", "ts_ms": 5}
    scene.reply(201, made | {"fill_count": "0.00", "remaining_count": "10.00"})
    scene.ask(THREE)
    assert [made.call.name for made in scene.calls] == ["decrease"]


def test_a_404_is_settled_by_the_order_s_row() -> None:
    scene = resting()
    shows(scene, "0.00", "executed", "10.00")
    scene.ask(THREE)
    scene.reply(404, NOT_FOUND)
    scene.acknowledge()
    assert (last(scene).outcome, last(scene).text) == ("gone", "executed")
    assert in_ledger(scene)[0] == "executed"


def test_a_404_for_what_still_shows_as_resting_stays_unknown() -> None:
    """Reads lag behind writes: it may have been canceled a moment ago."""
    scene = resting()
    shows(scene, "10.00")
    scene.ask(THREE)
    scene.reply(404, NOT_FOUND)
    scene.pass_time(DECREASE_LOOK_MAX)
    assert (last(scene).outcome, last(scene).code) == ("unknown", "not_found")


def test_what_the_exchange_refuses_is_said_with_what_rests() -> None:
    scene = resting()
    shows(scene, "2.00", filled="8.00")
    scene.ask(THREE)
    scene.reply(400, LOWER)
    scene.acknowledge()
    assert (last(scene).outcome, last(scene).code) == ("rejected", "invalid_order")
    assert last(scene).remaining == 200
    assert in_ledger(scene) == ("resting", 1_000, 200)


def test_unanswered_it_is_not_sent_again_and_the_row_is_read() -> None:
    scene = resting()
    shows(scene, "10.00")
    scene.ask(THREE)
    scene.fail(sent=True)
    scene.pass_time(DECREASE_LOOK_MAX)
    assert told(scene) == [("unknown", 1_000)]
    assert [made.call.name for made in scene.made].count("decrease") == 1


def test_a_copy_of_a_letter_that_was_answered_sends_nothing() -> None:
    """Told again while its answer was on the way back: the asker has only heard `unknown`."""
    scene = resting()
    shows(scene, "10.00")
    scene.ask(THREE, "one")
    scene.fail(sent=True)
    scene.pass_time(DECREASE_LOOK_MAX)
    scene.ask(THREE, "one")
    assert told(scene) == [("unknown", 1_000)] * 2
    assert [made.call.name for made in scene.made].count("decrease") == 1
    scene.ask(THREE, "another")
    assert [made.call.name for made in scene.made].count("decrease") == 2


@pytest.mark.parametrize("status", [None, 500, 504], ids=str)
def test_unanswered_but_done_the_row_shows_it(status: int | None) -> None:
    scene = resting()
    shows(scene, "10.00")
    scene.ask(THREE)
    if status is None:
        scene.fail(sent=True)
    else:
        scene.reply(status, b"<html>")
    scene.pass_time(SECOND // 2)
    assert told(scene) == []
    shows(scene, "3.00")
    scene.pass_time(SECOND)
    scene.acknowledge()
    assert told(scene) == [("decreased", 300)]
    assert in_ledger(scene) == ("resting", 300, 300)


def test_a_row_that_lags_behind_is_read_again() -> None:
    scene = resting()
    shows(scene, "10.00")
    scene.ask(THREE)
    scene.reply(200, DONE)
    assert scene.appends == [], "it still shows what was before"
    shows(scene, "3.00")
    scene.pass_time(SECOND)
    scene.acknowledge()
    assert in_ledger(scene) == ("resting", 300, 300)


@pytest.mark.parametrize("silent", ["exchange", "writer"])
def test_the_answer_comes_in_time_whoever_is_silent(silent: str) -> None:
    scene = resting()
    scene.ask(THREE)
    if silent == "writer":
        shows(scene, "3.00")
    else:
        scene.hush = True
    scene.reply(200, DONE)
    scene.pass_time(DECREASE_LOOK_MAX - 1_000_000)
    assert told(scene) == []
    scene.pass_time(2_000_000)
    assert told(scene) == [("decreased", 300)]


def test_what_never_left_is_unavailable() -> None:
    scene = resting()
    scene.ask(THREE)
    scene.fail(sent=False)
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "unreachable")
    assert len([made for made in scene.made if "/o1" in made.call.path]) == 1, "nothing to look for"


def test_one_that_finds_no_tokens_in_time_never_leaves() -> None:
    scene = resting()
    scene.core._desk.lanes.allowance.budgets[WRITE].bucket.resize(scene.now, 60, 1)
    scene.core._desk.lanes.allowance.budgets[WRITE].bucket.drain(scene.now)
    scene.ask(THREE)
    scene.pass_time(QUEUED_MAX)
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "busy")
    scene.pass_time(600 * SECOND)
    assert scene.calls == []


def test_one_that_is_not_answered_in_time_is_unknown_and_goes_on() -> None:
    scene = resting()
    scene.ask(THREE)
    scene.pass_time(QUEUED_MAX)
    assert told(scene) == [("unknown", 1_000)]
    shows(scene, "3.00")
    scene.reply(200, DONE)
    scene.acknowledge()
    assert in_ledger(scene) == ("resting", 300, 300)


def test_a_shard_s_own_budget_is_drawn_on() -> None:
    scene = resting()
    market = {"ticker": "KXA-1", "status": "active", "price_ranges": [], "exchange_index": 2}
    market |= {"close_time": "2099-01-01T00:00:00Z"}
    scene.instead["/markets/KXA-1"] = {"market": market}
    scene.ask(order("c9"))
    scene.ask(THREE)
    [call] = [made.call for made in scene.calls if made.call.name == "decrease"]
    assert (call.shard, json.loads(call.body)["exchange_index"]) == (2, 2)


def test_there_is_a_bound_on_those_under_way() -> None:
    ids = [f"c{n}" for n in range(DECREASES_MAX + 1)]
    scene = resting(*ids)
    for id in ids:
        scene.ask(DecreaseOrder(id, Count(300)))
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "busy")
    assert len(told(scene)) == 1


# Orders with a lease: a renewal names the whole count, and would bring back what was taken off


def leased() -> Scene:
    """The renewal of an order's lease is due in a moment."""
    scene = placed()
    shows(scene, "10.00")
    live(scene, (LEASE // 2 - 1) * SECOND)
    return scene


def shown(scene: Scene, remaining: str) -> None:
    """By every read of the exchange."""
    shows(scene, remaining)
    row = scene.instead["/portfolio/orders/o1"]["order"] | {"yes_price_dollars": "0.5000"}
    scene.instead["/portfolio/orders/o1"], scene.listing = {"order": row}, [row]


def renewed(scene: Scene) -> list[str]:
    """The counts that renewals have named."""
    calls = [made.call for made in scene.made if made.call.path.endswith("/amend")]
    return [json.loads(call.body)["count"] for call in calls]


def test_no_renewal_crosses_a_decrease_and_the_next_one_names_what_is_left() -> None:
    scene = leased()
    scene.ask(THREE)
    live(scene, 2 * LEASE_AGAIN)
    assert renewed(scene) == []
    shown(scene, "3.00")
    scene.reply(200, DONE)
    scene.settle()
    assert in_ledger(scene) == ("resting", 300, 300)
    live(scene, LEASE_AGAIN + SECOND)
    assert renewed(scene) == ["3.00"]


def test_while_a_decrease_may_still_land_nothing_is_renewed() -> None:
    scene = leased()
    shown(scene, "10.00")
    scene.ask(THREE)
    scene.fail(sent=True)
    live(scene, ABSENCE_AFTER - SECOND)
    assert last(scene).outcome == "unknown"
    assert renewed(scene) == []
    live(scene, LEASE_AGAIN + 2 * SECOND)
    assert renewed(scene) == ["10.00"]


def test_what_was_done_but_is_not_seen_is_not_undone() -> None:
    scene = leased()
    shown(scene, "10.00")
    scene.ask(THREE)
    scene.reply(200, DONE)
    live(scene, 10 * SECOND)
    assert last(scene).outcome == "decreased"
    assert renewed(scene) == []
    shown(scene, "3.00")
    live(scene, 60 * SECOND)
    assert set(renewed(scene)) == {"3.00"}


def test_while_a_renewal_may_still_land_nothing_is_decreased() -> None:
    scene = leased()
    live(scene, 2 * SECOND)
    assert renewed(scene) == ["10.00"]
    scene.ask(THREE)
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "amend_under_way")
    scene.fail(sent=True)
    scene.ask(THREE)
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "amend_under_way")
    assert "decrease" not in [made.call.name for made in scene.made]


# Amends: whether one holds is read off the order's terms, so nothing else may change them


def test_while_an_amend_is_not_settled_nothing_is_decreased() -> None:
    scene = resting()
    asked(scene, AmendOrder("c1", "a1", Price(560_000), Count(1_200)))
    scene.ask(THREE)
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "amend_under_way")
    scene.fail(sent=True)
    scene.settle()
    scene.ask(THREE)
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "amend_under_way")
    assert "decrease" not in [made.call.name for made in scene.made]


def test_while_a_decrease_may_still_land_nothing_is_amended() -> None:
    scene = resting()
    shows(scene, "10.00")
    scene.listing = [scene.instead["/portfolio/orders/o1"]["order"]]
    wanted = AmendOrder("c1", "a1", Price(560_000), Count(1_200))
    scene.ask(THREE)
    scene.ask(wanted)
    assert said(scene) == ("denied", "amend_under_way")
    scene.fail(sent=True)
    live(scene, ABSENCE_AFTER - SECOND)
    scene.ask(wanted)
    assert said(scene) == ("denied", "amend_under_way")
    live(scene, 2 * SECOND)
    asked(scene, wanted)
    assert [made.call.name for made in scene.calls] == ["amend"]


def test_once_a_decrease_is_seen_the_order_may_be_amended() -> None:
    scene = resting()
    shows(scene, "3.00")
    scene.ask(THREE)
    scene.reply(200, DONE)
    scene.acknowledge()
    asked(scene, AmendOrder("c1", "a1", Price(560_000), Count(1_200)))
    assert [made.call.name for made in scene.calls] == ["amend"]


def test_what_is_remembered_of_those_that_ended_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr("actors.gateway.decreases.DECREASES_KEPT", 2)
    scene = resting("c1", "c2", "c3")
    for row in scene.listing:
        scene.instead[f"/portfolio/orders/{row['order_id']}"] = {"order": row}
    for id in ("c1", "c2"):
        scene.ask(DecreaseOrder(id, Count(300)))
        scene.fail(sent=True)
    scene.ask(DecreaseOrder("c3", Count(300)))
    assert (last(scene).outcome, last(scene).code) == ("unavailable", "busy")
    live(scene, ABSENCE_AFTER)
    scene.ask(DecreaseOrder("c3", Count(300)))
    assert [made.call.name for made in scene.calls] == ["decrease"]
