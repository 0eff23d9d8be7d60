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
from actors.stream.dialogue import MARKETS_FULL
from actors.stream.freshness import HostClock
from actors.stream.line import Line
from actors.stream.tally import Tally
from actors.stream.wire import Link
from protocol.kalshi.frames import Channel, ErrorFrame
from protocol.limits import TICKERS_A_COMMAND
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
        """Markets that the error names are to blame; the others of the command are asked again."""
        named = set(frame.msg.named)
        known = [each.refused for t in named if (each := self.markets.get(t)) is not None]
        effects: list[Effect] = []
        if not known or not all(known):  # else it has been said
            effects = super().refused(now, at, command, frame, what)
        if command is None or command.kind not in ("subscribe", "add_markets"):
            return effects
        if command.kind == "add_markets" and command.sid not in self.subscriptions.channels:
            return effects  # the subscription has ended: these were asked for with the new one
        if frame.msg.code == MARKETS_FULL:
            return effects + self._full(now, at, command, what)
        if BOOKS in command.channels:
            self.unknown(named.intersection(command.tickers), what)
        rest = tuple(ticker for ticker in command.tickers if ticker not in named)
        if len(rest) == len(command.tickers):
            rest = ()  # it does not say which ones are to blame: then all are
        if command.kind == "subscribe" and not rest:
            return effects + self.give_up(now, at, f"subscribe: {what}")
        for channel in command.channels:
            for ticker in set(command.tickers) - set(rest):
                # Asked for again with the next list of markets.
                self._asked.get(channel, {}).pop(ticker, None)
        if rest:
            self.commands.ask(replace(command, tickers=rest))
        return effects

    @abstractmethod
    def unknown(self, tickers: Iterable[str], why: str) -> None:
        """The exchange says that there are no such markets."""

    def _full(self, now: int, at: int, command: Command, what: str) -> list[Effect]:
        """The exchange takes no more on this subscription: others have to carry the rest."""
        if command.kind == "subscribe":
            self.capacity = max(len(command.tickers) // 2, 1)
            return self.give_up(now, at, what)
        for channel in command.channels:
            asked = self._asked.get(channel, {})
            for ticker in command.tickers:
                asked.pop(ticker, None)
        self.capacity = min(len(asked) for asked in self._asked.values())
        return []


def pieces(tickers: Sequence[str]) -> list[tuple[str, ...]]:
    """As many as fit into one command each."""
    step = TICKERS_A_COMMAND
    return [tuple(tickers[i : i + step]) for i in range(0, len(tickers), step)]
