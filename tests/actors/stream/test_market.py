"""Stories of the market link: join, subscribe, live; lose, resync; give up, reconnect."""

from actors.stream.core import CloseSocket, OpenFailed, OpenSocket, PingReceived, SocketClosed
from protocol.envelope import Letter
from protocol.limits import (
    COMMAND_MAX,
    CONNECT_MAX,
    RECONNECT_MAX,
    RESYNC_RETRY,
    SECOND,
    SILENCE_MAX,
    SNAPSHOT_TRIES,
    TICKERS_A_COMMAND,
)
from protocol.machine import Asked, Finish, Stopping
from protocol.messages import (
    BookDelta,
    BookLost,
    BookSnapshot,
    Halt,
    MarketsAnswer,
    MarketsRequest,
    Quote,
    Refused,
    Trade,
)
from protocol.units import Count, Price
from tests.actors.stream.scene import EPOCH, MARKET, A, B, C, Scene, beats, published, sent, signals


def levels(*pairs: tuple[int, int]) -> tuple[tuple[Price, Count], ...]:
    return tuple((Price(price), Count(count)) for price, count in pairs)


def test_it_opens_at_once_and_asks_which_markets_to_follow() -> None:
    scene = Scene(("series:KXA",))
    assert OpenSocket(MARKET) in scene.effects
    (request,) = scene.letters(MarketsRequest)
    assert request.body == MarketsRequest(("series:KXA",))
    assert OpenSocket("private") not in scene.effects
    (beat,) = beats(scene.effects)
    assert beat.flags == {"streams_ready": False}
    assert beat.reasons == (
        "waiting for gateway: which markets to follow",
        "market1: opening",
        "waiting for writer: not seen",
    )


def test_from_join_to_delta() -> None:
    scene = Scene()
    scene.open()
    assert sent(scene.take()) == []  # nothing to subscribe to yet
    scene.markets(A)
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
    want = BookSnapshot(A, levels((100_000, 100), (470_000, 300)), (), scene.at)
    assert got == [want]
    got = published(scene.delta(A, "no", "0.4800", "2.50"))
    assert got == [BookDelta(A, "no", Price(480_000), Count(250), 1_700_000_000_123_000, scene.at)]
    answer = scene.ask_book(A)
    assert (answer.state, answer.epoch, answer.seq) == ("live", EPOCH, 2)
    assert (answer.yes, answer.no) == (want.yes, levels((480_000, 250)))
    assert scene.ask_book(B).state == "not followed"


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
    assert scene.core._health._vitals.reasons == ("books: 2 lost",)
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
        ("add_markets", [sid]) for _ in range(2) for sid in (1, 2, 3)
    ]
    added = [t for c in asked if c["params"]["sids"] == [1] for t in c["params"]["market_tickers"]]
    assert added == tickers[TICKERS_A_COMMAND:]


def test_new_markets_are_looked_for_each_minute_and_old_ones_are_dropped() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.a_minute_later()
    assert scene.letters(MarketsRequest)
    scene.take()
    scene.markets(B, C)
    effects = scene.take()
    assert published(effects) == [BookLost(A, "no longer followed")]
    actions = [(c["params"]["action"], c["params"]["market_tickers"]) for c in sent(effects)]
    assert actions == [("delete_markets", [A])] * 3 + [("add_markets", [C])]
    assert scene.ask_book(A).state == "not followed"
    assert published(scene.delta(A, "yes", "0.4700", "1.00")) == []
    assert published(scene.delta(B, "yes", "0.4700", "1.00")) != []
    assert scene.ask_book(C).state == "lost"
    assert scene.core._health._reasons(False)[0] == "books: 1 waiting for a snapshot"


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


# Sequence


def test_a_gap_loses_every_book_until_its_snapshot_comes() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.seq(1)
    effects = scene.delta(B, "yes", "0.4700", "1.00")
    assert published(effects) == [BookLost(A, "sequence: gap"), BookLost(B, "sequence: gap")]
    (command,) = sent(effects)
    assert command["params"] == {"sids": [1], "market_tickers": [A, B], "action": "get_snapshot"}
    answer = scene.ask_book(A)
    assert (answer.state, answer.yes, answer.reason) == ("lost", (), "sequence: gap")
    assert published(scene.delta(A, "yes", "0.4700", "1.00")) == []
    assert len(published(scene.snapshot(B, [["0.5000", "1.00"]]))) == 1
    assert published(scene.delta(A, "yes", "0.4700", "1.00")) == []
    assert len(published(scene.delta(B, "yes", "0.5000", "1.00"))) == 1
    scene.snapshot(A, [["0.4700", "9.00"]])
    assert scene.ask_book(A).yes == levels((470_000, 900))
    assert scene.ask_book(B).yes == levels((500_000, 200))
    assert scene.core.tally.gaps == 1


def test_a_snapshot_that_shows_the_gap_is_itself_good() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.seq(1)
    scene.snapshot(A, [["0.5000", "1.00"]])
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("live", "lost")


