"""Nothing comes any more, and nobody says so: half-open, black holes, a mute sid, a stopped us."""

import signal

import pytest

from protocol.messages import BookLost
from tests.engine.framing import PING, PONG
from tests.engine.mischief import Alter, Hole, Of, skip
from tests.engine.proxy import only
from tests.engine.stage import (
    BOOKS,
    HEAL_MAX_S,
    LOOK_MAX_S,
    MARKETS,
    PRIVATE,
    STALL_MAX_S,
    Stage,
)

ROUND_MAX_S = 75.0  # a fill that the stream can't hear of: the next reconciliation finds it


def test_market_connections_are_half_open(stage: Stage) -> None:
    armed = stage.arm(Hole(), where=MARKETS)
    lost = stage.until_lost(STALL_MAX_S + LOOK_MAX_S)
    assert lost - armed.at <= STALL_MAX_S + LOOK_MAX_S
    order = stage.trade()
    stage.heal()
    stage.until_booked()
    assert stage.booked(order), "our fills come another way"
    assert any("dead socket" in cause for cause in stage.causes("reconnect_scheduled"))
    assert not any(cause.startswith("private") for cause in stage.causes("reconnect_scheduled"))


def test_the_private_connection_is_half_open(stage: Stage) -> None:
    stage.arm(Hole(), where=PRIVATE)
    order = stage.trade()
    stage.until_connected(1, PRIVATE)
    stage.until_booked()
    assert stage.booked(order)
    assert any(
        cause.startswith("private") and "dead socket" in cause
        for cause in stage.causes("reconnect_scheduled")
    )
    assert stage.reader.heard(BookLost, stage.began) == [], "books have their own connections"


@pytest.mark.parametrize("way", ["up", "down"])
def test_one_way_of_all_connections_is_dead(stage: Stage, way: str) -> None:
    """If only what we send is lost, the books go on being right: no life is what counts."""
    stage.arm(Hole(("up",) if way == "up" else ("down",)))
    order = stage.trade()
    stage.until_connected(2, lambda line: bool(line.channels))
    stage.heal()
    stage.until_booked()
    assert stage.booked(order)


def test_a_black_hole_for_19_9_seconds(stage: Stage) -> None:
    """All connections, and those that are tried meanwhile; then all of it comes in one burst."""
    armed = stage.arm(Hole(seconds=19.9), when="both")
    lost = stage.until_lost(STALL_MAX_S + LOOK_MAX_S)
    assert lost - armed.at <= STALL_MAX_S + LOOK_MAX_S
    order = stage.trade()
    stage.heal(19.9 + HEAL_MAX_S)
    stage.until_booked()
    assert stage.booked(order)
    stage.until_said("dead socket", 1)


def test_one_sid_is_silent_and_the_others_go_on(stage: Stage) -> None:
    line = stage.market_line()
    armed = stage.arm(Alter(Of(sid=line.sids[BOOKS]), skip), where=only(line))
    lost = stage.until_lost(STALL_MAX_S + LOOK_MAX_S)
    assert lost - armed.at <= STALL_MAX_S + LOOK_MAX_S
    stage.until_said("dead subscription", 2.0)
    stage.heal()
    assert stage.reader.trusted() == set(stage.truth.tickers)


def test_the_fills_sid_is_silent(stage: Stage) -> None:
    """It has no numbers, and a quiet account sends nothing: only a reconciliation can tell."""
    [line] = stage.proxy.open_lines(PRIVATE)
    stage.arm(Alter(Of(sid=line.sids["fill"]), skip), where=only(line))
    order = stage.trade()
    stage.until_booked(ROUND_MAX_S)
    assert stage.booked(order)


def test_pongs_are_mute_while_data_flows(stage: Stage) -> None:
    """Data is a sign of life: nothing is punished on a busy connection."""
    line = stage.market_line()
    stage.arm(Alter(Of(opcode=PONG), skip), where=only(line))
    stage.pause(10.0)
    assert stage.reader.heard(BookLost, stage.began) == []
    assert line.left_at is None


def test_the_exchanges_pings_are_mute(stage: Stage) -> None:
    """Our own pings are answered: the connections are alive."""
    stage.arm(Alter(Of(opcode=PING), skip))
    stage.pause(12.0)
    assert stage.causes("reconnect_scheduled") == []
    assert stage.reader.heard(BookLost, stage.began) == []


def test_the_process_is_stopped_for_10_seconds(stage: Stage) -> None:
    """Nobody can flag anything meanwhile but the readers: the marks are missing."""
    stage.stream.send_signal(signal.SIGSTOP)
    try:
        stage.reader.until(
            lambda: not stage.reader.trusted(),
            STALL_MAX_S + LOOK_MAX_S,
            "no reader trusts what a silent stream has said",
        )
        order = stage.trade()
        stage.pause(10.0)
    finally:
        stage.stream.send_signal(signal.SIGCONT)
    stage.heal()
    stage.until_booked()
    assert stage.booked(order)
