"""Lease orders: an expiry that is renewed while we live and may trade, and never otherwise."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from protocol.facts import OrderAccepted, OrderCanceled, OrderIntended
from protocol.limits import ABSENCE_AFTER, LEASE_AGAIN, LEASE_S_MAX, LEASE_S_MIN, MS, SECOND
from protocol.messages import AmendOrder, Halt, Heartbeat, Resume
from protocol.units import Count, Price
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_amends import DONE, amend, asked, live, row, said

LEASE = 60
NO_OP = {"error": {"code": "AMEND_ORDER_NO_OP"}}


def intent(at_s: int = 0) -> OrderIntended:
    return OrderIntended(
        "c1", "KXA-1", "bid", Price(500_000), Count(1_000), "good_till_canceled", "hash",
        lease_s=LEASE,
    )  # fmt: skip


def restored(*more: Any) -> Scene:
    """A leased order of a former life rests."""
    scene = Scene(listing=[row("0.5000", "10.00", 2)])
    scene.restore(intent(), OrderAccepted("c1", "o1", Count(0), Count(1_000), 1_000), *more)
    scene.pass_time(3 * SECOND).beat()
    return scene.settle()


def placed() -> Scene:
    """An order with a lease has just been accepted."""
    scene = Scene().ready()
    scene.ask(replace(order("c1", price=Price(500_000)), lease_s=LEASE))
    scene.acknowledge()
    scene.listing = [row("0.5000", "10.00", 2)]
    scene.reply(201, {**DONE, "fill_count": "0.00"})
    return scene.settle()


def renewals(scene: Scene) -> list[dict[str, Any]]:
    return [json.loads(m.call.body) for m in scene.made if m.call.name in ("amend", "renew")]


def seconds(scene: Scene) -> int:
    return scene.at // 1_000_000


def test_an_order_with_a_lease_leaves_with_an_expiry() -> None:
    scene = Scene().ready()
    scene.ask(replace(order("c1"), lease_s=LEASE))
    scene.acknowledge()
    [create] = [m.call for m in scene.made if m.call.name == "create"]
    assert json.loads(create.body)["expiration_time"] == seconds(scene) + LEASE
    assert create.body.count(b"expiration_time") == 1
    scene.ask(order("c2", price=Price(550_000)))
    scene.acknowledge()
    assert b"expiration_time" not in scene.made[-1].call.body


@pytest.mark.parametrize(
    ("lease_s", "in_force"),
    [
        (LEASE_S_MIN - 1, "good_till_canceled"), (LEASE_S_MAX + 1, "good_till_canceled"),
        (-1, "good_till_canceled"), (LEASE, "immediate_or_cancel"), (LEASE, "fill_or_kill"),
    ],
)  # fmt: skip
def test_a_lease_that_makes_no_sense(lease_s: int, in_force: Any) -> None:
    scene = Scene().ready()
    scene.ask(replace(order("c1"), lease_s=lease_s, time_in_force=in_force))
    assert (scene.told.outcome, scene.told.code, scene.told.field) == (
        "denied", "invalid_order", "lease_s",
    )  # fmt: skip
    assert scene.appends == []


def test_at_half_of_its_time_it_is_renewed_with_nothing_else_changed() -> None:
    scene = placed()
    begun = seconds(scene)
    live(scene, (LEASE // 2 - 1) * SECOND)
    assert renewals(scene) == []
    live(scene, 2 * SECOND)
    [renewal] = renewals(scene)
    assert begun + LEASE // 2 + LEASE - 1 <= renewal["expiration_time"] <= seconds(scene) + LEASE
    assert (renewal["price"], renewal["count"], renewal["side"]) == ("0.5000", "10.00", "bid")
    assert scene.calls[-1].passed is not None
    scene.reply(200, {**DONE, "ts_ms": 40_000})
    assert scene.appends == [], "what changes no terms leaves no entry"
    live(scene, (LEASE // 2 - 2) * SECOND)
    assert len(renewals(scene)) == 1
    live(scene, 3 * SECOND)
    assert len(renewals(scene)) == 2


def test_nobody_knows_when_a_former_life_renewed_it() -> None:
    scene = Scene(listing=[row("0.5000", "10.00", 2)])
    scene.pass_time(2 * LEASE * SECOND)
    scene.restore(intent(), OrderAccepted("c1", "o1", Count(0), Count(1_000), 1_000))
    scene.pass_time(3 * SECOND).beat()
    scene.settle()
    live(scene, LEASE_AGAIN)
    assert len(renewals(scene)) == 1


@pytest.mark.parametrize("answer", [(400, NO_OP), (500, {}), (200, {}), None])
def test_without_a_good_answer_it_is_asked_for_again(answer: Any) -> None:
    scene = placed()
    live(scene, (LEASE // 2 + 1) * SECOND)
    if answer is None:
        scene.fail(sent=True)
    else:
        scene.reply(*answer)
    live(scene, LEASE_AGAIN - 500 * MS)
    assert len(renewals(scene)) == 1
    live(scene, SECOND)
    assert len(renewals(scene)) == 2
    assert scene.core.ledger.account.order("c1").amend is None  # type: ignore[attr-defined]


def test_while_halted_leases_run_out_and_afterwards_they_are_renewed() -> None:
    scene = placed()
    scene.ask(Halt("enough"))
    scene.save()
    live(scene, LEASE * SECOND)
    assert renewals(scene) == []
    live(scene, 2 * SECOND)
    [counters] = {tuple(b.counters.items()) for b in scene.beats[-1:] if isinstance(b, Heartbeat)}
    assert (dict(counters)["leases"], dict(counters)["leases_run_out"]) == (1, 1)
    scene.ask(Resume("go on"))
    scene.save()
    live(scene, LEASE_AGAIN + SECOND)
    assert len(renewals(scene)) == 1


def test_with_the_gate_closed_nothing_is_renewed() -> None:
    scene = placed()
    for _ in range(LEASE):
        scene.pass_time(SECOND).beat("closed")
        scene.settle()
    assert renewals(scene) == []


def test_an_order_that_has_ended_is_renewed_no_more() -> None:
    scene = placed()
    scene.told_by_stream(OrderCanceled("o1", "c1", Count(1_000), 40_000_000))
    scene.listing = []
    live(scene, 2 * LEASE * SECOND)
    assert renewals(scene) == []


def test_an_amend_takes_the_lease_along_and_no_renewal_crosses_it() -> None:
    scene = placed()
    live(scene, (LEASE // 2 - 1) * SECOND)
    asked(scene, amend("0.60"))
    [amended] = renewals(scene)
    assert amended["expiration_time"] == seconds(scene) + LEASE
    live(scene, 2 * LEASE_AGAIN)
    assert len(renewals(scene)) == 1, "its outcome is not known yet"
    scene.reply(200, {**DONE, "ts_ms": 50_000})
    scene.settle()
    assert said(scene) == ("accepted", "")
    live(scene, 2 * LEASE_AGAIN)
    assert [r["price"] for r in renewals(scene)] == ["0.6000", "0.6000"]


def test_a_renewal_that_waits_while_an_amend_is_asked_for_is_not_sent() -> None:
    scene = placed()
    for i in range(6):  # all places on the wire but those that only cancels may take
        scene.ask(order(f"x{i}", price=Price(400_000), count=Count(100)))
    scene.acknowledge()
    live(scene, (LEASE // 2 + 1) * SECOND)
    assert renewals(scene) == []
    scene.ask(AmendOrder("c1", "a1", Price(510_000), Count(1_000)))
    scene.acknowledge()
    while scene.calls:
        scene.fail(sent=False)
    scene.settle()
    assert [r["price"] for r in renewals(scene)] == ["0.5100"]


def test_while_a_renewal_may_still_land_the_order_gets_no_other_terms() -> None:
    scene = placed()
    live(scene, (LEASE // 2 + 1) * SECOND)
    scene.ask(amend("0.40"))
    assert said(scene) == ("denied", "amend_under_way"), "it is on the wire"
    scene.fail(sent=True)
    scene.ask(amend("0.40"))
    assert said(scene) == ("denied", "amend_under_way"), "nobody knows whether it holds"
    live(scene, LEASE_AGAIN + SECOND)
    scene.reply(200, {**DONE, "ts_ms": 50_000})
    scene.ask(amend("0.40"))
    assert said(scene) == ("denied", "amend_under_way"), "the first may land after the second"
    live(scene, ABSENCE_AFTER)
    while scene.calls:
        scene.reply(200, {**DONE, "ts_ms": 90_000})
    asked(scene, amend("0.40"))
    assert renewals(scene)[-1]["price"] == "0.4000"


def test_after_a_restart_a_renewal_of_the_former_life_may_still_land() -> None:
    scene = restored()
    scene.ask(amend("0.40"))
    assert said(scene) == ("denied", "amend_under_way")
    live(scene, ABSENCE_AFTER)
    while scene.calls:
        scene.reply(200, {**DONE, "ts_ms": 40_000})
    asked(scene, amend("0.40"))
    assert renewals(scene)[-1]["price"] == "0.4000"
