"""What the exchange's staff does to markets, events and order groups: `POST /paper/...`.

All of it but order group updates is written down, and is as it was after a restart.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins

from actors.paper.answers import Answer
from actors.paper.entries import CloseMoved, Described, FeeOverridden, Made, Paused, Regridded
from actors.paper.exchange import Exchange
from actors.paper.faults import TIME_MAX
from actors.paper.fixed import DOLLAR, SECOND, parse_count, parse_dollars
from actors.paper.lives import change, made
from actors.paper.market import GRIDS, LIFETIME, Market, Step
from actors.paper.occurrences import EventMade, FeeChanged, GroupChanged, MarketChanged
from actors.paper.owner import parsed, read, wrong

TICKER: Final = re.compile(r"[A-Za-z0-9.]+(-[A-Za-z0-9.]+)*", re.ASCII)
TICKER_CHARS_MAX: Final = 64
MADE_MAX: Final = 10_000  # markets, over all lives: each stays in the journal
LEVELS_MAX: Final = 100  # a side

Text = Annotated[str, Meta(max_length=200)]
Moment = Annotated[int, Meta(ge=0, lt=TIME_MAX)]
FeeType = Literal[
    "quadratic", "quadratic_with_maker_fees", "quadratic_with_combo_maker_fees", "flat"
]
Levels = Annotated[list[tuple[str, str]], Meta(max_length=LEVELS_MAX)]


class Range(Struct, forbid_unknown_fields=True):
    """One of `price_ranges`, in dollars."""

    start: str
    end: str
    step: str


Grid = str | Annotated[list[Range], Meta(min_length=1, max_length=16)]


class Make(Struct, forbid_unknown_fields=True):
    """A new market. Its event and its series are those that its ticker begins with."""

    ticker: str
    title: Text = ""
    grid: Grid = "linear_cent"
    close_ts: Moment | None = None  # two weeks from now
    bids: Levels = []  # the public's first orders: YES price and count
    asks: Levels = []


class Close(Struct, forbid_unknown_fields=True):
    """Another close time; one that is past closes the market at once."""

    ticker: str
    close_ts: Moment


class OfMarket(Struct, forbid_unknown_fields=True):
    """Which market."""

    ticker: str


class Regrid(Struct, forbid_unknown_fields=True):
    """Another grid of prices."""

    ticker: str
    grid: Grid


class Describe(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Members of the market's description that are others now."""

    ticker: str
    yes_sub_title: Text | UnsetType = UNSET
    strike_type: Text | UnsetType = UNSET
    floor_strike: float | int | UnsetType = UNSET
    cap_strike: float | int | UnsetType = UNSET


class Fee(Struct, forbid_unknown_fields=True):
    """An event's override; null = it ends."""

    event_ticker: str
    fee_type: FeeType | None
    fee_multiplier: Annotated[float, Meta(ge=0, le=100)] | None = None


class Group(Struct, forbid_unknown_fields=True):
    """A word about an order group, which need not exist."""

    event_type: Literal["created", "triggered", "reset", "deleted", "limit_updated"]
    order_group_id: Text
    contracts_limit: str = ""


