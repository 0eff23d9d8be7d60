"""Stories of causes that come in an order nobody would think of."""

from typing import Any

import pytest

from actors.stream.core import FollowSaved, SocketClosed
from actors.stream.freshness import Verdict as HostVerdict
from protocol.envelope import Letter
from protocol.limits import (
    AUDIT_GRACE,
    CLOSED_LOOK,
    COMMAND_MAX,
    COMMAND_RETRY,
    CROSSED_MAX,
    MINUTE,
    PAUSE_LOOK,
    QUIET_PROBE,
    SECOND,
)
from protocol.machine import Asked, Effect, Elapsed
from protocol.messages import AuditRequest, BookLost, Follow, ListedBook, Reconcile
from protocol.units import Count, Price
from tests.actors.stream.scene import MARKET, A, B, C, Scene, published, sent
from tests.actors.stream.venue import live

BOOK = ([["0.4700", "3.00"]], [["0.4800", "2.00"]])


def opened(*tickers: str) -> Scene:
    """The market link is open; what it asked for is not answered yet."""
    scene = Scene()
    scene.markets(*tickers)
    scene.go_public()
    scene.open()
    return scene


def subscribed(scene: Scene, channel: str, sid: int, id: int = 1) -> list[Effect]:
    return scene.frame({"type": "subscribed", "id": id, "msg": {"channel": channel, "sid": sid}})


