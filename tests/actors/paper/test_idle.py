"""Very many markets: small, all of them listed, each with a book of its own once it is touched."""

import json
import tracemalloc
from typing import Any

from actors.paper import idle, reads
from actors.paper.answers import Refused
from actors.paper.listing import Listing
from actors.paper.matching import Side
from actors.paper.paging import Query

from .quiet import BEGAN, A, B, Quiet

MANY = 5_000
MARKET_BYTES_MAX = 1_000  # so that 100,000 of them are 100 MB


def pages(quiet: Quiet, *query: tuple[str, str]) -> list[list[str]]:
    """The tickers of all pages of GET /markets; a market is made after the first of them."""
    found: list[list[str]] = []
    cursor = ""
    while cursor or not found:
        body: Any = reads.markets(
            quiet.exchange, Query([("limit", "1000"), ("cursor", cursor), *query]), quiet.at
        ).body
        found.append([market["ticker"] for market in body["markets"]])
        cursor = body["cursor"]
        if len(found) == 1:
            quiet.do("market", ticker=f"KXNEW-{len(quiet.exchange.markets)}")
    return found


def test_a_market_is_small() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    listing = Listing(idle.markets(MANY, BEGAN))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(listing) == MANY
    assert (after - before) / MANY < MARKET_BYTES_MAX


def test_pages_lose_nothing_while_markets_are_made() -> None:
    quiet = Quiet(markets=MANY)
    found = pages(quiet)
    assert [len(page) for page in found] == [1_000] * (MANY // 1_000) + [1]
    assert [t for page in found for t in page] == list(quiet.exchange.markets)
    series = pages(quiet, ("series_ticker", "KXIDLE"))
    assert [t for page in series for t in page] == list(quiet.exchange.markets)[:MANY]
    event = pages(quiet, ("event_ticker", "KXIDLE-E00007"), ("status", "open"))
    assert (len(event), len(event[0])) == (1, 100)
    two = pages(quiet, ("tickers", f"{B},{A},X"))
    assert two == [[A, B]]


def test_a_touched_book_is_not_its_neighbours() -> None:
    quiet = Quiet(markets=2 * idle.PATTERNS)
    one, twin = list(quiet.exchange.markets.values())[:: idle.PATTERNS]
    before = dict(twin.book.shown(Side.ASK))
    assert one.book.shown(Side.ASK) == before
    best = {"ticker": one.ticker, "side": "bid", "price": "0.1200", "count": "4.00"}
    quiet.do("public", **best)
    assert one.book.shown(Side.ASK) == before | {120_000: before[120_000] - 400}
    assert twin.book.shown(Side.ASK) == before
    assert one.volume == 400


def test_everything_can_be_subscribed_over_several_connections() -> None:
    quiet = Quiet(markets=MANY)
    tickers = list(quiet.exchange.markets)
    listeners = [quiet.connect() for _ in range(4)]
    for number, one in enumerate(listeners):
        mine = tickers[number::4]
        one.subscribe("orderbook_delta", market_ticker=mine[0])
        for start in range(0, len(mine), 500):
            some = mine[start : start + 500]
            one.say(
                "update_subscription", sid=1, action="add_markets", market_tickers=some,
                skip_ticker_ack=True,
            )  # fmt: skip
        told = one.told()
        books = [f for f in told if f["type"] == "orderbook_snapshot"]
        assert len(books) == MANY // 4 - 1
        assert [f["seq"] for f in told] == list(range(2, len(told) + 2))
    quiet.do("public", ticker=tickers[6], side="bid", price="0.0100", count="1.00")
    quiet.later(0.01)
    assert [len(one.told()) for one in listeners] == [0, 0, 1, 0]


def test_books_by_the_hundred() -> None:
    quiet = Quiet(markets=200)
    tickers = list(quiet.exchange.markets)

    def asked(*names: str) -> Any:
        try:
            answer = reads.orderbooks(quiet.exchange, Query(("tickers", t) for t in names))
        except Refused as e:
            answer = e.answer
        return answer.status, answer.body

    status, body = asked(A, "X", B)
    assert (status, [book["ticker"] for book in body["orderbooks"]]) == (200, [A, "X", B])
    assert body["orderbooks"][0]["orderbook_fp"]["yes_dollars"][-1] == ["0.1000", "10.00"]
    empty = {"yes_dollars": [], "no_dollars": []}
    assert body["orderbooks"][1] == {"ticker": "X", "orderbook_fp": empty}
    status, body = asked(f"{A},{B}")
    assert body == {"orderbooks": [{"ticker": f"{A},{B}", "orderbook_fp": empty}]}
    assert asked(*tickers[:100])[0] == 200
    status, body = asked(*tickers[:101])
    assert status == 400 and "'max' tag" in json.dumps(body)
    assert asked()[0] == asked("")[0] == 400
