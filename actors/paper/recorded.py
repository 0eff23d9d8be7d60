"""A recording as a feed (protocol/recording.py): frames as they came, at the times they came.

A book that is wrong is not played. From whatever makes a book doubtful (a hole, a jump in the
numbers of its subscription, a new connection, a change that can't be) nothing is played for its
market, until a snapshot comes or the stream's own book stands in the recording. Changes that came
while the stream was being asked wait for that book, and what is in it already is left out.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from actors.paper.capture import (
    PLAYED,
    UNREADABLE,
    Frame,
    Moved,
    Printed,
    Replaced,
    frame_of,
)
from actors.paper.fixed import DOLLAR
from actors.paper.matching import Side
from protocol.limits import HELD_MAX, HOLE_PLAYED_MAX, US
from protocol.recording import BLIND, Hole, Recorded, SeenBook, read_line

TERMINAL: Final = (10, 17, 18, 25)  # error codes that end a subscription (FACTS.md section 4.1)
PAUSE_US: Final = HOLE_PLAYED_MAX // US

Levels = dict[tuple[Side, int], int]


class _Market:
    """What is known of one market's book."""

    __slots__ = ("doubted_at", "held", "levels", "link", "seen_at", "sid")

    def __init__(self, at: int) -> None:
        self.link = ""  # "": not known yet, as the sid
        self.sid: object = None
        self.levels: Levels | None = None  # None: not known, and nothing is played
        self.seen_at = 0  # what came until then is in the book already
        self.doubted_at = at  # a book must be of this moment or later
        self.held: list[tuple[int, Moved]] = []

    def doubt(self, at: int) -> None:
        self.levels = None
        self.seen_at = 0
        self.doubted_at = max(self.doubted_at, at)
        self.held.clear()


