"""Amends: recorded before they are sent, sent at most once, counted as the larger until known."""

from typing import Any

import pytest
from msgspec.structs import replace

from protocol.brakes import UNSAID, Limits
from protocol.envelope import Letter
from protocol.facts import (
    AmendIntended,
    AmendOutcome,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderIntended,
    OrderSeen,
    natural_id,
)
from protocol.limits import (
    ABSENCE_AFTER,
    INTENT_ACK_MAX,
    OUTCOME_ACK_MAX,
    QUEUED_MAX,
    RECALL_MAX,
    RESOLVE_INTERVAL,
    SECOND,
)
from protocol.machine import Answered
from protocol.messages import (
    AmendAnswer,
    AmendOrder,
    BrakesAnswer,
    CancelOrder,
    Entry,
    EvidenceAnswer,
    Halt,
    Order,
    TightenBrakes,
)
from protocol.units import Count, Money, Price, parse_count, parse_money, parse_price
from tests.actors.gateway.scene import BLIND, MARKET, Scene, order

SETTLES = ABSENCE_AFTER + 3 * RESOLVE_INTERVAL
TERMS = OrderIntended(
    "c1", "KXA-1", "bid", Price(500_000), Count(1_000), "good_till_canceled", "hash"
)
RESTS = (TERMS, OrderAccepted("c1", "o1", Count(0), Count(1_000), 1_000))
INTENT = AmendIntended("c1", "a1", Price(600_000), Count(1_000))
OTHER = AmendIntended("c1", "a2", Price(700_000), Count(1_000))
DONE = {"order_id": "o1", "client_order_id": "c1", "remaining_count": "10.00", "ts_ms": 7_000}


def row(cents: str, count: str, at: int) -> dict[str, Any]:
    return {
        "order_id": "o1", "client_order_id": "c1", "ticker": "KXA-1", "status": "resting",
        "book_side": "bid", "yes_price_dollars": cents, "fill_count_fp": "0.00",
        "remaining_count_fp": count, "initial_count_fp": count,
        "created_time": "1970-01-01T00:00:01Z", "last_update_time": f"1970-01-01T00:00:{at:02d}Z",
    }  # fmt: skip


def resting(limits: Limits = BLIND, *more: Any) -> Scene:
    """An order of 10 at 0.50 rests."""
    over = any(isinstance(fact, OrderCanceled) for fact in more)
    scene = Scene(limits=limits, listing=[] if over else [row("0.5000", "10.00", 2)])
    scene.restore(*RESTS, *more).pass_time(3 * SECOND).beat()
    return scene.settle()


def amend(price: str = "0.60", count: str = "10", id: str = "a1", order: str = "c1") -> AmendOrder:
    return AmendOrder(order, id, parse_price(price), parse_count(count))


def asked(scene: Scene, wanted: AmendOrder, letter: str = "") -> Scene:
    """Asked for and recorded: it is on the wire, unless something keeps it."""
    scene.ask(wanted, letter)
    scene.acknowledge()
    return scene


def told(scene: Scene) -> AmendAnswer:
    found = scene.answers[-1]
    assert isinstance(found, AmendAnswer)
    return found


def said(scene: Scene) -> tuple[str, str]:
    return told(scene).outcome, told(scene).code


def sent(scene: Scene) -> list[str]:
    return [made.call.name for made in scene.made if made.call.method == "POST"]


def booked(scene: Scene) -> Order:
    found: Order = scene.core.ledger.account.order("c1")  # type: ignore[attr-defined]
    return found


def worst(scene: Scene) -> Money:
    """What the account could lose, by the gateway's own word."""
    scene.ask(TightenBrakes())
    found = scene.answers.pop()
    assert isinstance(found, BrakesAnswer)
    return found.exposure


def recalled(scene: Scene, *facts: Any) -> None:
    """The rehydrator tells that these entries, and no others, are about the order."""
    told = [Entry(n, natural_id(f), 1, "test", f) for n, f in enumerate((*RESTS, *facts), 1)]
    answer = EvidenceAnswer(tuple(told), len(told), complete=True)
    asked_for = scene.recalls.pop()
    scene.feed(Answered(scene.at, "rehydrator", Letter("rehydrator", 2, asked_for.id, 0, answer)))


def live(scene: Scene, duration: int) -> None:
    """Time passes while the supervisor, the writer and the exchange's reads go on."""
    until = scene.now + duration
    while scene.now < until:
        scene.pass_time(min(SECOND, until - scene.now)).beat()
        scene.settle()


# The way


