"""Unknown orders: no new risk beside them, no verdict without evidence, and never a guess."""

from typing import Any

from actors.gateway.tickets import Stage
from protocol.facts import Fill, OrderAbsent, OrderCanceled, OrderSeen
from protocol.limits import (
    ABSENCE_AFTER,
    CANCEL_TOLD_AFTER,
    RECONCILE_INTERVAL,
    RESOLVE_INTERVAL,
    SECOND,
)
from protocol.machine import Finish, Stopping
from protocol.messages import (
    CancelAnswer,
    CancelOrder,
    DoubtAnswer,
    DoubtRequest,
    OrderGlimpsed,
    PlaceOrder,
)
from protocol.units import Count, Money, Price
from tests.actors.gateway.scene import MARKET, Scene, order, rfc
from tests.actors.gateway.test_orders import MADE, ROW, live, sent

SETTLES = ABSENCE_AFTER + 3 * RESOLVE_INTERVAL
NOT_FOUND = {"error": {"code": "not_found", "message": "not found"}}


def unknown() -> Scene:
    """An order was sent, and the connection died."""
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.fail(sent=True)
    scene.settle()
    return scene


def absent(facts: list[Any]) -> list[str]:
    return [fact.client_order_id for fact in facts if isinstance(fact, OrderAbsent)]


def state(scene: Scene, id: str = "c1") -> str:
    return scene.core.ledger.account.order(id).state  # type: ignore[attr-defined]


def doubt(scene: Scene) -> DoubtAnswer:
    scene.ask(DoubtRequest("c1"))
    told = scene.answers[-1]
    assert isinstance(told, DoubtAnswer)
    return told


def test_no_new_risk_in_a_market_with_an_unknown_order() -> None:
    scene = unknown()
    scene.ask(order("c2"), "q2")
    assert (scene.told.outcome, scene.told.code) == ("denied", "unresolved_order")
    assert "c1" in scene.told.text
    scene.instead["/markets/KXB-2"] = {"market": {**MARKET, "ticker": "KXB-2"}}
    scene.ask(elsewhere(), "q3")
    scene.acknowledge()
    assert len(sent(scene)) == 2, "other markets are not concerned"


def elsewhere() -> PlaceOrder:
    return PlaceOrder("c3", "KXB-2", "bid", Price(560_000), Count(1_000), "good_till_canceled")


def test_an_order_that_waited_meanwhile_is_not_sent_either() -> None:
    scene = Scene().ready()
    for i in range(8):  # more than may be on the wire at once
        scene.ask(order(f"c{i}"), f"q{i}")
    scene.acknowledge()
    before = len(sent(scene))
    while scene.calls:
        scene.fail(sent=True)
    live(scene, SECOND)
    assert len(sent(scene)) == before
    assert {a.code for a in scene.answers} >= {"no_answer", "unresolved_order"}  # type: ignore[union-attr]


def test_what_only_reduces_a_position_is_no_new_risk() -> None:
    held = Fill("o0", "t0", "KXA-1", "bid", Price(500_000), Count(3_000), Money(0), True)
    scene = Scene()
    scene.instead["/portfolio/positions"] = {
        "market_positions": [
            {"ticker": "KXA-1", "position_fp": "30.00", "market_exposure_dollars": "15.0000"}
        ]
    }
    scene.restore(held).pass_time(3 * SECOND).beat().settle()
    scene.ask(order())
    scene.acknowledge()
    scene.fail(sent=True)
    scene.settle()
    close = PlaceOrder("c2", "KXA-1", "ask", Price(570_000), Count(3_000), "immediate_or_cancel")
    scene.ask(close, "q2")
    scene.acknowledge()
    assert len(sent(scene)) == 2
    scene.ask(PlaceOrder("c3", "KXA-1", "ask", Price(570_000), Count(1), "immediate_or_cancel"))
    assert scene.told.code == "unresolved_order", "it is all being closed already"


