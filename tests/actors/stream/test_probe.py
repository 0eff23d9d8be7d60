"""Stories of quiet: it is probed and never punished; what is dead is found out and made anew."""

import json
from typing import Any

from actors.stream.core import CloseSocket
from protocol.limits import COMMAND_MAX, LIST_INTERVAL, MINUTE, QUIET_PROBE, SECOND
from protocol.machine import Publish
from protocol.messages import BookLost, BookSnapshot, BookStale
from tests.actors.stream.scene import MARKET, A, B, C, Scene, published, sent
from tests.actors.stream.venue import live


def probes(effects: list[Any]) -> list[tuple[int, list[str]]]:
    """Snapshots that were asked for: under which id, of which markets."""
    return [
        (c["id"], c["params"]["market_tickers"])
        for c in sent(effects)
        if c.get("params", {}).get("action") == "get_snapshot"
    ]


def shown(scene: Scene, id: int, ticker: str, yes: Any, no: Any = ()) -> list[Any]:
    body: dict[str, Any] = {"market_ticker": ticker, "yes_dollars_fp": yes}
    body |= {"no_dollars_fp": no} if no else {}
    frame = {"type": "orderbook_snapshot", "id": id, "sid": 1, "seq": scene.seq(1), "msg": body}
    return scene.frame(frame)


RIGHT = ([["0.4700", "3.00"]], [["0.4800", "2.00"]])
WRONG = ([["0.0100", "1.00"]], [])


def test_an_hour_of_quiet_is_never_punished() -> None:
    scene, venue = live(A, B, C)
    scene.wait(60 * MINUTE)
    lost = [b for b in published(scene.take()) if isinstance(b, BookLost | BookStale)]
    assert lost == []
    assert scene.reasons == () and scene.core.books.live == 3
    for link in ("public", "private"):
        assert set(venue.actions(link)) == {"list_subscriptions"}
    assert set(venue.actions()) == {"list_subscriptions", "get_snapshot"}
    counters = scene.counters
    found = {name: counters[name] for name in counters if name.startswith("stalls_")}
    assert found == dict.fromkeys(found, 0)
    assert counters["reconnects"] == counters["resubscribed"] == counters["divergences"] == 0
    assert counters["audit_differences"] == counters["audits_unread"] == 0
    assert counters["repeated_snapshots"] == 0  # answers to probes are asked for


def test_a_busy_subscription_is_not_probed() -> None:
    scene, venue = live(A, B)
    for _ in range(60):
        scene.wait(SECOND)
        venue.change(scene, A, "yes", 470_000, 100)
    assert "get_snapshot" not in venue.actions()


def test_each_market_has_its_turn() -> None:
    scene, venue = live(A, B, C)
    scene.wait(3 * QUIET_PROBE + SECOND)
    asked = [
        c["params"]["market_tickers"]
        for link, c in venue.commands
        if c.get("params", {}).get("action") == "get_snapshot"
    ]
    assert asked == [[A], [B], [C]]


def test_a_subscription_that_does_not_answer_a_probe_is_dead() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.wait(QUIET_PROBE)
    ((_, asked),) = probes(scene.take())
    assert asked == [A]
    scene.wait(COMMAND_MAX)
    effects = scene.take()
    reason = "dead subscription: no answer to a probe"
    assert published(effects) == [BookLost(A, reason), BookLost(B, reason)]
    assert probes(effects)[0][1] == [A, B]
    assert scene.counters["stalls_dead_subscription"] == 1
    assert CloseSocket(MARKET) not in effects


def test_a_mute_subscription_gets_a_stronger_means_each_time() -> None:
    scene, venue = live(A)
    venue.deaf = {"get_snapshot", "list_subscriptions"}
    scene.wait(MINUTE)
    reasons = [b.reason for b in published(scene.take()) if isinstance(b, BookLost)]
    assert reasons[0] == "dead subscription: no answer to a probe"
    assert scene.counters["resubscribed"] >= 1
    assert scene.counters["reconnects"] >= 1
    venue.deaf = set()
    scene.wait(MINUTE)
    assert scene.ask_book(A).state == "live" and scene.reasons == ()


def test_a_probe_that_shows_another_book() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.wait(QUIET_PROBE)
    ((id, _),) = probes(scene.take())
    effects = shown(scene, id, A, *WRONG)
    reason = "book.KXA-1: a snapshot shows another book"
    lost_a, lost_b, snapshot = published(effects)
    assert (lost_a, lost_b) == (BookLost(A, reason), BookLost(B, reason))
    assert isinstance(snapshot, BookSnapshot) and snapshot.ticker == A
    assert probes(effects)[0][1] == [A, B]  # whatever was lost, may have been of any market
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("live", "lost")
    assert scene.counters["divergences"] == 1


