"""The market link: subscriptions, their sequence, the books, and what is published of them."""

import random
from collections.abc import Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from actors.stream.books import Books, Followed
from actors.stream.commands import Command, Commands
from actors.stream.connection import Connection, State
from actors.stream.resync import Resync, Turn
from actors.stream.subscriptions import Place, Subscriptions
from protocol.book import Book
from protocol.envelope import Outbox
from protocol.errors import RemoteProtocolError
from protocol.kalshi import frames
from protocol.kalshi.frames import (
    AnyFrame,
    Channel,
    DeltaBody,
    DeltaFrame,
    ErrorFrame,
    Glance,
    OkFrame,
    SnapshotBody,
    SnapshotFrame,
    SubscribedFrame,
    TickerBody,
    TickerFrame,
    TradeBody,
    TradeFrame,
    UnsubscribedFrame,
)
from protocol.limits import RESYNCS_MAX, TICKERS_A_COMMAND
from protocol.machine import Effect, Publish, Report, Tell
from protocol.messages import OrderGlimpsed
from protocol.pulse import Pulse

BOOKS: Final[Channel] = "orderbook_delta"
CHANNELS: Final[tuple[Channel, ...]] = (BOOKS, "trade", "ticker")
TERMINAL: Final = frozenset({10, 25})  # the subscription is dead (FACTS.md section 4.1)
UNTRUSTED: Final = frozenset({17, 18})  # the subscription goes on, but something was not done