def test_absence_needs_data_later_than_any_late_landing() -> None:
    scene = unknown()
    ended_at = scene.at
    scene.instead["/exchange/user_data_timestamp"] = {"as_of_time": rfc(ended_at + 30_000_000)}
    assert absent(live(scene, 2 * SETTLES)) == []
    assert state(scene) == "unknown"
    del scene.instead["/exchange/user_data_timestamp"]
    assert absent(live(scene, 3 * RESOLVE_INTERVAL)) == ["c1"]


def test_a_clock_that_is_set_back_makes_no_order_absent_early() -> None:
    scene = unknown()
    lag = {"/exchange/user_data_timestamp": {"as_of_time": rfc(scene.at + 20_000_000)}}
    scene.instead |= lag  # by the exchange's clock, 20 s after the call: it may land for 15 s yet
    scene.set_back = 28_000_000
    assert absent(live(scene, 2 * SETTLES)) == []
    del scene.instead["/exchange/user_data_timestamp"]
    scene.set_back = 0
    assert absent(live(scene, 2 * SETTLES)) == ["c1"]


def test_without_word_on_how_fresh_the_listings_are_nothing_is_absent() -> None:
    scene = unknown()
    scene.instead["/exchange/user_data_timestamp"] = {"error": {"code": "gone"}}
    assert absent(live(scene, 2 * SETTLES)) == []


def test_a_listing_that_misses_an_order_once_proves_nothing() -> None:
    scene = unknown()
    booked = []
    while doubt(scene).misses == 0:
        booked += live(scene, SECOND)
        assert scene.now < 2 * SETTLES
    scene.listing = [ROW]
    booked += live(scene, 2 * RESOLVE_INTERVAL)
    assert absent(booked) == []
    assert state(scene) == "resting"


def test_a_glimpse_on_the_book_brings_a_listing_at_once_and_forbids_absence() -> None:
    scene = unknown()
    live(scene, RESOLVE_INTERVAL)
    scene.ask(OrderGlimpsed("c1"))
    assert absent(live(scene, 2 * SETTLES)) == []
    scene.listing = [ROW]
    scene.ask(OrderGlimpsed("c1"))
    live(scene, RESOLVE_INTERVAL + SECOND)
    assert state(scene) == "resting"


def test_an_unknown_order_older_than_the_listings_is_looked_for_in_the_history() -> None:
    scene = unknown()
    scene.instead["/historical/cutoff"] = {
        "market_settled_ts": rfc(scene.at),
        "trades_created_ts": rfc(scene.at),
        "orders_updated_ts": rfc(scene.at + 1_000_000),
    }
    done = {**ROW, "status": "executed", "fill_count_fp": "10.00", "remaining_count_fp": "0.00"}
    scene.instead["/historical/orders"] = {"orders": [done], "cursor": ""}
    booked = live(scene, 2 * RESOLVE_INTERVAL)
    assert [f.status for f in booked if isinstance(f, OrderSeen)][:1] == ["executed"]


def test_how_far_the_settling_is_can_be_asked() -> None:
    scene = unknown()
    told = doubt(scene)
    assert (told.open, told.misses, told.misses_needed) == (True, 0, 2)
    assert told.settles_at == told.since + ABSENCE_AFTER // 1_000
    assert scene.at <= told.next_at <= scene.at + RESOLVE_INTERVAL // 1_000
    scene.ask(DoubtRequest("another"))
    assert scene.answers[-1] == DoubtAnswer(False)


# Cancels


def cancels(scene: Scene) -> list[tuple[str, str]]:
    return [(a.outcome, a.text) for a in scene.answers if isinstance(a, CancelAnswer)]


def deletes(scene: Scene) -> int:
    return sum(made.call.method == "DELETE" for made in scene.made)


def resting() -> Scene:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.reply(201, MADE)
    scene.listing = [ROW]
    live(scene, SECOND)
    return scene


