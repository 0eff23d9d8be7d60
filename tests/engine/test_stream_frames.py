"""Frames that are none: broken off, far too big, no text, no JSON, no numbers."""

from collections.abc import Callable

import pytest

from protocol.messages import BookLost
from tests.engine.framing import Frame
from tests.engine.mischief import Alter, Break, Of, replace, rewrite
from tests.engine.proxy import only
from tests.engine.stage import BOOKS, HEAL_MAX_S, PRIVATE, Stage

FLAGGED_MAX_S = 1.5
DELTA = Of(type=BOOKS)
BIG = b'{"type":"orderbook_delta","sid":1,"seq":' + b"9" * 50_000_000 + b"}"
NESTED = b'{"type":"orderbook_delta","sid":1,"seq":7,"msg":' + b"[" * 100_000
CLOSED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
INVALID = b'{"type":"orderbook_delta","sid":1,"seq":7,"msg":{"market_ticker":"KX\xff\xfe"}}'

Alteration = Callable[[Frame], list[bytes]]


def test_a_reset_in_the_middle_of_a_frame(stage: Stage) -> None:
    line = stage.market_line()
    armed = stage.arm(Break(DELTA), where=only(line), times=1)
    hit = stage.until_hit(armed)
    assert stage.until_lost(FLAGGED_MAX_S, hit) - hit <= FLAGGED_MAX_S
    order = stage.trade()
    stage.heal()
    stage.until_booked()
    assert stage.booked(order)
    assert not any(cause.startswith("private") for cause in stage.causes("reconnect_scheduled"))
    assert stage.causes("reconnect_scheduled")


def test_the_private_connection_is_reset_in_the_middle_of_a_fill(stage: Stage) -> None:
    armed = stage.arm(Break(Of(type="fill")), where=PRIVATE, times=1)
    order = stage.trade()
    stage.until_hit(armed)
    stage.until_booked()
    assert stage.booked(order)
    stage.until_connected(1, PRIVATE)
    assert stage.reader.heard(BookLost, stage.began) == []


@pytest.mark.parametrize(
    "raw",
    [BIG, INVALID, NESTED, CLOSED, b"", b"[]", b"{"],
    ids=["50 MB", "invalid UTF-8", "100,000 brackets", "100,000 objects", "empty", "list", "half"],
)  # fmt: skip
def test_a_book_frame_is_replaced(stage: Stage, raw: bytes) -> None:
    """What it said is lost: its books are, until snapshots come; and nothing else is."""
    line = stage.market_line()
    armed = stage.arm(Alter(DELTA, replace(raw)), where=only(line), times=1)
    hit = stage.until_hit(armed)
    seconds = FLAGGED_MAX_S + 3.0 * (len(raw) > 1_000_000)
    assert stage.until_lost(seconds, hit) - hit <= seconds
    order = stage.trade()
    stage.heal(HEAL_MAX_S)
    stage.until_booked()
    assert stage.booked(order)


@pytest.mark.parametrize(
    "raw", [BIG, INVALID, NESTED, b"{"], ids=["50 MB", "UTF-8", "deep", "half"]
)
def test_a_fill_is_replaced(stage: Stage, raw: bytes) -> None:
    """It may have been a fill, so the account is read again; no book is lost by it."""
    armed = stage.arm(Alter(Of(type="fill"), replace(raw)), where=PRIVATE, times=1)
    order = stage.trade()
    stage.until_hit(armed)
    stage.until_booked()
    assert stage.booked(order)
    assert stage.reader.heard(BookLost, stage.began) == []


@pytest.mark.parametrize(
    "by",
    [
        rewrite(rb'"price_dollars":"[^"]*"', b'"price_dollars":1e999'),
        rewrite(rb'"delta_fp":"[^"]*"', b'"delta_fp":1e999'),
        rewrite(rb'"delta_fp":"[^"]*"', b'"delta_fp":-1e-999'),
        rewrite(rb'"delta_fp":"[^"]*"', b'"delta_fp":"1e999"'),
        rewrite(rb'"delta_fp":"[^"]*"', b'"delta_fp":"NaN"'),
        rewrite(rb'"seq":\d+', b'"seq":1e999'),
        rewrite(rb'"sid":\d+', b'"sid":1e999'),
        rewrite(rb'"seq":\d+', b'"seq":123456789012345678901234567890'),
    ],
    ids=["price", "count", "tiny", "text", "NaN", "seq", "sid", "long seq"],
)
def test_a_number_that_is_none(stage: Stage, by: Alteration) -> None:
    line = stage.market_line()
    armed = stage.arm(Alter(DELTA, by), where=only(line), times=1)
    hit = stage.until_hit(armed)
    assert stage.until_lost(FLAGGED_MAX_S, hit) - hit <= FLAGGED_MAX_S
    stage.heal()


@pytest.mark.parametrize(
    "by",
    [
        rewrite(rb'"(price_dollars|delta_fp)":"([^"]*)"', rb'"\1":\2'),
        rewrite(rb'"(sid|seq|sending_ts_ms|ts_ms)":(\d+)', rb'"\1":"\2"'),
    ],
    ids=["strings as numbers", "numbers as strings"],
)
def test_the_same_values_in_other_clothes(stage: Stage, by: Alteration) -> None:
    """Read exactly, or refused and the book lost: what is not allowed is a book that is wrong."""
    line = stage.market_line()
    armed = stage.arm(Alter(DELTA, by), where=only(line), times=100)
    stage.until_hit(armed, 100, 60.0)
    stage.proxy.lift()
    stage.heal()


def test_fills_with_their_numbers_in_other_clothes(stage: Stage) -> None:
    by = rewrite(rb'"(count_fp|fee_cost|yes_price_dollars)":"([^"]*)"', rb'"\1":\2')
    armed = stage.arm(Alter(Of(type="fill"), by), where=PRIVATE)
    orders = [stage.trade() for _ in range(3)]
    stage.until_hit(armed)
    stage.until_booked()
    assert all(stage.booked(order) for order in orders)