class Recording:
    """The frames of a recording's lines, which are read anew each time that the frames are."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.market_ids: dict[str, str] = {}
        self._lines = lines

    def __iter__(self) -> Iterator[Frame]:
        """Raises ValueError naming the line that is none of a recording."""
        reading = Reading(self.market_ids)
        for number, line in enumerate(self._lines, 1):
            try:
                frames = reading.take(read_line(line))
            except ValueError as e:
                raise ValueError(f"line {number} of the recording: {e}") from None
            yield from frames


class Reading:
    """How far a recording has been read, and what is true there."""

    def __init__(self, market_ids: dict[str, str]) -> None:
        self._market_ids = market_ids
        self._markets: dict[str, _Market] = {}
        self._connections: dict[str, int] = {}  # by link
        self._numbers: dict[tuple[str, object], int] = {}  # last seq by link and sid
        self._at: int | None = None  # of the last frame
        self._zero = 0  # the moment that has offset 0
        self._offset = 0
        self._after_hole = False
        self._doubted_at = 0  # what was known of any book was doubted last

    def take(self, line: Recorded) -> list[Frame]:
        """What one line lets happen."""
        if line.hole is not None:
            self._hole(line.hole)
        elif line.book is not None:
            return self._book(line.book)
        elif line.link:
            return self._frame(line)
        return []

    def _hole(self, hole: Hole) -> None:
        self._after_hole = True
        if hole.topic in BLIND:
            self._doubt(hole.until or self._at or 0, hole.link)
            self._numbers = {
                k: seq for k, seq in self._numbers.items() if hole.link not in ("", k[0])
            }

    def _doubt(self, at: int, link: str = "", sid: object = None) -> None:
        """Of a link, or of one subscription of it; where a market's is not known, of that too."""
        self._doubted_at = max(self._doubted_at, at)
        for market in self._markets.values():
            if (not link or market.link in ("", link)) and (
                sid is None or market.sid in (None, sid)
            ):
                market.doubt(at)

    def _book(self, book: SeenBook) -> list[Frame]:
        market = self._market(book.ticker, self._doubted_at)
        if market.levels is not None or book.at < market.doubted_at:
            return []
        held = [moved for at, moved in market.held if at > book.received_at]
        market.held.clear()
        bids = {int(price): int(count) for price, count in book.yes}
        asks = {DOLLAR - price: int(count) for price, count in book.no}
        frames: list[Frame] = [self._install(market, book.ticker, bids, asks)]
        market.seen_at = book.received_at
        for moved in held:
            frames += self._move(market, moved, self._at or 0)
        return frames

    def _frame(self, line: Recorded) -> list[Frame]:
        self._pass(line.at)
        if self._connections.setdefault(line.link, line.connection) != line.connection:
            self._connections[line.link] = line.connection
            self._doubt(line.at, line.link)
            self._numbers = {k: seq for k, seq in self._numbers.items() if k[0] != line.link}
        try:
            frame = msgspec.json.decode(line.frame)  # of a frame that stands as base64: nothing
            kind, body = frame["type"], frame.get("msg")
        except UNREADABLE:
            self._doubt(line.at, line.link)  # whatever it said, we don't know it
            return []
        if not self._next(line, kind, frame, body):
            return []
        if kind not in PLAYED:
            return []
        try:
            return self._play(line, frame_of(kind, body, self._offset), frame, body)
        except UNREADABLE:
            self._doubt(line.at, line.link)
            return []

    def _pass(self, at: int) -> None:
        """Time goes on to this moment; where nothing was recorded, by PAUSE_US at most."""
        if self._at is None:
            self._zero = at
        elif self._after_hole:
            self._zero = at - self._offset - min(max(at - self._at, 0), PAUSE_US)
        self._at, self._after_hole = at, False
        self._offset = max(self._offset, at - self._zero)

    def _next(self, line: Recorded, kind: str, frame: Any, body: Any) -> bool:
        """Whether a frame is the next of its subscription, and not one that has been there."""
        said = body if isinstance(body, dict) else {}
        sid, seq = frame.get("sid"), frame.get("seq")
        if kind == "subscribed" and isinstance(said.get("sid"), int):
            self._numbers.pop((line.link, said["sid"]), None)
        if kind == "unsubscribed" or (kind == "error" and said.get("code") in TERMINAL):
            self._doubt(line.at, line.link, sid)
        if not isinstance(sid, int) or not isinstance(seq, int):
            return True
        last = self._numbers.get((line.link, sid))
        if last is not None and seq <= last:
            return False
        self._numbers[line.link, sid] = seq
        if last is not None and seq > last + 1:
            self._doubt(line.at, line.link, sid)
        return True

    def _play(self, line: Recorded, frame: Frame, outer: Any, body: Any) -> list[Frame]:
        market = self._market(frame.ticker, line.at)
        market_id = body.get("market_id")
        if isinstance(market_id, str):
            self._market_ids.setdefault(frame.ticker, market_id)
        if isinstance(frame, Printed):
            return [frame] if market.levels is not None else []
        market.link, market.sid = line.link, outer.get("sid")
        if isinstance(frame, Replaced):
            return [self._install(market, frame.ticker, frame.bids, frame.asks)]
        if line.at <= market.seen_at:
            return []
        if market.levels is not None:
            return self._move(market, frame, line.at)
        if len(market.held) >= HELD_MAX:
            market.doubt(line.at)
        market.held.append((line.at, frame))
        return []

    def _market(self, ticker: str, at: int) -> _Market:
        """A market that is new here is not known before that moment."""
        market = self._markets.get(ticker)
        if market is None:
            market = self._markets[ticker] = _Market(at)
        return market

    def _install(
        self, market: _Market, ticker: str, bids: dict[int, int], asks: dict[int, int]
    ) -> Frame:
        for price, count in (*bids.items(), *asks.items()):
            if count <= 0 or not 0 <= price <= DOLLAR:
                raise ValueError(f"a level of {count} at {price}")
        market.held.clear()
        market.seen_at = 0
        market.levels = {(Side.BID, price): count for price, count in bids.items()}
        market.levels |= {(Side.ASK, price): count for price, count in asks.items()}
        return Replaced(self._offset, ticker, bids, asks)

    def _move(self, market: _Market, moved: Moved, at: int) -> list[Frame]:
        if market.levels is None:
            return []
        key = (moved.side, moved.price)
        count = market.levels.get(key, 0) + moved.delta
        if count < 0 or not 0 <= moved.price <= DOLLAR:
            market.doubt(at)
            return []
        if count:
            market.levels[key] = count
        else:
            market.levels.pop(key, None)
        return [Moved(self._offset, moved.ticker, moved.side, moved.price, moved.delta)]
