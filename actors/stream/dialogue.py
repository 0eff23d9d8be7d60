"""Our commands on one connection and the exchange's answers, errors among them.

What a lost subscription or a refused command means is decided by whoever derives from it.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from actors.stream.commands import Command, Commands
from actors.stream.connection import Connection, State
from actors.stream.subscriptions import Subscriptions
from actors.stream.tally import Tally
from actors.stream.wire import Link
from protocol.kalshi import frames
from protocol.kalshi.frames import (
    AnyFrame,
    Channel,
    ErrorFrame,
    Glance,
    OkFrame,
    SubscribedFrame,
    UnsubscribedFrame,
)
from protocol.kalshi.reading import printable
from protocol.limits import COMMAND_RETRY, LIST_INTERVAL
from protocol.machine import Effect, Report
from protocol.pulse import Pulse

TERMINAL: Final = frozenset({10, 25})  # the subscription is dead (FACTS.md section 4.1)
UNTRUSTED: Final = frozenset({17, 18})  # the subscription goes on, but something was not done
UNKNOWN_SID: Final = 7
UNAUTHORIZED: Final = 9
INVALID: Final = 11  # a parameter: a market that the exchange does not know
MARKETS_FULL: Final = 26
TOO_MANY: Final = 27


class Dialogue(ABC):
    """A link's commands and subscriptions."""

    def __init__(self, link: Link, pulse: Pulse, dice: random.Random, tally: Tally) -> None:
        self.link = link
        self.connection = Connection(link, pulse, dice)
        self.commands = Commands(link)
        self.subscriptions = Subscriptions()
        self.tally = tally
        self.stirred = False  # something other than plain data came: look at all timers
        self._list_at = 0
        self._gone_at: dict[Channel, int] = {}  # when a subscription of it ended, the last time

    # What the kinds of line differ in

    @abstractmethod
    def resubscribe(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        """A subscription is gone: ask for it anew, or give the connection up."""

    @abstractmethod
    def distrust(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        """Something of a channel was lost."""

    def begun(self, channel: Channel, sid: int) -> None:  # noqa: B027 - most need nothing
        """A subscription has its number: what comes by it counts from now on."""

    def completed(self, now: int, at: int, command: Command) -> list[Effect]:
        """A command has all of its answers."""
        return []

    def refused(
        self, now: int, at: int, command: Command | None, frame: ErrorFrame, what: str
    ) -> list[Effect]:
        """A command was refused, or something else went wrong."""
        return [Report(f"{self.link}: {command.name if command else ''} {what}")]

    @abstractmethod
    def give_up(self, now: int, at: int, reason: str) -> list[Effect]:
        """This connection can't be trusted any more; a new one will be opened."""

    # Answers

    def begin_again(self, now: int) -> None:
        """A new connection: nothing is subscribed on it."""
        self.subscriptions.clear()
        self.commands.clear()
        self._gone_at.clear()
        self._list_at = now + LIST_INTERVAL

    def answer(self, now: int, at: int, frame: AnyFrame) -> list[Effect]:
        """All that is not data."""
        self.stirred = True
        match frame:
            case OkFrame():
                return self._ok(now, at, frame)
            case ErrorFrame():
                return self._error(now, at, frame)
            case UnsubscribedFrame(id=id, sid=sid):
                command = self.commands.answered(id)
                channel = None if sid is None else self.subscriptions.channels.get(sid)
                if command is None and channel is not None:
                    return self._gone(now, at, channel, "unsubscribed, and we did not ask for it")
                return [] if command is None else self.completed(now, at, command)
            case Glance(type=kind):
                return self.tally.unknown(kind)
        return []

    def ask_list(self, now: int) -> None:
        """Which subscriptions does the exchange have? One that is gone would look quiet."""
        if self.connection.state is State.OPEN and now >= self._list_at:
            self._list_at = now + LIST_INTERVAL
            if self.commands.idle:
                self.commands.ask(Command("list_subscriptions"))

    def _subscribed(self, now: int, at: int, frame: SubscribedFrame) -> list[Effect]:
        self.stirred = True
        command = self.commands.begun(frame.id)
        if command is None or command.kind != "subscribe":
            self.tally.strays += 1
            return []
        effects: list[Effect] = []
        for channel in command.channels:
            if channel == frame.msg.channel:
                same = self.subscriptions.sids.get(channel, frame.msg.sid) == frame.msg.sid
                if same and not self.commands.counts(frame.id, channel):
                    self.tally.duplicates += 1
                    return []  # said a second time: its number goes on, and others are still due
                if not same:
                    effects += self.distrust(now, at, channel, "subscribed under another number")
                self.subscriptions.add(channel, frame.msg.sid, now)
                self.begun(channel, frame.msg.sid)
        return effects + self._completed(now, at, frame.id)

    def _completed(self, now: int, at: int, id: int | None) -> list[Effect]:
        command = self.commands.answered(id)
        return [] if command is None else self.completed(now, at, command)

    def _ok(self, now: int, at: int, frame: OkFrame) -> list[Effect]:
        command = self.commands.of(frame.id)
        if command is None:
            return []
        if command.kind == "list_subscriptions":
            self.commands.answered(frame.id)
            return self._listed(now, at, frame)
        alone = command.kind == "subscribe" and len(command.channels) == 1
        if alone and frame.sid is not None and frame.sid not in self.subscriptions.channels:
            # The exchange took it for an addition to a subscription that it still has.
            self.subscriptions.add(command.channels[0], frame.sid, now)
            self.begun(command.channels[0], frame.sid)
        return self._completed(now, at, frame.id)

    def _listed(self, now: int, at: int, frame: OkFrame) -> list[Effect]:
        there = frames.listed(frame)
        if there is None or not self.commands.idle:
            return []
        sids = {each.sid for each in there}
        gone = [c for c, sid in self.subscriptions.sids.items() if sid not in sids]
        effects: list[Effect] = []
        for channel in gone:
            self.tally.stalls_dead_subscription += 1
            effects += self._gone(now, at, channel, f"dead subscription: {channel} is not listed")
        return effects

    def _error(self, now: int, at: int, frame: ErrorFrame) -> list[Effect]:
        code = frame.msg.code
        what = f"error {code}: {printable(frame.msg.msg, 100)}"
        if frame.msg.named:
            what += f": {', '.join(frame.msg.named)[:200]}"
        command = self.commands.refused(frame.id)
        channel = None if frame.sid is None else self.subscriptions.channels.get(frame.sid)
        if code == TOO_MANY and command is not None:
            self.commands.ask_later(now, command)
            return [Report(f"{self.link}: {command.name} {what}")]
        if code == UNAUTHORIZED and command is None:
            return self.give_up(now, at, what)
        if code == UNKNOWN_SID and command is not None and command.kind != "unsubscribe":
            channel = self.subscriptions.channels.get(command.sid)
            code = min(TERMINAL)
        if channel is not None and code in TERMINAL:
            return self._gone(now, at, channel, what)
        effects = self.refused(now, at, command, frame, what)
        if channel is not None and code in UNTRUSTED:
            effects += self.distrust(now, at, channel, what)
        return effects

    def let_go(self, wanted: Iterable[Channel]) -> None:
        """End what is subscribed and not wanted any more."""
        kept = set(wanted)
        for channel, sid in list(self.subscriptions.sids.items()):
            if channel not in kept:
                self.subscriptions.drop(channel)
                self.commands.ask(Command("unsubscribe", (channel,), sid=sid))

    def _gone(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        """A subscription that the exchange does not have any more.

        One that ends again as soon as it is made is not made anew without a pause.
        """
        if now < self._gone_at.get(channel, 0) + 2 * COMMAND_RETRY:
            self.commands.slow_down(now)
        self._gone_at[channel] = now
        self.subscriptions.drop(channel)
        self.tally.resubscribed += 1
        self.stirred = True
        return self.resubscribe(now, at, channel, reason)
