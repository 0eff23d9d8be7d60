"""The life of one connection: when to open it, when to give it up, when to try again."""

import enum
import random

from protocol.limits import (
    AUTH_TRIES_MAX,
    COMMAND_MAX,
    CONNECT_MAX,
    RECONNECT_MAX,
    RECONNECT_MIN,
    SECOND,
    SILENCE_MAX,
)
from protocol.machine import Cause, Effect

STEADY = 30 * SECOND  # open for so long, the next loss starts from the shortest delay


class SocketOpened(Cause, frozen=True):
    """The handshake of a link went through."""

    link: str


class OpenFailed(Cause, frozen=True):
    """No connection. `status` is the HTTP status of a refused handshake, or 0."""

    link: str
    status: int
    reason: str


class SocketClosed(Cause, frozen=True):
    """A link's connection has ended."""

    link: str
    reason: str


class FrameReceived(Cause, frozen=True):
    """A frame came in on a link."""

    link: str
    raw: bytes


class PingReceived(Cause, frozen=True):
    """The exchange's keep-alive: the link lives, though nothing is said."""

    link: str


class OpenSocket(Effect, frozen=True):
    link: str


class SendFrame(Effect, frozen=True):
    link: str
    raw: bytes


class CloseSocket(Effect, frozen=True):
    link: str


class State(enum.Enum):
    WAITING = enum.auto()  # for the moment to connect
    OPENING = enum.auto()
    OPEN = enum.auto()


class Link:
    """Connection bookkeeping; what is said over it is not its business."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self.name = name
        self.state = State.WAITING
        self.why = "not connected yet"
        self.reconnects = 0
        self._dice = dice
        self._attempts = 0
        self._refusals = 0
        self._open_at = 0
        self._deadline = 0
        self._heard_at = 0
        self._commands: dict[int, int] = {}  # unanswered, by id: when it is too late
        self._next_id = 1

    def open(self, now: int) -> list[Effect]:
        self.state, self._deadline = State.OPENING, now + CONNECT_MAX
        self.why = "connecting"
        return [OpenSocket(self.name)]

    def opened(self, now: int) -> None:
        self.state, self._open_at, self._heard_at = State.OPEN, now, now
        self._refusals = 0
        self.why = ""
        self._commands.clear()

    def heard(self, now: int) -> None:
        """Anything at all came in."""
        self._heard_at = now

    def command(self, now: int) -> int:
        """The id of the next command, whose answer is awaited from now on."""
        self._next_id += 1
        self._commands[self._next_id] = now + COMMAND_MAX
        return self._next_id

    def answered(self, id: int) -> None:
        self._commands.pop(id, None)

    def lost(self, now: int, reason: str, status: int = 0) -> int:
        """The connection has ended or never was. Returns the delay until the next try."""
        if self.state is State.OPEN and now - self._open_at >= STEADY:
            self._attempts = 0
        self._refusals = self._refusals + 1 if status == 401 else 0
        most = min(RECONNECT_MIN << min(self._attempts, 16), RECONNECT_MAX)
        delay = self._dice.randint(RECONNECT_MIN // 5, most)
        if self._refusals >= AUTH_TRIES_MAX:
            delay, reason = RECONNECT_MAX, f"auth: {reason}"
        self._attempts += 1
        self.reconnects += 1
        self.state, self._deadline, self.why = State.WAITING, now + delay, reason
        return delay

    def due(self, now: int) -> str:
        """What has come due: "open", or the reason to give the connection up, or ""."""
        match self.state:
            case State.WAITING:
                return "open" if now >= self._deadline else ""
            case State.OPENING:
                return "no handshake in time" if now >= self._deadline else ""
            case State.OPEN:
                if now - self._heard_at >= SILENCE_MAX:
                    return "silent"
                if any(late <= now for late in self._commands.values()):
                    return "a command was not answered"
                return ""

    def deadline(self) -> int:
        if self.state is State.OPEN:
            return min([self._heard_at + SILENCE_MAX, *self._commands.values()])
        return self._deadline
