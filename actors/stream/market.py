"""The market-data side: subscriptions, sequence, books, and what is published of them."""

from actors.stream.books import Numbers, Shelf, Step
from actors.stream.link import CloseSocket, Link, SendFrame, State
from protocol import topics
from protocol.envelope import Outbox
from protocol.errors import RemoteProtocolError
from protocol.kalshi import frames
from protocol.kalshi.frames import (
    TERMINAL_ERRORS,
    AnyFrame,
    Delta,
    ErrorFrame,
    Ok,
    Quoted,
    Snapshot,
    Subscribed,
    Traded,
    Unknown,
    Unsubscribed,
)
from protocol.limits import COMMAND_MAX, RESYNCS_MAX, TICKERS_A_COMMAND
from protocol.machine import Effect, Publish
from protocol.messages import AnyMessage, BookAnswer, BookDelta, BookLost, BookSnapshot

CHANNELS = ("orderbook_delta", "trade", "ticker")


class Market:
    """Books, prints and quotes of every ticker that is followed."""

    def __init__(self, link: Link, outbox: Outbox, counters: dict[str, int]) -> None:
        self._link = link
        self._outbox = outbox
        self._counters = counters
        self.shelf = Shelf()
        self._numbers = Numbers()
        self._sids: dict[str, int] = {}
        self._subscribing = False
        self._pending: list[str] = []  # tickers to be added once there is a subscription
        self._unknown_types: set[str] = set()

    def follow(self, now: int, tickers: tuple[str, ...]) -> list[Effect]:
        """Follow these, too."""
        new = [ticker for ticker in tickers if self.shelf.follow(ticker)]
        self._pending += new
        return self.subscribe(now) if self._link.state is State.OPEN else []

    def opened(self, now: int) -> list[Effect]:
        """A new connection: new subscriptions, new numbers, new snapshots."""
        self._numbers, self._sids, self._subscribing = Numbers(), {}, False
        self._pending = self.shelf.tickers()
        self.shelf.restart()
        return self.subscribe(now)

    def closed(self, now: int, at: int, reason: str) -> list[Effect]:
        effects = self._lose(now, at, reason)
        self.shelf.restart()
        return effects

    def subscribe(self, now: int) -> list[Effect]:
        """Ask for what is pending: the first lot subscribes, later ones are added to it."""
        if not self._pending or (self._subscribing and len(self._sids) < len(CHANNELS)):
            return []
        if not self._subscribing:
            lot, self._pending = self._lot()
            self._subscribing = True
            return [self._send(frames.subscribe(self._link.command(now), CHANNELS, lot))]
        effects: list[Effect] = []
        while self._pending:
            lot, self._pending = self._lot()
            for channel in CHANNELS:
                id, sid = self._link.command(now), self._sids[channel]
                effects.append(self._send(frames.update(id, sid, "add_markets", lot)))
        if self.shelf.resync_at is None:
            self.shelf.resync_at = now + COMMAND_MAX
        return effects

    def _lot(self) -> tuple[list[str], list[str]]:
        return self._pending[:TICKERS_A_COMMAND], self._pending[TICKERS_A_COMMAND:]

    def _send(self, raw: bytes) -> Effect:
        return SendFrame(self._link.name, raw)

    def received(self, now: int, at: int, raw: bytes) -> list[Effect]:
        """Take one frame."""
        self._counters["frames_in"] += 1
        self._link.heard(now)
        try:
            frame = frames.read(raw)
        except RemoteProtocolError as e:
            return self._malformed(now, at, raw, str(e))
        if frame.sid and frame.seq:
            step = self._numbers.admit(frame.sid, frame.seq)
            if step is Step.DUPLICATE:
                self._counters["duplicates"] += 1
                return []
            if step is Step.GAP:
                return self._gap(now, at, frame)
        return self._take(now, at, frame)

    def _gap(self, now: int, at: int, frame: AnyFrame | Unknown) -> list[Effect]:
        self._counters["gaps"] += 1
        effects: list[Effect] = []
        if frame.sid == self._sids.get("orderbook_delta"):
            effects = self._lose(now, at, f"gap before {frame.seq}")
        return [*effects, *self._take(now, at, frame), *self.resync(now)]

    def _take(self, now: int, at: int, frame: AnyFrame | Unknown) -> list[Effect]:
        match frame:
            case Delta():
                return self._changed(now, at, frame)
            case Snapshot():
                return self._installed(now, at, frame)
            case Traded(msg=msg):
                return [self._publish(topics.trade(msg.market_ticker), frame.message(at), at)]
            case Quoted(msg=msg):
                return [self._publish(topics.quote(msg.market_ticker), frame.message(at), at)]
            case Subscribed(id=id, msg=msg):
                self._sids[msg.channel] = msg.sid
                if len(self._sids) == len(CHANNELS):
                    self._link.answered(id)
                    if self.shelf.resync_at is None:
                        self.shelf.resync_at = now + COMMAND_MAX
                    return self.subscribe(now)
                return []
            case Ok(id=id):
                self._link.answered(id)
                return []
            case ErrorFrame():
                return self._error(now, at, frame)
            case Unknown(type=name):
                self._unknown_types.add(name)
                self._counters["unknown_types"] = len(self._unknown_types)
                return []
            case Unsubscribed():
                return self._lose(now, at, "unsubscribed")
        return []

    def _changed(self, now: int, at: int, frame: Delta) -> list[Effect]:
        self._counters["book_frames"] += 1
        m = frame.msg
        try:
            if not self.shelf.apply(frame, at):
                return []
        except RemoteProtocolError as e:
            return [*self._lose(now, at, str(e), [m.market_ticker]), *self.resync(now)]
        self._counters["frames_applied"] += 1
        delta = BookDelta(m.market_ticker, m.side, m.price_dollars, m.delta_fp, m.ts_ms * 1_000, at)
        return [self._publish(f"book.{m.market_ticker}", delta, at)]

    def _installed(self, now: int, at: int, frame: Snapshot) -> list[Effect]:
        self._counters["book_frames"] += 1
        self._link.answered(frame.id)
        ticker = frame.msg.market_ticker
        try:
            if not self.shelf.install(frame, at):
                return []
        except RemoteProtocolError as e:
            return self._lose(now, at, str(e), [ticker])
        self._counters["frames_applied"] += 1
        book = self.shelf.book(ticker)
        assert book is not None
        snapshot = BookSnapshot(ticker, book.levels("yes"), book.levels("no"), at)
        return [self._publish(topics.book(ticker), snapshot, at)]

    def _malformed(self, now: int, at: int, raw: bytes, problem: str) -> list[Effect]:
        """A frame that can't be read may have been anything: its subscription has a hole."""
        self._counters["malformed"] += 1
        sid = frames.sid_of(raw)
        if sid == 0:
            return [CloseSocket(self._link.name)]
        if sid == self._sids.get("orderbook_delta"):
            return [*self._lose(now, at, problem), *self.resync(now)]
        return []

    def _error(self, now: int, at: int, frame: ErrorFrame) -> list[Effect]:
        self._counters["errors"] += 1
        self._link.answered(frame.id)
        if frame.msg.code in TERMINAL_ERRORS or frame.sid == 0:
            return [CloseSocket(self._link.name)]
        return []

    def _lose(
        self, now: int, at: int, reason: str, tickers: list[str] | None = None
    ) -> list[Effect]:
        return [
            self._publish(topics.book(ticker), BookLost(ticker, reason), at)
            for ticker in self.shelf.lose(now, reason, tickers)
        ]

    def resync(self, now: int) -> list[Effect]:
        """Ask for snapshots of what is lost, by a timer and a bounded number of times."""
        sid = self._sids.get("orderbook_delta")
        if self.shelf.resync_at is None or now < self.shelf.resync_at or sid is None:
            return []
        lost = self.shelf.lost()
        if not lost:
            self.shelf.restart()
            return []
        if self.shelf.resyncs >= RESYNCS_MAX:
            return [CloseSocket(self._link.name)]
        self.shelf.asked(now)
        return [
            self._send(
                frames.update(
                    self._link.command(now), sid, "get_snapshot", lost[i : i + TICKERS_A_COMMAND]
                )
            )
            for i in range(0, len(lost), TICKERS_A_COMMAND)
        ]

    def answer(self, ticker: str) -> BookAnswer:
        """One book as of the last number said on its topic."""
        epoch, seq = self._outbox.epoch, self._outbox.seq(topics.book(ticker))
        book, why = self.shelf.book(ticker), self.shelf.why(ticker)
        if book is not None:
            yes, no = book.levels("yes"), book.levels("no")
            at = self.shelf.received_at(ticker)
            return BookAnswer(ticker, "live", epoch, seq, yes, no, "", at)
        if why is not None:
            return BookAnswer(ticker, "lost", epoch, seq, reason=why)
        return BookAnswer(ticker, "not followed", epoch, seq)

    def _publish(self, topic: str, body: AnyMessage, at: int) -> Effect:
        return Publish(self._outbox.seal(topic, body, at))
