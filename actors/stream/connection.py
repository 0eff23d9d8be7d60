"""The life of one socket: waiting, opening, subscribing, open; silence, and when to try again."""

import enum
import random
from typing import Final

from actors.stream.wire import CloseSocket, Link, OpenSocket
from protocol.limits import (
    AUTH_TRIES_MAX,
    CONNECT_MAX,
    MS,
    RECONNECT_MAX,
    RECONNECT_MIN,
    SECOND,
    SILENCE_MAX,
)
from protocol.machine import Effect, Report
from protocol.messages import Signal
from protocol.pulse import Pulse

STEADY_AFTER: Final = 30 * SECOND  # a connection that lasted so long owes nothing to the last one
CLOSE_MAX: Final = 5 * SECOND  # then a socket counts as closed, whatever the shell says
UNAUTHORIZED: Final = 401


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
        self.heard_at = 0
        self.reconnects = 0
        self._pulse = pulse
        self._dice = dice
        self._deadline = 0  # of waiting, opening or closing
        self._opened_at = 0
        self._failures = 0
        self._refusals = 0  # handshakes in a row that were unauthorized
        self._cause = "started"

    @property
    def up(self) -> bool:
        """Whether frames may be sent, and those that arrive are looked at."""
        return self.state is State.SUBSCRIBING or self.state is State.OPEN

    def due(self, now: int, at: int, allowed: bool = True) -> list[Effect]:
        """Open it if it is time, and give up what takes too long."""
        if now < self._due_at():
            return []
        match self.state:
            case State.WAITING:
                return self._open(now, at) if allowed else []
            case State.OPENING:
                return self.give_up(now, f"no handshake in {CONNECT_MAX // SECOND} s")
            case State.CLOSING:
                return self.ended(now, at, self._cause)
            case State.SUBSCRIBING | State.OPEN:
                return self.give_up(now, f"silent for {SILENCE_MAX // SECOND} s")

    def deadline(self, allowed: bool = True) -> int | None:
        return None if self.state is State.WAITING and not allowed else self._due_at()

    def opened(self, now: int, at: int) -> list[Effect]:
        """The handshake is done. Nothing if it was given up meanwhile."""
        if self.state is not State.OPENING:
            return []
        self.state = State.SUBSCRIBING
        self.why = "subscribing"
        self._opened_at = self.heard_at = now
        self._refusals = 0
        return [
            self._pulse.signal(at, Signal("await_disconnect", "open", self.link)),
            Report(f"{self.link}: open"),
        ]

    def settled(self) -> None:
        """All that it should carry is subscribed."""
        self.state = State.OPEN
        self.why = ""

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

    def ended(self, now: int, at: int, reason: str, status: int = 0) -> list[Effect]:
        """The socket is no more, or never was: say why and when the next try is."""
        if self.state is State.WAITING:
            return []
        if self.state is State.CLOSING:
            reason = self._cause  # we did it
        self._weigh(now)
        self.state = State.WAITING
        self._refusals = self._refusals + 1 if status == UNAUTHORIZED else 0
        delay = self._delay()
        self._deadline = now + delay
        self._cause = reason
        when = f"in {delay / SECOND:.1f} s"
        self.why = f"reconnecting {when}: {reason}"
        if self._refusals >= AUTH_TRIES_MAX:
            self.why = f"auth: {reason}"
        return [
            self._pulse.signal(at, Signal("reconnect_scheduled", reason, f"{self.link} {when}")),
            Report(f"{self.link}: {self.why}"),
        ]

    def _open(self, now: int, at: int) -> list[Effect]:
        self.state = State.OPENING
        if self._refusals < AUTH_TRIES_MAX:
            self.why = "opening"
        self._deadline = now + CONNECT_MAX
        self.reconnects += self._cause != "started"
        return [
            self._pulse.signal(at, Signal("connect", self._cause, self.link)),
            OpenSocket(self.link),
        ]

    def _weigh(self, now: int) -> None:
        """A connection that was steady makes the next failure the first one."""
        if self.up and now - self._opened_at >= STEADY_AFTER:
            self._failures = 0

    def _delay(self) -> int:
        """Full jitter between the bounds, which double; the first retry is quick."""
        if self._refusals >= AUTH_TRIES_MAX:
            return RECONNECT_MAX
        most = min(RECONNECT_MAX, (2 * RECONNECT_MIN) << min(self._failures, 16))
        self._failures += 1
        return self._dice.randint(RECONNECT_MIN // MS, most // MS) * MS

    def _due_at(self) -> int:
        return self.heard_at + SILENCE_MAX if self.up else self._deadline