def test_an_amend_from_the_door_to_the_answer() -> None:
    scene = resting()
    scene.ask(amend())
    assert sent(scene) == [], "nothing leaves before the intent is recorded"
    assert scene.acknowledge() == [AmendIntended("c1", "a1", Price(600_000), Count(1_000))]
    [made] = scene.calls
    assert (made.call.name, made.call.path) == ("amend", "/portfolio/events/orders/o1/amend")
    assert made.call.body == (
        b'{"ticker":"KXA-1","side":"bid","price":"0.6000","count":"10.00","client_order_id":"c1"}'
    )
    assert made.passed is not None and made.passed.covers(made.call)
    scene.reply(200, DONE)
    assert scene.answers == [], "the outcome is recorded before it is told"
    assert scene.acknowledge() == [AmendOutcome("c1", "a1", "done", "", 7_000_000)]
    shown = told(scene).order
    assert said(scene) == ("accepted", "") and shown is not None
    assert (shown.price, shown.count, shown.remaining) == (600_000, 1_000, 1_000)
    assert (booked(scene).price, worst(scene)) == (600_000, parse_money("6.00"))


def test_it_counts_as_the_larger_from_the_brakes_to_the_outcome() -> None:
    scene = resting()
    assert worst(scene) == parse_money("5.00")
    scene.ask(amend("0.60", "20"))
    assert worst(scene) == parse_money("12.00"), "from the door on"
    scene.acknowledge()
    assert worst(scene) == parse_money("12.00"), "on the wire"
    scene.fail(sent=True)
    scene.settle()
    assert said(scene) == ("unknown", "no_answer")
    assert worst(scene) == parse_money("12.00"), "without an answer"
    scene.told_by_stream(OrderCanceled("o1", "c1", Count(1_000), 9))
    assert worst(scene) == 0


def test_a_smaller_one_counts_as_the_former_until_it_is_known() -> None:
    scene = resting()
    asked(scene, amend("0.40", "5"))
    assert worst(scene) == parse_money("5.00")
    scene.reply(200, {**DONE, "remaining_count": "5.00"})
    scene.settle()
    assert worst(scene) == parse_money("2.00")


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (400, {"error": {"code": "AMEND_ORDER_NO_OP"}}, "rejected", "AMEND_ORDER_NO_OP"),
        (404, {"error": {"code": "not_found"}}, "rejected", "not_found"),
        (429, {"error": "too many requests"}, "rejected", "too_many_requests"),
        (500, {"error": {"code": "internal"}}, "unknown", "no_answer"),
        (404, b"<html>", "unknown", "no_answer"),
        (409, {"error": {"code": "conflict"}}, "unknown", "no_answer"),
        (200, {}, "unknown", "no_answer"),
        (200, {"order_id": "o2", "ts_ms": 7_000}, "unknown", "no_answer"),
        (200, {"order_id": "o1"}, "unknown", "no_answer"),
        (200, {"error": {"code": "bad"}}, "unknown", "no_answer"),
        (201, DONE, "unknown", "no_answer"),
    ],
)
def test_what_an_answer_means(status: int, body: Any, outcome: str, code: str) -> None:
    scene = asked(resting(), amend("0.60", "20"))
    scene.reply(status, body)
    scene.settle()
    assert said(scene) == (outcome, code)
    assert sent(scene) == ["amend"]
    assert worst(scene) == parse_money("12.00" if outcome == "unknown" else "5.00")


def test_not_sent_at_all_it_is_denied_and_nothing_changed() -> None:
    scene = asked(resting(), amend())
    scene.fail(sent=False)
    scene.settle()
    assert said(scene) == ("denied", "unreachable")
    assert worst(scene) == parse_money("5.00")


def test_asked_twice_it_is_sent_once() -> None:
    scene = resting()
    scene.ask(amend(), "q1")
    scene.ask(amend(), "q2")
    scene.ask(amend(), "q2")  # the same letter told again is answered once
    scene.acknowledge()
    scene.reply(200, DONE)
    scene.settle()
    scene.ask(amend(), "q3")
    assert [a.outcome for a in scene.answers] == ["accepted"] * 3  # type: ignore[union-attr]
    scene.ask(amend("0.70"))
    assert said(scene) == ("conflict", "amend_id_taken")
    assert sent(scene) == ["amend"]


def test_one_amend_of_an_order_at_a_time() -> None:
    scene = asked(resting(), amend())
    scene.ask(amend("0.70", id="a2"))
    recalled(scene, INTENT)
    assert said(scene) == ("denied", "amend_under_way")
    scene.fail(sent=True)
    scene.settle()
    scene.ask(amend("0.70", id="a2"))
    recalled(scene, INTENT)
    assert said(scene) == ("denied", "amend_under_way"), "the first is unknown still"
    assert sent(scene) == ["amend"]


