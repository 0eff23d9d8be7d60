"""What happened to the account, as the journal keeps it: the entries that `Account` folds.

Prices and cash in micro-dollars, counts in hundredths of a contract, times in microseconds.
"""

from msgspec import Struct


class Placed(Struct, frozen=True, tag="placed"):
    """An order was accepted."""

    order_id: str
    client_order_id: str
    ticker: str
    side: str  # bid or ask of YES
    price: int
    count: int
    on_self: str
    at: int
    expires: int = 0  # µs; 0 = never


class Filled(Struct, frozen=True, tag="filled"):
    """(Part of) an order traded."""

    trade_id: str
    order_id: str
    price: int
    count: int
    taker: bool
    fee: int
    at: int


class Gone(Struct, frozen=True, tag="gone"):
    """What was left of an order was cancelled, and why (the words of `last_update_reason`)."""

    order_id: str
    reason: str
    at: int


class Settled(Struct, frozen=True, tag="settled"):
    """A market ended; each contract of the winning side was paid a dollar."""

    ticker: str
    result: str  # yes or no
    at: int


class Moved(Struct, frozen=True, tag="moved"):
    """The owner paid money in (above zero) or out (below)."""

    transfer_id: str
    amount: int
    exchange_index: int
    at: int


class Tampered(Struct, frozen=True, tag="tampered"):
    """Cash or a position changed and no listing says why: for tests that such a thing is seen."""

    at: int
    cash: int = 0  # by how much
    exchange_index: int = 0
    ticker: str = ""
    count: int = 0  # by how much


Entry = Placed | Filled | Gone | Settled | Moved | Tampered
