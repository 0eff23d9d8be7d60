"""All connections together: which market is on which, and who hears what the shell says."""

import random
from collections.abc import Callable

from actors.stream.books import Books, Followed
from actors.stream.carrier import CHANNELS
from actors.stream.freshness import HostClock, Verdict
from actors.stream.line import Line
from actors.stream.market import Market
from actors.stream.private import Private
from actors.stream.public import Public
from actors.stream.tally import Tally
from actors.stream.wire import (
    Link,
    OpenFailed,
    Overrun,
    PingReceived,
    PongReceived,
    SocketClosed,
    SocketOpened,
)
from protocol.envelope import Outbox
from protocol.kalshi.frames import Channel
from protocol.limits import SECOND
from protocol.machine import Cause, Effect, Report
from protocol.pulse import Pulse
from protocol.telling import Outstanding

SPREAD_RETRY = 5 * SECOND  # between two tries to find room for markets that nobody carries


class Lines:
    """The private line, the public one, and market lines as they are needed."""

    def __init__(
        self,
        books: Books,
        outbox: Outbox,
        tells: Outstanding,
        pulse: Pulse,
        dice: random.Random,
        clock: HostClock,
        tally: Tally,
        connections: int,
        tickers_a_connection: int,
    ) -> None:
        self.private = Private(outbox, tells, pulse, dice, clock, tally)
        self.public = Public(outbox, pulse, dice, clock, tally)
        self.markets: list[Market] = []
        self.left_out = 0  # markets for which there is no room on any connection
        self._books = books
        self._make: Callable[[Link], Market] = lambda link: Market(
            link, books, outbox, pulse, dice, clock, tally
        )
        self._tally = tally
        self._connections = connections
        self._tickers = tickers_a_connection
        self._by_link: dict[Link, Line] = {"private": self.private, "public": self.public}
        self._spread_at: int | None = None

    @property
    def all(self) -> tuple[Line, ...]:
        return tuple(self._by_link.values())

    @property
    def reconnects(self) -> int:
        return sum(line.connection.reconnects for line in self.all)

    @property
    def up(self) -> bool:
        """Whether every connection that should be there is."""
        return all(line.connection.up for line in self._by_link.values() if line.allowed)

    @property
    def pause(self) -> str:
        return self.private.connection.pause

    @pause.setter
    def pause(self, text: str) -> None:
        """Why the exchange can't be expected to be there now; "" if it can."""
        for line in self._by_link.values():
            line.connection.paused(text)

    def of(self, link: Link) -> Line | None:
        return self._by_link.get(link)

    def told(self, now: int, cause: Cause) -> list[Effect]:
        """What happened to a socket."""
        link: Link = getattr(cause, "link", "")
        line, at = self._by_link.get(link), cause.at
        if line is None:
            raise AssertionError(f"unexpected cause: {cause}")
        match cause:
            case PingReceived():
                line.connection.heard_at = now
            case PongReceived(number=number):
                return line.ponged(now, at, number)
            case SocketOpened(date=date):
                return line.opened(now, at, date)
            case SocketClosed(reason=reason):
                return line.ended(now, at, reason)
            case OpenFailed(status=status, reason=reason, date=date):
                return line.ended(now, at, reason, status, date)
            case Overrun(frames=frames):
                self._tally.overrun_frames += frames
                self._tally.stalls_slow += 1
                return line.give_up(now, at, f"we are slow: {frames} frames waited")
            case _:
                raise AssertionError(f"unexpected cause: {cause}")
        return []

    def due(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        if self._spread_at is not None and now >= self._spread_at:
            self._spread(now)
        for line in self.all:
            effects += line.due(now, at)
            if isinstance(line, Market) and line.capacity is not None:
                effects += self._relieve(now, at, line, line.capacity)
        return effects

    def deadline(self) -> int | None:
        found = [line.deadline() for line in self.all]
        found.append(self._spread_at)
        return min((d for d in found if d is not None), default=None)

    def calm(self) -> None:
        """All timers have been looked at."""
        for line in self._by_link.values():
            line.stirred = False

    def suspect(self, now: int, at: int, verdict: Verdict, detail: str) -> list[Effect]:
        return [e for line in self.all for e in line.suspect(now, at, verdict, detail)]

    def give_up(self, now: int, at: int, reason: str) -> list[Effect]:
        return [effect for line in self.all for effect in line.give_up(now, at, reason)]

    def distrust(self, now: int, at: int, ticker: str, reason: str) -> list[Effect]:
        line = self._line_of(ticker)
        return [] if line is None else line.distrust_one(now, at, ticker, reason)

    def as_of(self, ticker: str) -> int:
        """When the connection behind a book last proved alive, microseconds."""
        line = self._line_of(ticker)
        return 0 if line is None else line.fresh.as_of

    # Which markets

    def carry(
        self, now: int, at: int, tickers: list[str], whole: tuple[Channel, ...]
    ) -> list[Effect]:
        """Carry exactly these markets, and these channels as a whole."""
        self.public.carry(whole)
        wanted = dict.fromkeys(tickers)
        effects: list[Effect] = []
        for line in self.markets:
            gone = [ticker for ticker in line.markets if ticker not in wanted]
            line.remove(gone)
            line.carry(tuple(channel for channel in CHANNELS if channel not in whole))
        for followed in [f for t, f in self._books.by_ticker.items() if t not in wanted]:
            effects += self._books.drop(followed, "no longer followed", at)
        for ticker in wanted:
            self._books.follow(ticker)
        self._spread(now)
        return effects

    def _spread(self, now: int) -> None:
        """Put markets that nobody carries where there is room."""
        waiting = [each for each in self._books.by_ticker.values() if each.line < 0]
        for index in range(self._connections):
            if not waiting:
                break
            if index == len(self.markets):
                self._open()
            line = self.markets[index]
            room = max(self._room(line), 0)
            taken, waiting = waiting[:room], waiting[room:]
            for followed in taken:
                followed.line = index
                followed.reason = "waiting for a snapshot"
            if taken:
                line.add(taken)
        self.left_out = len(waiting)
        for followed in waiting:
            followed.reason = "no connection has room for it"
        self._spread_at = now + SPREAD_RETRY if waiting else None

    def _open(self) -> None:
        link = f"market{len(self.markets) + 1}"
        line = self._make(link)
        line.connection.pause = self.pause
        line.channels = self.markets[0].channels if self.markets else self._channels()
        self.markets.append(line)
        self._by_link[link] = line

    def _channels(self) -> tuple[Channel, ...]:
        return tuple(channel for channel in CHANNELS if channel not in self.public.whole)

    def _room(self, line: Market) -> int:
        most = self._tickers if line.capacity is None else min(line.capacity, self._tickers)
        return most - len(line.markets)

    def _relieve(self, now: int, at: int, line: Market, capacity: int) -> list[Effect]:
        """The exchange lets this connection have fewer markets: others carry the rest."""
        over = list(line.markets.values())[capacity:]
        if not over:
            return []
        line.remove([each.ticker for each in over])
        effects = self._books.lose(over, "moved to another connection", at)
        self._books.await_again(over)
        for followed in over:
            followed.line = -1
        self._spread(now)
        text = f"{line.link}: {len(over)} markets above its {capacity} are moved"
        return [*effects, Report(text)]

    def _line_of(self, ticker: str) -> Market | None:
        followed: Followed | None = self._books.by_ticker.get(ticker)
        return None if followed is None or followed.line < 0 else self.markets[followed.line]
