"""Stories of data that is of a past moment: late, waiting on our side, from before a sleep."""

from typing import Any

import pytest

from actors.stream.core import (
    CloseSocket,
    FramesReceived,
    PingReceived,
    PongReceived,
    SocketClosed,
    SocketOpened,
)
from protocol.limits import LATE_CURE, MS, SECOND
from protocol.machine import Effect, Elapsed
from protocol.messages import BookDelta, BookFresh, BookLost, BookSide, BookSnapshot, BookStale
from protocol.units import format_count, format_price
from tests.actors.stream.scene import MARKET, A, B, Scene, published, sent

NOON = 1_782_900_000_000_000  # microseconds
HOUR = 3_600_000_000
SIDES: dict[BookSide, str] = {"yes": "yes_dollars_fp", "no": "no_dollars_fp"}


def on_air(date: int = 0, late: int = 0) -> Scene:
    """Live, at noon. `date`: how far the handshake's clock is before ours; `late`: of all since."""
    scene = Scene(ahead=NOON - 1_000_000_000)
    scene.markets(A, B)
    scene.go_public()
    scene.feed(SocketOpened(scene.at, MARKET, scene.at - date if date else 0))
    scene.subscribed()
    for ticker in (A, B):
        scene.snapshot(ticker, [["0.4700", "3.00"]], [["0.4800", "2.00"]])
    change(scene, late)
    scene.take()
    return scene


