"""Stories of the market link: join, subscribe, live; markets that come and go."""

from actors.stream.core import OpenSocket
from protocol.envelope import Letter
from protocol.limits import MINUTE, SECOND, TICKERS_A_COMMAND
from protocol.machine import Asked
from protocol.messages import (
    BookDelta,
    BookLost,
    BookSnapshot,
    ExchangeRequest,
    Halt,
    MarketsAnswer,
    MarketsRequest,
    Quote,
    Refused,
    Trade,
)
from protocol.units import Count, Price
from tests.actors.stream.scene import EPOCH, MARKET, A, B, C, Scene, beats, published, sent, signals
from tests.actors.stream.venue import live


def levels(*pairs: tuple[int, int]) -> tuple[tuple[Price, Count], ...]:
    return tuple((Price(price), Count(count)) for price, count in pairs)


def test_it_opens_at_once_and_asks_which_markets_to_follow() -> None:
    scene = Scene(("series:KXA",))
    assert OpenSocket("public") in scene.effects  # lives of markets: they may be told before
    assert OpenSocket(MARKET) not in scene.effects  # there is nothing to carry yet
    (request,) = scene.letters(MarketsRequest)
    assert request.body == MarketsRequest(("series:KXA",))
    assert OpenSocket("private") not in scene.effects
    (beat,) = beats(scene.effects)
    assert beat.flags == {"streams_ready": False}
    assert beat.reasons == (
        "waiting for gateway: which markets to follow",
        "public: opening",
        "waiting for writer: not seen",
    )
    assert len(scene.letters(ExchangeRequest)) == 1
    scene.markets(A)
    assert OpenSocket(MARKET) in scene.effects


def test_from_join_to_delta() -> None:
    scene = Scene()
    scene.markets(A)
    scene.open()
    (subscribe,) = sent(scene.take())
    assert subscribe == {
        "id": 1,
        "cmd": "subscribe",
        "params": {
            "channels": ["orderbook_delta", "trade", "ticker"],
            "market_tickers": [A],
            "use_yes_price": False,
        },
    }
    scene.subscribed()
    assert scene.ask_book(A).state == "lost"
    got = published(scene.snapshot(A, [["0.4700", "3.00"], ["0.1000", "1.00"]]))
    want = BookSnapshot(A, levels((100_000, 100), (470_000, 300)), (), scene.at, 1)
    assert got == [want]
    got = published(scene.delta(A, "no", "0.4800", "2.50"))
    assert got == [BookDelta(A, "no", Price(480_000), Count(250), 1_700_000_000_123_000, scene.at)]
    answer = scene.ask_book(A)
    assert (answer.state, answer.epoch, answer.seq) == ("live", EPOCH, 2)
    assert (answer.yes, answer.no) == (want.yes, levels((480_000, 250)))
    assert scene.ask_book(B).state == "not followed"


def test_nobody_is_told_that_a_market_is_not_followed_before_that_is_known() -> None:
    """As after each restart: whoever asks then would take a followed market for one that is not."""
    scene = Scene(("*",))
    for ticker in (A, B):
        answer = scene.ask_book(ticker)
        assert (answer.state, answer.reason) == (
            "lost", "waiting for gateway: which markets to follow",
        )  # fmt: skip
    scene.markets(A)
    assert [scene.ask_book(ticker).state for ticker in (A, B)] == ["lost", "not followed"]
    assert Scene(("series:KXOTHER",)).ask_book(A).state == "not followed"  # that is known at once


def test_a_letter_that_has_no_place_here_is_refused() -> None:
    scene = Scene()
    letter = Letter("api", 1, "x", 0, Halt("please"))
    (answer,) = (e for e in scene.feed(Asked(0, (b"x",), letter)) if hasattr(e, "sender"))
    assert answer.letter.body == Refused("the stream does not take Halt")


def test_all_that_is_needed_makes_it_ready_and_what_is_missing_is_named() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.go_private()
    assert not scene.core._health._vitals.ready
    assert scene.core._health._vitals.reasons == ("private: waiting for reconciliation",)
    scene.reconciled()
    assert scene.core._health._vitals.flags == {"streams_ready": True}
    assert ("health_state", "ready") in signals(scene.take())
    scene.seq(1)
    scene.delta(A, "yes", "0.4700", "1.00")
    assert scene.core._health._vitals.reasons == ("books: 2 lost: sequence: gap",)
    assert ("health_state", "degraded") in signals(scene.take())