def test_a_refused_letter_told_again_gets_the_same_refusal() -> None:
    scene = asked(resting(), amend())
    scene.ask(amend("0.70", id="a2"), "q2")
    recalled(scene, INTENT)
    scene.reply(200, DONE)
    scene.settle()
    scene.ask(amend("0.70", id="a2"), "q2")
    assert said(scene) == ("denied", "amend_under_way")
    scene.ask(amend("0.70", id="a2"), "q3")
    scene.acknowledge()
    assert sent(scene) == ["amend", "amend"]


# What is refused before anything is recorded


@pytest.mark.parametrize(
    ("wanted", "code", "field"),
    [
        (amend(order="c9"), "order_not_found", "client_order_id"),
        (amend(id=""), "invalid_amend", "amend_id"),
        (amend(id="a b"), "invalid_amend", "amend_id"),
        (amend("0.00"), "invalid_amend", "price"),
        (amend("1.00"), "invalid_amend", "price"),
        (amend("0.50", "10"), "invalid_amend", "price"),
        (amend("0.60", "3"), "invalid_amend", "count"),
        (amend("0.60", "0"), "invalid_amend", "count"),
        (amend("0.605"), "off_grid_price", "price"),
    ],
)
def test_what_makes_no_sense_is_recorded_nowhere(wanted: AmendOrder, code: str, field: str) -> None:
    filled = Fill("o1", "t1", "KXA-1", "bid", Price(500_000), Count(300), Money(0), True, 0, "c1")
    scene = resting(BLIND, filled)
    scene.ask(wanted)
    assert (*said(scene), told(scene).field) == ("denied", code, field)
    assert (scene.appends, sent(scene)) == ([], [])


def test_an_order_that_has_ended_and_one_that_nobody_knows_the_fate_of() -> None:
    scene = resting(BLIND, OrderCanceled("o1", "c1", Count(1_000), 9))
    scene.ask(amend())
    assert said(scene) == ("denied", "order_not_open")
    assert told(scene).text == "the order is canceled"
    scene = Scene().ready()
    scene.ask(order("c1"))
    scene.acknowledge()
    scene.ask(amend())
    assert said(scene) == ("denied", "order_not_open")


def test_without_the_account_no_word_is_sure() -> None:
    scene = Scene().pass_time(SECOND)
    scene.ask(amend())
    assert said(scene) == ("unknown", "not_restored")


def test_while_halted_nothing_is_amended() -> None:
    scene = resting()
    scene.ask(Halt("enough"))
    scene.save()
    scene.ask(amend())
    assert said(scene) == ("denied", "halted")
    assert scene.appends == []


def test_a_halt_stops_one_that_waits_for_its_entry() -> None:
    scene = resting()
    scene.ask(amend())
    scene.ask(Halt("enough"))
    scene.save()
    scene.settle()
    assert said(scene) == ("denied", "halted")
    assert sent(scene) == []
    assert worst(scene) == parse_money("5.00")


# The brakes

WIDER = parse_money("1000.00")


@pytest.mark.parametrize(
    ("limits", "passes", "stops"),
    [
        ({"order_count": parse_count("12")}, amend("0.50", "12"), amend("0.50", "12.01")),
        ({"order_cost": parse_money("6")}, amend("0.60", "10"), amend("0.61", "10")),
        ({"market_exposure": parse_money("6")}, amend("0.60", "10"), amend("0.61", "10")),
        ({"event_exposure": parse_money("6")}, amend("0.60", "10"), amend("0.61", "10")),
        ({"account_exposure": parse_money("6")}, amend("0.60", "10"), amend("0.60", "11")),
    ],
)
def test_the_brakes_stop_it_and_let_it_pass_at_the_limit(
    limits: dict[str, Any], passes: AmendOrder, stops: AmendOrder
) -> None:
    [name] = limits
    scene = resting(replace(BLIND, **limits))
    scene.ask(stops, "q1")
    assert said(scene) == ("denied", name)
    assert worst(scene) == parse_money("5.00"), "what was refused counts no more"
    asked(scene, replace(passes, amend_id="a2"))
    assert sent(scene) == ["amend"]


def test_it_is_no_order_more() -> None:
    scene = asked(resting(replace(BLIND, open_orders=1)), amend())
    assert sent(scene) == ["amend"]
    scene = asked(resting(replace(BLIND, orders_a_second=0)), amend())
    assert said(scene) == ("denied", "orders_a_second"), "but it is one of those of a second"


