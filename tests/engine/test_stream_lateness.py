"""What comes is right, but of a past moment."""

from protocol.messages import BookFresh, BookStale
from tests.engine.mischief import Late, Slow
from tests.engine.proxy import everywhere, only
from tests.engine.stage import HEAL_MAX_S, LOOK_MAX_S, MARKETS, PRIVATE, STALL_MAX_S, Stage

LATE_MAX_S = 2.0  # a reader may trust a book that is late by a second, until the next message
DELAY_S = 10.0


def test_data_is_delayed_by_10_seconds(stage: Stage) -> None:
    """From one moment on all data of the connections that there are comes 10 s later.

    Pongs come in time: what holds the data is a queue before the socket (FACTS.md section 4.1).
    First nothing comes for 10 s, and no probe is answered; a connection without a backlog cures it.
    """
    armed = stage.arm(Late(DELAY_S), where=MARKETS)
    order = stage.trade()
    lost = stage.until_lost(STALL_MAX_S + LOOK_MAX_S)
    assert lost - armed.at <= STALL_MAX_S + LOOK_MAX_S
    stage.until_said("dead subscription", 2.0)
    stage.until_connected(1, MARKETS)
    stage.heal()
    stage.until_booked()
    assert stage.booked(order)


def test_data_is_delayed_little_by_little_to_10_seconds(stage: Stage) -> None:
    """Without a silence that gives it away: each second brings the data of half a second."""
    stage.stale_max = LATE_MAX_S
    line = stage.market_line()
    for delay in range(1, 21):
        stage.arm(Late(delay / 2), where=only(line))
        stage.pause(1.0)
    assert stage.reader.heard(BookStale, stage.began)
    stage.until_said("data is late", 1.0)


def test_data_is_late_by_2_seconds(stage: Stage) -> None:
    """Late, and without a silence that gives it away: on the first late message it is flagged."""
    stage.arm(Late(2.0), where=MARKETS)
    stage.until_stale(2.0 + LATE_MAX_S)
    stage.reader.forget()
    stage.pause(5.0)
    age, ticker = stage.reader.oldest
    assert age <= LATE_MAX_S - 0.5, f"{ticker} was trusted again, {age:.1f} s old"
    stage.until_said("data is late", 1.0)
    stage.proxy.lift()
    stage.heal()
    fresh = stage.reader.heard(BookFresh, stage.began)
    assert fresh or stage.causes("reconnect_scheduled"), "it was cured by time, or by a new socket"


def test_all_is_delayed_by_10_seconds(stage: Stage) -> None:
    """Pongs, too, and each new handshake: a connection is of no use until it is over."""
    armed = stage.arm(Late(DELAY_S, all_frames=True), when="both", where=everywhere)
    order = stage.trade()
    lost = stage.until_lost(5.5)
    assert lost - armed.at <= 5.5
    stage.pause(DELAY_S)
    stage.proxy.lift()
    stage.heal(DELAY_S + HEAL_MAX_S)
    stage.until_booked()
    assert stage.booked(order)


def test_a_line_of_20_kilobytes_a_second(stage: Stage) -> None:
    """Less than what the markets say: what comes gets older and older, and says so."""
    stage.arm(Slow(20_000), when="both", where=lambda line: PRIVATE(line) or MARKETS(line))
    stage.stale_max = LATE_MAX_S
    found = stage.reader.until(
        lambda: stage.reader.heard(BookStale, stage.began) or not stage.reader.trusted(),
        40.0,
        "books stale or lost",
    )
    assert found
    order = stage.trade()
    stage.pause(10.0)
    stage.proxy.lift()
    stage.heal()
    stage.until_booked()
    assert stage.booked(order)
