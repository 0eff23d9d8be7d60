"""One connection to the exchange: what is subscribed on it, in order, and whether it is of now.

What all connections have in common is here; what one carries is decided by whoever derives from
it (`market.py`, `public.py`, `private.py`).
"""

import random
from abc import abstractmethod

from actors.stream.connection import State
from actors.stream.dialogue import Dialogue
from actors.stream.freshness import Freshness, HostClock, Verdict
from actors.stream.subscriptions import Place
from actors.stream.tally import Tally
from actors.stream.wire import Link
from protocol.errors import RemoteProtocolError
from protocol.kalshi import frames
from protocol.kalshi.frames import (
    AnyFrame,
    Channel,
    SubscribedFrame,
)
from protocol.limits import LATE_CURE
from protocol.machine import Effect
from protocol.pulse import Pulse


class Line(Dialogue):
    """A link. `channels` are those it may carry."""

    channels: tuple[Channel, ...] = ()
    pongs_queue = True  # whether a pong in time proves that data is in time

    def __init__(
        self, link: Link, pulse: Pulse, dice: random.Random, clock: HostClock, tally: Tally
    ) -> None:
        super().__init__(link, pulse, dice, tally)
        self.fresh = Freshness(clock, self.pongs_queue)

    # What the kinds of line differ in

    @abstractmethod
    def subscribe(self, now: int, at: int) -> None:
        """Ask for all that this line should carry, on a new connection."""

    @abstractmethod
    def take(self, now: int, at: int, frame: AnyFrame, out: list[Effect]) -> None:
        """A frame that follows the one before it."""

    @abstractmethod
    def misplaced(
        self, now: int, at: int, place: Place, frame: AnyFrame, out: list[Effect]
    ) -> None:
        """A frame after a hole, or out of order."""

    def aged(self, at: int) -> list[Effect]:
        """What comes is late, or is not any more: say so of all that rests on it."""
        return []

    def lost(self, now: int, at: int, reason: str) -> list[Effect]:
        """The connection is no more."""
        return []

    def look(self, now: int, at: int) -> list[Effect]:
        """Whatever is due in the subscriptions of an open connection."""
        return []

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
        if self.connection.up:
            effects += self.look(now, at)
            self.ask_list(now)
            late = self.commands.late(now)
            if late is not None:
                self.tally.stalls_dead_subscription += 1
                effects += self.give_up(now, at, f"dead subscription: {late.name}: unanswered")
            elif self.connection.up:
                effects += self.commands.due(now)
        self.tally.stalls_dead_socket += self.connection.silent(now)
        effects += self.connection.due(now, at, self.allowed)
        if was_up and not self.connection.up:
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
            self.begin_again(now)
            self.fresh.opened(now, at, date, self.connection.took)
            self.subscribe(now, at)
        return effects

    def ended(self, now: int, at: int, reason: str, status: int = 0, date: int = 0) -> list[Effect]:
        return self.lost(now, at, reason) + self.connection.ended(now, at, reason, status, date)

    def give_up(self, now: int, at: int, reason: str) -> list[Effect]:
        """This connection can't be trusted any more; a new one will be opened."""
        self.stirred = True
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
            if self.stirred and not self.connection.up:
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
