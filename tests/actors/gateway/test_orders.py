"""Orders: recorded before they are sent, sent at most once, and never guessed about."""

from typing import Any

import pytest

from actors.gateway.halt import HaltSaved
from protocol.facts import (
    OrderAbsent,
    OrderAccepted,
    OrderDenied,
    OrderIntended,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
)
from protocol.latch import NO_LATCH, Latch
from protocol.limits import (
    ABSENCE_AFTER,
    CANCEL_TOLD_AFTER,
    COUNT_MAX,
    INTENT_ACK_MAX,
    RESOLVE_INTERVAL,
    SECOND,
)
from protocol.messages import CancelAnswer, CancelOrder, Halt, HaltAnswer, Resume
from protocol.units import Count, Price
from tests.actors.gateway.scene import LIMITS, Scene, order

MADE = {
    "order_id": "o1",
    "client_order_id": "c1",
    "fill_count": "0.00",
    "remaining_count": "10.00",
    "ts_ms": 5,
}


def sent(scene: Scene) -> list[str]:
    return [c.call.name for c in scene.made if c.call.method == "POST"]


def test_an_order_from_the_door_to_the_answer() -> None:
    scene = Scene().ready()
    scene.ask(order())
    assert sent(scene) == [], "nothing leaves before the intent is recorded"
    [intent] = scene.acknowledge()
    assert isinstance(intent, OrderIntended)
    assert sent(scene) == ["create"]
    scene.reply(201, MADE)
    assert scene.answers == [], "the outcome is recorded before it is told"
    assert scene.acknowledge() == [OrderAccepted("c1", "o1", Count(0), Count(1_000), 5_000)]
    assert (scene.told.outcome, scene.told.order and scene.told.order.order_id) == (
        "accepted",
        "o1",
    )


def test_asked_twice_it_is_sent_once() -> None:
    scene = Scene().ready()
    scene.ask(order(), "q1")
    scene.ask(order(), "q2")
    scene.ask(order(), "q2")  # the same letter told again is answered once
    scene.acknowledge()
    scene.reply(201, MADE)
    scene.acknowledge()
    scene.ask(order(), "q3")
    assert [a.outcome for a in scene.answers] == ["accepted"] * 3  # type: ignore[union-attr]
    scene.ask(order(price=Price(570_000)))
    assert scene.told.outcome == "conflict"
    assert sent(scene) == ["create"]


def test_a_repeat_may_have_been_sent_by_a_former_life() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.n += 1  # its entry, which the account does not show yet
    scene.acknowledge("REPEAT")
    assert scene.told.outcome == "unknown"
    assert sent(scene) == []


def test_a_silent_writer_means_withdrawn_and_a_late_new_does_not_send() -> None:
    scene = Scene().ready()
    scene.ask(order())
    late = scene.appends
    scene.pass_time(INTENT_ACK_MAX)
    assert scene.told.outcome == "unavailable"
    assert any(isinstance(a.body.fact, OrderWithdrawn) for a in scene.appends)  # type: ignore[union-attr]
    scene.appends = late
    scene.acknowledge()
    scene.beat().pass_time(2 * SECOND)
    assert sent(scene) == []


REFUSAL = {"error": {"code": "invalid_price", "message": "invalid price"}}


@pytest.mark.parametrize("status", [400, 403, 404, 410, 429, 401])
@pytest.mark.parametrize(
    "body", [REFUSAL, {"code": "x", "message": "y"}, {"msg": "z"}, {"error": "too many requests"}]
)
def test_a_refusal_with_an_error_body_is_final(status: int, body: Any) -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.reply(status, body)
    [fact] = [f for f in scene.acknowledge() if isinstance(f, OrderRejected)]
    assert fact.status == status
    assert scene.told.outcome == "rejected"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b"<html>"),
        (201, b'{"order_id":"o1"'),
        (201, {**MADE, "client_order_id": "somebody else's"}),
        (201, {**MADE, "order_id": ""}),
        (201, {}),
        (200, MADE),
        (202, MADE),
        (204, b""),
        (301, b""),
        (307, b""),
        (400, b"<html>bad gateway</html>"),
        (408, REFUSAL),
        (409, {"error": {"code": "order_already_exists"}}),
        (418, REFUSAL),
        (500, REFUSAL),
        (503, b""),
    ],
)
def test_everything_else_is_unknown(status: int, body: Any) -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.reply(status, body)
    assert [type(f) for f in scene.acknowledge()] == [OrderUnknown]
    assert scene.told.outcome == "unknown"
    scene.pass_time(2 * SECOND)
    assert sent(scene) == ["create"], "never sent again"