def test_a_cancel_goes_on_after_its_asker_was_told_unknown() -> None:
    scene = resting()
    scene.ask(CancelOrder("c1"))
    for _ in range(CANCEL_TOLD_AFTER // SECOND + 1):
        if scene.calls:
            scene.fail(sent=True)
        live(scene, SECOND)
    assert cancels(scene)[0][0] == "unknown"
    tried = deletes(scene)
    live(scene, CANCEL_TOLD_AFTER)
    assert deletes(scene) > tried
    scene.reply(200, {"order_id": "o1", "reduced_by": "10.00", "ts_ms": 9})
    booked = live(scene, SECOND)
    assert [f.reduced_by for f in booked if isinstance(f, OrderCanceled)] == [1_000]
    assert state(scene) == "canceled"


def test_an_order_that_should_rest_and_is_nowhere_is_said_to_be_lost() -> None:
    scene = resting()
    scene.listing = []
    scene.instead["/historical/orders"] = {"orders": [], "cursor": ""}
    live(scene, RECONCILE_INTERVAL)
    scene.reply(404, NOT_FOUND)
    live(scene, 2 * SECOND)
    assert state(scene) == "resting", "nobody knows better"
    assert scene.beats[-1].counters["orders_lost"] == 1  # type: ignore[union-attr]


def test_two_404s_are_no_evidence() -> None:
    scene = resting()
    scene.ask(CancelOrder("c1"))
    scene.reply(404, NOT_FOUND)
    scene.reply(404, NOT_FOUND)
    assert cancels(scene) == []
    live(scene, CANCEL_TOLD_AFTER)
    assert [outcome for outcome, _ in cancels(scene)] == ["unknown"]
    assert state(scene) == "resting"
    scene.listing = [{**ROW, "status": "canceled", "remaining_count_fp": "0.00"}]
    while scene.calls:
        scene.fail(sent=True)
    live(scene, RECONCILE_INTERVAL)
    tried = deletes(scene)
    live(scene, RECONCILE_INTERVAL)
    assert (state(scene), deletes(scene)) == ("canceled", tried), "evidence has ended it"


def test_tries_of_a_cancel_are_further_and_further_apart() -> None:
    scene = resting()
    scene.ask(CancelOrder("c1"))
    moments = []
    for _ in range(4):
        moments.append(scene.now)
        tried = deletes(scene)
        scene.fail(sent=True)
        while deletes(scene) == tried:
            live(scene, SECOND // 2)
            assert scene.now - moments[-1] < 60 * SECOND
    pauses = [b - a for a, b in zip(moments, moments[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]


def test_a_cancel_of_an_order_on_its_way_waits_for_its_id() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.ask(CancelOrder("c1"), "cancel")
    assert deletes(scene) == 0
    scene.reply(201, MADE)
    scene.acknowledge()
    assert deletes(scene) == 1
    scene.reply(200, {"order_id": "o1", "reduced_by": "10.00", "ts_ms": 9})
    assert [outcome for outcome, _ in cancels(scene)] == ["canceled"]


def test_a_cancel_of_an_order_whose_market_is_still_being_read() -> None:
    scene = Scene().ready()
    scene.instead["/markets/KXA-1"] = None
    scene.ask(order())
    scene.ask(CancelOrder("c1"), "cancel")
    assert [outcome for outcome, _ in cancels(scene)] == ["gone"]
    scene.reply(200, {"market": MARKET})
    assert (scene.appends, sent(scene)) == ([], [])


# Stopping


def test_stopping_waits_until_what_was_sent_is_on_record() -> None:
    scene = Scene().ready()
    scene.ask(order("c1"), "q1")
    scene.acknowledge()
    ends: list[int] = []
    take = scene._take
    scene._take = lambda e: ends.append(scene.now) if isinstance(e, Finish) else take(e)  # type: ignore[method-assign]
    scene.feed(Stopping(scene.at))
    assert ends == [], "an order is on the wire"
    scene.reply(201, MADE)
    assert ends == [], "its outcome is not on record"
    scene.acknowledge()
    assert ends
    assert [t.stage for _, t in scene.core.trading.orders.tickets] in ([], [Stage.DONE])
