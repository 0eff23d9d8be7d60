"""Market data, published by the stream. NO prices are in NO terms: what a NO contract costs."""

from typing import Literal

from msgspec import Struct

from protocol.messages.message import Message
from protocol.units import Count, Money, Price

BookSide = Literal["yes", "no"]
Level = tuple[Price, Count]


class BookSnapshot(Message, frozen=True):
    """All bids of a market, ascending by price. A follower starts again from it."""

    ticker: str
    yes: tuple[Level, ...]
    no: tuple[Level, ...]
    received_at: int = 0
    generation: int = 0  # how often this book has been installed since it is followed


class BookDelta(Message, frozen=True):
    """One level changed by `change` contracts; at zero the level is gone."""

    ticker: str
    side: BookSide
    price: Price
    change: Count
    exchange_at: int = 0
    received_at: int = 0


class BookLost(Message, frozen=True):
    """The stream missed something: no level of this book may be used until a snapshot."""

    ticker: str
    reason: str


class BookStale(Message, frozen=True):
    """The levels are right, but of a past moment: what brings the changes is late."""

    ticker: str
    reason: str


class BookFresh(Message, frozen=True):
    """The changes of a book that was stale come in time again."""

    ticker: str


class Trade(Message, frozen=True):
    """A public print. `price` is of the YES leg, `taker_side` the outcome that the taker bought."""

    ticker: str
    trade_id: str
    price: Price
    count: Count
    taker_side: BookSide
    exchange_at: int = 0
    received_at: int = 0
    block: bool = False  # agreed away from the book


class Quote(Message, frozen=True):
    """The exchange's own summary of a market, of the YES leg. A size of zero means no quote."""

    ticker: str
    last: Price
    bid: Price
    ask: Price
    bid_size: Count
    ask_size: Count
    volume: Count
    open_interest: Count
    exchange_at: int = 0
    received_at: int = 0
    last_size: Count = Count(0)


class MarketChanged(Message, frozen=True):
    """The life of a market: created, activated, determined, settled, or another rule of it.

    Opening and closing by the clock are not told (FACTS.md section 4.5). Times are microseconds,
    0 where this change does not say.
    """

    ticker: str
    change: str  # the exchange's word; new ones may come
    combo: bool = False  # a multivariate market
    open_at: int = 0
    close_at: int = 0
    determined_at: int = 0
    settled_at: int = 0
    result: str = ""
    settlement: Price | None = None  # what a YES contract pays
    deactivated: bool | None = None
    price_ranges: tuple[tuple[Price, Price, Price], ...] = ()  # start, end, step
    title: str = ""
    shard: int = 0
    received_at: int = 0


class EventChanged(Message, frozen=True):
    """An event (a group of markets) was created or described anew."""

    event_ticker: str
    series_ticker: str = ""
    title: str = ""
    subtitle: str = ""
    collateral: str = ""  # MECNET, DIRECNET or ""
    shard: int = 0
    received_at: int = 0


class FeeChanged(Message, frozen=True):
    """What overrides the fees of an event; None: nothing does any more."""

    event_ticker: str
    fee_type: str | None = None
    multiplier: str | None = None  # a decimal number, as the exchange wrote it
    received_at: int = 0


class PositionReported(Message, frozen=True):
    """A position as the exchange says it. The ledger's own is on `position.<ticker>`."""

    ticker: str
    position: Count  # negative: NO
    cost: Money
    realized: Money
    fees: Money
    volume: Count
    received_at: int = 0


class GroupChanged(Message, frozen=True):
    """An order group of ours was created, triggered, reset, deleted, or has another limit."""

    group_id: str
    change: str
    limit: Count | None = None
    exchange_at: int = 0
    received_at: int = 0


class RawFrame(Message, frozen=True):
    """One frame as it came from the exchange. Said only while somebody listens to `raw.`."""

    link: str
    connection: int  # which socket of this link, from 1: each begins with nothing subscribed
    received_at: int
    frame: bytes  # base64 in JSON


class Mark(Message, frozen=True):
    """Once a second: the last seq of each topic that changed, and the ledger's last number.

    So that the loss of a *last* message is noticed too. It has a seq of its own.
    """

    topics: dict[str, int]
    head: int = 0


class BookRequest(Message, frozen=True):
    """Asks the stream for one book as of now."""

    ticker: str


class BookAnswer(Message, frozen=True):
    """One book, as of `seq` of its topic in the stream's `epoch`, and how far to trust it.

    Only a live or a stale one has levels; a stale one is right, but of a past moment.
    """

    ticker: str
    state: Literal["live", "stale", "lost", "not followed"]
    epoch: int
    seq: int
    yes: tuple[Level, ...] = ()
    no: tuple[Level, ...] = ()
    reason: str = ""
    received_at: int = 0  # of the last change
    generation: int = 0  # how often it has been installed since it is followed
    as_of: int = 0  # when the connection behind it last proved alive: no change before is missing
    audited_at: int = 0  # when it last was the same as the exchange's own listing; 0: never


class ListedBook(Struct, frozen=True):
    """A book as the exchange's REST side lists it. Without a number: of about that moment."""

    ticker: str
    yes: tuple[Level, ...]
    no: tuple[Level, ...]


class AuditRequest(Message, frozen=True):
    """Asks the gateway for the listed books of at most 100 markets."""

    tickers: tuple[str, ...]


class AuditAnswer(Message, frozen=True):
    """The books that were listed; what is missing could not be read, for this reason."""

    books: tuple[ListedBook, ...]
    reason: str = ""


class Follow(Message, frozen=True):
    """Asks the stream to follow more or fewer markets. It lasts over restarts.

    A wish is a market's ticker, `event:<ticker>`, `series:<ticker>`, `*` (all open markets, with
    their books), `trade:*` or `ticker:*` (a whole channel, without books). Asked nothing,
    it says how it is. `named` asks for the names of the books whose tickers begin so.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    named: str | None = None


class FollowAnswer(Message, frozen=True):
    """What is followed now. `reason` says why nothing was changed, "" if it was."""

    wishes: tuple[str, ...]
    markets: int  # with books
    live: int  # of their books
    left_out: int = 0  # markets that the wishes mean, above the bound
    reason: str = ""
    tickers: tuple[str, ...] = ()  # of the books, where they were asked for
