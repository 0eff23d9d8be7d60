"""Stories of one socket's life: opening, silence, refusals, pauses, and the next try."""

from datetime import UTC, datetime

from actors.stream.core import (
    CloseSocket,
    OpenFailed,
    OpenSocket,
    Overrun,
    PingReceived,
    SendPing,
    SocketClosed,
)
from protocol.limits import (
    AUTH_RETRY,
    CONNECT_MAX,
    MINUTE,
    PAUSE_AGAIN,
    PAUSE_ANSWER,
    PAUSE_LOOK,
    PAUSE_RETRY,
    PAUSE_WORD,
    RECONNECT_MAX,
    RECONNECT_MIN,
    REFUSED_RETRY,
    SECOND,
    SILENCE_MAX,
)
from protocol.machine import Finish, Report, Stopping
from protocol.messages import BookLost, ExchangeRequest
from tests.actors.stream.scene import MARKET, A, B, Scene, published, sent, signals
from tests.actors.stream.venue import live


def delay(scene: Scene) -> int:
    """Until the market link is opened again."""
    deadline = scene.line.deadline()
    assert deadline is not None
    return deadline - scene.now


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
        msg = {"channel": channel, "sid": sid}
        scene.frame({"type": "subscribed", "id": subscribe["id"], "msg": msg})
    body = {"market_ticker": A}
    scene.frame({"type": "orderbook_snapshot", "sid": 1, "seq": 3, "msg": body})
    assert scene.ask_book(A).state == "lost"  # the number of a former life
    scene.frame({"type": "orderbook_snapshot", "sid": 11, "seq": 800, "msg": body})
    assert scene.ask_book(A).state == "live"
    assert (scene.counters["gaps"], scene.counters["strays"]) == (0, 1)
    assert scene.counters["reconnects"] == 1


# Silence


def test_a_ping_is_sent_every_two_seconds_and_its_answer_is_not_silence() -> None:
    scene, _ = live(A)
    scene.wait(10 * SECOND)
    pings = [e for e in scene.take() if isinstance(e, SendPing) and e.link == MARKET]
    assert len(pings) == 5 and len({e.number for e in pings}) == 5


def test_a_ping_of_the_exchange_is_not_silence() -> None:
    scene, _ = live(A)
    scene.silent = {MARKET}
    for _ in range(6):
        scene.wait(SILENCE_MAX - SECOND)
        scene.feed(PingReceived(scene.at, MARKET))
    assert CloseSocket(MARKET) not in scene.take()


def test_a_silent_socket_is_dead_and_that_is_flagged_within_five_seconds() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.go_private()
    scene.silent = {MARKET}
    scene.wait(SILENCE_MAX)
    effects = scene.take()
    assert CloseSocket(MARKET) in effects and CloseSocket("private") not in effects
    assert published(effects) == [BookLost(A, "closing: dead socket: silent for 4 s")]
    assert scene.ask_book(A).state == "lost"
    assert "market1: closing: dead socket: silent for 4 s" in scene.reasons
    assert scene.counters["stalls_dead_socket"] == 1
    assert SILENCE_MAX < 5 * SECOND


def test_what_still_arrives_on_a_socket_given_up_does_not_count() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.silent = {MARKET}
    scene.wait(SILENCE_MAX)
    scene.take()
    assert published(scene.snapshot(A, [["0.5000", "1.00"]])) == []
    scene.feed(SocketClosed(scene.at, MARKET, "closed 1000"))
    assert scene.line.connection.why.endswith("dead socket: silent for 4 s")


def test_a_socket_that_does_not_close_counts_as_closed() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.silent = {MARKET}
    scene.wait(SILENCE_MAX)
    scene.take()
    scene.wait(6 * SECOND)
    assert OpenSocket(MARKET) in scene.take()


def test_a_handshake_that_takes_too_long_is_given_up() -> None:
    scene = Scene()
    scene.markets(A)
    scene.wait(CONNECT_MAX)
    assert CloseSocket(MARKET) in scene.take()
    scene.open()  # too late
    assert not scene.line.connection.up


