"""A recorded day as a feed: lines of a capture in, moves of the books out.

Only the public frames of a capture are played: book snapshots, book deltas, trades. Its answers
and fills were somebody else's. Prices of the no side are read as no prices (the default pricing).
A tape is read twice: once for what it holds in all, then as it is played; so a day of any length
takes no memory.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from actors.paper.exchange import Exchange
from actors.paper.fixed import DOLLAR, parse_count, parse_dollars
from actors.paper.market import DECI_CENT, LINEAR_CENT, Market, Step
from actors.paper.matching import Side, TapeBook

PLAYED: Final = ("orderbook_snapshot", "orderbook_delta", "trade")
UNREADABLE: Final = (KeyError, TypeError, AttributeError, ValueError, msgspec.DecodeError)
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


class Capture:
    """The frames of a plain capture: one line of JSON each; a line may be blank."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """`lines` are read anew each time that the frames are."""
        self.market_ids: dict[str, str] = {}
        self._lines = lines

    def __iter__(self) -> Iterator[Frame]:
        """Raises ValueError naming the line that is none."""
        first_ms: int | None = None
        offset = 0
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue
            try:
                found = msgspec.json.decode(line)
                kind, body = found["type"], found.get("msg")
                if kind not in PLAYED:
                    continue
                if "ts_ms" in body:
                    first_ms = body["ts_ms"] if first_ms is None else first_ms
                    offset = max(offset, (body["ts_ms"] - first_ms) * 1_000)
                self.market_ids.setdefault(body["market_ticker"], body.get("market_id", ""))
                frame = frame_of(kind, body, offset)
            except UNREADABLE as e:
                raise ValueError(f"line {number}: {type(e).__name__}: {e}") from None
            yield frame


class Frames(Protocol):
    """Whatever can be read for its frames, as often as one likes."""

    market_ids: dict[str, str]  # by ticker, of the frames that have been read

    def __iter__(self) -> Iterator[Frame]: ...


class Tape:
    """The frames of a capture, and how far they have been played."""

    def __init__(self, source: str, frames: Frames) -> None:
        """Reads all frames once, and raises what reading them raises.

        What is added to them afterwards (somebody still records) is not played.
        """
        self.source = source
        self.played = 0
        self.total = 0
        self._prices: dict[str, set[int]] = {}
        for frame in frames:
            self.total += 1
            prices = self._prices.setdefault(frame.ticker, set())
            if isinstance(frame, Replaced):
                prices.update(frame.bids, frame.asks)
            else:
                prices.add(frame.price)
        self._market_ids = {ticker: frames.market_ids.get(ticker, "") for ticker in self._prices}
        self._rest = islice(frames, self.total)
        self._next = next(self._rest, None)
        self._began: int | None = None  # monotonic ns

    @property
    def done(self) -> bool:
        return self._next is None

    def markets(self, opened: int) -> list[Market]:
        """The markets that the capture speaks of, with empty books, on the grid it uses."""
        return [
            Market(ticker, ticker, TapeBook(), opened, grid_of(self._prices[ticker]), market_id)
            for ticker, market_id in self._market_ids.items()
        ]

    def due(self, now: int, speed: float) -> list[Frame]:
        """The next frames whose time has come, a batch at most. The clock starts at first call."""
        if self._began is None:
            self._began = now
        until = (now - self._began) // 1_000 * speed
        frames: list[Frame] = []
        while self._next is not None and self._next.offset <= until and len(frames) < BATCH_MAX:
            frames.append(self._next)
            self._next = next(self._rest, None)
        self.played += len(frames)
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
    """A tape out of lines of JSON, which are read twice. Raises ValueError naming the line."""
    return Tape(source, Capture(lines))


def frame_of(kind: str, body: dict[str, Any], offset: int) -> Frame:
    """What a public frame does. Raises one of UNREADABLE on one that can't be read."""
    ticker = body["market_ticker"]
    if not isinstance(ticker, str):
        raise TypeError(f"market_ticker is {ticker!r}")
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
