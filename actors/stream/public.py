"""The public line: lives of markets and events, and whole channels if somebody wishes for them."""

import random
from collections.abc import Iterable
from typing import Final

from actors.stream.commands import Command
from actors.stream.freshness import HostClock
from actors.stream.line import Line
from actors.stream.subscriptions import Place
from actors.stream.tally import Tally
from protocol import topics
from protocol.envelope import Outbox
from protocol.errors import RemoteProtocolError
from protocol.kalshi import meaning
from protocol.kalshi.bodies import LifeBody
from protocol.kalshi.frames import (
    AnyFrame,
    Channel,
    ComboLifeFrame,
    ErrorFrame,
    EventFrame,
    FeeFrame,
    LifeFrame,
    TickerFrame,
    TradeFrame,
)
from protocol.machine import Effect, Publish, Report
from protocol.messages import AnyMessage, MarketChanged
from protocol.pulse import Pulse

LIVES: Final[tuple[Channel, ...]] = ("market_lifecycle_v2", "multivariate_market_lifecycle")


class Public(Line):
    """Nothing here is a book. `changed` and `missed` are for whoever decides what to follow."""

    def __init__(
        self,
        outbox: Outbox,
        pulse: Pulse,
        dice: random.Random,
        clock: HostClock,
        tally: Tally,
    ) -> None:
        super().__init__("public", pulse, dice, clock, tally)
        self.whole: tuple[Channel, ...] = ()  # channels that are wished for as a whole
        self.changed: list[MarketChanged] = []
        self.missed = True  # lives may have changed unheard
        self._outbox = outbox
        self._asked: set[Channel] = set()  # subscribed, or about to be
        self._refused: set[Channel] = set()

    def carry(self, whole: tuple[Channel, ...]) -> None:
        """Whole channels wished for from now on."""
        gone = [channel for channel in self.whole if channel not in whole]
        self.whole = whole
        if not self.connection.up:
            return
        self._asked.difference_update(gone)
        self.let_go((*LIVES, *whole))
        self._ask([channel for channel in whole if channel not in self._asked])

    def _ask(self, channels: Iterable[Channel]) -> None:
        """Each by itself: one that is refused must not cost the others."""
        for channel in channels:
            self._asked.add(channel)
            self.commands.ask(Command("subscribe", (channel,)))

    def subscribe(self, now: int, at: int) -> None:
        self._asked.clear()
        self._refused.clear()
        self.missed = True
        self._ask((*LIVES, *self.whole))

    def resubscribe(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        self.missed = True
        self.commands.ask(Command("subscribe", (channel,)))
        return [Report(f"{self.link}: {channel}: {reason}")]

    def completed(self, now: int, at: int, command: Command) -> list[Effect]:
        wanted = (*LIVES, *self.whole)
        self.let_go(wanted)  # they may have changed since it was asked for
        if all(c in self.subscriptions.sids or c in self._refused for c in wanted):
            self.connection.settled()
        return []

    def refused(
        self, now: int, at: int, command: Command | None, frame: ErrorFrame, what: str
    ) -> list[Effect]:
        effects = super().refused(now, at, command, frame, what)
        if command is not None and command.kind == "subscribe":
            self._refused.update(command.channels)
            self._asked.difference_update(command.channels)
            effects += self.completed(now, at, command)
        return effects

    def distrust(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        self.missed = True
        return []

    def misplaced(
        self, now: int, at: int, place: Place, frame: AnyFrame, out: list[Effect]
    ) -> None:
        """A hole can't be filled; which markets there are is looked up again."""
        self.stirred = self.missed = True
        self.take(now, at, frame, out)

    def take(self, now: int, at: int, frame: AnyFrame, out: list[Effect]) -> None:
        try:
            match frame:
                case TradeFrame(msg=body):
                    self.late(now, at, frame.sending_ts_ms, out)
                    topic = topics.trade(meaning.market_name(body.market_ticker))
                    self._publish(topic, meaning.trade(body, at), at, out)
                case TickerFrame(msg=body):
                    self.late(now, at, frame.sending_ts_ms, out)
                    topic = topics.quote(meaning.market_name(body.market_ticker))
                    self._publish(topic, meaning.quote(body, at), at, out)
                case LifeFrame(msg=body) | ComboLifeFrame(msg=body):
                    self._life(at, body, isinstance(frame, ComboLifeFrame), out)
                case EventFrame(msg=body):
                    event = meaning.event_changed(body, at)
                    self._publish(topics.event(event.event_ticker), event, at, out)
                case FeeFrame(msg=body):
                    fee = meaning.fee_changed(body, at)
                    self._publish(topics.event(fee.event_ticker), fee, at, out)
                case _:
                    out += self.answer(now, at, frame)
        except RemoteProtocolError as e:
            out += self.tally.bad(now, f"{self.link}: {e}")

    def _life(self, at: int, body: LifeBody, combo: bool, out: list[Effect]) -> None:
        changed = meaning.market_changed(body, combo, at)
        self.changed.append(changed)
        self.stirred = True
        self._publish(topics.market(changed.ticker), changed, at, out)

    def _publish(self, topic: str, body: AnyMessage, at: int, out: list[Effect]) -> None:
        self.tally.frames_applied += 1
        out.append(Publish(self._outbox.seal(topic, body, at)))