def test_no_connection_means_that_nothing_was_sent() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.fail(sent=False)
    assert [type(f) for f in scene.acknowledge()] == [OrderDenied]
    assert (scene.told.outcome, scene.told.code) == ("denied", "unreachable")


def live(scene: Scene, duration: int) -> list[Any]:
    """Pass time with a writer and a supervisor that do their work; returns what was booked."""
    booked: list[Any] = []
    for _ in range(duration // (SECOND // 2)):
        scene.pass_time(SECOND // 2).beat()
        booked += scene.acknowledge()
    return booked


def scarce(path: str) -> Scene:
    """A read budget of which one call of this path takes nearly all; the next waits for 15 s."""
    scene = Scene()
    dear = {"method": "GET", "path": path, "cost": 300}
    small = {"refill_rate": 20, "bucket_capacity": 400}
    scene.instead["/account/endpoint_costs"] = {"default_cost": 10, "endpoint_costs": [dear]}
    scene.instead["/account/limits"] = {**LIMITS, "read": small}
    scene.ready()
    live(scene, 70 * SECOND)  # both have been read twice, and the bucket is full
    scene.answers.clear()
    return scene


ROW = {
    "order_id": "o1", "client_order_id": "c1", "ticker": "KXA-1", "status": "resting",
    "yes_price_dollars": "0.5600", "fill_count_fp": "0.00", "remaining_count_fp": "10.00",
    "initial_count_fp": "10.00", "book_side": "bid", "created_time": "2026-06-11T06:29:20.866753Z",
}  # fmt: skip


def test_an_unknown_order_is_found_in_a_listing() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.fail(sent=True)
    scene.listing = [ROW]
    booked = live(scene, 2 * SECOND)
    assert [f.order_id for f in booked if isinstance(f, OrderSeen)][:1] == ["o1"]
    scene.ask(order())
    assert scene.told.outcome == "accepted"
    assert sent(scene) == ["create"]


def test_an_unknown_order_is_absent_only_after_two_late_listings() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.fail(sent=True)
    early = live(scene, ABSENCE_AFTER - SECOND)
    assert not any(isinstance(f, OrderAbsent) for f in early)
    late = live(scene, 3 * RESOLVE_INTERVAL)
    assert [f.client_order_id for f in late if isinstance(f, OrderAbsent)] == ["c1"]


def test_an_intent_of_a_former_life_becomes_unknown_and_is_not_sent() -> None:
    scene = Scene()
    intent = OrderIntended(
        "c1", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled", "hash"
    )
    scene.restore(intent).pass_time(3 * SECOND).beat()
    assert any(isinstance(a.body.fact, OrderUnknown) for a in scene.appends)  # type: ignore[union-attr]
    assert sent(scene) == []


def test_no_new_risk_without_an_open_gate() -> None:
    scene = Scene().restore().pass_time(3 * SECOND)
    scene.ask(order("c1"))
    assert (scene.told.outcome, scene.told.code) == ("denied", "gate_closed")
    scene.beat("closed").ask(order("c2"))
    assert (scene.told.code, scene.told.text) == ("gate_closed", "test")
    scene.beat()
    scene.pass_time(11 * SECOND)
    scene.ask(order("c3"))
    assert scene.told.code == "gate_closed", "the lease has run out"
    assert sent(scene) == []


def test_a_late_copy_of_a_letter_is_refused_as_it_was() -> None:
    scene = Scene().ready()
    scene.beat("closed").ask(order("c1"), "place:c1:1")
    refused = scene.told
    scene.beat().ask(order("c1"), "place:c1:1")
    assert scene.told is refused, "who asked was told that nothing is sent"
    assert scene.appends == []
    scene.ask(order("c1"), "place:c1:2")
    assert [type(f) for f in scene.acknowledge()] == [OrderIntended]


def test_a_halt_is_looked_at_again_right_before_the_signature() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.ask(Halt("stop"))
    scene.acknowledge()
    assert sent(scene) == []
    assert [type(f) for f in scene.acknowledge()] == [OrderDenied]
    assert scene.told.code == "halted"


def test_a_halt_of_a_former_life_still_holds() -> None:
    scene = Scene(halt="yesterday").ready()
    scene.ask(order())
    assert (scene.told.code, scene.told.text) == ("halted", "yesterday")
    scene.ask(Resume("today"))
    scene.ask(order("c2"))
    assert scene.told.code == "halted", "not before the latch is off the disk"


def test_a_cancel_needs_neither_account_nor_gate() -> None:
    scene = Scene(halt="halted", listing=[ROW])
    scene.pass_time(2 * SECOND)
    scene.ask(CancelOrder("c1"))
    scene.pass_time(SECOND)
    [delete] = scene.calls
    assert (delete.call.method, delete.call.query) == ("DELETE", (("market_ticker", "KXA-1"),))
    scene.reply(200, {"order_id": "o1", "reduced_by": "10.00", "ts_ms": 5})
    [answer] = [a for a in scene.answers if isinstance(a, CancelAnswer)]
    assert (answer.outcome, answer.reduced_by) == ("canceled", 1_000)


def test_a_404_to_a_cancel_proves_nothing() -> None:
    scene = Scene(listing=[ROW])
    scene.pass_time(2 * SECOND)
    scene.ask(CancelOrder("c1"))
    scene.pass_time(SECOND)
    scene.reply(404, {"error": {"code": "not_found"}})
    scene.pass_time(SECOND)
    scene.reply(200, {"order": {**ROW, "status": "executed"}})
    [answer] = [a for a in scene.answers if isinstance(a, CancelAnswer)]
    assert (answer.outcome, answer.text) == ("gone", "executed")


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": Price(0)},
        {"price": Price(1_000_000)},
        {"count": Count(0)},
        {"count": Count(COUNT_MAX + 1)},  # the ledger would not take it
    ],
    ids=str,
)
def test_terms_that_make_no_sense_are_refused_at_the_door(wrong: Any) -> None:
    scene = Scene().ready()
    scene.ask(order(**wrong))
    assert (scene.told.outcome, scene.told.code) == ("denied", "invalid_order")
    assert scene.appends == []


