"""What a position would bring if it were closed now, compared with what it cost.

Realised profit is in the fold (`protocol/holdings.py`): closing contracts take their part of what
all held ones cost on average, rounded down. Unrealised profit marks the rest at the best bid of the
side that is held, because that is what somebody pays for it at this moment; how much of it would
fill at that price is not looked at. Fees are in neither: they stand beside.
"""

from typing import Literal

from msgspec import Struct

from protocol.messages import BookAnswer, Position
from protocol.units import Money, Price, cost


class Marked(Struct, frozen=True):
    """The price that one contract of what is held would bring; None with the reason why not.

    `as_of`: no change of the book before that moment is missing; 0 where there is no price.
    """

    price: Price | None
    reason: str = ""
    as_of: int = 0


def unrealized(position: Position, price: Price) -> Money:
    """What all of it would bring at this price for a contract of the side that is held, less what
    it cost."""
    return Money(cost(price, abs(position.position)) - position.cost)


def mark(position: Position, book: BookAnswer) -> Marked:
    """What a live book says that a position is worth. A stale or lost one says nothing."""
    if book.state != "live":
        reason = f"the book is {book.state}"
        return Marked(None, f"{reason}: {book.reason}" if book.reason else reason)
    side: Literal["yes", "no"] = "yes" if position.position > 0 else "no"
    levels = book.yes if side == "yes" else book.no
    if not levels:
        return Marked(None, f"nobody bids for {side.upper()}")
    return Marked(levels[-1][0], "", book.as_of or book.received_at)
