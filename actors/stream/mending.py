"""What a market line does about its books that are lost, or may be wrong, between the frames.

Each loss is answered by the weakest means that may help, and by a stronger one each time that it
did not: snapshots, a new subscription, a new connection.
"""

import random
from collections.abc import Iterable, Sequence

from actors.stream.books import Books, Followed
from actors.stream.carrier import BOOKS, Carrier, pieces
from actors.stream.commands import Command
from actors.stream.freshness import HostClock, Verdict
from actors.stream.probe import Probe
from actors.stream.recovery import Recovery, Turn
from actors.stream.tally import Tally
from actors.stream.wire import Link
from protocol.kalshi.frames import Channel
from protocol.limits import CROSSED_MAX, DIVERGED_WINDOW
from protocol.machine import Effect, Report
from protocol.pulse import Pulse


class Mending(Carrier):
    """Asks for the snapshots of its books, and probes a subscription that says nothing."""

    def __init__(
        self,
        link: Link,
        books: Books,
        pulse: Pulse,
        dice: random.Random,
        clock: HostClock,
        tally: Tally,
    ) -> None:
        super().__init__(link, pulse, dice, clock, tally)
        self._books = books
        self._book_sid = -1
        self._recovery = Recovery()
        self._probe = Probe()
        self._diverged: list[int] = []  # when books were found to be wrong without a gap
        self._crossed: dict[str, int] = {}  # since when

    # Subscriptions

    def subscribe(self, now: int, at: int) -> None:
        self._asked.clear()
        self._unnamed = 0
        self._book_sid = -1
        self._recovery.clear()
        self._probe.clear()
        self._crossed.clear()
        self._books.await_again(self.markets.values())
        self._subscribe()

    def begun(self, channel: Channel, sid: int) -> None:
        if channel == BOOKS:
            self._book_sid = sid

    def completed(self, now: int, at: int, command: Command) -> list[Effect]:
        self._unnamed = 0
        if command.kind == "subscribe":
            self.connection.settled()
            self.let_go(self.channels)  # they may have changed since it was asked for
            if BOOKS in command.channels:
                self._recovery.expect(now, self._books.snapshots)
            self._ask_rest()
        books = command.kind == "add_markets" and BOOKS in command.channels
        if books and self._recovery.deadline is None:
            self._recovery.expect(now, self._books.snapshots)
        return []

    def remove(self, tickers: Sequence[str]) -> None:
        super().remove(tickers)
        for ticker in tickers:
            self._crossed.pop(ticker, None)
            self._probe.forget(ticker)

    def unknown(self, tickers: Iterable[str], why: str) -> None:
        for followed in [self.markets[t] for t in tickers if t in self.markets]:
            self._books.refuse(followed, f"refused by the exchange: {why}")

    # Losing books and getting them back

    def aged(self, at: int) -> list[Effect]:
        return self._books.age(self.markets.values(), self.fresh.reason, at)

    def lost(self, now: int, at: int, reason: str) -> list[Effect]:
        return self._books.lose(self.markets.values(), reason, at)

    def distrust(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        if channel == BOOKS:
            return self._distrust(now, at, reason)
        return []  # a hole in prints or quotes can't be filled; that it was there is counted

    def resubscribe(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        effects: list[Effect] = [Report(f"{self.link}: {channel}: {reason}")]
        self._asked.pop(channel, None)
        if channel == BOOKS:
            effects += self.lost(now, at, reason)
            self._books.await_again(self.markets.values())
            self._book_sid = -1
            self._probe.clear()
            self._recovery.resubscribed(now, self._books.snapshots)
        if channel in self.channels:
            self._ask_rest()
        return effects

    def distrust_one(self, now: int, at: int, ticker: str, reason: str) -> list[Effect]:
        """One book is wrong, says an audit."""
        followed = self.markets.get(ticker)
        return [] if followed is None else self._distrust_one(now, at, followed, reason)

    def _distrust(self, now: int, at: int, reason: str) -> list[Effect]:
        """Every book of the subscription is lost, whichever market the missing frame was of."""
        self.stirred = True
        effects = self.lost(now, at, reason)
        if effects:
            effects.append(Report(f"{self.link}: books: {reason}"))
        return effects + self._ask_soon(now)

    def _distrust_one(self, now: int, at: int, followed: Followed, reason: str) -> list[Effect]:
        self.stirred = True
        self._crossed.pop(followed.ticker, None)
        return [
            *self._books.lose([followed], reason, at),
            Report(f"{followed.topic}: {reason}"),
            *self._ask_soon(now),
        ]

    def _deviates(self, now: int, at: int, reason: str) -> list[Effect]:
        """Something was lost without a gap: each time a stronger means."""
        self.tally.divergences += 1
        self._diverged = [then for then in self._diverged if then > now - DIVERGED_WINDOW]
        self._diverged.append(now)
        match len(self._diverged):
            case 1:
                return self._distrust(now, at, reason)
            case 2:
                return self._renew(now, at, reason)
        self._diverged.clear()
        return self.give_up(now, at, f"dead subscription: {reason}")

    def _renew(self, now: int, at: int, reason: str) -> list[Effect]:
        """Give the book subscription back and make it anew."""
        sid = self.subscriptions.sids.get(BOOKS)
        if sid is not None:
            self.commands.ask(Command("unsubscribe", (BOOKS,), sid=sid))
        return self._gone(now, at, BOOKS, reason)

    def _ask_soon(self, now: int) -> list[Effect]:
        if not self.connection.up:
            return []  # the next connection brings all
        turn = self._recovery.lost(now, self._books.snapshots)
        return self._ask_snapshots(now) if turn is Turn.ASK else []

    def _missing(self, now: int) -> list[str]:
        asked = self._asked.get(BOOKS, {})
        return [
            ticker
            for ticker, followed in self.markets.items()
            if not followed.live and ticker in asked and now >= followed.held_until
        ]

    def _ask_snapshots(self, now: int) -> list[Effect]:
        self._recovery.asked(now, self._books.snapshots)
        if self._book_sid < 0:
            return []  # it is being subscribed: they come by themselves
        commands = (
            Command("get_snapshot", (BOOKS,), piece, self._book_sid)
            for piece in pieces(self._missing(now))
        )
        return [self.commands.send_unanswered(command)[1] for command in commands]

    def look(self, now: int, at: int) -> list[Effect]:
        effects = self._look_at_crossed(now, at)
        effects += self._look_at_quiet(now, at)
        if not self.connection.up or self._recovery.deadline is None:
            return effects
        if now < self._recovery.deadline:
            return effects
        return effects + self._recover(now, at)

    def _recover(self, now: int, at: int) -> list[Effect]:
        missing = self._missing(now)
        waiting = not self.commands.idle
        match self._recovery.look(now, bool(missing), waiting, self._books.snapshots):
            case Turn.NOTHING:
                if not missing:
                    held = (each.held_until for each in self.markets.values() if not each.live)
                    self._recovery.rest(min((until for until in held if until > now), default=None))
                return []
            case Turn.ASK:
                return self._ask_snapshots(now)
            case turn:
                reason = "dead subscription: no snapshot comes"
        had = [self.markets[ticker] for ticker in missing]
        if all(each.standing == "awaited" for each in had) and len(had) < len(self.markets):
            effects = self._ask_snapshots(now)
            self._recovery.slowly(now)  # a market without a book must not cost the others theirs
            return effects
        self.tally.stalls_dead_subscription += 1
        if turn is Turn.RESUBSCRIBE:
            return self._renew(now, at, reason)
        return self.give_up(now, at, reason)

    def _look_at_crossed(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        for ticker, since in list(self._crossed.items()):
            if not self.markets[ticker].live:
                del self._crossed[ticker]  # it is lost already, and why has been said
            elif now >= since + CROSSED_MAX:
                self.tally.crossed += 1
                effects += self.distrust_one(now, at, ticker, "crossed")
        return effects

    def _look_at_quiet(self, now: int, at: int) -> list[Effect]:
        """A book subscription that says nothing: is its market quiet, or is it dead?"""
        heard = self.subscriptions.heard_at(BOOKS)
        if heard is None or self._book_sid < 0:
            return []
        failed = self._probe.failed(now, heard, self.connection.heard_at)
        if failed and not self._late:  # else it still is, and is asked again
            self.tally.stalls_dead_subscription += 1
            return self._deviates(now, at, "dead subscription: no answer to a probe")
        live = (ticker for ticker, each in self.markets.items() if each.live)
        ticker = self._probe.next(now, heard, self._late, live)
        if ticker is None:
            return []
        command = Command("get_snapshot", (BOOKS,), (ticker,), self._book_sid)
        id, effect = self.commands.send_unanswered(command)
        self._probe.sent(now, id, ticker)
        return [effect]

    @property
    def _late(self) -> bool:
        return self.fresh.verdict is Verdict.LATE

    def deadlines(self) -> list[int | None]:
        found = [self._recovery.deadline]
        heard = self.subscriptions.heard_at(BOOKS)
        if heard is not None:
            found.append(self._probe.deadline(heard, self.connection.heard_at, self._late))
        found += [since + CROSSED_MAX for since in self._crossed.values()]
        return found