def test_over_a_limit_it_may_only_become_smaller() -> None:
    scene = resting(replace(BLIND, market_exposure=parse_money("3.00")))
    scene.ask(amend("0.50", "11"))
    assert said(scene) == ("denied", "market_exposure")
    asked(scene, amend("0.40", "9", id="a2"))
    assert sent(scene) == ["amend"]


def test_it_may_not_cross_an_order_of_ours() -> None:
    other = replace(TERMS, client_order_id="c2", side="ask", price=Price(600_000))
    more = (other, OrderAccepted("c2", "o2", Count(0), Count(1_000), 1_000))
    scene = resting(BLIND, *more)
    scene.ask(amend("0.60"))
    assert said(scene) == ("denied", "self_cross")
    asked(scene, amend("0.59", id="a2"))
    assert sent(scene) == ["amend"]
    scene.ask(order("c3", price=Price(550_000), count=Count(100)))
    scene.acknowledge()
    assert sent(scene) == ["amend", "create"], "an order on the same side crosses nothing"


def test_an_order_may_not_cross_what_an_amend_may_have_become() -> None:
    scene = asked(resting(), amend("0.60"))
    scene.fail(sent=True)
    scene.settle()
    ask = replace(order("c2"), side="ask", price=Price(580_000), count=Count(100))
    scene.ask(ask)
    assert (scene.told.outcome, scene.told.code) == ("denied", "self_cross")


def test_cash_has_to_pay_only_for_what_comes_on_top() -> None:
    limits = replace(BLIND, money=True)
    scene = resting(limits)
    scene.instead["/portfolio/balance"] = {"balance_dollars": "1.0000"}
    live(scene, 20 * SECOND)
    asked(scene, amend("0.61"))
    live(scene, SECOND)
    assert said(scene) == ("denied", "not_enough_cash")
    assert (told(scene).limit, told(scene).value) == ("1.0000", "1.1000")
    asked(scene, amend("0.60", id="a2"))
    assert sent(scene) == ["amend"]


def test_the_last_look_is_right_before_the_signature() -> None:
    """A limit was tightened while the intent was being recorded."""
    scene = resting()
    scene.ask(amend("0.60"))
    scene.ask(TightenBrakes(replace(UNSAID, market_exposure=parse_money("5.50"))))
    assert scene.acknowledge() == [AmendIntended("c1", "a1", Price(600_000), Count(1_000))]
    assert sent(scene) == []
    [fact] = scene.acknowledge()
    assert isinstance(fact, AmendOutcome) and fact.outcome == "denied"
    assert said(scene) == ("denied", "market_exposure")
    assert worst(scene) == parse_money("5.00")


# What is lost, and what comes late


def test_an_intent_that_the_writer_does_not_take_in_time_is_withdrawn() -> None:
    scene = resting()
    scene.ask(amend())
    late = scene.appends.pop()
    scene.pass_time(INTENT_ACK_MAX).beat()
    text = "it will not be sent: no acknowledgement of the intent"
    assert AmendOutcome("c1", "a1", "withdrawn", text) in scene.acknowledge()
    assert said(scene) == ("unavailable", "not_recorded")
    scene.appends.append(late)
    scene.settle()
    assert sent(scene) == [], "a late NEW must not send"
    assert worst(scene) == parse_money("5.00")


@pytest.mark.parametrize(
    ("entries", "outcome", "code"),
    [
        ((INTENT,), "unknown", "intended"),
        ((INTENT, AmendOutcome("c1", "a1", "unknown", "lost")), "unknown", "unknown"),
        ((INTENT, AmendOutcome("c1", "a1", "done", "", 9), OTHER), "accepted", ""),
        ((INTENT, AmendOutcome("c1", "a1", "denied", "halted: x"), OTHER), "denied", "halted"),
        ((OTHER, INTENT), "unavailable", "not_recorded"),
        ((INTENT, OrderCanceled("o1", "c1", Count(1_000), 9)), "over", "order_ended"),
        ((OrderCanceled("o1", "c1", Count(1_000), 9), INTENT), "unavailable", "not_recorded"),
    ],
)
def test_of_one_that_was_recorded_before_the_entries_tell(
    entries: Any, outcome: str, code: str
) -> None:
    scene = resting()
    scene.ask(amend())
    scene.acknowledge("REPEAT")
    recalled(scene, *entries)
    assert said(scene) == (outcome, code)
    assert sent(scene) == []


