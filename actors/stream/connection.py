"""The life of one socket: waiting, opening, subscribing, open; its silence, and the next try."""

import enum
import random
from typing import Final

from actors.stream.wire import CloseSocket, Link, OpenSocket, SendPing
from protocol.limits import (
    AUTH_RETRY,
    AUTH_TRIES_MAX,
    CLOCK_SKEW_MAX,
    CONNECT_MAX,
    MS,
    PAUSE_RETRY,
    PING_INTERVAL,
    PINGS_KEPT,
    RECONNECT_MAX,
    RECONNECT_MIN,
    REFUSED_RETRY,
    SECOND,
    SILENCE_GRACE,
    SILENCE_MAX,
    US,
)
from protocol.machine import Effect, Report
from protocol.messages import Signal
from protocol.pulse import Pulse

STEADY_AFTER: Final = 30 * SECOND  # a connection that lasted so long owes nothing to the last one
CLOSE_MAX: Final = 5 * SECOND  # then a socket counts as closed, whatever the shell says
UNAUTHORIZED: Final = 401
TOO_MANY: Final = 429


class State(enum.Enum):
    """Where a connection is in its life."""

    WAITING = enum.auto()
    OPENING = enum.auto()
    SUBSCRIBING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()


class Connection:
    """Opens one link, watches over it, and opens it again, later each time."""

    def __init__(self, link: Link, pulse: Pulse, dice: random.Random) -> None:
        self.link: Final = link
        self.state = State.WAITING
        self.why = "not opened yet"
        self.pause = ""  # why the exchange can't be expected to be there now
        self.heard_at = 0
        self.opens = 0  # sockets opened so far
        self.reconnects = 0
        self._pulse = pulse
        self._dice = dice
        self._deadline = 0  # of waiting, opening or closing
        self.took = 0  # nanoseconds, that the last handshake took
        self._began_at = 0
        self._opened_at = 0
        self._failures = 0
        self._refusals = 0  # handshakes in a row that were unauthorized
        self._cause = "started"
        self._ping_at = 0
        self._pinged = 0  # the number of the last ping
        self._pings: dict[int, int] = {}  # unanswered ones, and when they were sent

    @property
    def up(self) -> bool:
        """Whether frames may be sent, and those that arrive are looked at."""
        return self.state is State.SUBSCRIBING or self.state is State.OPEN

    @property
    def next_ping(self) -> int:
        """The number that the next ping will have."""
        return self._pinged + 1

    def silent(self, now: int) -> bool:
        """Whether nothing has come for so long, not even an answer to a ping, that it is dead."""
        return self.up and now >= self._due_at()

    def due(self, now: int, at: int, allowed: bool = True) -> list[Effect]:
        """Open it if it is time, ping, and give up what takes too long."""
        if now < self._due_at():
            return self._ping(now)
        match self.state:
            case State.WAITING:
                return self._open(now, at) if allowed else []
            case State.OPENING:
                return self.give_up(now, f"no handshake in {CONNECT_MAX // SECOND} s")
            case State.CLOSING:
                return self.ended(now, at, self._cause)
            case State.SUBSCRIBING | State.OPEN:
                return self.give_up(now, f"dead socket: silent for {SILENCE_MAX // SECOND} s")

    def deadline(self, allowed: bool = True) -> int | None:
        if self.up:
            return min(self._due_at(), self._ping_at)
        return None if self.state is State.WAITING and not allowed else self._due_at()

    def opened(self, now: int, at: int) -> list[Effect]:
        """The handshake is done. Nothing if it was given up meanwhile."""
        if self.state is not State.OPENING:
            return []
        self.state = State.SUBSCRIBING
        self.why = "subscribing"
        self._opened_at = self.heard_at = now
        self.took = now - self._began_at
        self._refusals = 0
        self.opens += 1
        self._ping_at = now
        self._pings.clear()
        return [
            self._pulse.signal(at, Signal("await_disconnect", "open", self.link)),
            Report(f"{self.link}: open"),
        ]

    def settled(self) -> None:
        """All that it should carry is subscribed."""
        self.state = State.OPEN
        self.why = ""

    def pong(self, now: int, number: int) -> int | None:
        """How long the answer to a ping took; None if nobody waits for it."""
        self.heard_at = now
        sent = self._pings.get(number)
        if sent is None:
            return None
        self._pings = {other: when for other, when in self._pings.items() if other > number}
        return now - sent

    def ping_soon(self) -> None:
        """A sign of life is wanted at once."""
        self._ping_at = 0

    def excuse(self, now: int) -> None:
        """It was we who did not run: what is waiting in the socket may still come."""
        self.heard_at = max(self.heard_at, now - SILENCE_MAX + SILENCE_GRACE)

    def paused(self, text: str) -> None:
        """Why the exchange can't be expected to be there now; "" if it can."""
        if text and not self.pause and self.state is State.WAITING:
            self.why = f"paused: {text}, {self.why}"
        self.pause = text

    def give_up(self, now: int, reason: str) -> list[Effect]:
        """End the socket ourselves. Nothing that still arrives on it counts."""
        if self.state is State.WAITING or self.state is State.CLOSING:
            return []
        self._weigh(now)
        self.state = State.CLOSING
        self.why = f"closing: {reason}"
        self._cause = reason
        self._deadline = now + CLOSE_MAX
        return [CloseSocket(self.link), Report(f"{self.link}: {reason}")]

    def ended(self, now: int, at: int, reason: str, status: int = 0, date: int = 0) -> list[Effect]:
        """The socket is no more, or never was: say why and when the next try is.

        `status` and `date` are those of a refused handshake, 0 where there was none.
        """
        if self.state is State.WAITING:
            return []
        if self.state is State.CLOSING:
            reason = self._cause  # we did it
        self._weigh(now)
        self.state = State.WAITING
        self._refusals = self._refusals + 1 if status == UNAUTHORIZED else 0
        skewed = bool(date) and abs(at - date) > (CLOCK_SKEW_MAX + SECOND) // US
        delay = self._delay(status, skewed)
        self._deadline = now + delay
        self._cause = reason
        when = f"in {delay / SECOND:.1f} s"
        self.why = f"reconnecting {when}: {reason}"
        if self.pause:
            self.why = f"paused: {self.pause}, reconnecting {when}"
        if self._refusals >= AUTH_TRIES_MAX:
            self.why = f"FAILED(auth: {reason}{_clock(at, date)})"
        return [
            self._pulse.signal(at, Signal("reconnect_scheduled", reason, f"{self.link} {when}")),
            Report(f"{self.link}: {self.why}", grave=self._refusals == AUTH_TRIES_MAX),
        ]

    def _open(self, now: int, at: int) -> list[Effect]:
        self.state = State.OPENING
        if self._refusals < AUTH_TRIES_MAX:
            self.why = "opening"
        self._began_at = now
        self._deadline = now + CONNECT_MAX
        self.reconnects += self._cause != "started"
        return [
            self._pulse.signal(at, Signal("connect", self._cause, self.link)),
            OpenSocket(self.link),
        ]

    def _ping(self, now: int) -> list[Effect]:
        if not self.up or now < self._ping_at:
            return []
        self._ping_at = now + PING_INTERVAL
        self._pinged += 1
        self._pings[self._pinged] = now
        if len(self._pings) > PINGS_KEPT:
            del self._pings[next(iter(self._pings))]
        return [SendPing(self.link, self._pinged)]

    def _weigh(self, now: int) -> None:
        """A connection that was steady makes the next failure the first one."""
        if self.up and now - self._opened_at >= STEADY_AFTER:
            self._failures = 0

    def _delay(self, status: int, skewed: bool) -> int:
        """Full jitter between the bounds, which double; the first retry is quick.

        Where the key is not accepted, we stop for long: to go on asking locks accounts. If it is
        our clock that explains it (`skewed`), we look sooner: it may be put right. Where the
        exchange pauses or has enough of us, we wait, and it does not count as a failure.
        """
        if self._refusals >= AUTH_TRIES_MAX:
            return RECONNECT_MAX if skewed else AUTH_RETRY
        if self.pause:
            return self._dice.randint(PAUSE_RETRY // MS // 2, PAUSE_RETRY // MS) * MS
        least = REFUSED_RETRY if status == TOO_MANY else RECONNECT_MIN
        most = min(RECONNECT_MAX, (2 * least) << min(self._failures, 16))
        self._failures += 1
        return self._dice.randint(least // MS, most // MS) * MS

    def _due_at(self) -> int:
        return self.heard_at + SILENCE_MAX if self.up else self._deadline


def _clock(at: int, date: int) -> str:
    """What a refused handshake tells about our clock (FACTS.md section 2)."""
    if not date:
        return ""
    ahead = (at - date) // 1_000_000
    if abs(ahead) <= CLOCK_SKEW_MAX // SECOND:
        return "; our clock is right"
    return f"; our clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} the exchange's"


assert CLOCK_SKEW_MAX > 1_000_000 * US, "a date says whole seconds"