def change(scene: Scene, late: int, waited: int = 0) -> list[Effect]:
    """A delta that the exchange sent so many microseconds ago, by its clock."""
    sent_ms = (scene.at - waited // 1_000 - late) // 1_000
    body = f'"market_ticker":"{A}","side":"yes","price_dollars":"0.4700","delta_fp":"1.00"'
    msg = f'{{{body},"ts_ms":{sent_ms}}}'
    raw = f'{{"type":"orderbook_delta","sid":1,"seq":{scene.seq(1)},"msg":{msg}}}'
    cause = FramesReceived(scene.at - waited // 1_000, MARKET, [raw.encode()], waited)
    return scene.feed(cause)


def answer_probe(scene: Scene) -> list[Effect]:
    """The exchange shows the book that was asked for last: it is the one that we have."""
    commands = [
        c for c in sent(scene.take()) if c.get("params", {}).get("action") == "get_snapshot"
    ]
    asked = commands[-1]
    [ticker] = asked["params"]["market_tickers"]
    book = scene.line.markets[ticker].book
    body: dict[str, Any] = {"market_ticker": ticker}
    for side, name in SIDES.items():
        body[name] = [[format_price(p), format_count(c)] for p, c in book.levels(side)]
    frame = {"type": "orderbook_snapshot", "sid": 1, "seq": scene.seq(1), "msg": body}
    return scene.frame({**frame, "id": asked["id"]})


def kinds(effects: list[Effect]) -> list[type]:
    return [type(body) for body in published(effects)]


# Late


def test_late_data_makes_books_stale_on_the_very_message_and_in_time_again_fresh() -> None:
    scene = on_air()
    scene.silent = {MARKET}
    effects = change(scene, 2_000_000)
    stale_a, stale_b, delta = published(effects)
    assert stale_a == BookStale(A, "data is late: 2.0 s") and stale_b == BookStale(
        B, stale_a.reason
    )
    assert isinstance(delta, BookDelta)
    answer = scene.ask_book(A)
    assert (answer.state, answer.reason) == ("stale", "data is late: 2.0 s")
    assert int(answer.yes[0][1]) == 500  # right, but of a past moment
    assert "market1: data is late: 2.0 s" in scene.core._health._reasons(False)
    assert kinds(change(scene, 700_000)) == [BookDelta]  # not in time yet
    assert kinds(change(scene, 300_000)) == [BookFresh, BookFresh, BookDelta]
    assert scene.ask_book(A).state == "live"
    assert scene.counters["stalls_late"] == 1


def test_a_book_that_comes_while_data_is_late_is_stale_at_once() -> None:
    scene = on_air()
    scene.silent = {MARKET}
    change(scene, 2_000_000)
    scene.seq(1)
    change(scene, 2_000_000)
    effects = scene.snapshot(A, [["0.4700", "3.00"]])
    assert kinds(effects) == [BookSnapshot, BookStale]


def test_an_answer_that_is_asked_for_afterwards_proves_that_nothing_waits_any_more() -> None:
    """A probe's: it stands behind what waits of its subscription's, where no pong does."""
    scene = on_air()
    change(scene, 2_000_000)  # its ping is answered at once
    assert scene.ask_book(A).state == "stale"
    scene.now += 50 * MS
    assert kinds(answer_probe(scene)) == [BookFresh, BookFresh]


def test_an_answer_that_is_late_itself_proves_nothing() -> None:
    scene = on_air()
    change(scene, 2_000_000)
    scene.now += 600 * MS
    assert kinds(answer_probe(scene)) == []
    assert scene.ask_book(A).state == "stale"


def test_a_pong_that_is_late_itself_proves_nothing() -> None:
    scene = on_air()
    scene.silent = {MARKET}
    change(scene, 2_000_000)
    number = scene.line.connection._pinged
    scene.now += 600 * MS
    scene.feed(PongReceived(scene.at, MARKET, number))
    assert scene.ask_book(A).state == "stale"


def test_late_for_long_means_a_new_connection_which_leaves_the_backlog_behind() -> None:
    scene = on_air()
    scene.silent = {MARKET}
    for _ in range(LATE_CURE // SECOND):
        assert CloseSocket(MARKET) not in change(scene, 3_000_000)
        scene.wait(SECOND)
    effects = scene.take()
    assert CloseSocket(MARKET) in effects
    assert published(effects)[-1] == BookLost(B, "data is late: 3.0 s: the backlog is left behind")


# Clocks


@pytest.mark.parametrize("offset", [-4_900_000, -600_000, 0, 800_000, 4_900_000])
def test_a_constant_difference_of_the_clocks_is_not_lateness(offset: int) -> None:
    scene = on_air(late=offset)
    for delay in (0, 200_000, 400_000, 10_000):
        assert kinds(change(scene, offset + delay)) == [BookDelta]
    assert kinds(change(scene, offset + 1_100_000))[0] is BookStale


def test_late_from_the_first_frame_on_is_found_out_by_the_date_of_the_handshake() -> None:
    scene = on_air(date=500_000)
    assert kinds(change(scene, 300_000)) == [BookDelta]
    scene = Scene(ahead=NOON - 1_000_000_000)
    scene = on_air(date=500_000, late=2_600_000)
    assert scene.ask_book(A).state == "stale"


def test_without_a_date_a_lateness_of_more_than_the_clocks_may_differ_is_found_out() -> None:
    scene = on_air(late=6_100_000)
    assert scene.ask_book(A).state == "stale"


def test_the_far_future_is_of_no_use() -> None:
    scene = on_air()
    assert kinds(change(scene, -HOUR)) == [BookDelta]
    assert kinds(change(scene, 100_000)) == [BookDelta]
    scene.silent = {MARKET}
    assert kinds(change(scene, 1_200_000))[0] is BookStale


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_our_clock_may_be_set_by_an_hour(step: int) -> None:
    scene = on_air()
    for _ in range(5):
        scene.wait(SECOND)
        change(scene, 50_000)
    scene.take()
    scene.ahead += step
    effects = change(scene, step + 50_000)  # stamped by the exchange's clock, which goes on
    for _ in range(5):
        scene.wait(SECOND)
        effects += change(scene, step + 50_000)
    said = [b for b in published(effects) if isinstance(b, BookStale | BookFresh)]
    reasons = {body.reason for body in said if isinstance(body, BookStale)}
    assert reasons == ({"host slept: 3600 s, or its clock was set"} if step > 0 else set())
    assert scene.ask_book(A).state == "live"  # a pong has proven it
    scene.silent = {MARKET}
    assert kinds(change(scene, step + 2_000_000))[0] is BookStale
    assert scene.counters["stalls_late"] == 1


def test_a_clock_that_is_put_right_is_no_lateness() -> None:
    """The connection began while our clock was an hour ahead, and the exchange said no date."""
    scene = on_air(late=HOUR)
    assert scene.ask_book(A).state == "stale"  # by that clock it is
    scene.ahead -= HOUR
    scene.feed(Elapsed(scene.at))
    change(scene, 50_000)
    assert scene.ask_book(A).state == "live"


# Us


def test_a_host_that_slept_takes_no_old_frame_for_a_new_one() -> None:
    """Its monotonic clock stands still meanwhile; what the exchange sent before waits for us."""
    scene = on_air()
    scene.silent = {MARKET}
    scene.wait(SECOND)
    change(scene, 50_000)
    scene.ahead += 100_000_000
    effects = change(scene, 100_000_000)  # sent before the sleep
    assert [type(b) for b in published(effects)] == [BookStale, BookStale, BookDelta]
    assert published(effects)[0] == BookStale(A, "host slept: 100 s, or its clock was set")
    assert scene.counters["stalls_slept"] == 1
    number = scene.line.connection._pinged
    assert kinds(scene.feed(PongReceived(scene.at, MARKET, number))) == [BookFresh, BookFresh]
    assert kinds(change(scene, 50_000)) == [BookDelta]
    assert kinds(change(scene, 1_200_000))[0] is BookStale  # lateness is seen as well as before


def test_a_process_that_did_not_run_takes_its_books_for_stale_until_the_exchange_answers() -> None:
    scene = on_air()
    scene.silent = {MARKET}
    scene.wait(SECOND)
    scene.take()
    scene.now += 10 * SECOND
    effects = change(scene, 9_500_000)
    stale = published(effects)[0]
    assert isinstance(stale, BookStale) and stale.reason.startswith("we are slow: we did not run")
    assert kinds(effects)[-1] is BookDelta
    assert CloseSocket(MARKET) not in effects  # it was not the exchange that was silent
    assert scene.ask_book(A).state == "stale"
    scene.now += 10 * MS
    answer_probe(scene)
    assert scene.ask_book(A).state == "live"
    assert scene.counters["stalls_slow"] == 1


def test_after_a_stop_a_connection_that_is_dead_is_still_found_out() -> None:
    scene = on_air()
    scene.silent = {MARKET}
    scene.wait(SECOND)
    scene.now += 10 * SECOND
    scene.feed(Elapsed(scene.at))
    assert CloseSocket(MARKET) not in scene.take()
    scene.wait(2 * SECOND)
    assert CloseSocket(MARKET) in scene.take()


def test_frames_that_waited_on_our_side_are_of_a_past_moment_and_it_is_we_who_are_slow() -> None:
    for waited in (600 * MS, 2 * SECOND, 7 * SECOND):
        scene = on_air()
        scene.silent = {MARKET}
        scene.wait(SECOND // 2)
        scene.core._deadline = scene.now + SECOND  # the loop itself goes on
        effects = change(scene, 50_000, waited)
        said = published(effects)
        reason = f"we are slow: frames waited {waited / 1e9:.1f} s"
        assert said[:2] == [BookStale(A, reason), BookStale(B, reason)]
        change(scene, 50_000, waited)
        assert scene.ask_book(A).reason == reason
        change(scene, 50_000)
        assert scene.ask_book(A).state == "stale"  # only an answer proves it
        scene.silent = set()
        scene.wait(2 * SECOND)
        assert scene.ask_book(A).state == "live"
        assert scene.counters["stalls_slept"] == scene.counters["stalls_late"] == 0


def test_what_waited_behind_frames_is_no_jump_of_the_clock() -> None:
    scene = on_air()
    scene.wait(SECOND // 2)
    for cause in (
        PongReceived(scene.at - 7_000_000, MARKET, 1),  # when it was taken off the socket
        PingReceived(scene.at - 7_000_000, MARKET),
        SocketClosed(scene.at - 7_000_000, "public", "closed 1006"),
    ):
        scene.feed(cause)
        scene.feed(Elapsed(scene.at))
    assert scene.counters["stalls_slept"] == 0
    assert scene.core._clock.stepped == 0
    assert scene.ask_book(A).state == "live"


def test_age_is_since_the_connection_last_proved_alive() -> None:
    scene = on_air()
    change(scene, 50_000)
    assert scene.ask_book(A).as_of == scene.at
    scene.wait(1_900 * MS)
    assert scene.at - scene.ask_book(A).as_of <= 2_000_000
    scene.silent = {MARKET}
    was = scene.ask_book(A).as_of
    scene.now += SECOND // 2
    change(scene, 2_000_000)
    assert scene.ask_book(A).as_of == was


def test_answers_that_came_as_late_as_the_first_book_vouch_for_nothing() -> None:
    """What subscribes carries no time; the first frame that has one shows how old it all is
    (simulation)."""
    scene = on_air(date=1, late=3_000_000)
    answer = scene.ask_book(A)
    assert answer.state == "stale"
    assert scene.at - answer.as_of >= 1_900_000  # three seconds, less what a Date leaves open
