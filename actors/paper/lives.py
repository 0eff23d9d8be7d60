"""What the exchange's staff did to markets and events, as a fold over journal entries.

The same `apply` runs when it happens and when the journal is read back, so a market that was made
while the exchange was running is there again after a kill, as it had become by then.
"""

from actors.paper.entries import (
    CloseMoved,
    Described,
    FeeOverridden,
    LifeEntry,
    Made,
    Paused,
    Regridded,
)
from actors.paper.market import Market, Step
from actors.paper.matching import Book, Lot, Side


class Lives:
    """Markets that were made, and what differs from how they, or the feed's, began."""

    def __init__(self) -> None:
        self.made: dict[str, Made] = {}  # by ticker, in order
        self.fees: list[FeeOverridden] = []  # every change, oldest first
        self._changes: dict[str, list[CloseMoved | Paused | Regridded | Described]] = {}

    def apply(self, entry: LifeEntry) -> None:
        """Take one entry, new or read back."""
        match entry:
            case Made():
                self.made[entry.ticker] = entry
            case FeeOverridden():
                self.fees.append(entry)
            case CloseMoved() | Paused() | Regridded() | Described():
                # Only the last of a kind counts, but descriptions add up.
                found = self._changes.setdefault(entry.ticker, [])
                if not isinstance(entry, Described):
                    found[:] = [other for other in found if type(other) is not type(entry)]
                found.append(entry)

    def shape(self, market: Market) -> None:
        """Make a fresh market what it had become."""
        for entry in self._changes.get(market.ticker, ()):
            change(market, entry)

    def fee(self, event_ticker: str) -> FeeOverridden | None:
        """The override of an event, or None."""
        for entry in reversed(self.fees):
            if entry.event_ticker == event_ticker:
                return entry if entry.fee_type is not None else None
        return None


def change(market: Market, entry: CloseMoved | Paused | Regridded | Described) -> None:
    """Let one change happen to a market."""
    match entry:
        case CloseMoved():
            market.closes = entry.closes
        case Paused():
            market.paused = entry.on
        case Regridded():
            market.grid = tuple(Step(*step) for step in entry.grid)
        case Described():
            market.members = market.members | entry.members


def made(entry: Made) -> Market:
    """A market as it was when it was made, with the public's first levels in its book."""
    book = Book()
    number = 0
    for side, levels in ((Side.BID, entry.bids), (Side.ASK, entry.asks)):
        for price, count in levels:
            number += 1
            book.add(Lot(f"m{number}", False, side, price, count))
    grid = tuple(Step(*step) for step in entry.grid)
    market = Market(entry.ticker, entry.title, book, entry.at, grid)
    market.closes = entry.closes
    return market
