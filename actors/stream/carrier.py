"""What a market line has in common with no other: markets, spread over commands and channels."""

import random
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from actors.stream.books import Followed
from actors.stream.commands import Command, Kind
from actors.stream.connection import State
from actors.stream.dialogue import INVALID, MARKETS_FULL
from actors.stream.freshness import HostClock
from actors.stream.line import Line
from actors.stream.tally import Tally
from actors.stream.wire import Link
from protocol.kalshi.frames import Channel, ErrorFrame
from protocol.limits import TICKERS_A_COMMAND, UNNAMED_MAX
from protocol.machine import Effect
from protocol.pulse import Pulse

BOOKS: Final[Channel] = "orderbook_delta"
CHANNELS: Final[tuple[Channel, ...]] = (BOOKS, "trade", "ticker")


class Carrier(Line):
    """Subscribes its markets in pieces, adds and removes them while the others go on."""

    channels = CHANNELS

    def __init__(
        self, link: Link, pulse: Pulse, dice: random.Random, clock: HostClock, tally: Tally
    ) -> None:
        super().__init__(link, pulse, dice, clock, tally)
        self.capacity: int | None = None  # tickers, if the exchange lets us have fewer
        self.markets: dict[str, Followed] = {}
        self._asked: dict[Channel, dict[str, None]] = {}  # subscribed, or about to be
        self._unnamed = 0  # markets refused without a name, since a command was done

    @property
    def allowed(self) -> bool:
        return bool(self.markets)

    def why_not(self) -> str:
        return super().why_not() if self.markets else ""

    def add(self, followed: Iterable[Followed]) -> None:
        """Carry these, too."""
        for each in followed:
            self.markets[each.ticker] = each
        if self.connection.state is State.OPEN:
            self._ask_rest()
        elif self.connection.up and not self._asked:
            self._subscribe()

    def remove(self, tickers: Sequence[str]) -> None:
        """Carry these no more; the frames of the others go on."""
        for ticker in tickers:
            self.markets.pop(ticker, None)
        for channel, asked in self._asked.items():
            gone = [ticker for ticker in tickers if asked.pop(ticker, "") is None]
            self._change("delete_markets", channel, gone)

    def carry(self, channels: tuple[Channel, ...]) -> None:
        """Which channels this line carries of its markets: some may come as a whole elsewhere.

        Markets that the exchange did not know before are asked for again.
        """
        self.channels = channels
        for channel in [c for c in self._asked if c not in channels]:
            del self._asked[channel]
        self.let_go(channels)
        if self.connection.state is State.OPEN:
            self._ask_rest()

    def _subscribe(self) -> None:
        """The first command makes the subscriptions; the other markets are added to them."""
        first = tuple(islice(self.markets, TICKERS_A_COMMAND))
        if first:
            self.commands.ask(Command("subscribe", self.channels, first))
            self._asked = {channel: dict.fromkeys(first) for channel in self.channels}

    def _ask_rest(self) -> None:
        """Every channel gets the markets that it has not been asked for yet."""
        for channel in self.channels:
            asked = self._asked.setdefault(channel, {})
            rest = [ticker for ticker in self.markets if ticker not in asked]
            if not rest:
                continue
            if channel in self.subscriptions.sids:
                self._change("add_markets", channel, rest)
                asked.update(dict.fromkeys(rest))
            elif not asked:
                first = tuple(rest[:TICKERS_A_COMMAND])
                self.commands.ask(Command("subscribe", (channel,), first))
                asked.update(dict.fromkeys(first))

    def _change(self, kind: Kind, channel: Channel, tickers: Sequence[str]) -> None:
        sid = self.subscriptions.sids.get(channel)
        for piece in pieces(tickers) if sid is not None else ():
            self.commands.ask(Command(kind, (channel,), piece, sid or 0))

    def refused(
        self, now: int, at: int, command: Command | None, frame: ErrorFrame, what: str
    ) -> list[Effect]:
        """Markets that the error names are to blame; the others of the command are asked again.

        If it names none, they are found out by halves.
        """
        code, named = frame.msg.code, set(frame.msg.named)
        asked = command if command is not None and self._asks_for_markets(command) else None
        if asked is not None and code == INVALID and not named:
            if len(asked.tickers) == 1:
                self._unnamed += 1
                named = set(asked.tickers)
                what = f"{what}: {asked.tickers[0]}"
            elif self._unnamed < UNNAMED_MAX:
                self._halve(asked)
                return []
        known = [each.refused for t in named if (each := self.markets.get(t)) is not None]
        effects: list[Effect] = []
        if not known or not all(known):  # else it has been said
            effects = super().refused(now, at, command, frame, what)
        if asked is None:
            return effects
        if code == MARKETS_FULL:
            return effects + self._full(now, at, asked, what)
        return effects + self._without(now, at, asked, named, what)

    def _asks_for_markets(self, command: Command) -> bool:
        """Those of a subscription that has ended are asked for with the new one."""
        ended = command.sid not in self.subscriptions.channels
        return command.kind == "subscribe" or (command.kind == "add_markets" and not ended)

    def _halve(self, command: Command) -> None:
        """Ask for each half by itself; a subscription begins with the first."""
        half = len(command.tickers) // 2
        first, second = command.tickers[:half], command.tickers[half:]
        self.commands.ask(replace(command, tickers=first))
        if command.kind == "add_markets":
            self.commands.ask(replace(command, tickers=second))
        else:  # they are added once there is something to add them to
            self._ask_no_more(command, second)

    def _without(
        self, now: int, at: int, command: Command, named: set[str], what: str
    ) -> list[Effect]:
        """Ask again without those that are named. A subscription begins with others if need be."""
        blamed = named.intersection(command.tickers)
        subscribe, books = command.kind == "subscribe", BOOKS in command.channels
        if books:
            self.unknown(blamed, what)
        if books or not subscribe:  # else it would begin with them again, and not get past them
            self._ask_no_more(command, blamed or command.tickers)
        rest: tuple[str, ...] = ()
        if blamed:  # else it is not about markets
            rest = tuple(t for t in command.tickers if t not in blamed and t in self.markets)
            if not rest and subscribe:
                rest = self._others(command.channels)
        if rest:
            self.commands.ask(replace(command, tickers=rest))
        elif subscribe:
            return self.give_up(now, at, f"subscribe: {what}")
        return []

    def _others(self, channels: tuple[Channel, ...]) -> tuple[str, ...]:
        """Markets that these channels have not been asked for, to begin with; now they are."""
        asked = [self._asked.setdefault(channel, {}) for channel in channels]
        free = (
            ticker
            for ticker, each in self.markets.items()
            if not each.refused and not any(ticker in tickers for tickers in asked)
        )
        others = dict.fromkeys(islice(free, TICKERS_A_COMMAND))
        for tickers in asked:
            tickers.update(others)
        return tuple(others)

    def _ask_no_more(self, command: Command, tickers: Iterable[str]) -> None:
        for channel in command.channels:
            asked = self._asked.get(channel, {})
            for ticker in tickers:
                asked.pop(ticker, None)

    @abstractmethod
    def unknown(self, tickers: Iterable[str], why: str) -> None:
        """The exchange says that there are no such markets."""

    def _full(self, now: int, at: int, command: Command, what: str) -> list[Effect]:
        """The exchange takes no more on this subscription: others have to carry the rest."""
        if command.kind == "subscribe":
            self.capacity = max(len(command.tickers) // 2, 1)
            return self.give_up(now, at, what)
        self._ask_no_more(command, command.tickers)
        self.capacity = min(len(asked) for asked in self._asked.values())
        return []


def pieces(tickers: Sequence[str]) -> list[tuple[str, ...]]:
    """As many as fit into one command each."""
    step = TICKERS_A_COMMAND
    return [tuple(tickers[i : i + step]) for i in range(0, len(tickers), step)]