def test_a_probe_that_shows_another_book_a_second_and_a_third_time() -> None:
    scene, venue = live(A, B)

    def forget_a_change() -> None:
        """The exchange changes a book, and takes no number for it."""
        venue.books[A]["yes"][470_000] += 100

    forget_a_change()
    scene.wait(2 * QUIET_PROBE + SECOND)
    assert scene.counters["divergences"] == 1 and scene.core.books.live == 2
    venue.actions()
    forget_a_change()
    scene.wait(2 * QUIET_PROBE + SECOND)
    assert scene.counters["divergences"] == 2
    actions = venue.actions()
    assert "unsubscribe" in actions and "subscribe" in actions
    assert scene.counters["reconnects"] == 0 and scene.core.books.live == 2
    forget_a_change()
    scene.wait(2 * QUIET_PROBE + SECOND)
    assert scene.counters["divergences"] == 3 and scene.counters["reconnects"] == 1
    answer = scene.ask_book(A)
    assert (answer.state, int(answer.yes[0][1])) == ("live", 600)


def test_a_snapshot_of_the_subscription_that_it_ends_installs_nothing() -> None:
    scene = Scene()
    scene.go_live(A)
    for time in range(2):
        scene.wait(QUIET_PROBE)
        id = probes(scene.take())[-1][0]
        wrong = [[f"0.0{time + 1}00", "1.00"]]
        effects = shown(scene, id, A, wrong)
    assert [c["cmd"] for c in sent(effects)] == ["unsubscribe", "subscribe"]
    assert scene.ask_book(A).state == "lost"  # what changes it, would not count any more
    assert [type(body) for body in published(effects)] == [BookLost]


def test_a_market_that_is_dropped_while_it_is_probed_costs_nothing() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.wait(QUIET_PROBE)
    ((id, asked),) = probes(scene.take())
    assert asked == [A]
    scene.core.lines.carry(scene.now, scene.at, [B], ())
    scene.take()
    for _ in range(10):
        scene.wait(SECOND)
        scene.delta(B, "yes", "0.4700", "1.00")
        for command in sent(scene.effects):
            if command.get("params", {}).get("action") == "delete_markets":
                sid = command["params"]["sids"][0]
                answer = {"type": "ok", "id": command["id"], "sid": sid, "seq": scene.seq(sid)}
                scene.frame(answer)
        scene.effects = [e for e in scene.effects if isinstance(e, Publish)]
    assert not [body for body in published(scene.take()) if isinstance(body, BookLost)]
    assert scene.ask_book(B).state == "live"


def test_a_subscription_that_is_not_listed_any_more_is_made_anew() -> None:
    for channel, sid in (("trade", 2), ("ticker", 3)):
        scene, venue = live(A)
        session = venue.sessions[MARKET]
        assert session.sids.pop(channel) == sid
        for _ in range(LIST_INTERVAL // SECOND + 1):
            scene.wait(SECOND)
            venue.change(scene, A, "yes", 470_000, 100)
        assert venue.actions() == ["list_subscriptions", "subscribe"]
        assert session.sids[channel] == 4
        assert scene.counters["stalls_dead_subscription"] == 1
        assert not [b for b in published(scene.take()) if isinstance(b, BookLost)]


def test_books_that_are_not_listed_any_more_are_lost() -> None:
    scene = Scene()
    scene.go_live(A)
    for _ in range(LIST_INTERVAL // SECOND):
        scene.wait(SECOND)
        scene.delta(A, "yes", "0.4700", "1.00")
    (command,) = [c for c in sent(scene.take()) if c["cmd"] == "list_subscriptions"]
    there = [{"channel": "trade", "sid": 2}, {"channel": "ticker", "sid": 3}]
    effects = scene.frame({"type": "ok", "id": command["id"], "msg": there})
    assert published(effects) == [BookLost(A, "dead subscription: orderbook_delta is not listed")]
    (subscribe,) = sent(effects)
    assert subscribe["params"]["channels"] == ["orderbook_delta"]


def test_a_list_that_makes_no_sense_proves_nothing() -> None:
    for said in ({}, [1], [{"channel": "trade"}], "x", None):
        scene = Scene()
        scene.go_live(A)
        for _ in range(LIST_INTERVAL // SECOND):
            scene.wait(SECOND)
            scene.delta(A, "yes", "0.4700", "1.00")
        (command,) = [c for c in sent(scene.take()) if c["cmd"] == "list_subscriptions"]
        frame = {"type": "ok", "id": command["id"], "msg": said}
        scene.raw(json.dumps(frame).encode())
        assert scene.ask_book(A).state == "live"
        assert scene.counters["stalls_dead_subscription"] == 0