def test_many_markets_are_added_in_pieces_once_the_numbers_are_known() -> None:
    scene = Scene()
    tickers = [f"KXM-{i}" for i in range(2 * TICKERS_A_COMMAND + 1)]
    scene.markets(*tickers)
    scene.open()
    (first,) = sent(scene.take())
    assert first["params"]["market_tickers"] == tickers[:TICKERS_A_COMMAND]
    scene.subscribed()
    asked = []
    while commands := sent(scene.take()):
        assert len(commands) <= 4
        asked += commands
        for command in commands:
            sid = command["params"]["sids"][0]
            scene.frame({"type": "ok", "id": command["id"], "sid": sid, "seq": scene.seq(sid)})
    assert [(c["params"]["action"], c["params"]["sids"]) for c in asked] == [
        ("add_markets", [sid]) for sid in (1, 1, 2, 2, 3, 3)
    ]
    added = [t for c in asked if c["params"]["sids"] == [1] for t in c["params"]["market_tickers"]]
    assert added == tickers[TICKERS_A_COMMAND:]


def test_new_markets_are_looked_for_each_minute_and_old_ones_are_dropped() -> None:
    scene, venue = live(A, B)
    scene.wait(SECOND)  # lives were not heard before: it has looked once more
    venue.asked.clear()
    venue.books[C] = {"yes": {10_000: 100}, "no": {}}
    venue.open = (B, C)
    venue.deaf = {"add_markets"}
    scene.wait(MINUTE)
    assert MarketsRequest(("*",)) in venue.asked
    assert published(scene.take()) == [BookLost(A, "no longer followed")]
    changes = [
        (c["params"]["action"], c["params"]["sids"], c["params"]["market_tickers"])
        for link, c in venue.commands
        if link == MARKET and c.get("params", {}).get("action", "").endswith("_markets")
    ]
    assert sorted(changes) == [("add_markets", [sid], [C]) for sid in (1, 2, 3)] + [
        ("delete_markets", [sid], [A]) for sid in (1, 2, 3)
    ]
    assert scene.ask_book(A).state == "not followed"
    assert (scene.ask_book(B).state, scene.ask_book(C).state) == ("live", "lost")
    scene.wait(SECOND)
    assert scene.reasons == ()  # the others are as good as before
    assert scene.counters["books_awaited"] == 1


def test_frames_of_a_market_that_is_no_longer_followed_are_read_over() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.core.lines.carry(scene.now, scene.at, [B], ())
    assert published(scene.delta(A, "yes", "0.4700", "1.00")) == []
    assert published(scene.delta(B, "yes", "0.4700", "1.00")) != []


def test_while_the_gateway_cannot_tell_it_is_asked_again() -> None:
    scene = Scene()
    id = scene.letters(MarketsRequest)[0].id
    scene.take()
    scene.answer("gateway", id, MarketsAnswer((), False, "not rehydrated"))
    assert scene.core._health._reasons(False)[0] == (
        "waiting for gateway: which markets to follow (not rehydrated)"
    )
    scene.wait(SECOND)
    assert [letter.id for letter in scene.letters(MarketsRequest)] != [id]


def test_trades_and_quotes_are_published_and_holes_in_them_only_counted() -> None:
    scene = Scene()
    scene.go_live(A)
    trade = {
        "trade_id": "t1",
        "market_ticker": A,
        "yes_price_dollars": "0.4700",
        "count_fp": "2.00",
        "taker_book_side": "ask",
        "ts_ms": 5,
    }
    got = published(scene.frame({"type": "trade", "sid": 2, "seq": 1, "msg": trade}))
    assert got == [Trade(A, "t1", Price(470_000), Count(200), "no", 5_000, scene.at)]
    got = published(scene.frame({"type": "trade", "sid": 2, "seq": 3, "msg": trade}))
    assert [type(body) for body in got] == [Trade]
    quote = {
        "market_ticker": A,
        "price_dollars": "0.4700",
        "yes_bid_dollars": "0.4600",
        "yes_ask_dollars": "0.4800",
        "volume_fp": "10.00",
        "open_interest_fp": "7.00",
        "yes_bid_size_fp": "1.00",
        "yes_ask_size_fp": "2.00",
        "ts_ms": 6,
    }
    got = published(scene.frame({"type": "ticker", "sid": 3, "msg": quote}))
    prices = (Price(470_000), Price(460_000), Price(480_000))
    counts = (Count(100), Count(200), Count(1_000), Count(700))
    assert got == [Quote(A, *prices, *counts, 6_000, scene.at)]
    assert scene.core.tally.gaps == 1
    assert scene.core.books.live == 1