def test_frames_that_wait_beyond_the_bound_mean_a_new_connection() -> None:
    scene = Scene()
    scene.go_live(A)
    effects = scene.feed(Overrun(scene.at, MARKET, 100_001))
    assert published(effects) == [BookLost(A, "we are slow: 100001 frames waited")]
    assert CloseSocket(MARKET) in effects
    assert (scene.counters["overrun_frames"], scene.counters["stalls_slow"]) == (100_001, 1)


# The next try


def test_later_each_time_but_never_later_than_the_bound() -> None:
    scene = Scene()
    scene.markets(A)
    delays = []
    for _ in range(40):
        scene.feed(OpenFailed(scene.at, MARKET, 503, "HTTP 503"))
        delays.append(delay(scene))
        scene.wait(delays[-1])
    for tries, found in enumerate(delays):
        assert RECONNECT_MIN <= found <= min(RECONNECT_MAX, 2 * RECONNECT_MIN << tries)
    assert max(delays) > RECONNECT_MAX // 2
    assert len(set(delays)) > 35  # full jitter


def test_a_steady_connection_makes_the_next_failure_the_first_one() -> None:
    scene, venue = live(A)
    for _ in range(6):
        scene.wait(MINUTE)
        scene.respond = None
        scene.feed(SocketClosed(scene.at, MARKET, "closed 1006"))
        assert delay(scene) <= 2 * RECONNECT_MIN
        scene.respond = venue
        scene.wait(SECOND)
    assert scene.counters["reconnects"] == 6


def test_a_connection_that_flaps_is_not_steady() -> None:
    scene, venue = live(A)
    delays = []
    for _ in range(12):
        scene.respond = None
        scene.feed(SocketClosed(scene.at, MARKET, "closed 1006"))
        delays.append(delay(scene))
        scene.respond = venue
        scene.wait(delays[-1] + SECOND)
    assert max(delays) > 10 * SECOND


def test_a_wrong_key_stops_after_three_tries_and_says_how_the_clocks_differ() -> None:
    scene = Scene(ahead=1_700_000_000_000_000)
    scene.markets(A)
    reason = "HTTP 401 authentication_error"
    for number in range(3):
        assert OpenSocket(MARKET) in scene.take()
        scene.feed(OpenFailed(scene.at, MARKET, 401, reason, scene.at - 40_000_000))
        reports = [e for e in scene.effects if isinstance(e, Report) and "401" in e.text]
        assert [e.grave for e in reports] == [number == 2]
        scene.wait(3 * SECOND if number < 2 else 0)
    said = f"market1: FAILED(auth: {reason}; our clock is 40 s ahead of the exchange's)"
    assert said in scene.core._health._reasons(False)
    scene.wait(RECONNECT_MAX - SECOND)  # our clock may be put right at any time
    assert OpenSocket(MARKET) not in scene.take()
    assert said in scene.core._health._reasons(False)
    scene.wait(SECOND)
    assert OpenSocket(MARKET) in scene.take()
    assert said in scene.core._health._reasons(False)
    scene.open()
    assert scene.line.connection.why == "subscribing"


def test_a_wrong_key_while_the_clock_is_right_or_not_known() -> None:
    for date, said in ((0, ""), (1, "; our clock is right")):
        scene = Scene(ahead=1_700_000_000_000_000)
        scene.markets(A)
        for _ in range(3):
            scene.feed(OpenFailed(scene.at, MARKET, 401, "no", date and scene.at + 2_000_000))
            scene.wait(3 * SECOND)
        assert f"market1: FAILED(auth: no{said})" in scene.core._health._reasons(False)
        scene.take()
        scene.wait(AUTH_RETRY - 4 * SECOND)
        assert OpenSocket(MARKET) not in scene.take()
        scene.wait(SECOND)
        assert OpenSocket(MARKET) in scene.take()


def test_another_refusal_in_between_begins_the_count_again() -> None:
    scene = Scene()
    scene.markets(A)
    for status in (401, 401, 503, 401, 401):
        scene.feed(OpenFailed(scene.at, MARKET, status, f"HTTP {status}"))
        scene.wait(delay(scene))
    assert "FAILED" not in scene.line.connection.why


def test_too_many_connections_wait_longer() -> None:
    scene = Scene()
    scene.markets(A)
    for _ in range(20):
        scene.feed(OpenFailed(scene.at, MARKET, 429, "HTTP 429"))
        found = delay(scene)
        assert REFUSED_RETRY <= found <= RECONNECT_MAX
        scene.wait(found)


