"""Handshakes that go wrong: no answer, 401, 429, 503, and a clock that is an hour off."""

import pytest

from tests.engine.mischief import Misdate, Refuse, Unanswered
from tests.engine.stage import HEAL_MAX_S, LOOK_MAX_S, MARKETS, PRIVATE, Stage

CONNECT_MAX_S = 10.0  # then a handshake is given up
PAUSE_MAX_S = 10.0  # the gateway looks at the status as soon as it is asked
EACH = 3  # handshakes: more than there are connections, so that one at least is tried again


def test_no_answer_to_the_handshake(stage: Stage) -> None:
    armed = stage.arm(Unanswered(), when="both", times=EACH)
    stage.proxy.cut()
    stage.until_lost(1.0)
    order = stage.trade()
    stage.until_hit(armed, EACH)
    silent = [line for line in stage.proxy.open_lines() if line.opened_at > stage.began]
    stage.proxy.until(
        lambda: all(line.left_at is not None for line in silent[:EACH]),
        CONNECT_MAX_S + 1.0,
        "all are given up",
    )
    for line in silent[:EACH]:
        assert (line.left_at or 0.0) - line.opened_at <= CONNECT_MAX_S + LOOK_MAX_S
    stage.heal(CONNECT_MAX_S + HEAL_MAX_S)
    stage.until_booked()
    assert stage.booked(order)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_the_handshake_is_refused_once_or_twice(stage: Stage, status: int) -> None:
    """Each connection's first try fails, and perhaps its second."""
    armed = stage.arm(Refuse(status), when="both", times=EACH)
    stage.proxy.cut()
    stage.until_lost(1.0)
    order = stage.trade()
    stage.until_hit(armed, EACH, HEAL_MAX_S)
    stage.until_said(f"HTTP {status}", 2.0)
    stage.heal()
    stage.until_booked()
    assert stage.booked(order)


def test_429_waits_longer_than_other_refusals(stage: Stage) -> None:
    stage.arm(Refuse(429), when="both", times=1)
    stage.proxy.cut(PRIVATE)
    stage.until_connected(1, PRIVATE)
    refused, accepted = [line for line in stage.proxy.lines if line.opened_at > stage.began][:2]
    assert accepted.opened_at - refused.opened_at >= 4.5
    assert stage.reader.trusted() == set(stage.truth.tickers)


def test_the_exchanges_clock_is_an_hour_off(stage: Stage) -> None:
    """Its handshake is good, and its data is of now: nothing is called late by that clock."""
    stage.arm(Misdate(-3_600), when="both")
    stage.proxy.cut(MARKETS)
    stage.heal()
    stage.pause(3.0)
    assert stage.reader.trusted() == set(stage.truth.tickers)


def test_the_exchange_pauses(stage: Stage) -> None:
    """Its status says so: no fault of ours or of the line's, so it is not called one."""
    stage.engine.faults(exchange_paused=True)
    stage.arm(Refuse(503), when="both")
    try:
        stage.proxy.cut()
        stage.until_lost(2.0)
        stage.until_said("paused", PAUSE_MAX_S)
    finally:
        stage.engine.faults(exchange_paused=False)
    stage.proxy.lift()
    stage.heal(15.0 + HEAL_MAX_S)
    assert not any("auth" in reason for reason in stage.reasons())


def test_401_for_good_is_told_as_what_it_is_and_goes_on_being_tried() -> None:
    """Three times, and the private side is FAILED for the operator; an hour off is said."""
    with Stage() as stage:
        stage.calm()
        armed = stage.arm(Refuse(401, clock_off_s=3_600), when="both")
        stage.proxy.cut()
        stage.until_lost(1.0)
        stage.until_said("auth: ", HEAL_MAX_S)
        assert armed.hits >= 3
        tried = armed.hits
        order = stage.trade()
        stage.pause(5.0)
        assert armed.hits <= tried + 4, "each connection three times, and no more for now"
        said = " ".join(stage.reasons())
        assert "clock" in said, said
        assert not stage.reader.trusted()
        system = stage.engine.until_system(lambda s: not s.healthy, 2)
        assert system.gate == "closed"
        stage.until_booked(75.0)
        assert stage.booked(order), "the gateway reads the account all the same"
