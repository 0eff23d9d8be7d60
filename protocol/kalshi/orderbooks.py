"""How a listing of many order books is read (FACTS.md section 5): each book whole, or not at all.

A book that makes no sense is left out and said so: what it is held against is a copy that counts
as right, and nothing here may make it look wrong.
"""

from collections.abc import Iterable

from msgspec import Raw, Struct

from protocol.book import Book
from protocol.errors import RemoteProtocolError
from protocol.kalshi.reading import lenient, printable, read
from protocol.messages import BookSide, Level, ListedBook
from protocol.units import DOLLAR, parse_count, parse_price

NAMED_MAX = 3  # of the books that are left out


class _Sides(Struct, frozen=True):
    """Bids of both sides; a NO bid's price is what a NO contract costs."""

    yes_dollars: tuple[Level, ...]
    no_dollars: tuple[Level, ...]


class _Row(Struct, frozen=True):
    ticker: str
    orderbook_fp: _Sides


class _TextSides(Struct, frozen=True):
    yes_dollars: tuple[tuple[str, str], ...]
    no_dollars: tuple[tuple[str, str], ...]


class _TextRow(Struct, frozen=True):
    """As nearly every row is written. Read so, a listing takes a third of the time, in which no
    order could leave."""

    ticker: str
    orderbook_fp: _TextSides


class _Named(Struct, frozen=True):
    """What a row that can't be read may still say."""

    ticker: str


class _Listing(Struct, frozen=True):
    orderbooks: tuple[Raw, ...]


def listed_books(body: bytes, asked: Iterable[str]) -> tuple[tuple[ListedBook, ...], str]:
    """The books that were asked for, and which of them are missing and why, "" if none is.

    Raises RemoteProtocolError if it is no listing.
    """
    listing: _Listing = read(body, _Listing)
    found: dict[str, ListedBook | str] = dict.fromkeys(asked, "not listed")
    seen: set[str] = set()
    strange = 0
    for row in listing.orderbooks:
        named: _Named | None = lenient(row, _Named)
        if named is None or named.ticker not in found:
            strange += 1
            continue
        ticker = named.ticker
        found[ticker] = "listed twice" if ticker in seen else _book(ticker, row)
        seen.add(ticker)
    books = tuple(book for book in found.values() if isinstance(book, ListedBook))
    missing = [f"{ticker}: {why}" for ticker, why in found.items() if isinstance(why, str)]
    return books, _brief(missing, strange)


def _book(ticker: str, raw: Raw) -> ListedBook | str:
    """One book, ascending by price; or why it is none."""
    texts: _TextRow | None = lenient(raw, _TextRow)
    try:
        if texts is None:
            row: _Row = read(bytes(raw), _Row)
            yes, no = row.orderbook_fp.yes_dollars, row.orderbook_fp.no_dollars
        else:
            yes = _levels(texts.orderbook_fp.yes_dollars)
            no = _levels(texts.orderbook_fp.no_dollars)
        return ListedBook(ticker, _sound("yes", yes), _sound("no", no))
    except (RemoteProtocolError, ValueError) as e:
        return printable(str(e), 200)


def _levels(texts: tuple[tuple[str, str], ...]) -> tuple[Level, ...]:
    return tuple([(parse_price(price), parse_count(count)) for price, count in texts])


def _sound(side: BookSide, levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Levels that a book can have, ascending. Raises RemoteProtocolError."""
    before = -1
    for price, count in levels:
        if not before < price <= DOLLAR or count <= 0:
            return Book(**{side: levels}).levels(side)  # sorts them, or says what is wrong
        before = price
    return levels


def _brief(missing: list[str], strange: int) -> str:
    said = missing[:NAMED_MAX]
    if len(missing) > NAMED_MAX:
        said.append(f"{len(missing) - NAMED_MAX} more are missing")
    if strange:
        said.append(f"{strange} listed that nobody asked for")
    return "; ".join(said)
