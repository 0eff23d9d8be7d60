"""What the gateway knows of markets: whether they trade, at which prices, and on which shard.

An order is let pass by rules read at most MARKET_KEPT ago, because the exchange looks at it once
more; it is refused only by rules read at most MARKET_FRESH ago, because nobody looks again at
what we refuse.
"""

import contextlib
import enum
from collections.abc import Iterable

from msgspec import Struct

from actors.gateway.desk import CallAnswered, Desk, Ended
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import MarketRow, MarketRows, OneMarket
from protocol.limits import MARKET_FRESH, MARKET_KEPT, MARKETS_KNOWN_MAX, SHARDS_MAX
from protocol.units import DOLLAR, Price, format_price

KEY = "market"
CENT = DOLLAR // 100


class Standing(enum.Enum):
    """Whether an order may go by what is known of its market."""

    FINE = enum.auto()
    WRONG = enum.auto()
    UNREAD = enum.auto()  # the market has to be read first


class Flaw(Struct, frozen=True):
    """Why an order is refused: a stable code, the field that is wrong, and the rule."""

    code: str
    field: str
    text: str
    wait_ms: int = 0  # it is worth another try after that; 0: nobody knows
    limit: str = ""  # the most that passes, and what was found, where a limit refuses
    value: str = ""


class _Market(Struct):
    """What is known of one market."""

    row: MarketRow | None  # None: the exchange has no such market
    read_at: int  # monotonic


class Markets:
    """Rules of markets, read when an order asks for them, or in passing when markets are listed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[str, _Market] = {}
        self._reading: set[str] = set()

    def learn(self, now: int, row: MarketRow) -> None:
        """Take what the exchange shows of a market."""
        self._keep(row.ticker, _Market(row, now))

    def learn_all(self, now: int, body: bytes) -> None:
        """Take what a listing shows; of one that can't be read whole, nothing is learned."""
        with contextlib.suppress(RemoteProtocolError):
            for row in answers.read(body, MarketRows).markets:
                self.learn(now, row)

    def closing(self, tickers: Iterable[str], until: int) -> dict[str, int]:
        """Which of these are known to close before a moment, and when, in microseconds."""
        rows = ((ticker, self._known.get(ticker)) for ticker in tickers)
        return {
            ticker: int(known.row.close_time)
            for ticker, known in rows
            if known is not None and known.row is not None and known.row.close_time < until
        }

    def shard(self, ticker: str) -> int:
        """The shard that a market lives on; 0 if that is not known, or the default one."""
        known = self._known.get(ticker)
        shard = 0 if known is None or known.row is None else known.row.exchange_index
        return shard if shard <= SHARDS_MAX else 0  # the exchange finds it by the ticker

    def event(self, ticker: str) -> str:
        """The event that a market belongs to; by its name, where the market is not known."""
        known = self._known.get(ticker)
        said = "" if known is None or known.row is None else known.row.event_ticker
        return said or ticker.rpartition("-")[0] or ticker

    def look(self, now: int, at: int, ticker: str, price: Price) -> tuple[Standing, Flaw | None]:
        """Whether an order at this price may go to this market."""
        known = self._known.get(ticker)
        if known is None or now - known.read_at > MARKET_KEPT:
            return Standing.UNREAD, None
        flaw = _flaw(known, at, ticker, price)
        if flaw is None:
            return Standing.FINE, None
        if now - known.read_at > MARKET_FRESH:
            return Standing.UNREAD, None
        return Standing.WRONG, flaw

    def read(self, ticker: str) -> bool:
        """Ask the exchange about a market. False if too many calls are waiting."""
        if ticker in self._reading:
            return True
        if self._desk.lanes.submit(f"{KEY}:{ticker}", calls.get_market(ticker, "market")):
            self._reading.add(ticker)
            return True
        return False

    def forget_reading(self, ticker: str) -> None:
        """Nobody waits for it any more: if it has not left, it need not."""
        if self._desk.lanes.withdraw(f"{KEY}:{ticker}"):
            self._reading.discard(ticker)

    def ended(self, now: int, ticker: str, ended: Ended) -> str:
        """A reading has ended. Returns why nothing was learned, "" if something was."""
        self._reading.discard(ticker)
        if not isinstance(ended, CallAnswered):
            return ended.reason
        if ended.status == 404:
            self._keep(ticker, _Market(None, now))
            return ""
        if ended.status != 200:
            said = answers.refusal(ended.body)
            return f"status {ended.status} {said.code if said else ''}".strip()
        try:
            self.learn(now, answers.read(ended.body, OneMarket).market)
        except RemoteProtocolError as e:
            return str(e)
        return "" if ticker in self._known else "the exchange answered for another market"

    def _keep(self, ticker: str, market: _Market) -> None:
        self._known.pop(ticker, None)
        self._known[ticker] = market
        if len(self._known) > MARKETS_KNOWN_MAX:
            del self._known[next(iter(self._known))]  # the one read longest ago


def _flaw(known: _Market, at: int, ticker: str, price: Price) -> Flaw | None:
    row = known.row
    if row is None:
        return Flaw("market_not_found", "ticker", f"the exchange has no market {ticker}")
    if row.status != "active":
        return Flaw("market_not_open", "ticker", f"{ticker} is {row.status}, not active")
    if at >= row.close_time:
        text = f"{ticker} closed {(at - row.close_time) // 1_000_000} s ago"
        return Flaw("market_closed", "ticker", text)
    if not on_grid(row, price):
        steps = ", ".join(
            f"{format_price(r.step)} from {format_price(r.start)} to {format_price(r.end)}"
            for r in row.price_ranges
        )
        text = f"{format_price(price)} is off the grid of {ticker}: steps of {steps}"
        return Flaw("off_grid_price", "price", text)
    return None


def on_grid(row: MarketRow, price: Price) -> bool:
    """Whether a price is one of the market's (FACTS.md section 3). Whole cents always are."""
    if not row.price_ranges or price % CENT == 0:
        return True
    return any(
        r.start <= price <= r.end and (price - r.start) % r.step == 0 for r in row.price_ranges
    )
