"""Brakes that measure by a market's book: it has to be there and of now, and the band around it."""

from typing import Any

import pytest

from protocol.limits import MS, SECOND
from protocol.messages import (
    BookDelta,
    BookLost,
    BookSnapshot,
    BookStale,
    CancelOrder,
)
from protocol.units import Count, Price
from tests.actors.gateway.braking import (
    BANDED,
    CENT,
    FRESH,
    Booked,
    accepted,
    order,
    placed,
    refused,
)


def test_the_first_order_in_a_market_waits_for_its_book_and_for_a_mark() -> None:
    scene = Booked(FRESH)
    scene.answers.clear()
    scene.ask(order("a"))
    assert [e.prefix for e in scene.listens] == ["book.KXA-1 "]  # type: ignore[attr-defined]
    scene.answer_books()
    assert scene.appends == [], "the subscription may have come after what it missed"
    scene.mark()
    scene.pass_time(300 * MS)
    scene.answer_books()
    assert len(scene.appends) == 1


def test_a_book_that_is_not_followed_refuses_at_once() -> None:
    scene = Booked(FRESH)
    scene.answers.clear()
    scene.ask(order("a"))
    scene.answer_books("not followed")
    assert scene.told.code == "book_not_live"
    assert scene.told.text == "fresh_book: the book of KXA-1 is not followed"


def test_a_book_that_comes_after_all_is_used() -> None:
    scene = Booked(FRESH).settled_book()
    scene.say(BookLost("KXA-1", "closed 1006"))
    scene.pass_time(300 * MS)
    scene.answer_books("lost")
    answer = placed(scene, order("a", "0.30"))
    assert answer is not None
    assert answer.text == "fresh_book: the book of KXA-1 is lost, and asked for again"
    scene.pass_time(300 * MS)
    scene.answer_books("not followed")
    assert refused(placed(scene, order("b", "0.30")))[0] == "book_not_live"
    scene.say(BookSnapshot("KXA-1", ((Price(50 * CENT), Count(100)),), ()))
    assert placed(scene, order("c", "0.30")) is None


def test_a_book_that_does_not_come_refuses_in_the_end() -> None:
    scene = Booked(FRESH)
    scene.answers.clear()
    scene.ask(order("a"))
    scene.beat().pass_time(2 * SECOND).beat().pass_time(2 * SECOND)
    assert (scene.told.code, scene.told.text) == (
        "book_not_live", "fresh_book: the book of KXA-1 did not come in time",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (BookLost("KXA-1", "gap"), "lost, and asked for again"),
        (BookStale("KXA-1", "late"), "stale: what changes it comes late"),
        (BookDelta("KXA-1", "no", Price(50 * CENT), Count(100)), "crossed"),
    ],
)
def test_a_book_that_is_not_of_now_stops_orders(said: Any, text: str) -> None:
    scene = Booked(FRESH).settled_book()
    assert placed(scene, order("a", "0.30")) is None
    accepted(scene)
    scene.say(said)
    answer = placed(scene, order("b", "0.30"))
    assert answer is not None
    assert (answer.code, answer.text) == (
        "book_not_live",
        f"fresh_book: the book of KXA-1 is {text}",
    )
    assert answer.retry_after_ms == 250


def test_a_stream_that_falls_silent_stops_orders_but_no_cancel() -> None:
    scene = Booked(FRESH).settled_book()
    for _ in range(4):
        scene.pass_time(SECOND).beat()
    answer = placed(scene, order("a", "0.30"))
    assert answer is not None
    assert answer.code == "book_not_live"
    scene.ask(CancelOrder("first"))
    assert scene.calls[-1].call.name == "cancel"


@pytest.mark.parametrize(
    ("side", "reaches", "too_far"),
    [("bid", "0.60", "0.61"), ("ask", "0.45", "0.44")],
)
def test_the_band_around_the_book(side: Any, reaches: str, too_far: str) -> None:
    """Bids at 0.50, asks at 0.55, a band of 0.05."""
    scene = Booked(BANDED).settled_book()
    assert refused(placed(scene, order("a", too_far, side=side))) == (
        "price_band", "0.0500", "0.0600",
    )  # fmt: skip
    assert placed(scene, order("b", reaches, side=side)) is None
    accepted(scene)
    far = "0.02" if side == "bid" else "0.98"
    assert placed(scene, order("c", far, "1", side=side)) is None, "it waits, it does not reach"


def test_the_band_where_one_side_is_empty_and_where_both_are() -> None:
    scene = Booked(BANDED, no="").settled_book()
    assert refused(placed(scene, order("a", "0.56"))) == ("price_band", "0.0500", "0.0600")
    assert placed(scene, order("b", "0.55")) is None
    scene = Booked(BANDED, yes="", no="")
    scene.ask(order("c"))
    scene.mark()
    scene.answer_books()
    scene.pass_time(300 * MS)
    scene.answer_books()
    assert scene.told.text == (
        "price_band: nothing rests in KXA-1 that a price could be held against"
    )
