"""What somebody else does, by request: `POST /paper/public`. A book can so be moved by hand."""

from typing import Literal

from msgspec import Struct

from actors.paper.answers import Answer
from actors.paper.exchange import Exchange
from actors.paper.fixed import contracts, parse_count, parse_dollars
from actors.paper.matching import Lot, Side, TapeBook
from actors.paper.owner import parsed, read, wrong
from actors.paper.staff import alive


class Public(Struct, forbid_unknown_fields=True):
    """An order of somebody else: what crosses trades, the rest rests. Below zero: it goes."""

    ticker: str
    side: Literal["bid", "ask"]
    price: str
    count: str


def public(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Somebody else's order: a level grows, shrinks (count below zero), or trades."""
    asked = read(body, Public)
    market = alive(exchange, asked.ticker)
    price = parsed(asked.price, parse_dollars, "price")
    count = parsed(asked.count, parse_count, "count")
    side = Side(asked.side)
    if not market.open:
        raise wrong(f"ticker: {market.ticker} is {market.status}")
    if not market.allows(price):
        raise wrong(f"price: {asked.price} is not on the grid of {market.ticker}")
    shown = market.book.shown(side).get(price, 0)
    if not count or (count < 0 and not shown):
        raise wrong(f"count: {asked.count} where there is {contracts(shown)} changes nothing")
    if isinstance(market.book, TapeBook):
        exchange.tape_moved(market.ticker, side, price, max(count, -shown), at)
    elif count < 0:
        exchange.public_shrink(market.ticker, side, price, -count)
    else:
        before = market.volume
        exchange.public_take(market.ticker, side, price, count, at)
        left = count - (market.volume - before)
        if left:
            exchange.public_rest(market.ticker, Lot(exchange.new_id(), False, side, price, left))
    left = market.book.shown(side).get(price, 0)
    return Answer(200, {"ticker": market.ticker, "level": contracts(left)})
