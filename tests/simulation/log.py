"""What happened between the engine and the exchange, in order: what the promises are held against.

It is written by what is simulated (wire, exchange, bus, operator), never by the engine.
"""

from typing import Literal

from msgspec import Struct

What = Literal[
    "left",  # the first byte of a call is on its way
    "arrived",  # the exchange does what a call asks for
    "refused",  # a call is answered 429
    "tier",  # the exchange's budgets change
    "halting",  # an operator asks for a halt or a panic, or writes the latch
    "halted",  # and is told that it is so, or the latch is on disk by another hand
    "panicked",  # an operator is told that nothing rests any more
    "resuming",  # an operator asks for a resume
    "made",  # the exchange has an order, with these terms
    "filled",  # so much of one is filled, at this price
    "over",  # one does not rest any more
    "settled",  # a market is settled
]


Terms = tuple[str, str, int, int]
"""Ticker, side, cents, hundredths of a contract."""


class Event(Struct, frozen=True):
    """One moment. `id`: of an order (ours, or the exchange's for what it does), or of a budget."""

    at: int
    what: What
    id: str = ""
    call: str = ""  # "create", "amend", "renew", "decrease", "cancel", "cancel all", "program"
    budget: str = ""
    cost: int = 0
    new: bool = True  # its intent was called NEW, in the life that sends it
    recorded: bool = True  # its intent is on disk
    external: bool = False  # the order is not ours
    excused: bool = False  # a 429 is nobody's mistake
    rate: int = 0
    capacity: int = 0
    terms: Terms = ("", "", 0, 0)
    lease: int = 0  # seconds that the order was asked for with; 0: it has no lease
    lasts: int = 0  # microseconds from now to the expiry that a call names; 0: it names none


Sides = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
"""Bids for YES and for NO, ascending: cents, and hundredths of a contract."""

Sight = Literal[
    "is",  # the exchange's book becomes this; `state` "hidden": the feed does not tell so
    "told",  # but that it is this
    "broken",  # the stream is given the first sign that its books of a subscription are no good
    "mended",  # and then a snapshot of one of them, which was sent after that
    "late",  # the stream is given a frame by `who` that was long on its way
    "settled",  # the stream has done all that follows from what it was given
    "snapshot",  # the stream says a book anew
    "changed",  # and a change of one; `levels` are those of the book with it
    "lost",  # and that one is no good
    "stale",  # and that one is old
    "fresh",  # and that it is not old any more
    "other",  # and something else, that nobody keeps a copy of
    "dead",  # a life of the stream is over
    "missed",  # a message does not get to `who`
    "heard",  # or it does
    "holds",  # `who` has a book: of this state, as of this message
    "counted",  # `who` says how many messages of a topic it has missed
]


class Moment(Struct, frozen=True):
    """One moment of market data. `ticker` is a topic where the thing is a message on the bus."""

    at: int
    what: Sight
    ticker: str
    levels: Sides | None = None
    within: int = 0  # "is": whoever has the book knows it after so long, or that it is no good
    who: str = ""
    state: str = ""
    epoch: int = 0
    seq: int = 0
    count: int = 0
    as_of: int = 0  # "holds": no change of before then is missing, says `who`; 0: it does not say