def test_answers_to_commands_consume_numbers_too() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.frame({"type": "ok", "id": 9, "sid": 1, "seq": scene.seq(1), "msg": {}})
    scene.frame({"type": "error", "sid": 1, "seq": scene.seq(1), "msg": {"code": 11, "msg": "no"}})
    scene.frame({"type": "something_new", "sid": 1, "seq": scene.seq(1), "msg": [1]})
    assert len(published(scene.delta(A, "yes", "0.4700", "1.00"))) == 1
    assert (scene.core.tally.gaps, scene.core.tally.unknown_types) == (0, 1)


def test_a_frame_that_comes_twice_counts_once() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.delta(A, "yes", "0.4700", "1.00")
    assert published(scene.delta(A, "yes", "0.4700", "1.00", seq=scene.seqs[1])) == []
    assert scene.ask_book(A).yes == levels((470_000, 400))
    assert (scene.core.tally.duplicates, scene.core.tally.gaps) == (1, 0)


def test_a_number_that_goes_backwards_proves_nothing_not_even_a_snapshot() -> None:
    scene = Scene()
    scene.go_live(A)
    for _ in range(3):
        scene.delta(A, "yes", "0.4700", "1.00")
    effects = scene.snapshot(A, [["0.0100", "1.00"]], seq=1)
    assert published(effects) == [BookLost(A, "sequence: out of order")]
    assert scene.ask_book(A).state == "lost"


def test_a_level_that_would_be_negative_loses_that_book_only() -> None:
    scene = Scene()
    scene.go_live(A, B)
    effects = scene.delta(A, "yes", "0.4700", "-4.00")
    assert [body.ticker for body in published(effects)] == [A]
    assert sent(effects)[0]["params"]["market_tickers"] == [A]
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("lost", "live")


def test_a_price_above_a_dollar_loses_that_book_only() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.delta(A, "yes", "1.0100", "1.00")
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("lost", "live")


def test_snapshots_are_asked_for_at_a_bounded_rate_and_then_given_up() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.seq(1)
    scene.delta(A, "yes", "0.4700", "1.00")
    scene.seq(1)
    scene.delta(A, "yes", "0.4700", "1.00")
    assert len(sent(scene.effects)) == 1  # two gaps, one request
    scene.wait((SNAPSHOT_TRIES - 1) * RESYNC_RETRY)
    assert len(sent(scene.take())) == SNAPSHOT_TRIES
    scene.wait(RESYNC_RETRY)
    assert CloseSocket(MARKET) in scene.take()


def test_a_market_whose_first_snapshot_never_comes_does_not_cost_the_others() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.a_minute_later()
    scene.take()
    scene.markets(A, B)
    for _ in range(30):
        scene.delta(A, "yes", "0.4700", "1.00")
        scene.wait(SECOND)
        for command in sent(scene.take()):
            if command["params"]["action"] == "add_markets":
                sid = command["params"]["sids"][0]
                scene.frame({"type": "ok", "id": command["id"], "sid": sid, "seq": scene.seq(sid)})
    assert scene.ask_book(A).state == "live"
    assert "books: 1 waiting for a snapshot" in scene.core._health._reasons(False)


def test_a_malformed_frame_loses_what_may_rest_on_it() -> None:
    scene = Scene()
    scene.go_live(A, B)
    seq = scene.seq(1)
    effects = scene.frame({"type": "orderbook_delta", "sid": 1, "seq": seq, "msg": {"side": 3}})
    assert [type(body) for body in published(effects)] == [BookLost, BookLost]
    assert sent(effects)[0]["params"]["action"] == "get_snapshot"
    scene.snapshot(A, [["0.4700", "1.00"]])
    assert (scene.core.tally.gaps, scene.core.tally.malformed) == (0, 1)
    seq = scene.seq(2)
    scene.frame({"type": "trade", "sid": 2, "seq": seq, "msg": {}})
    assert scene.ask_book(A).state == "live"  # a print is not worth a book
    effects = scene.raw(b'{"type":"orderbook_delta","sid":')
    assert CloseSocket(MARKET) in effects  # whose it was can't be told
    assert published(effects)[0].ticker == A


def test_a_dead_subscription_means_a_new_connection() -> None:
    for code in (10, 25):
        scene = Scene()
        scene.go_live(A)
        body = {"code": code, "msg": "Subscription buffer overflow"}
        effects = scene.frame({"type": "error", "sid": 1, "seq": scene.seq(1), "msg": body})
        assert CloseSocket(MARKET) in effects
        assert [type(body) for body in published(effects)] == [BookLost]


def test_a_command_that_timed_out_at_the_exchange_makes_books_suspect() -> None:
    scene = Scene()
    scene.go_live(A)
    body = {"code": 18, "msg": "command timeout"}
    effects = scene.frame({"type": "error", "sid": 1, "seq": scene.seq(1), "msg": body})
    assert CloseSocket(MARKET) not in effects
    assert sent(effects)[0]["params"]["action"] == "get_snapshot"


