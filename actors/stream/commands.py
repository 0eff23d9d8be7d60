"""Commands of one connection: numbered, a few under way at a time, each with a deadline."""

from collections import deque
from itertools import chain
from typing import Final, Literal

from msgspec import Struct

from actors.stream.wire import Link, SendFrame
from protocol.kalshi import commands
from protocol.kalshi.frames import Channel
from protocol.limits import COMMAND_MAX, COMMAND_RETRY
from protocol.machine import Effect

UNDER_WAY_MAX: Final = 4  # commands sent and not answered yet

Kind = Literal[
    "subscribe",
    "add_markets",
    "delete_markets",
    "get_snapshot",
    "unsubscribe",
    "list_subscriptions",
]


class Command(Struct, frozen=True):
    """What we ask of the exchange: new subscriptions, or something about the one `sid`."""

    kind: Kind
    channels: tuple[Channel, ...] = ()
    tickers: tuple[str, ...] = ()
    sid: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind} {','.join(self.channels)}".strip()

    @property
    def answers(self) -> int:
        """How many frames answer it: a subscribe, one for each channel."""
        return len(self.channels) if self.kind == "subscribe" else 1

    def raw(self, id: int) -> bytes:
        match self.kind:
            case "subscribe":
                return commands.subscribe(id, self.channels, self.tickers)
            case "unsubscribe":
                return commands.unsubscribe(id, [self.sid])
            case "list_subscriptions":
                return commands.list_subscriptions(id)
            case action:
                return commands.update_subscription(id, self.sid, action, self.tickers)


class _UnderWay(Struct):
    command: Command
    answers: int  # still to come
    by: int
    named: set[Channel] = set()  # by answers so far


class Commands:
    """In order; starts again with each connection."""

    def __init__(self, link: Link) -> None:
        self._link: Final = link
        self._last_id = 0
        self._queue: deque[Command] = deque()
        self._under_way: dict[int, _UnderWay] = {}
        self._refused: dict[int, Command] = {}  # the last ones
        self._not_before = 0

    @property
    def idle(self) -> bool:
        return not self._queue and not self._under_way

    def clear(self) -> None:
        """Forget all: the connection they were for is gone. Numbers go on."""
        self._queue.clear()
        self._under_way.clear()
        self._refused.clear()
        self._not_before = 0

    def ask(self, command: Command) -> None:
        """Send it when its turn comes, and expect an answer."""
        self._queue.append(command)

    def ask_later(self, now: int, command: Command) -> None:
        """The exchange wants fewer commands: this one again, first, and after a while."""
        self._queue.appendleft(command)
        self.slow_down(now)

    def slow_down(self, now: int) -> None:
        """Send none for a while."""
        self._not_before = now + COMMAND_RETRY

    def send_unanswered(self, command: Command) -> tuple[int, Effect]:
        """Its number, and the frame to send at once.

        What it asks for comes as data, and a timer of its own watches that.
        """
        self._last_id += 1
        return self._last_id, SendFrame(self._link, command.raw(self._last_id))

    def due(self, now: int) -> list[Effect]:
        """What may be sent now."""
        effects: list[Effect] = []
        while self._queue and len(self._under_way) < UNDER_WAY_MAX and now >= self._not_before:
            command = self._queue.popleft()
            self._last_id += 1
            waiting = _UnderWay(command, command.answers, now + COMMAND_MAX)
            self._under_way[self._last_id] = waiting
            effects.append(SendFrame(self._link, command.raw(self._last_id)))
        return effects

    def of(self, id: int | None) -> Command | None:
        """The command that waits for its answer under this number."""
        waiting = None if id is None else self._under_way.get(id)
        return None if waiting is None else waiting.command

    def counts(self, id: int | None, channel: Channel) -> bool:
        """Whether an answer names this channel for the first time. True where nobody waits."""
        waiting = None if id is None else self._under_way.get(id)
        if waiting is None:
            return True
        before = len(waiting.named)
        waiting.named.add(channel)
        return len(waiting.named) > before

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
        if id is None or waiting is None:
            return None
        while len(self._refused) >= UNDER_WAY_MAX:
            del self._refused[next(iter(self._refused))]
        self._refused[id] = waiting.command
        return waiting.command

    def begun(self, id: int | None) -> Command | None:
        """The command that this answers, also if it was refused: it may have been in part only."""
        return self.of(id) or (None if id is None else self._refused.get(id))

    def letting_go(self, channel: Channel, ticker: str) -> bool:
        """Whether a market is still to be deleted from a channel: what comes of it is the last."""
        commands = chain(self._queue, (waiting.command for waiting in self._under_way.values()))
        return any(
            each.kind == "delete_markets" and channel in each.channels and ticker in each.tickers
            for each in commands
        )

    def late(self, now: int) -> Command | None:
        """A command that waited too long for its answer.

        That an `unsubscribe` has none costs nothing: it is given up because nothing comes of it.
        """
        for id, waiting in list(self._under_way.items()):
            if waiting.by <= now and waiting.command.kind == "unsubscribe":
                del self._under_way[id]
            elif waiting.by <= now:
                return waiting.command
        return None

    def deadline(self) -> int | None:
        found = [waiting.by for waiting in self._under_way.values()]
        if self._queue and len(self._under_way) < UNDER_WAY_MAX:
            found.append(self._not_before)
        return min(found, default=None)
