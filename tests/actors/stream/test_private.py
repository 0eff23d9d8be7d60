"""Stories of the private link: no fill is dropped, and each connection is reconciled."""

from typing import Any

from actors.stream import private as private_file
from actors.stream.core import CloseSocket, OpenSocket, SocketClosed
from protocol.facts import Fill, OrderSeen, natural_id
from protocol.limits import DRAIN_MAX, SECOND, TELL_RETRY, TELLS_MAX
from protocol.machine import Finish, Report, Stopping
from protocol.messages import (
    Append,
    Appended,
    Reconcile,
    ReconcileAnswer,
    Refused,
)
from protocol.units import Count, Money, Price
from tests.actors.stream.scene import Scene, sent

FILL = {
    "trade_id": "50e18226",
    "order_id": "e38f5479",
    "market_ticker": "KXNEXTTEAMNBA-26LJAM-MIA",
    "is_taker": True,
    "side": "yes",
    "ts": 1782873388,
    "ts_ms": 1782873388379,
    "yes_price_dollars": "0.1700",
    "count_fp": "5.52",
    "fee_cost": "0.054600",
    "action": "buy",
    "book_side": "bid",
}
ORDER = {
    "order_id": "e38f5479",
    "ticker": "KXNEXTTEAMNBA-26LJAM-MIA",
    "status": "resting",
    "is_yes": True,
    "book_side": "ask",
    "yes_price_dollars": "0.1700",
    "fill_count_fp": "1.00",
    "remaining_count_fp": "4.00",
    "initial_count_fp": "5.00",
    "client_order_id": "mine-1",
    "created_time": "2026-07-01T02:31:45Z",
    "created_ts_ms": 1782873105000,
    "last_updated_ts_ms": 1782873105308,
}


def fill(scene: Scene, **changed: Any) -> list[Any]:
    return scene.frame({"type": "fill", "sid": 1, "msg": FILL | changed}, "private")


def user_order(scene: Scene, **changed: Any) -> list[Any]:
    return scene.frame({"type": "user_order", "sid": 2, "msg": ORDER | changed}, "private")


def test_it_waits_for_the_writer_then_subscribes_then_has_the_account_read() -> None:
    scene = Scene()
    assert scene.core.private.why_not() == "waiting for writer: not seen"
    scene.take()
    scene.hear_writer()
    assert OpenSocket("private") in scene.effects
    asked = sent(scene.open("private"), "private")
    channels = [command["params"] for command in asked]
    assert channels == [  # the reports each by itself: one that is refused costs no other
        {"channels": ["fill", "user_orders"]},
        {"channels": ["market_positions"]},
        {"channels": ["order_group_updates"]},
    ]
    frame = {"type": "subscribed", "id": 1, "msg": {"channel": "fill", "sid": 1}}
    scene.frame(frame, "private")
    assert scene.letters(Reconcile) == []
    assert scene.core.private.why_not() == "private: subscribing"
    scene.frame(frame | {"msg": {"channel": "user_orders", "sid": 2}}, "private")
    (letter,) = scene.letters(Reconcile)
    assert scene.core.private.why_not() == "private: waiting for reconciliation"
    scene.take()
    scene.wait(TELL_RETRY)
    assert scene.letters(Reconcile) == [letter]  # told again, under one id
    scene.reconciled()
    assert scene.core.private.ready


def test_each_fact_is_told_until_it_is_on_record() -> None:
    scene = Scene()
    scene.go_private()
    scene.take()
    fill(scene, client_order_id="mine-1")
    user_order(scene)
    want = [
        Fill(
            "e38f5479",
            "50e18226",
            "KXNEXTTEAMNBA-26LJAM-MIA",
            "bid",
            Price(170_000),
            Count(552),
            Money(54_600),
            True,
            1_782_873_388_379_000,
            "mine-1",
        ),
        OrderSeen(
            "e38f5479",
            "mine-1",
            "KXNEXTTEAMNBA-26LJAM-MIA",
            "ask",
            Price(170_000),
            "resting",
            Count(500),
            Count(100),
            Count(400),
            1_782_873_105_308,
            True,
        ),
    ]
    letters = scene.letters(Append)
    assert [letter.body for letter in letters] == [Append(fact) for fact in want]
    assert [letter.id for letter in letters] == [natural_id(fact) for fact in want]
    scene.answer("writer", letters[0].id, Appended("NEW", 1))
    scene.answer("writer", letters[1].id, Appended("REFUSED", reason="the ledger is busy"))
    scene.answer("writer", letters[1].id, Refused("too long"))
    scene.take()
    scene.wait(2 * TELL_RETRY)
    assert {letter.id for letter in scene.letters(Append)} == {letters[1].id}
    scene.answer("writer", letters[1].id, Appended("REPEAT", 2))
    scene.take()
    scene.wait(2 * TELL_RETRY)
    assert scene.letters(Append) == []


