"""Market data, published by the stream. NO prices are in NO terms: what a NO contract costs."""

from typing import Literal

from protocol.messages.message import Message
from protocol.units import Count, Price

BookSide = Literal["yes", "no"]
Level = tuple[Price, Count]


class BookSnapshot(Message, frozen=True):
    """All bids of a market, ascending by price. A follower starts again from it."""

    ticker: str
    yes: tuple[Level, ...]
    no: tuple[Level, ...]
    received_at: int = 0


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


class Trade(Message, frozen=True):
    """A public print. `price` is of the YES leg, `taker_side` the outcome that the taker bought."""

    ticker: str
    trade_id: str
    price: Price
    count: Count
    taker_side: BookSide
    exchange_at: int = 0
    received_at: int = 0


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
    """One book, as of `seq` of its topic in the stream's `epoch`. Only a live one has levels."""

    ticker: str
    state: Literal["live", "lost", "not followed"]
    epoch: int
    seq: int
    yes: tuple[Level, ...] = ()
    no: tuple[Level, ...] = ()
    reason: str = ""
    received_at: int = 0