# Pauses


THURSDAY = int(datetime(2026, 7, 2, 7, 0, tzinfo=UTC).timestamp()) * 1_000_000  # 03:00 EDT


def test_on_thursday_at_three_in_new_york_it_is_paused_not_broken() -> None:
    scene = Scene(ahead=THURSDAY - 1_000_000_000 - 60_000_000)
    scene.markets(A)
    scene.feed(OpenFailed(scene.at, MARKET, 503, "HTTP 503"))
    assert "paused" not in scene.line.connection.why
    scene.wait(MINUTE + SECOND)
    for _ in range(20):
        scene.feed(OpenFailed(scene.at, MARKET, 503, "HTTP 503"))
        found = delay(scene)
        assert PAUSE_RETRY // 2 <= found <= PAUSE_RETRY
        assert scene.line.connection.why.startswith(
            "paused: maintenance, Thursday 03:00 to 05:00 in New York, reconnecting in "
        )
        scene.wait(found)


def test_at_five_it_is_over_and_was_no_failure() -> None:
    scene = Scene(ahead=THURSDAY - 1_000_000_000 + 115 * 60_000_000)
    scene.markets(A)
    while scene.at < THURSDAY + 120 * 60_000_000:
        scene.feed(OpenFailed(scene.at, MARKET, 503, "HTTP 503"))
        scene.wait(delay(scene))
    scene.feed(OpenFailed(scene.at, MARKET, 503, "HTTP 503"))
    assert scene.line.connection.why.startswith("reconnecting")
    assert delay(scene) <= 2 * RECONNECT_MIN


def test_the_exchange_says_itself_that_it_pauses() -> None:
    scene, venue = live(A)
    scene.wait(5 * SECOND)
    venue.asked.clear()
    venue.paused = "trading until 12:00"
    scene.wait(4 * PAUSE_LOOK)
    assert scene.reasons == ()  # what is open and talks is not broken: nobody is asked
    assert [m for m in venue.asked if isinstance(m, ExchangeRequest)] == []
    venue.shut = {MARKET}
    scene.feed(SocketClosed(scene.at, MARKET, "closed 1012"))
    scene.wait(2 * SECOND)  # it is asked at once, and its answer is not waited for to be said
    assert scene.line.connection.why.startswith("paused: trading until 12:00, reconnecting in")
    assert [m for m in venue.asked if isinstance(m, ExchangeRequest)] != []
    failures = scene.line.connection._failures
    scene.wait(10 * PAUSE_RETRY)
    assert scene.line.connection._failures == failures
    venue.shut = set()
    venue.paused = ""
    scene.wait(2 * PAUSE_RETRY)
    assert scene.core.lines.pause == "" and scene.ask_book(A).state == "live"


def test_a_second_loss_is_asked_about_when_the_gateway_would_look_anew() -> None:
    """Sooner, it would pass on its last word, from before the pause, and that would stand."""
    scene, venue = live(A)
    scene.wait(PAUSE_AGAIN)  # since the start's
    venue.asked.clear()

    def asked() -> int:
        return sum(isinstance(m, ExchangeRequest) for m in venue.asked)

    scene.feed(SocketClosed(scene.at, MARKET, "closed 1006"))
    scene.wait(SECOND)
    assert (asked(), scene.ask_book(A).state) == (1, "live"), "it is back"
    venue.shut = {MARKET}
    scene.feed(SocketClosed(scene.at, MARKET, "closed 1006"))
    scene.wait(PAUSE_WORD + PAUSE_ANSWER - 2 * SECOND)
    assert asked() == 1
    scene.wait(3 * SECOND)
    assert asked() == 2


def test_asked_to_stop_it_closes_its_sockets_and_ends() -> None:
    scene = Scene()
    scene.go_live(A)
    effects = scene.feed(Stopping(scene.at))
    assert {CloseSocket(MARKET), CloseSocket("public")} <= {
        e for e in effects if isinstance(e, CloseSocket)
    }
    assert published(effects) == [BookLost(A, "stopping")]
    assert Finish(0) in effects
    scene.feed(SocketClosed(scene.at, MARKET, "closed 1000"))
    assert OpenSocket(MARKET) not in scene.take()