def test_a_conflict_is_grave_and_told_no_more() -> None:
    scene = Scene()
    scene.go_private()
    fill(scene)
    (letter,) = scene.letters(Append)
    effects = scene.answer("writer", letter.id, Appended("CONFLICT", 1, "another body"))
    assert [e.grave for e in effects if isinstance(e, Report)] == [True]
    assert not scene.core.private.waiting


def test_a_new_connection_is_reconciled_anew_and_the_old_answer_no_longer_counts() -> None:
    scene = Scene()
    scene.go_private()
    (first,) = scene.letters(Reconcile)
    scene.feed(SocketClosed(scene.at, "private", "closed 1006"))
    scene.take()
    scene.wait(SECOND)
    assert OpenSocket("private") in scene.effects
    assert scene.letters(Reconcile) == []
    subscribe, *_ = sent(scene.open("private"), "private")
    for sid, channel in ((5, "fill"), (6, "user_orders")):
        msg = {"channel": channel, "sid": sid}
        scene.frame({"type": "subscribed", "id": subscribe["id"], "msg": msg}, "private")
    (second,) = scene.letters(Reconcile)
    assert second.id != first.id
    scene.answer("gateway", first.id, ReconcileAnswer(9))
    assert not scene.core.private.ready
    scene.answer("gateway", second.id, ReconcileAnswer(9))
    assert scene.core.private.ready


def test_the_loss_of_the_private_socket_costs_no_book() -> None:
    scene = Scene()
    scene.go_live("KXA-1")
    scene.go_private()
    scene.feed(SocketClosed(scene.at, "private", "closed 1006"))
    assert scene.ask_book("KXA-1").state == "live"


def test_what_can_not_be_read_may_have_been_a_fill() -> None:
    for broken in ({"count_fp": []}, {"book_side": None}, {"count_fp": "0.00"}, {"trade_id": ""}):
        scene = Scene()
        scene.go_private()
        scene.take()
        effects = fill(scene, **broken)
        assert CloseSocket("private") in effects
        assert scene.letters(Append) == []


def test_an_order_whose_status_is_unknown_is_looked_up() -> None:
    scene = Scene()
    scene.go_private()
    scene.reconciled()
    scene.take()
    user_order(scene, status="unknown")
    (letter,) = scene.letters(Reconcile)
    assert letter.body == Reconcile("order e38f5479: status unknown")
    assert scene.letters(Append) == [] and scene.core.private.ready


def test_no_room_for_a_fact_gives_up_the_connection_never_the_fact() -> None:
    scene = Scene()
    scene.go_private()
    scene.reconciled()
    n = 0
    while not scene.core._tells.full:
        n += 1
        fill(scene, trade_id=f"t{n}")
    scene.take()
    assert CloseSocket("private") in fill(scene, trade_id="one too many")
    scene.feed(SocketClosed(scene.at, "private", "closed 1000"))
    scene.take()
    scene.wait(5 * SECOND)
    assert OpenSocket("private") not in scene.take()  # no room for what it would bring
    for id in sorted(scene.core.private.waiting)[: TELLS_MAX - private_file.REOPEN_BELOW + 2]:
        scene.answer("writer", id, Appended("NEW", 1))
    scene.wait(SECOND)
    assert OpenSocket("private") in scene.take()


def test_facts_get_some_time_before_it_stops() -> None:
    scene = Scene()
    scene.go_private()
    fill(scene)
    (letter,) = scene.letters(Append)
    assert Finish(0) not in scene.feed(Stopping(scene.at))
    assert Finish(0) in scene.answer("writer", letter.id, Appended("NEW", 1))
    scene = Scene()
    scene.go_private()
    fill(scene)
    scene.feed(Stopping(scene.at))
    scene.take()
    scene.wait(DRAIN_MAX - SECOND // 4)
    assert Finish(0) in scene.effects