def test_markets_that_the_exchange_names_as_unknown_are_left_out() -> None:
    scene = Scene()
    scene.markets(A, B)
    scene.open()
    scene.take()
    body = {"code": 11, "msg": "Invalid parameter", "market_tickers": [B]}
    scene.frame({"type": "error", "id": 1, "msg": body})
    (again,) = sent(scene.take())
    assert again["params"]["market_tickers"] == [A]
    scene.subscribed(again["id"])
    scene.snapshot(A)
    assert scene.core._health._reasons(False)[0] == "books: 1 waiting for a snapshot"


# Life


def test_a_closed_socket_is_opened_again_with_new_numbers() -> None:
    scene = Scene()
    scene.go_live(A, B)
    effects = scene.feed(SocketClosed(scene.at, MARKET, "closed 1006"))
    assert published(effects) == [BookLost(A, "closed 1006"), BookLost(B, "closed 1006")]
    ((signal, subject),) = (s for s in signals(effects) if s[0] == "reconnect_scheduled")
    assert subject.startswith("market1 in 0.")
    assert scene.core._health._reasons(False)[0].startswith("market1: reconnecting in 0.")
    assert scene.core._health._reasons(False)[0].endswith("s: closed 1006")
    scene.wait(SECOND // 2)  # the first retry is quick
    assert OpenSocket(MARKET) in scene.take()
    effects = scene.open()
    assert ("await_disconnect", MARKET) in signals(effects)
    (subscribe,) = sent(effects)
    for sid, channel in enumerate(("orderbook_delta", "trade", "ticker"), start=11):
        scene.frame(
            {
                "type": "subscribed",
                "id": subscribe["id"],
                "msg": {"channel": channel, "sid": sid},
            }
        )
    body = {"market_ticker": A}
    scene.frame({"type": "orderbook_snapshot", "sid": 1, "seq": 3, "msg": body})
    assert scene.ask_book(A).state == "lost"  # the number of a former life
    scene.frame({"type": "orderbook_snapshot", "sid": 11, "seq": 800, "msg": body})
    assert scene.ask_book(A).state == "live"
    assert (scene.core.tally.gaps, scene.core.tally.strays) == (0, 1)
    assert scene.counters["reconnects"] == 1


def test_a_silent_socket_is_closed_and_a_ping_is_not_silence() -> None:
    scene = Scene()
    scene.go_live(A)
    for _ in range(5):
        scene.wait(SILENCE_MAX - SECOND)
        scene.feed(PingReceived(scene.at, MARKET))
    assert CloseSocket(MARKET) not in scene.take()
    scene.wait(SILENCE_MAX)
    effects = scene.take()
    assert CloseSocket(MARKET) in effects
    assert published(effects)[0].reason == "closing: silent for 25 s"


def test_what_still_arrives_on_a_socket_given_up_does_not_count() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.wait(SILENCE_MAX)
    scene.take()
    assert published(scene.snapshot(A, [["0.5000", "1.00"]])) == []
    scene.feed(SocketClosed(scene.at, MARKET, "closed 1000"))
    assert scene.line.connection.why.endswith("silent for 25 s")


def test_an_unanswered_command_means_a_new_connection() -> None:
    scene = Scene()
    scene.markets(A)
    scene.open()
    scene.frame({"type": "subscribed", "id": 1, "msg": {"channel": "trade", "sid": 2}})
    scene.wait(COMMAND_MAX)
    assert CloseSocket(MARKET) in scene.take()


def test_a_handshake_that_takes_too_long_is_given_up() -> None:
    scene = Scene()
    scene.wait(CONNECT_MAX)
    assert CloseSocket(MARKET) in scene.take()
    scene.open()  # too late
    assert not scene.line.connection.up


def test_later_each_time_but_never_later_than_the_bound() -> None:
    delays = []
    scene = Scene()
    for _ in range(40):
        scene.feed(OpenFailed(scene.at, MARKET, 503, "HTTP 503"))
        deadline = scene.line.deadline()
        assert deadline is not None
        delays.append(deadline - scene.now)
        scene.wait(delays[-1])
    assert delays[0] <= SECOND // 2
    assert all(SECOND // 4 <= delay <= RECONNECT_MAX for delay in delays)
    assert max(delays) > RECONNECT_MAX // 2


def test_a_wrong_key_is_said_and_tried_only_each_minute() -> None:
    scene = Scene()
    for _ in range(3):
        scene.feed(OpenFailed(scene.at, MARKET, 401, "HTTP 401 authentication_error"))
        scene.wait(SECOND)
    assert "market1: auth: HTTP 401 authentication_error" in scene.core._health._reasons(False)
    scene.take()
    scene.wait(RECONNECT_MAX - 2 * SECOND)
    assert OpenSocket(MARKET) not in scene.take()
    scene.wait(2 * SECOND)
    assert OpenSocket(MARKET) in scene.take()
    assert "market1: auth: HTTP 401 authentication_error" in scene.core._health._reasons(False)
    scene.open()
    assert scene.line.connection.why == "subscribing"


def test_asked_to_stop_it_closes_its_sockets_and_ends() -> None:
    scene = Scene()
    scene.go_live(A)
    effects = scene.feed(Stopping(scene.at))
    assert CloseSocket(MARKET) in effects
    assert published(effects) == [BookLost(A, "stopping")]
    assert Finish(0) in effects