def test_a_halt_after_a_resume_that_is_still_being_saved_holds() -> None:
    scene = Scene(halt="first").ready()
    scene.ask(Resume("go"), "q1")
    scene.ask(Halt("second"), "q2")
    scene.feed(HaltSaved(scene.at, NO_LATCH))
    scene.feed(HaltSaved(scene.at, Latch(reason="second")))
    first, second = (a for a in scene.answers if isinstance(a, HaltAnswer))
    assert (first.halted, second.halted) == (True, True)
    scene.ask(order())
    assert scene.told.code == "halted"


def test_after_a_401_no_order_leaves_until_a_signed_call_is_answered() -> None:
    scene = Scene().ready()
    scene.ask(order("c1"))
    scene.ask(order("c2"))
    scene.hush = True
    scene.acknowledge()
    scene.reply(401, {"error": {"code": "authentication_error"}})
    scene.ask(order("c3"))
    assert (scene.told.outcome, scene.told.code) == ("denied", "rest_not_ready")


def test_a_word_of_a_former_supervisor_does_not_open_the_gate() -> None:
    scene = Scene().ready()
    scene.supervisor.epoch = 5
    scene.beat("closed")
    scene.supervisor.epoch = 4
    scene.beat("open")
    scene.ask(order())
    assert scene.told.code == "gate_closed"


def test_an_order_canceled_while_it_waits_for_tokens_is_never_sent() -> None:
    scene = Scene().ready()
    for i in range(8):  # more than may be in flight beside cancels
        scene.ask(order(f"c{i}"), f"q{i}")
    scene.acknowledge()
    assert len(sent(scene)) < 8
    scene.ask(CancelOrder("c7"))
    assert any(isinstance(a.body.fact, OrderDenied) for a in scene.appends)  # type: ignore[union-attr]
    [answer] = [a for a in scene.answers if isinstance(a, CancelAnswer)]
    assert answer.outcome == "gone"
    while scene.calls:
        scene.fail(sent=False)
    assert len(sent(scene)) == 7


def test_without_the_account_nothing_is_said_for_sure() -> None:
    scene = Scene(halt="halted")
    scene.ask(order())
    assert (scene.told.outcome, scene.told.code) == ("unknown", "not_restored")
    scene.pass_time(2 * SECOND)
    scene.ask(CancelOrder("c1"))
    scene.pass_time(CANCEL_TOLD_AFTER)
    [answer] = [a for a in scene.answers if isinstance(a, CancelAnswer)]
    assert answer.outcome == "unknown"


def test_a_cancel_that_reduced_nothing_is_looked_into() -> None:
    scene = Scene(listing=[ROW])
    scene.pass_time(2 * SECOND)
    scene.ask(CancelOrder("c1"))
    scene.pass_time(SECOND)
    scene.reply(200, {"order_id": "o1", "reduced_by": "0.00", "ts_ms": 5})
    scene.pass_time(SECOND)
    scene.reply(200, {"order": {**ROW, "status": "executed"}})
    [answer] = [a for a in scene.answers if isinstance(a, CancelAnswer)]
    assert (answer.outcome, answer.text) == ("gone", "executed")
