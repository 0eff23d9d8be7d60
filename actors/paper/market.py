"""One market: what it is, its book, its last prints."""

import random
from typing import Any, Final, NamedTuple

from actors.paper.fixed import CONTRACT, DOLLAR, SECOND, uuid_from
from actors.paper.matching import Book, Side

LIFETIME: Final = 14 * 86_400 * SECOND  # from opening to close, for markets of our own making
CENT: Final = 10_000  # micro-dollars; whole cents are valid on every grid (FACTS.md section 3)


class Step(NamedTuple):
    """One range of the price grid, in micro-dollars (FACTS.md section 3, `price_ranges`)."""

    start: int
    end: int
    step: int


LINEAR_CENT: Final = (Step(0, DOLLAR, CENT),)
DECI_CENT: Final = (Step(0, DOLLAR, 1_000),)
GRIDS: Final = {  # by `price_level_structure`: those whose edges are known
    "linear_cent": LINEAR_CENT,
    "deci_cent": DECI_CENT,
    "tapered_deci_cent": (
        Step(0, 100_000, 1_000),
        Step(100_000, 900_000, CENT),
        Step(900_000, DOLLAR, 1_000),
    ),
    "center_deci_edge_centi_cent": (
        Step(0, CENT, 100),
        Step(CENT, DOLLAR - CENT, 1_000),
        Step(DOLLAR - CENT, DOLLAR, 100),
    ),
}
LABELS: Final = {grid: label for label, grid in GRIDS.items()}
COMBOS: Final = "KXMVE"  # what the tickers of multivariate markets begin with


class Market:
    """A binary market, open until it is paused, closed by its time, or settled."""

    __slots__ = (
        "_market_id",
        "book",
        "closed",
        "closes",
        "dollar_volume",
        "exchange_index",
        "grid",
        "last_count",
        "last_price",
        "members",
        "number",
        "opened",
        "paused",
        "result",
        "settled",
        "ticker",
        "title",
        "volume",
    )

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
        self._market_id = market_id
        self.last_price = 0
        self.last_count = 0
        self.volume = 0
        self.dollar_volume = 0  # micro-dollars
        self.exchange_index = 0
        self.number = 0  # in the order in which the exchange got them
        self.paused = False
        self.closed = False  # its close time has come
        self.result = ""  # yes or no, once it is settled
        self.settled = 0  # when that was
        self.members: dict[str, Any] = NOTHING  # of its description, where it was changed

    @property
    def market_id(self) -> str:
        """Seeded by the ticker: the same market keeps its id over restarts."""
        if not self._market_id:
            self._market_id = uuid_from(random.Random(f"market {self.ticker}").getrandbits(128))
        return self._market_id

    @property
    def open(self) -> bool:
        """Whether it takes orders."""
        return not (self.result or self.closed or self.paused)

    @property
    def over(self) -> bool:
        """Whether nothing rests in it any more, and nothing will."""
        return bool(self.result) or self.closed

    @property
    def status(self) -> str:
        """The word of Market objects (FACTS.md section 5)."""
        if self.result:
            return "finalized"
        if self.closed:
            return "closed"
        return "inactive" if self.paused else "active"

    def close(self) -> None:
        """Its time has come."""
        self.closed = True
        self.book = self.book.emptied()

    def finish(self, result: str, at: int) -> None:
        """The market is settled: nothing rests in it any more, and nothing will."""
        self.result, self.settled = result, at
        self.opened, self.closes = min(self.opened, at), min(self.closes, at)
        self.book = self.book.emptied()

    @property
    def event_ticker(self) -> str:
        return self.ticker.rpartition("-")[0] or self.ticker

    @property
    def series_ticker(self) -> str:
        return self.ticker.partition("-")[0]

    @property
    def combo(self) -> bool:
        """Whether it is a multivariate market, which has a life cycle channel of its own."""
        return self.ticker.startswith(COMBOS)

    @property
    def structure(self) -> str:
        """The label of the grid; the grid itself is the truth."""
        return LABELS.get(self.grid, "")

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


NOTHING: Final[dict[str, Any]] = {}  # shared, and never written to
