"""A market line: books, prints and quotes of its markets, in order or known to be lost."""

import random

from actors.stream.books import Books, Followed
from actors.stream.carrier import BOOKS
from actors.stream.freshness import HostClock
from actors.stream.mending import Mending
from actors.stream.probe import Shown
from actors.stream.subscriptions import Place
from actors.stream.tally import Tally
from actors.stream.wire import Link
from protocol.book import Book
from protocol.envelope import Outbox
from protocol.errors import RemoteProtocolError
from protocol.kalshi import frames, meaning
from protocol.kalshi.frames import (
    AnyFrame,
    DeltaFrame,
    SnapshotFrame,
    TickerFrame,
    TradeFrame,
)
from protocol.machine import Effect, Publish, Tell
from protocol.messages import OrderGlimpsed
from protocol.pulse import Pulse


class Market(Mending):
    """One of the connections that market data is split over."""

    pongs_queue = False  # what is late waits in a queue of its subscription's

    def __init__(
        self,
        link: Link,
        books: Books,
        outbox: Outbox,
        pulse: Pulse,
        dice: random.Random,
        clock: HostClock,
        tally: Tally,
    ) -> None:
        super().__init__(link, books, pulse, dice, clock, tally)
        self._outbox = outbox

    def frame(self, now: int, at: int, raw: bytes, out: list[Effect]) -> None:
        """Take one message. The commonest comes first: this path has to be quick."""
        try:
            frame = frames.decode(raw)
        except RemoteProtocolError as e:
            out += self._malformed(now, at, raw, str(e))
            return
        if type(frame) is DeltaFrame:
            self.tally.book_frames += 1
            if frame.sid == self._book_sid:
                place = self.subscriptions.admit(now, frame.sid, frame.seq, raw)
                if place is Place.NEXT:
                    self._delta(now, at, frame, out)
                    return
                self._count(place)
                if place is not Place.DUPLICATE:
                    self.misplaced(now, at, place, frame, out)
                return
        elif type(frame) is SnapshotFrame:
            self.tally.book_frames += 1
        self.sort(now, at, raw, frame, out)

    def take(self, now: int, at: int, frame: AnyFrame, out: list[Effect]) -> None:
        match frame:
            case DeltaFrame():
                self._delta(now, at, frame, out)
            case TradeFrame():
                self._trade(now, at, frame, out)
            case TickerFrame():
                self._quote(now, at, frame, out)
            case SnapshotFrame():
                self._snapshot(now, at, frame, out)
            case _:
                out += self.answer(now, at, frame)

    def misplaced(
        self, now: int, at: int, place: Place, frame: AnyFrame, out: list[Effect]
    ) -> None:
        """Books can't be trusted after a hole; a hole in other channels can only be counted."""
        book = getattr(frame, "sid", None) == self._book_sid
        if book:
            out += self._distrust(now, at, f"sequence: {place.value}")
        if book and place is Place.OUT_OF_ORDER and isinstance(frame, DeltaFrame | SnapshotFrame):
            return  # from some other time: not even a snapshot of it is good
        self.take(now, at, frame, out)

    def _delta(self, now: int, at: int, frame: DeltaFrame, out: list[Effect]) -> None:
        body = frame.msg
        sent_ms = body.ts_ms or frame.sending_ts_ms
        if sent_ms:
            fresh = self.fresh
            if not fresh.below <= at - sent_ms * 1_000 <= fresh.above or fresh.verdict is not None:
                self.late(now, at, sent_ms, out)
        if body.client_order_id:
            out.append(self._glimpse(at, body.client_order_id))
        followed = self.markets.get(body.market_ticker)
        if followed is None or not followed.live:
            return  # of no use before the next snapshot
        book = followed.book
        try:
            delta = meaning.book_delta(body, at)
            book.apply(body.side, body.price_dollars, body.delta_fp)
        except RemoteProtocolError as e:
            self.tally.malformed += 1
            out += self._distrust_one(now, at, followed, str(e))
            return
        followed.received_at = at
        if followed.comparison is not None:
            followed.comparison.change(body.side, body.price_dollars, body.delta_fp)
        if self._crossed or (body.delta_fp > 0 and book.crossed):
            self._look_at_cross(now, followed)
        self.tally.frames_applied += 1
        out.append(Publish(self._outbox.seal(followed.topic, delta, at)))

    def _look_at_cross(self, now: int, followed: Followed) -> None:
        """A book that is crossed for a moment is no news; a timer looks at how long it is."""
        if not followed.book.crossed:
            self._crossed.pop(followed.ticker, None)
        elif followed.ticker not in self._crossed:
            self._crossed[followed.ticker] = now
            self.stirred = True

    def _glimpse(self, at: int, client_order_id: str) -> Effect:
        """An order of ours moved a level: the gateway may be in doubt about it."""
        letter = OrderGlimpsed(client_order_id)
        return Tell("gateway", self._outbox.letter(f"glimpse:{client_order_id}", letter, at))

    def _trade(self, now: int, at: int, frame: TradeFrame, out: list[Effect]) -> None:
        body = frame.msg
        self.late(now, at, frame.sending_ts_ms, out)
        followed = self.markets.get(body.market_ticker)
        if followed is None:
            return
        try:
            trade = meaning.trade(body, at)
        except RemoteProtocolError as e:
            out += self.tally.bad(now, f"{self.link}: {e}")
            return
        out.append(Publish(self._outbox.seal(followed.trade_topic, trade, at)))

    def _quote(self, now: int, at: int, frame: TickerFrame, out: list[Effect]) -> None:
        self.late(now, at, frame.sending_ts_ms, out)
        followed = self.markets.get(frame.msg.market_ticker)
        if followed is not None:
            quote = meaning.quote(frame.msg, at)
            out.append(Publish(self._outbox.seal(followed.quote_topic, quote, at)))

    def _snapshot(self, now: int, at: int, frame: SnapshotFrame, out: list[Effect]) -> None:
        """Any snapshot in its place is right: it and the changes come in one order."""
        self.stirred = True
        self.late(now, at, frame.sending_ts_ms, out)
        body = frame.msg
        shown = self._probe.shown(frame.id, body.market_ticker)
        if shown is Shown.PROBED and self.fresh.answered(at, now - self._probe.asked_at):
            out += self.aged(at)
        followed = self.markets.get(body.market_ticker)
        if followed is None or now < followed.held_until:
            return
        if self.commands.letting_go(BOOKS, followed.ticker):
            return  # it is followed again, and its changes are not told before it is added again
        try:
            book = Book(body.yes_dollars_fp or (), body.no_dollars_fp or ())
        except RemoteProtocolError as e:
            self.tally.malformed += 1
            out += self._distrust_one(now, at, followed, str(e))
            return
        self.tally.frames_applied += 1
        same = followed.live and book == followed.book
        if same:
            self.tally.repeated_snapshots += shown is Shown.UNASKED
            return
        if followed.live and shown is Shown.PROBED:
            out += self._deviates(now, at, f"{followed.topic}: a snapshot shows another book")
            if frame.sid != self._book_sid or not self.connection.up:
                return  # nothing that changes it would count any more
        elif followed.live:
            self.tally.unsolicited_snapshots += 1
            self._books.doubted[followed.ticker] = now  # which of the two is right?
        self._crossed.pop(body.market_ticker, None)
        if book.crossed:
            self._crossed[body.market_ticker] = now
        out += self._books.adopt(followed, book, at, self.fresh.reason)
