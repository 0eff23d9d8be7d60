"""One connection to the exchange: what is subscribed on it, in order, and whether it is of now.

What all connections have in common is here; what one carries is decided by whoever derives from
it (`market.py`, `public.py`, `private.py`).
"""

import random
from typing import Final

from actors.stream.commands import Command, Commands
from actors.stream.connection import Connection, State
from actors.stream.freshness import Freshness, HostClock, Verdict
from actors.stream.subscriptions import Place, Subscriptions
from actors.stream.tally import Tally
from actors.stream.wire import Link
from protocol.errors import RemoteProtocolError
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
from protocol.limits import LATE_CURE, LIST_INTERVAL
from protocol.machine import Effect, Report
from protocol.pulse import Pulse

TERMINAL: Final = frozenset({10, 25})  # the subscription is dead (FACTS.md section 4.1)
UNTRUSTED: Final = frozenset({17, 18})  # the subscription goes on, but something was not done
UNKNOWN_SID: Final = 7
UNAUTHORIZED: Final = 9
MARKETS_FULL: Final = 26
TOO_MANY: Final = 27


class Line:
    """A link. `channels` are those it may carry."""

    channels: tuple[Channel, ...] = ()

    def __init__(
        self, link: Link, pulse: Pulse, dice: random.Random, clock: HostClock, tally: Tally
    ) -> None:
        self.link = link
        self.connection = Connection(link, pulse, dice)
        self.fresh = Freshness(clock)
        self.commands = Commands(link)
        self.subscriptions = Subscriptions()
        self.tally = tally
        self.stirred = False  # something other than plain data came: look at all timers
        self._list_at = 0

    # What the kinds of line differ in

    def subscribe(self, now: int, at: int) -> None:
        """Ask for all that this line should carry, on a new connection."""
        raise NotImplementedError

    def resubscribe(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        """A subscription is gone: ask for it anew, or give the connection up."""
        raise NotImplementedError

    def take(self, now: int, at: int, frame: AnyFrame, out: list[Effect]) -> None:
        """A frame that follows the one before it."""
        raise NotImplementedError

    def misplaced(
        self, now: int, at: int, place: Place, frame: AnyFrame, out: list[Effect]
    ) -> None:
        """A frame after a hole, or out of order."""
        raise NotImplementedError

    def distrust(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        """Something of a channel was lost."""
        raise NotImplementedError

    def aged(self, at: int) -> list[Effect]:
        """What comes is late, or is not any more: say so of all that rests on it."""
        return []

    def lost(self, now: int, at: int, reason: str) -> list[Effect]:
        """The connection is no more."""
        return []

    def look(self, now: int, at: int) -> list[Effect]:
        """Whatever is due in the subscriptions of an open connection."""
        return []

    def completed(self, now: int, at: int, command: Command) -> list[Effect]:
        """A command has all of its answers."""
        return []

    def refused(
        self, now: int, at: int, command: Command | None, frame: ErrorFrame, what: str
    ) -> list[Effect]:
        """A command was refused, or something else went wrong."""
        return [Report(f"{self.link}: {command.name if command else ''} {what}")]

    @property
    def allowed(self) -> bool:
        """Whether a connection may be opened now."""
        return True

    def deadlines(self) -> list[int | None]:
        """Timers of its own, of an open connection."""
        return []

    # Life

    def due(self, now: int, at: int) -> list[Effect]:
        """Open, ping, subscribe, ask again, give up: whatever is due."""
        effects: list[Effect] = []
        was_up = self.connection.up
        if was_up:
            self.fresh.turn(now)
            effects += self._cure(now, at)
            effects += self.look(now, at)
            self._ask_list(now)
            late = self.commands.late(now)
            if late is not None:
                self.tally.stalls_dead_subscription += 1
                effects += self.give_up(now, at, f"dead subscription: {late.name}: unanswered")
            elif self.connection.up:
                effects += self.commands.due(now)
        effects += self.connection.due(now, at, self.allowed)
        if was_up and not self.connection.up:
            self.tally.stalls_dead_socket += "dead socket" in self.connection.why
            effects += self.lost(now, at, self.connection.why)
        return effects

    def deadline(self) -> int | None:
        found = [self.connection.deadline(self.allowed)]
        if self.connection.up:
            found += [self.commands.deadline(), *self.deadlines()]
        if self.connection.state is State.OPEN:
            found.append(self._list_at)
        return min((d for d in found if d is not None), default=None)

    def opened(self, now: int, at: int, date: int) -> list[Effect]:
        effects = self.connection.opened(now, at)
        if effects:
            self.subscriptions.clear()
            self.commands.clear()
            self.fresh.opened(now, at, date, self.connection.took)
            self._list_at = now + LIST_INTERVAL
            self.subscribe(now, at)
        return effects

    def ended(self, now: int, at: int, reason: str, status: int = 0, date: int = 0) -> list[Effect]:
        return self.lost(now, at, reason) + self.connection.ended(now, at, reason, status, date)

    def give_up(self, now: int, at: int, reason: str) -> list[Effect]:
        """This connection can't be trusted any more; a new one will be opened."""
        return self.connection.give_up(now, reason) + self.lost(now, at, reason)

    def ponged(self, now: int, at: int, number: int) -> list[Effect]:
        """The exchange has answered a ping."""
        took = self.connection.pong(now, number)
        if took is not None and self.connection.up and self.fresh.pong(now, at, number, took):
            self.stirred = True
            return self.aged(at)
        return []

    def suspect(self, now: int, at: int, verdict: Verdict, detail: str) -> list[Effect]:
        """What comes may be old, until the exchange answers a ping that is sent from now on."""
        if not self.connection.up:
            return []
        self.connection.excuse(now)
        self.connection.ping_soon()
        self.stirred = True
        news = self.fresh.suspect(now, verdict, detail, self.connection.next_ping)
        return self.aged(at) if news else []

    def why_not(self) -> str:
        """Why this line can't be relied on; "" if it can."""
        if self.connection.state is not State.OPEN:
            return self.connection.why
        return self.fresh.reason

    # Frames

    def frames(self, now: int, at: int, raws: list[bytes], waited: int) -> list[Effect]:
        """Take what came in one go."""
        out: list[Effect] = []
        if not self.connection.up:
            return out
        self.connection.heard_at = now
        self.tally.frames_in += len(raws)
        if waited and self.fresh.waited(now, waited, self.connection.next_ping):
            self.tally.stalls_slow += 1
            self.stirred = True
            self.connection.ping_soon()
            out += self.aged(at)
        for raw in raws:
            self.frame(now, at, raw, out)
            if not self.connection.up:
                return out
        if self.fresh.verdict is None:
            self.fresh.as_of = at
        return out

    def frame(self, now: int, at: int, raw: bytes, out: list[Effect]) -> None:
        """Take one message."""
        try:
            frame = frames.decode(raw)
        except RemoteProtocolError as e:
            out += self._malformed(now, at, raw, str(e))
            return
        self.sort(now, at, raw, frame, out)

    def sort(self, now: int, at: int, raw: bytes, frame: AnyFrame, out: list[Effect]) -> None:
        """Its number is looked at first, whatever it is."""
        if isinstance(frame, SubscribedFrame):
            out += self._subscribed(now, at, frame)
            return
        sid = frame.sid
        if sid is None:
            out += self.answer(now, at, frame)
        elif sid not in self.subscriptions.channels:
            self.tally.strays += 1
            out += self.answer(now, at, frame)
        else:
            place = self.subscriptions.admit(now, sid, frame.seq, raw)
            if place is Place.NEXT:
                self.take(now, at, frame, out)
            else:
                self._count(place)
                if place is not Place.DUPLICATE:
                    self.misplaced(now, at, place, frame, out)

    def late(self, now: int, at: int, sent_ms: int | None, out: list[Effect]) -> None:
        """Look at how long a frame was on its way: `sent_ms` is the exchange's time of it."""
        if not sent_ms:
            return
        fresh = self.fresh
        delay = at - sent_ms * 1_000
        if delay > fresh.above or delay < fresh.below or fresh.verdict is not None:
            was = fresh.verdict
            if fresh.delayed(now, at, delay, self.connection.next_ping):
                self.stirred = True
                self.tally.stalls_late += was is None
                if fresh.verdict is not None:
                    self.connection.ping_soon()
                out += self.aged(at)

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

    # Inside

    def _count(self, place: Place) -> None:
        self.tally.duplicates += place is Place.DUPLICATE
        self.tally.gaps += place is Place.GAP
        self.tally.out_of_order += place is Place.OUT_OF_ORDER

    def _cure(self, now: int, at: int) -> list[Effect]:
        """Late, or slow, for long: a new connection leaves the backlog behind."""
        stuck = self.fresh.verdict in (Verdict.LATE, Verdict.SLOW)
        if not stuck or now < self.fresh.since + LATE_CURE:
            return []
        return self.give_up(now, at, f"{self.fresh.reason}: the backlog is left behind")

    def _ask_list(self, now: int) -> None:
        """Which subscriptions does the exchange have? One that is gone would look quiet."""
        if self.connection.state is State.OPEN and now >= self._list_at:
            self._list_at = now + LIST_INTERVAL
            if self.commands.idle:
                self.commands.ask(Command("list_subscriptions"))

    def _subscribed(self, now: int, at: int, frame: SubscribedFrame) -> list[Effect]:
        self.stirred = True
        command = self.commands.of(frame.id)
        if command is None or command.kind != "subscribe":
            self.tally.strays += 1
            return []
        for channel in command.channels:
            if channel == frame.msg.channel:
                self.subscriptions.add(channel, frame.msg.sid, now)
        return self._completed(now, at, frame.id)

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
        what = f"error {code}: {frame.msg.msg[:100]}"
        command = self.commands.refused(frame.id)
        channel = None if frame.sid is None else self.subscriptions.channels.get(frame.sid)
        if code == TOO_MANY and command is not None:
            self.commands.ask_later(now, command)
            return [Report(f"{self.link}: {command.name} {what}")]
        if code == UNAUTHORIZED:
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

    def _gone(self, now: int, at: int, channel: Channel, reason: str) -> list[Effect]:
        """A subscription that the exchange does not have any more."""
        self.subscriptions.drop(channel)
        self.tally.resubscribed += 1
        self.stirred = True
        return self.resubscribe(now, at, channel, reason)

    def _malformed(self, now: int, at: int, raw: bytes, reason: str) -> list[Effect]:
        """What a malformed frame said is lost: so is all that may rest on it."""
        self.stirred = True
        effects = self.tally.bad(now, f"{self.link}: {reason}")
        try:
            outside = frames.glance(raw)
        except RemoteProtocolError:
            return effects + self.give_up(now, at, f"malformed {reason}")
        channel = None if outside.sid is None else self.subscriptions.channels.get(outside.sid)
        if outside.sid is None or channel is None:
            return effects + self.give_up(now, at, f"malformed {reason}")
        self.subscriptions.admit(now, outside.sid, outside.seq, raw)
        return effects + self.distrust(now, at, channel, f"malformed {reason}")
