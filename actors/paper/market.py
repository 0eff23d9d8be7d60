"""One market: what it is, its book, its last prints."""

import random
from typing import Final, NamedTuple

from actors.paper.fixed import CONTRACT, DOLLAR, SECOND, uuid_from
from actors.paper.matching import Book, Side

LIFETIME: Final = 14 * 86_400 * SECOND  # from opening to close, for markets of our own making


class Step(NamedTuple):
    """One range of the price grid, in micro-dollars (FACTS.md section 3, `price_ranges`)."""

    start: int
    end: int
    step: int


LINEAR_CENT: Final = (Step(0, DOLLAR, 10_000),)
DECI_CENT: Final = (Step(0, DOLLAR, 1_000),)


class Market:
    """A binary market, open until it is settled."""

    def __init__(
        self,
        ticker: str,
        title: str,
        book: Book,
        opened: int,
        grid: tuple[Step, ...] = LINEAR_CENT,
        market_id: str = "",
    ) -> None:
        self.ticker = ticker
        self.title = title
        self.book = book
        self.opened = opened
        self.closes = opened + LIFETIME
        self.grid = grid
        # Seeded by the ticker: the same market keeps its id over restarts.
        self.market_id = market_id or uuid_from(random.Random(f"market {ticker}").getrandbits(128))
        self.last_price = 0
        self.last_count = 0
        self.volume = 0
        self.dollar_volume = 0  # micro-dollars
        self.exchange_index = 0
        self.result = ""  # yes or no, once it is settled

    @property
    def open(self) -> bool:
        return not self.result

    def finish(self, result: str, at: int) -> None:
        """The market is settled: nothing rests in it any more, and nothing will."""
        self.result = result
        self.opened, self.closes = min(self.opened, at), at
        self.book = type(self.book)()

    @property
    def event_ticker(self) -> str:
        return self.ticker.rpartition("-")[0] or self.ticker

    @property
    def series_ticker(self) -> str:
        return self.ticker.partition("-")[0]

    @property
    def structure(self) -> str:
        """The label of the grid; the grid itself is the truth."""
        if self.grid == LINEAR_CENT:
            return "linear_cent"
        return "deci_cent" if self.grid == DECI_CENT else ""

    @property
    def open_interest(self) -> int:
        """An estimate: nobody counts what the public of a made-up market holds."""
        return self.volume // 2

    def allows(self, price: int) -> bool:
        """Whether a YES price lies on the grid, strictly between nothing and a dollar."""
        if not 0 < price < DOLLAR:
            return False
        return any(s.start <= price <= s.end and (price - s.start) % s.step == 0 for s in self.grid)

    def printed(self, price: int, count: int) -> None:
        """Remember a trade."""
        self.last_price, self.last_count = price, count
        self.volume += count
        self.dollar_volume += DOLLAR * count // CONTRACT

    def top(self) -> tuple[int | None, int, int | None, int]:
        """Best YES bid and its count, best YES ask and its count."""
        bid, ask = self.book.best(Side.BID), self.book.best(Side.ASK)
        return (
            bid,
            0 if bid is None else self.book.shown(Side.BID)[bid],
            ask,
            0 if ask is None else self.book.shown(Side.ASK)[ask],
        )