class Market:
    """All that the exchange says about markets, in order, or known to be lost."""

    def __init__(self, outbox: Outbox, pulse: Pulse, dice: random.Random) -> None:
        self.connection = Connection("market", pulse, dice)
        self.books = Books(outbox)
        self.stirred = False  # something other than plain data came: look at all timers
        self.frames_in = self.frames_applied = self.book_frames = 0
        self.gaps = self.duplicates = self.strays = self.malformed = self.unknown_types = 0
        self._outbox = outbox
        self._commands = Commands("market")
        self._subscriptions = Subscriptions()
        self._book_sid = -1
        self._asked: dict[str, None] = {}  # subscribed on this connection, or about to be
        self._resync = Resync()

    # Life

    def due(self, now: int, at: int) -> list[Effect]:
        """Open, subscribe, ask again, give up: whatever is due."""
        effects: list[Effect] = []
        was_up = self.connection.up
        if was_up:
            effects += self._ask_again(now, at)
            late = self._commands.late(now)
            if late is not None:
                effects += self.give_up(now, at, f"{late.name}: unanswered")
            elif self.connection.up:
                effects += self._commands.due(now)
        effects += self.connection.due(now, at)
        if was_up and not self.connection.up:
            effects += self._lose_all(at, self.connection.why)
        return effects

    def deadline(self) -> int | None:
        deadlines = [self.connection.deadline()]
        if self.connection.up:
            deadlines += [self._commands.deadline(), self._resync.deadline]
        return min((d for d in deadlines if d is not None), default=None)

    def opened(self, now: int, at: int) -> list[Effect]:
        effects = self.connection.opened(now, at)
        if effects:
            self._subscriptions.clear()
            self._commands.clear()
            self._asked.clear()
            self._book_sid = -1
            self._resync.clear()
            self.books.start_again()
            self._subscribe()
        return effects

    def ended(self, now: int, at: int, reason: str, status: int = 0) -> list[Effect]:
        return self._lose_all(at, reason) + self.connection.ended(now, at, reason, status)

    def give_up(self, now: int, at: int, reason: str) -> list[Effect]:
        """This connection can't be trusted any more; a new one will be opened."""
        return self.connection.give_up(now, reason) + self._lose_all(at, reason)

    def follow(self, tickers: Sequence[str], at: int) -> list[Effect]:
        """Follow exactly these markets from now on."""
        wanted = dict.fromkeys(tickers)
        gone = [ticker for ticker in self.books.by_ticker if ticker not in wanted]
        effects = [effect for ticker in gone for effect in self.books.drop(ticker, at)]
        for ticker in wanted:
            self.books.follow(ticker)
        self._change("delete_markets", [ticker for ticker in gone if ticker in self._asked])
        for ticker in gone:
            self._asked.pop(ticker, None)
        if self.connection.state is State.OPEN:
            self._add_rest()
        elif not self._asked:
            self._subscribe()
        return effects

    # Frames

    def frame(self, now: int, at: int, raw: bytes) -> list[Effect]:
        """Take one message. The commonest comes first: this path has to be quick."""
        if not self.connection.up:
            return []
        self.frames_in += 1
        self.connection.heard_at = now
        try:
            frame = frames.decode(raw)
        except RemoteProtocolError as e:
            return self._malformed(now, at, raw, str(e))
        if isinstance(frame, DeltaFrame | SnapshotFrame):
            self.book_frames += 1
        elif isinstance(frame, SubscribedFrame):
            return self._subscribed(now, frame)
        sid = frame.sid
        if sid is None:
            return self._answer(now, at, frame)
        if sid not in self._subscriptions.channels:
            self.strays += 1
            return self._answer(now, at, frame)
        place = self._subscriptions.admit(sid, frame.seq)
        if place is Place.NEXT:
            return self._take(now, at, frame)
        return self._misplaced(now, at, sid, place, frame)

    def _take(self, now: int, at: int, frame: AnyFrame) -> list[Effect]:
        match frame:
            case DeltaFrame(msg=body):
                if body.client_order_id:
                    return self._glimpse(at, body) + self._delta(now, at, body)
                return self._delta(now, at, body)
            case TradeFrame(msg=body):
                return self._trade(at, body)
            case TickerFrame(msg=body):
                return self._quote(at, body)
            case SnapshotFrame(msg=body):
                return self._snapshot(now, at, body)
        return self._answer(now, at, frame)

    def _misplaced(
        self, now: int, at: int, sid: int, place: Place, frame: AnyFrame
    ) -> list[Effect]:
        """Books can't be trusted after a hole; a hole in other channels can only be counted."""
        if place is Place.DUPLICATE:
            self.duplicates += 1
            return []
        self.gaps += 1
        effects: list[Effect] = []
        if sid == self._book_sid:
            effects = self._distrust(now, at, f"sequence: {place.name.lower()}")
        if place is Place.BACKWARDS and isinstance(frame, DeltaFrame | SnapshotFrame):
            return effects  # from some other time: not even a snapshot of it is good
        return effects + self._take(now, at, frame)

    def _delta(self, now: int, at: int, body: DeltaBody) -> list[Effect]:
        followed = self.books.by_ticker.get(body.market_ticker)
        if followed is None or not followed.live:
            return []  # of no use before the next snapshot
        try:
            delta = frames.book_delta(body, at)
            followed.book.apply(delta.side, delta.price, delta.change)
        except RemoteProtocolError as e:
            return self._distrust_one(now, at, followed, str(e))
        followed.received_at = at
        self.frames_applied += 1
        return [Publish(self._outbox.seal(followed.topic, delta, at))]

    def _glimpse(self, at: int, body: DeltaBody) -> list[Effect]:
        """An order of ours moved this level: the gateway may be in doubt about it."""
        letter = OrderGlimpsed(body.client_order_id)
        return [Tell("gateway", self._outbox.letter(f"glimpse:{body.client_order_id}", letter, at))]

    def _trade(self, at: int, body: TradeBody) -> list[Effect]:
        followed = self.books.by_ticker.get(body.market_ticker)
        if followed is None:
            return []
        try:
            trade = frames.trade(body, at)
        except RemoteProtocolError:
            self.malformed += 1
            return []
        return [Publish(self._outbox.seal(followed.trade_topic, trade, at))]

    def _quote(self, at: int, body: TickerBody) -> list[Effect]:
        followed = self.books.by_ticker.get(body.market_ticker)
        if followed is None:
            return []
        return [Publish(self._outbox.seal(followed.quote_topic, frames.quote(body, at), at))]

    def _snapshot(self, now: int, at: int, body: SnapshotBody) -> list[Effect]:
        self.stirred = True
        followed = self.books.by_ticker.get(body.market_ticker)
        if followed is None:
            return []
        try:
            book = Book(body.yes_dollars_fp or (), body.no_dollars_fp or ())
        except RemoteProtocolError as e:
            return self._distrust_one(now, at, followed, str(e))
        self.frames_applied += 1
        return [self.books.adopt(followed, book, at)]

    def _malformed(self, now: int, at: int, raw: bytes, reason: str) -> list[Effect]:
        """What a malformed frame said is lost: so is all that may rest on it."""
        self.stirred = True
        self.malformed += 1
        try:
            outside = frames.glance(raw)
        except RemoteProtocolError:
            return self.give_up(now, at, f"malformed {reason}")
        sid = outside.sid
        if sid is None or sid not in self._subscriptions.channels:
            return self.give_up(now, at, f"malformed {reason}")
        self._subscriptions.admit(sid, outside.seq)
        if sid != self._book_sid:
            return [Report(f"market: malformed {reason}")]
        self.book_frames += 1
        return self._distrust(now, at, f"malformed {reason}")

    # Commands and their answers

    def _subscribed(self, now: int, frame: SubscribedFrame) -> list[Effect]:
        self.stirred = True
        for channel in CHANNELS:
            if channel == frame.msg.channel:
                self._subscriptions.add(channel, frame.msg.sid)
                if channel == BOOKS:
                    self._book_sid = frame.msg.sid
        self._answered(now, frame.id)
        return []

    def _answered(self, now: int, id: int | None) -> None:
        command = self._commands.answered(id)
        if command is not None and command.action is None:
            self.connection.settled()
            self._resync.expect(now, self.books.snapshots)
            self._add_rest()

    def _answer(self, now: int, at: int, frame: AnyFrame) -> list[Effect]:
        """All that is not data."""
        self.stirred = True
        match frame:
            case OkFrame(id=id):
                self._answered(now, id)
            case ErrorFrame():
                return self._refused(now, at, frame)
            case UnsubscribedFrame():
                return self.give_up(now, at, "unsubscribed, and we did not ask for it")
            case Glance():
                self.unknown_types += 1
        return []

    def _refused(self, now: int, at: int, frame: ErrorFrame) -> list[Effect]:
        what = f"error {frame.msg.code}: {frame.msg.msg[:100]}"
        command = self._commands.refused(frame.id)
        if frame.sid is not None and frame.msg.code in TERMINAL:
            return self.give_up(now, at, what)
        effects: list[Effect] = [Report(f"market: {command.name if command else ''} {what}")]
        if frame.sid == self._book_sid and frame.msg.code in UNTRUSTED:
            effects += self._distrust(now, at, what)
        if command is None or command.action == "delete_markets":
            return effects
        named = {*(frame.msg.market_tickers or ()), frame.msg.market_ticker}
        rest = tuple(ticker for ticker in command.tickers if ticker not in named)
        if len(rest) == len(command.tickers):
            rest = ()  # it does not say which ones are to blame: then all are
        if command.action is None and not rest:
            return effects + self.give_up(now, at, f"subscribe: {what}")
        if BOOKS in command.channels:
            for ticker in set(command.tickers) - set(rest):
                self._asked.pop(ticker, None)  # asked for again with the next list of markets
        if rest:
            self._commands.ask(replace(command, tickers=rest))
        return effects

    def _subscribe(self) -> None:
        """The first command makes the subscriptions; the other markets are added to them."""
        first = tuple(islice(self.books.by_ticker, TICKERS_A_COMMAND))
        if first and self.connection.state is State.SUBSCRIBING:
            self._commands.ask(Command(CHANNELS, first))
            self._asked.update(dict.fromkeys(first))

    def _add_rest(self) -> None:
        rest = [ticker for ticker in self.books.by_ticker if ticker not in self._asked]
        self._change("add_markets", rest)
        self._asked.update(dict.fromkeys(rest))

    def _change(self, action: frames.Action, tickers: Sequence[str]) -> None:
        for piece in _pieces(tickers):
            for channel, sid in self._subscriptions.sids.items():
                self._commands.ask(Command((channel,), piece, action, sid))

    # Losing books and getting them back

    def _lose_all(self, at: int, reason: str) -> list[Effect]:
        return self.books.lose(self.books.by_ticker.values(), reason, at)

    def _distrust(self, now: int, at: int, reason: str) -> list[Effect]:
        """Every book of the subscription is lost, whichever market the missing frame was of."""
        self.stirred = True
        effects = self._lose_all(at, reason)
        return [*effects, Report(f"books: {reason}"), *self._ask_soon(now)]

    def _distrust_one(self, now: int, at: int, followed: Followed, reason: str) -> list[Effect]:
        self.stirred = True
        self.malformed += 1
        return [
            *self.books.lose([followed], reason, at),
            Report(f"{followed.topic}: {reason}"),
            *self._ask_soon(now),
        ]

    def _ask_soon(self, now: int) -> list[Effect]:
        turn = self._resync.lost(now, self.books.snapshots)
        return self._ask_snapshots(now) if turn is Turn.ASK else []

    def _ask_snapshots(self, now: int) -> list[Effect]:
        self._resync.asked(now, self.books.snapshots)
        known = self.books.by_ticker
        missing = [ticker for ticker in self._asked if not known[ticker].live]
        return [
            self._commands.send_unanswered(Command((BOOKS,), piece, "get_snapshot", self._book_sid))
            for piece in _pieces(missing)
        ]

    def _ask_again(self, now: int, at: int) -> list[Effect]:
        """For what has not come; after enough of that, start from the beginning."""
        complete = self.books.live >= len(self._asked)
        waiting = not self._commands.idle
        match self._resync.look(now, complete, waiting, self.books.snapshots):
            case Turn.NOTHING:
                return []
            case Turn.ASK:
                return self._ask_snapshots(now)
            case Turn.IN_VAIN if self.books.lost or not self.books.live:
                return self.give_up(now, at, f"no snapshot after {RESYNCS_MAX} requests")
        effects = self._ask_snapshots(now)
        self._resync.slowly(now)  # a market without a book must not cost the others theirs
        return effects


def _pieces(tickers: Sequence[str]) -> list[tuple[str, ...]]:
    step = TICKERS_A_COMMAND
    return [tuple(tickers[i : i + step]) for i in range(0, len(tickers), step)]
