"""The commands of one connection: numbered, a few under way at a time, each with a deadline."""

from collections import deque
from typing import Final

from msgspec import Struct

from actors.stream.wire import Link, SendFrame
from protocol.kalshi import frames
from protocol.kalshi.frames import Action, Channel
from protocol.limits import COMMAND_MAX
from protocol.machine import Effect

UNDER_WAY_MAX: Final = 4  # commands sent and not answered yet


class Command(Struct, frozen=True):
    """What we ask of the exchange: `subscribe`, or a change of the subscription `sid`."""

    channels: tuple[Channel, ...]
    tickers: tuple[str, ...]
    action: Action | None = None  # None: subscribe
    sid: int = 0

    @property
    def name(self) -> str:
        return f"{self.action or 'subscribe'} {','.join(self.channels)}"

    def raw(self, id: int) -> bytes:
        if self.action is None:
            return frames.subscribe(id, self.channels, self.tickers)
        return frames.update_subscription(id, self.sid, self.action, self.tickers)


class _UnderWay(Struct):
    command: Command
    answers: int  # still to come: one for each channel of a subscribe
    by: int


class Commands:
    """In order; starts again with each connection."""

    def __init__(self, link: Link) -> None:
        self._link: Final = link
        self._last_id = 0
        self._queue: deque[Command] = deque()
        self._under_way: dict[int, _UnderWay] = {}

    @property
    def idle(self) -> bool:
        return not self._queue and not self._under_way

    def clear(self) -> None:
        """Forget all: the connection they were for is gone. Numbers go on."""
        self._queue.clear()
        self._under_way.clear()

    def ask(self, command: Command) -> None:
        """Send it when its turn comes, and expect an answer."""
        self._queue.append(command)

    def send_unanswered(self, command: Command) -> Effect:
        """Send it at once; what it asks for comes as data, and a timer of its own watches that."""
        self._last_id += 1
        return SendFrame(self._link, command.raw(self._last_id))

    def due(self, now: int) -> list[Effect]:
        """What may be sent now."""
        effects: list[Effect] = []
        while self._queue and len(self._under_way) < UNDER_WAY_MAX:
            command = self._queue.popleft()
            self._last_id += 1
            answers = len(command.channels) if command.action is None else 1
            self._under_way[self._last_id] = _UnderWay(command, answers, now + COMMAND_MAX)
            effects.append(SendFrame(self._link, command.raw(self._last_id)))
        return effects

    def answered(self, id: int | None) -> Command | None:
        """Count an answer. Returns the command once it has all of its own."""
        waiting = None if id is None else self._under_way.get(id)
        if id is None or waiting is None:
            return None
        waiting.answers -= 1
        if waiting.answers > 0:
            return None
        del self._under_way[id]
        return waiting.command

    def refused(self, id: int | None) -> Command | None:
        """Forget a command that was refused, and say which it was."""
        waiting = None if id is None else self._under_way.pop(id, None)
        return None if waiting is None else waiting.command

    def late(self, now: int) -> Command | None:
        """A command that waited too long for its answer."""
        for waiting in self._under_way.values():
            if waiting.by <= now:
                return waiting.command
        return None

    def deadline(self) -> int | None:
        return min((waiting.by for waiting in self._under_way.values()), default=None)