def test_a_former_amend_of_an_order_is_never_called_refused() -> None:
    """A was done, then B was asked for: the account shows B alone, and A is asked for again."""
    done = AmendOutcome("c1", "a1", "done", "", 1_500_000)
    scene = resting(BLIND, INTENT, done, OTHER)
    assert booked(scene).amend.id == "a2"  # type: ignore[union-attr]
    scene.ask(amend("0.60"))
    recalled(scene, INTENT, done, OTHER)
    assert said(scene) == ("accepted", "")
    scene.ask(amend("0.90", id="a3"))
    recalled(scene, INTENT, done, OTHER)
    assert said(scene) == ("denied", "amend_under_way"), "of this one there is no entry"
    scene.ask(amend("0.95", id="a4"))
    scene.pass_time(RECALL_MAX)
    assert said(scene) == ("unknown", "repeat"), "nobody tells"


def test_a_repeat_of_which_nobody_tells_may_have_been_sent() -> None:
    scene = resting()
    scene.ask(amend())
    scene.acknowledge("REPEAT")
    scene.pass_time(RECALL_MAX)
    assert said(scene) == ("unknown", "repeat")
    assert sent(scene) == []


def test_an_outcome_that_is_recorded_late_is_told_all_the_same() -> None:
    scene = asked(resting(), amend())
    scene.reply(200, DONE)
    scene.pass_time(OUTCOME_ACK_MAX)
    assert said(scene) == ("accepted", "")
    scene.settle()
    assert booked(scene).price == 600_000


def test_it_waits_for_a_place_so_long_and_no_longer() -> None:
    scene = resting()
    scene.ask(amend("0.605", id="a0"))  # refused: but its market has been read
    scene.instead["/markets/KXB-1"] = {"market": {**MARKET, "ticker": "KXB-1"}}
    for i in range(6):  # all places on the wire but those that only cancels may take
        scene.ask(replace(order(f"x{i}", count=Count(100)), ticker="KXB-1"))
    scene.acknowledge()
    asked(scene, amend())
    assert sent(scene) == ["create"] * 6
    scene.pass_time(QUEUED_MAX)
    scene.settle()
    assert said(scene) == ("denied", "busy")
    scene.fail(sent=False)  # a place is free
    assert sent(scene) == ["create"] * 6, "it was taken out of its lane"
    assert worst(scene) - parse_money("0.56") * 6 == parse_money("5.00")


def test_a_cancel_needs_no_amend_to_end() -> None:
    scene = asked(resting(), amend())
    scene.ask(CancelOrder("c1"))
    assert scene.calls[-1].call.name == "cancel"


# How a doubt ends


def doubtful() -> Scene:
    scene = asked(resting(), amend("0.60", "20"))
    scene.fail(sent=True)
    return scene.settle()


def test_seen_with_its_new_terms_it_is_done() -> None:
    scene = doubtful()
    scene.listing = [row("0.6000", "20.00", 4)]
    live(scene, RESOLVE_INTERVAL)
    assert booked(scene).amend.state == "done"  # type: ignore[union-attr]
    assert worst(scene) == parse_money("12.00")
    scene.ask(amend("0.60", "20"))
    assert said(scene) == ("accepted", "")


def test_seen_with_its_former_terms_once_nothing_can_land_it_never_was() -> None:
    scene = doubtful()
    live(scene, ABSENCE_AFTER - RESOLVE_INTERVAL)
    assert booked(scene).amend.state == "unknown", "it may still land"  # type: ignore[union-attr]
    live(scene, SETTLES)
    assert booked(scene).amend.state == "absent"  # type: ignore[union-attr]
    assert worst(scene) == parse_money("5.00")
    scene.ask(amend("0.60", "20"))
    assert said(scene) == ("rejected", "absent")
    asked(scene, amend("0.60", "20", id="a2"))
    assert sent(scene) == ["amend", "amend"]


def test_a_former_life_may_have_sent_what_it_meant_to() -> None:
    scene = resting(BLIND, AmendIntended("c1", "a1", Price(600_000), Count(2_000)))
    live(scene, SECOND)
    assert booked(scene).amend.state == "unknown"  # type: ignore[union-attr]
    assert worst(scene) == parse_money("12.00")
    scene.ask(amend("0.60", "20"))
    assert said(scene) == ("unknown", "unknown")
    scene.listing = [row("0.6000", "20.00", 4)]
    live(scene, RESOLVE_INTERVAL)
    assert booked(scene).price == 600_000
    assert sent(scene) == []


def test_a_sighting_on_the_stream_settles_it_at_once() -> None:
    scene = doubtful()
    seen = OrderSeen(
        "o1", "c1", "KXA-1", "bid", Price(600_000), "resting", Count(2_000), Count(0),
        Count(2_000), 4_000, terms=True,
    )  # fmt: skip
    scene.told_by_stream(seen)
    assert booked(scene).amend.state == "done"  # type: ignore[union-attr]
