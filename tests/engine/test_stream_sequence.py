"""Numbers that are not the next: skipped, repeated, swapped, begun anew, jumped."""

import pytest

from protocol.messages import BookLost, BookSnapshot
from tests.engine.mischief import Alter, Of, Renumber, Swap, repeat, rewrite, skip
from tests.engine.proxy import only
from tests.engine.stage import BOOKS, Stage

FLAGGED_MAX_S = 1.0  # on the next message of its sid; the busy ones say many a second
ALIVE_MAX_S = 2.0  # from the gap to live books, by get_snapshot
DELTA = Of(type=BOOKS)


def recovered(stage: Stage, since: float) -> None:
    """Lost on the next message, all of its sid, and live again without a new connection."""
    lost = stage.until_lost(FLAGGED_MAX_S, since)
    stage.reader.until(
        lambda: stage.reader.heard(BookSnapshot, lost) and stage.reader.in_step(),
        ALIVE_MAX_S,
        "live again by snapshots",
    )
    assert stage.causes("reconnect_scheduled") == []


def lost_of(stage: Stage) -> set[str]:
    return {said.ticker for said in stage.reader.heard(BookLost, stage.began)}


@pytest.mark.parametrize("frames", [1, 7])
def test_frames_are_skipped(stage: Stage, frames: int) -> None:
    line = stage.market_line()
    armed = stage.arm(Alter(DELTA, skip), where=only(line), times=frames)
    order = stage.trade()
    recovered(stage, stage.until_hit(armed, frames))
    assert lost_of(stage) == set(stage.truth.tickers), "whichever market the frame was of"
    stage.until_booked()
    assert stage.booked(order)


def test_a_snapshot_that_was_asked_for_is_skipped(stage: Stage) -> None:
    """The gap's own cure is lost, too."""
    line = stage.market_line()
    stage.arm(Alter(Of(type="orderbook_snapshot"), skip), where=only(line), times=3)
    armed = stage.arm(Alter(DELTA, skip), where=only(line), times=1)
    hit = stage.until_hit(armed)
    stage.until_lost(FLAGGED_MAX_S, hit)
    stage.heal()


def test_an_answer_that_takes_a_number_is_skipped(stage: Stage) -> None:
    """`ok` counts (FACTS.md section 4.4): that it is missing is a gap like any other."""
    line = stage.market_line()
    stage.arm(Alter(DELTA, skip), where=only(line), times=1)
    stage.arm(Alter(Of(type="ok"), skip), where=only(line), times=1)
    stage.until_lost(FLAGGED_MAX_S)
    stage.heal()


def test_frames_are_repeated(stage: Stage) -> None:
    """The same number again is a duplicate: it changes no book, and costs none."""
    line = stage.market_line()
    armed = stage.arm(Alter(DELTA, repeat), where=only(line), times=20)
    stage.until_hit(armed, 20)
    order = stage.trade()
    stage.until_booked()
    assert stage.booked(order)
    assert stage.reader.heard(BookLost, stage.began) == []
    stage.engine.until_system(lambda s: s.processes["stream"].counters["duplicates"] >= 20, 5)


def test_a_snapshot_is_repeated(stage: Stage) -> None:
    line = stage.market_line()
    stage.arm(Alter(Of(type="orderbook_snapshot"), repeat), where=only(line), times=50)
    armed = stage.arm(Alter(DELTA, skip), where=only(line), times=1)
    recovered(stage, stage.until_hit(armed))


def test_two_frames_are_swapped(stage: Stage) -> None:
    line = stage.market_line()
    armed = stage.arm(Alter(DELTA, Swap()), where=only(line), times=2)
    recovered(stage, stage.until_hit(armed, 2))


def test_a_sid_counts_from_1_again(stage: Stage) -> None:
    line = stage.market_line()
    sid = Of(sid=line.sids[BOOKS])
    armed = stage.arm(Alter(sid, Renumber(lambda true: 1)), where=only(line))
    stage.until_lost(FLAGGED_MAX_S, stage.until_hit(armed))
    stage.heal()


def test_a_sid_jumps_ahead(stage: Stage) -> None:
    line = stage.market_line()
    sid = Of(sid=line.sids[BOOKS])
    armed = stage.arm(Alter(sid, Renumber(lambda true: true + 1_000_000)), where=only(line))
    stage.until_lost(FLAGGED_MAX_S, stage.until_hit(armed))
    stage.heal()


def test_a_number_is_missing_from_all_frames_of_a_sid(stage: Stage) -> None:
    """Without numbers nothing can be known to be whole."""
    line = stage.market_line()
    sid = Of(sid=line.sids[BOOKS])
    unnumbered = rewrite(rb'"seq":\d+,?', b"")
    armed = stage.arm(Alter(sid, unnumbered), where=only(line))
    stage.until_hit(armed)
    stage.until_lost(FLAGGED_MAX_S)
    stage.proxy.lift()
    stage.heal()
