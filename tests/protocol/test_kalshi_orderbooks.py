"""A listing of many books: each is read whole, or left out and named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.kalshi.orderbooks import listed_books
from protocol.messages import ListedBook
from protocol.units import Count, Price

REST = Path(__file__).parents[3] / "shared" / "captures" / "rest"
CAPTURE = REST / "demo-2026-06-30-books.jsonl"
SIDES = {"yes_dollars": [["0.4200", "13.00"], ["0.4700", "3.00"]], "no_dollars": []}
READ = ((Price(420_000), Count(1_300)), (Price(470_000), Count(300)))


def body(*rows: Any) -> bytes:
    return json.dumps({"orderbooks": rows}).encode()


def row(ticker: str = "KXA-1", **sides: Any) -> Any:
    return {"ticker": ticker, "orderbook_fp": {**SIDES, **sides}}


def test_no_prices_stay_in_no_terms_and_an_empty_side_is_empty() -> None:
    no = [["0.4800", "3.00"], ["0.5200", "1.50"]]
    books, reason = listed_books(body(row("KXB-2", no_dollars=no), row()), ("KXA-1", "KXB-2"))
    assert books == (
        ListedBook("KXA-1", READ, ()),
        ListedBook("KXB-2", READ, ((Price(480_000), Count(300)), (Price(520_000), Count(150)))),
    )
    assert reason == ""


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"no_dollars": None}, "no_dollars"),
        ({"yes_dollars": [["0.4200", "0.00"]]}, "0.4200 x 0.00"),
        ({"yes_dollars": [["0.4200", "-3.00"]]}, "0.4200 x -3.00"),
        ({"yes_dollars": [["1.4200", "3.00"]]}, "1.4200 x 3.00"),
        ({"yes_dollars": [["0.4200", "3.00"], ["0.4200", "1.00"]]}, "0.4200 x 1.00"),
        ({"yes_dollars": [["0.4200", "3.00", "1"]]}, "yes_dollars"),
        ({"yes_dollars": [["1e-1", "3.00"]]}, "1e-1"),
        ({"no_dollars": [["0.4200", True]]}, "True"),
        ({"no_dollars": "0.42"}, "no_dollars"),
    ],
)
def test_a_book_that_makes_no_sense_is_left_out_and_named(odd: Any, says: str) -> None:
    books, reason = listed_books(body(row("KXB-2", **odd), row()), ("KXA-1", "KXB-2"))
    assert [book.ticker for book in books] == ["KXA-1"]
    assert reason.startswith("KXB-2: ")
    assert says in reason


def test_a_side_that_is_not_there_is_not_an_empty_one() -> None:
    books, reason = listed_books(
        body({"ticker": "KXA-1", "orderbook_fp": {"yes_dollars": []}}), ("KXA-1",)
    )
    assert books == ()
    assert "no_dollars" in reason


def test_numbers_are_taken_by_their_digits() -> None:
    raw = body(row(yes_dollars=[[0.42, 13]]))
    [book], _ = listed_books(raw, ("KXA-1",))
    assert book.yes == ((Price(420_000), Count(1_300)),)


def test_one_listed_twice_counts_for_nothing() -> None:
    other = row(yes_dollars=[["0.1000", "1.00"]])
    books, reason = listed_books(body(row(), other, row()), ("KXA-1",))
    assert (books, reason) == ((), "KXA-1: listed twice")


def test_what_is_missing_and_what_nobody_asked_for_is_said_in_short() -> None:
    asked = tuple(f"KX-{number}" for number in range(6))
    books, reason = listed_books(body(row("KX-4"), row("KXZ-9"), 7, {"ticker": None}), asked)
    assert [book.ticker for book in books] == ["KX-4"]
    assert reason == (
        "KX-0: not listed; KX-1: not listed; KX-2: not listed; 2 more are missing; "
        "3 listed that nobody asked for"
    )


@pytest.mark.parametrize("raw", [b"", b"<html>", b"{}", b'{"orderbooks":{}}', b"[" * 50_000])
def test_what_is_no_listing_is_an_error(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        listed_books(raw, ("KXA-1",))


LEVELS = st.lists(st.tuples(st.integers(1, 9_999), st.integers(1, 10**9)), unique_by=lambda p: p[0])


@given(LEVELS, LEVELS)
def test_any_book_is_read_ascending(yes: list[Any], no: list[Any]) -> None:
    def shown(levels: list[Any]) -> list[list[str]]:
        return [[f"0.{p:04d}", f"{c // 100}.{c % 100:02d}"] for p, c in levels]

    def read(levels: list[Any]) -> tuple[Any, ...]:
        return tuple((Price(p * 100), Count(c)) for p, c in sorted(levels))

    raw = body(row(yes_dollars=shown(yes), no_dollars=shown(no)))
    assert listed_books(raw, ("KXA-1",)) == ((ListedBook("KXA-1", read(yes), read(no)),), "")


def captured() -> Iterator[tuple[str, Any]]:
    """Books as the exchange's demo listed them, each by its market."""
    for line in CAPTURE.read_text().splitlines():
        call = json.loads(line)
        if call["url"].endswith("/orderbook") and call["status"] == 200:
            ticker = call["url"].split("/")[-2]
            yield ticker, json.loads(call["response_body"])["orderbook_fp"]


@pytest.mark.skipif(not CAPTURE.exists(), reason="the captures are not beside the checkout")
def test_captured_books_are_read_whole() -> None:
    found = dict(captured())
    rows = [{"ticker": t, "orderbook_fp": sides} for t, sides in found.items()]
    books, reason = listed_books(body(*rows), found)
    assert reason == ""
    assert [book.ticker for book in books] == list(found)
    assert len(books) >= 3
    for book in books:
        sides = found[book.ticker]
        for levels, read in ((sides["yes_dollars"], book.yes), (sides["no_dollars"], book.no)):
            assert [[f"{p / 1e6:.4f}", f"{c / 100:.2f}"] for p, c in read] == levels