def make(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Make a market; it is open at once."""
    asked = read(body, Make)
    if not TICKER.fullmatch(asked.ticker) or len(asked.ticker) > TICKER_CHARS_MAX:
        raise wrong(f"ticker: {asked.ticker[:80]!r} is none, such as KXNEW-27JAN01-T5")
    if asked.ticker in exchange.markets:
        raise wrong(f"ticker: {asked.ticker} is there already")
    if len(exchange.lives.made) >= MADE_MAX:
        raise wrong(f"ticker: {MADE_MAX} markets have been made, there is no room for more")
    closes = at + LIFETIME if asked.close_ts is None else asked.close_ts * SECOND
    if closes <= at:
        raise wrong("close_ts: is past")
    entry = Made(
        asked.ticker,
        asked.title or asked.ticker,
        [(s.start, s.end, s.step) for s in _grid(asked.grid)],
        closes,
        at,
    )
    bare = made(entry)
    entry = Made(
        entry.ticker, entry.title, entry.grid, closes, at,
        _levels(bare, "bids", asked.bids), _levels(bare, "asks", asked.asks),
    )  # fmt: skip
    if entry.bids and entry.asks and max(entry.bids)[0] >= min(entry.asks)[0]:
        raise wrong("bids: cross the asks")
    exchange.book(entry)
    market = made(entry)
    new_event = exchange.list_market(market)
    if new_event:
        exchange.tell(EventMade(market))
    exchange.tell(MarketChanged(market, "created"))
    exchange.tell(MarketChanged(market, "activated"))
    return Answer(200, {"ticker": market.ticker, "event_ticker": market.event_ticker})


def move_close(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Close a market at another time."""
    asked = read(body, Close)
    market = alive(exchange, asked.ticker)
    entry = CloseMoved(market.ticker, asked.close_ts * SECOND, at)
    exchange.book(entry)
    change(market, entry)
    exchange.markets.closes(market)
    exchange.tell(MarketChanged(market, "close_date_updated"))
    exchange.close_due(at)
    return Answer(200, {"ticker": market.ticker, "close_ts": asked.close_ts})


def deactivate(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Pause a market: it takes no orders, and what rests goes on resting."""
    return _pause(exchange, read(body, OfMarket).ticker, True, at)


def activate(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Let a paused market go on. That cancels all that rests in it (FACTS.md section 5)."""
    return _pause(exchange, read(body, OfMarket).ticker, False, at)


def _pause(exchange: Exchange, ticker: str, on: bool, at: int) -> Answer:
    market = alive(exchange, ticker)
    if market.paused == on:
        raise wrong(f"ticker: {ticker} is {market.status} already")
    if not on:
        exchange.clear(market, lambda price: True, "HaltCancel", at)
    entry = Paused(ticker, on, at)
    exchange.book(entry)
    change(market, entry)
    exchange.tell(MarketChanged(market, "deactivated" if on else "activated"))
    return Answer(200, {"ticker": ticker, "status": market.status})


def regrid(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Change the grid of a market; what rests off the new one is cancelled."""
    asked = read(body, Regrid)
    market = alive(exchange, asked.ticker)
    entry = Regridded(market.ticker, [(s.start, s.end, s.step) for s in _grid(asked.grid)], at)
    exchange.book(entry)
    change(market, entry)
    exchange.tell(MarketChanged(market, "price_level_structure_updated"))
    exchange.clear(market, lambda price: not market.allows(price), "", at)
    return Answer(200, {"ticker": market.ticker, "price_level_structure": market.structure})


def describe(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Change a market's description."""
    asked = read(body, Describe)
    market = alive(exchange, asked.ticker)
    members: dict[str, Any] = to_builtins(asked)
    del members["ticker"]
    if not members:
        raise wrong("expected yes_sub_title, strike_type, floor_strike or cap_strike")
    entry = Described(market.ticker, members, at)
    exchange.book(entry)
    change(market, entry)
    exchange.tell(MarketChanged(market, "metadata_updated", members))
    return Answer(200, {"ticker": market.ticker} | members)


def override_fee(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Override an event's fee: it is said and shown. What is charged stays what it was."""
    asked = read(body, Fee)
    if asked.event_ticker not in exchange.markets.events:
        raise wrong(f"event_ticker: no event {asked.event_ticker!r}")
    if (asked.fee_type is None) != (asked.fee_multiplier is None):
        raise wrong("fee_multiplier: goes with fee_type, both or neither")
    entry = FeeOverridden(
        asked.event_ticker, asked.fee_type, asked.fee_multiplier, at, exchange.new_id()
    )
    exchange.book(entry)
    exchange.tell(FeeChanged(entry))
    return Answer(200, {"event_ticker": entry.event_ticker, "fee_type": entry.fee_type})


def tell_group(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Say something about an order group on its channel; nothing else comes of it."""
    asked = read(body, Group)
    limited = asked.event_type in ("created", "limit_updated")
    if limited != bool(asked.contracts_limit):
        raise wrong("contracts_limit: goes with created and limit_updated, and with those alone")
    limit = parsed(asked.contracts_limit, parse_count, "contracts_limit") if limited else None
    exchange.tell(GroupChanged(asked.event_type, asked.order_group_id, limit))
    return Answer(200, {"order_group_id": asked.order_group_id})


def alive(exchange: Exchange, ticker: str) -> Market:
    """A market that is not over. Raises Refused."""
    market = exchange.markets.get(ticker)
    if market is None:
        raise wrong(f"ticker: no market {ticker[:80]!r}")
    if market.over:
        raise wrong(f"ticker: {ticker} is {market.status}")
    return market


def _grid(asked: Grid) -> tuple[Step, ...]:
    if isinstance(asked, str):
        if asked not in GRIDS:
            raise wrong(f"grid: {asked[:80]!r} is none of {', '.join(GRIDS)}")
        return GRIDS[asked]
    parse: Callable[[str], int] = parse_dollars
    steps = tuple(
        Step(*(parsed(text, parse, "grid") for text in (r.start, r.end, r.step))) for r in asked
    )
    edges = [0, *(step.end for step in steps)]
    whole = [step.start for step in steps] == edges[:-1] and edges[-1] == DOLLAR
    if not whole or any(s.start >= s.end or s.step < 100 or s.step % 100 for s in steps):
        raise wrong("grid: ranges must follow each other from 0 to 1, in steps of 0.0001 or more")
    return steps


def _levels(market: Market, field: str, asked: list[tuple[str, str]]) -> list[tuple[int, int]]:
    found: dict[int, int] = {}
    for text, number in asked:
        price, count = parsed(text, parse_dollars, field), parsed(number, parse_count, field)
        if not market.allows(price) or count <= 0 or price in found:
            raise wrong(f"{field}: {text} x {number} is no level of this market")
        found[price] = count
    return list(found.items())
