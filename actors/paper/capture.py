"""A recorded day as a feed: lines of a capture in, moves of the books out.

Only the public frames of a capture are played: book snapshots, book deltas, trades. Its answers
and fills were somebody else's. Prices of the no side are read as no prices (the default pricing).
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from actors.paper.exchange import Exchange
from actors.paper.fixed import DOLLAR, parse_count, parse_dollars
from actors.paper.market import DECI_CENT, LINEAR_CENT, Market, Step
from actors.paper.matching import Side, TapeBook

BATCH_MAX: Final = 1_000  # frames in one step, so that nobody else waits long


class Moved(Struct, frozen=True, gc=False):
    """A level changed. `offset` is microseconds since the capture began."""

    offset: int
    ticker: str
    side: Side
    price: int
    delta: int


class Replaced(Struct, frozen=True):
    """A snapshot: the whole book."""

    offset: int
    ticker: str
    bids: dict[int, int]
    asks: dict[int, int]


class Printed(Struct, frozen=True, gc=False):
    """A public trade."""

    offset: int
    ticker: str
    side: Side
    price: int
    count: int


Frame = Moved | Replaced | Printed


class Tape:
    """The frames of a capture, and how far they have been played."""

    def __init__(self, source: str, frames: list[Frame], market_ids: dict[str, str]) -> None:
        self.source = source
        self.played = 0
        self._frames = frames
        self._market_ids = market_ids
        self._began: int | None = None  # monotonic ns

    @property
    def total(self) -> int:
        return len(self._frames)

    @property
    def done(self) -> bool:
        return self.played == self.total

    def markets(self, opened: int) -> list[Market]:
        """The markets that the capture speaks of, with empty books, on the grid it uses."""
        prices: dict[str, set[int]] = {ticker: set() for ticker in self._market_ids}
        for frame in self._frames:
            if isinstance(frame, Replaced):
                prices[frame.ticker].update(frame.bids, frame.asks)
            else:
                prices[frame.ticker].add(frame.price)
        return [
            Market(ticker, ticker, TapeBook(), opened, grid_of(prices[ticker]), market_id)
            for ticker, market_id in self._market_ids.items()
        ]

    def due(self, now: int, speed: float) -> list[Frame]:
        """The next frames whose time has come, a batch at most. The clock starts at first call."""
        if self._began is None:
            self._began = now
        until = (now - self._began) // 1_000 * speed
        end = self.played
        most = min(self.played + BATCH_MAX, self.total)
        while end < most and self._frames[end].offset <= until:
            end += 1
        frames = self._frames[self.played : end]
        self.played = end
        return frames


def play(frame: Frame, exchange: Exchange, at: int) -> None:
    """Let one frame happen, now."""
    match frame:
        case Moved():
            exchange.tape_moved(frame.ticker, frame.side, frame.price, frame.delta, at)
        case Replaced():
            exchange.tape_replaced(frame.ticker, frame.bids, frame.asks, at)
        case Printed():
            exchange.tape_traded(frame.ticker, frame.side, frame.price, frame.count, at)


def read_tape(source: str, lines: Iterable[bytes]) -> Tape:
    """A tape out of lines of JSON; a line may be blank. Raises ValueError naming the line."""
    frames: list[Frame] = []
    market_ids: dict[str, str] = {}
    first_ms: int | None = None
    offset = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = msgspec.json.decode(line)
            kind, body = found["type"], found.get("msg")
            if kind not in ("orderbook_snapshot", "orderbook_delta", "trade"):
                continue
            if "ts_ms" in body:
                first_ms = body["ts_ms"] if first_ms is None else first_ms
                offset = max(offset, (body["ts_ms"] - first_ms) * 1_000)
            ticker = body["market_ticker"]
            market_ids.setdefault(ticker, body.get("market_id", ""))
            frames.append(_frame(kind, body, ticker, offset))
        except (KeyError, TypeError, AttributeError, ValueError, msgspec.DecodeError) as e:
            raise ValueError(f"line {number}: {type(e).__name__}: {e}") from None
    return Tape(source, frames, market_ids)


def _frame(kind: str, body: dict[str, Any], ticker: str, offset: int) -> Frame:
    if kind == "trade":
        side = Side(body["taker_book_side"])
        price = parse_dollars(body["yes_price_dollars"])
        return Printed(offset, ticker, side, price, parse_count(body["count_fp"]))
    if kind == "orderbook_delta":
        side = Side.BID if body["side"] == "yes" else Side.ASK
        price = side.own_price(parse_dollars(body["price_dollars"]))
        return Moved(offset, ticker, side, price, parse_count(body["delta_fp"]))
    bids = {parse_dollars(p): parse_count(c) for p, c in body.get("yes_dollars_fp", [])}
    asks = {DOLLAR - parse_dollars(p): parse_count(c) for p, c in body.get("no_dollars_fp", [])}
    return Replaced(offset, ticker, bids, asks)


def grid_of(prices: set[int]) -> tuple[Step, ...]:
    """The coarsest grid that all prices lie on."""
    for grid in (LINEAR_CENT, DECI_CENT):
        if all(price % grid[0].step == 0 for price in prices):
            return grid
    return (Step(0, DOLLAR, 100),)