def follow(scene: Scene, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
    scene.feed(Asked(scene.at, (b"x",), Letter("cli", 1, "f", scene.at, Follow(add, remove))))
    scene.feed(FollowSaved(scene.at, scene.core._following._number))


def test_a_hole_while_other_channels_are_still_being_subscribed() -> None:
    scene = opened(A, B)
    subscribed(scene, "orderbook_delta", 1)
    scene.snapshot(A, *BOOK)
    assert scene.ask_book(A).state == "live"
    scene.delta(A, "yes", "0.4600", "1.00", seq=3)
    assert scene.ask_book(A).state == "lost"


def test_books_are_subscribed_and_the_rest_is_not_answered() -> None:
    scene = opened(A)
    subscribed(scene, "orderbook_delta", 1)
    scene.snapshot(A, *BOOK)
    for _ in range(200):
        deadline = scene.core.deadline()
        assert deadline is not None
        if deadline > 1_000 * SECOND + COMMAND_MAX:
            break
        scene.now = max(scene.now, deadline)
        scene.feed(Elapsed(scene.at))
    else:
        raise AssertionError("the core asks to be woken without end")


def test_an_addition_to_a_subscription_that_has_ended() -> None:
    scene = Scene((A, B))
    scene.go_live(A, B)
    follow(scene, add=(C,))
    (added,) = [c for c in sent(scene.take()) if c.get("params", {}).get("sids") == [1]]
    assert added["params"]["action"] == "add_markets"
    dead = {"type": "error", "sid": 1, "seq": scene.seq(1), "msg": {"code": 25, "msg": "dead"}}
    scene.frame(dead)
    (again,) = [c for c in sent(scene.take()) if c["cmd"] == "subscribe"]
    assert again["params"]["market_tickers"] == [A, B, C]
    subscribed(scene, "orderbook_delta", 9, again["id"])
    for seq, ticker in enumerate((A, B, C), start=1):
        body = {"market_ticker": ticker, "yes_dollars_fp": BOOK[0]}
        scene.frame({"type": "orderbook_snapshot", "sid": 9, "seq": seq, "msg": body})
    assert scene.core.books.live == 3
    scene.frame({"type": "error", "id": added["id"], "msg": {"code": 7, "msg": "Unknown sid"}})
    scene.take()
    body = {"market_ticker": A, "price_dollars": "0.4", "delta_fp": "1", "side": "yes"}
    scene.frame({"type": "orderbook_delta", "sid": 9, "seq": 99, "msg": body})
    (asked,) = [
        c for c in sent(scene.take()) if c.get("params", {}).get("action") == "get_snapshot"
    ]
    assert asked["params"]["market_tickers"] == [A, B, C]


def test_followed_again_before_the_exchange_has_let_it_go() -> None:
    scene = Scene((A, B))
    scene.go_live(A, B)
    scene.wait(QUIET_PROBE)
    (probe,) = [
        c for c in sent(scene.take()) if c.get("params", {}).get("action") == "get_snapshot"
    ]
    assert probe["params"]["market_tickers"] == [A]
    follow(scene, remove=(A,))
    follow(scene, add=(A,))
    asked = [c for c in sent(scene.take()) if c.get("params", {}).get("sids") == [1]]
    assert [c["params"]["action"] for c in asked] == ["delete_markets", "add_markets"]
    scene.snapshot(A, *BOOK, id=probe["id"])
    assert scene.ask_book(A).state == "lost"  # nothing says what happens until it is added
    for command in asked:
        scene.frame({"type": "ok", "id": command["id"], "sid": 1, "seq": scene.seq(1), "msg": {}})
    scene.snapshot(A, *BOOK)
    assert scene.ask_book(A).state == "live"


def test_a_market_that_has_closed_closes_once() -> None:
    scene, venue = live(A, B)
    venue.closing = {A: scene.at + 90_000_000}
    scene.wait(10 * MINUTE)
    lost = [b for b in published(scene.take()) if isinstance(b, BookLost)]
    assert lost == [BookLost(A, "its market has closed")]
    venue.closing = {A: scene.at + 90_000_000}  # it was opened again
    scene.wait(10 * MINUTE)
    lost = [b for b in published(scene.take()) if isinstance(b, BookLost)]
    assert lost == [BookLost(A, "its market has closed")]


@pytest.mark.parametrize("channel", ["orderbook_delta", "trade"])
def test_a_subscription_that_dies_as_soon_as_it_is_made(channel: str) -> None:
    scene = opened(A)
    scene.subscribed()
    scene.snapshot(A, *BOOK)
    scene.take()
    sid, asked = {"orderbook_delta": 1, "trade": 2}[channel], 0
    for _ in range(100):  # ten seconds, 100 ms each way
        scene.frame({"type": "error", "sid": sid, "msg": {"code": 25, "msg": "dead"}})
        scene.wait(SECOND // 10)
        for command in [c for c in sent(scene.take()) if c["cmd"] == "subscribe"]:
            asked, sid = asked + 1, sid + 10
            subscribed(scene, channel, sid, command["id"])
    assert 0 < asked <= 10 * SECOND // COMMAND_RETRY + 2


def test_a_report_that_makes_no_sense_costs_no_fills() -> None:
    scene = Scene()
    scene.go_private()
    scene.reconciled()
    scene.take()
    for sid, kind, msg in (
        (3, "market_position", {"market_ticker": "no name", "position_fp": "1.00"}),
        (3, "market_position", {"market_ticker": A, "position_fp": "many"}),
        (4, "order_group_updates", {"event_type": 5}),
    ):
        scene.frame({"type": kind, "sid": sid, "msg": msg}, "private")
    assert scene.core.private.ready
    assert scene.counters["malformed"] == 3


def test_a_round_before_fills_are_subscribed_proves_nothing() -> None:
    scene = Scene()
    scene.hear_writer()
    scene.open("private")
    asked = [c for c in sent(scene.take(), "private") if c["cmd"] == "subscribe"]
    groups = next(c for c in asked if c["params"]["channels"] == ["order_group_updates"])
    msg: dict[str, Any] = {"channel": "order_group_updates", "sid": 1}
    scene.frame({"type": "subscribed", "id": groups["id"], "msg": msg}, "private")
    for seq in (1, 3):
        body = {"event_type": "created", "order_group_id": "g"}
        frame = {"type": "order_group_updates", "sid": 1, "seq": seq, "msg": body}
        scene.frame(frame, "private")
    if scene.letters(Reconcile):
        scene.reconciled()
    for sid, channel in enumerate(("fill", "user_orders"), start=2):
        msg = {"channel": channel, "sid": sid}
        scene.frame({"type": "subscribed", "id": asked[0]["id"], "msg": msg}, "private")
    assert not scene.core.private.ready
    scene.reconciled()
    assert scene.core.private.ready


def test_a_subscription_that_is_named_twice() -> None:
    scene = opened(A)
    subscribed(scene, "orderbook_delta", 1)
    scene.snapshot(A, *BOOK)
    subscribed(scene, "orderbook_delta", 1)
    scene.delta(A, "yes", "0.4600", "1.00", seq=3)  # its number goes on
    assert scene.ask_book(A).state == "lost"
    subscribed(scene, "trade", 2)
    subscribed(scene, "ticker", 3)
    assert set(scene.line.subscriptions.sids) == {"orderbook_delta", "trade", "ticker"}


def test_nothing_is_sent_where_there_is_no_socket() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.core.follows._closing[A] = scene.at + 1_000
    scene.feed(SocketClosed(scene.at, MARKET, "reset"))
    scene.take()
    scene.now += CLOSED_LOOK + 1_000_000
    scene.feed(Elapsed(scene.at))
    assert sent(scene.take()) == []


def test_a_book_that_turns_stale_while_it_is_compared_tells_nothing() -> None:
    scene, venue = live(A)
    wrong = ListedBook(A, ((Price(100_000), Count(100)),), ())
    venue.audit = lambda ticker: wrong
    while not [body for body in venue.asked if isinstance(body, AuditRequest)]:
        scene.wait(SECOND)
    scene.feed(Elapsed(scene.at))
    scene.silent.add(MARKET)
    scene.core.lines.suspect(scene.now, scene.at, HostVerdict.SLEPT, "10 s")
    assert scene.core.books.stale == 1
    scene.wait(AUDIT_GRACE)
    assert scene.counters["audits_unread"] == 1 and not scene.core.audit._suspects


def test_a_pause_that_nobody_confirms_any_more_is_none() -> None:
    scene, venue = live(A)
    venue.paused = "trading pauses"
    venue.shut = {"public"}
    scene.feed(SocketClosed(scene.at, "public", "closed 1012"))
    scene.wait(PAUSE_LOOK)
    assert any("paused: trading pauses" in reason for reason in scene.reasons)
    scene.respond = None
    scene.wait(2 * PAUSE_LOOK)
    assert scene.core.lines.pause == ""


def test_a_crossed_book_that_is_lost_is_not_lost_again() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.delta(A, "yes", "0.5300", "1.00")
    scene.delta(B, "yes", "0.4600", "1.00", seq=99)
    scene.wait(2 * CROSSED_MAX)
    assert scene.ask_book(A).reason == "sequence: gap"
    assert scene.counters["crossed"] == 0


def test_the_name_of_a_type_is_not_kept_whole() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.frame({"type": "x" * 100_000})
    assert max(map(len, scene.core.tally.named)) < 100


def test_a_subscription_that_the_exchange_still_has() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.frame({"type": "error", "sid": 1, "msg": {"code": 25, "msg": "dead"}})
    (again,) = [c for c in sent(scene.take()) if c["cmd"] == "subscribe"]
    scene.frame({"type": "ok", "id": again["id"], "sid": 1, "seq": 9, "msg": {}})
    scene.snapshot(A, *BOOK, seq=10)
    assert scene.ask_book(A).state == "live"
    scene.take()
    scene.delta(A, "yes", "0.4600", "1.00", seq=12)
    assert scene.ask_book(A).state == "lost" and len(sent(scene.take())) == 1
