"""Who reads what the stream says and is no process of the engine: some at a desk, some by ear.

A desk asks for books and is answered at once. An ear has a queue, as a ZeroMQ subscriber has: when
it is full, what comes next is dropped, and nobody says so.
"""

from collections import deque
from typing import TYPE_CHECKING

from protocol import topics
from protocol.envelope import Envelope, Letter, Outbox, decode, encode
from protocol.follower import BookFollower
from protocol.limits import MS, SECOND
from protocol.machine import Asked, Effect, Tell
from protocol.messages import AnyMessage, BookAnswer, BookRequest

if TYPE_CHECKING:
    from tests.simulation.world import World

QUEUE_MAX = 60  # SEND_QUEUE_MAX, for a day with a few thousand messages
LOOK = 100 * MS  # how often a program looks at its timers


class Desk:
    """Asks the stream for books, on the spot, and keeps what it was told."""

    name = "desk"

    def __init__(self, world: "World") -> None:
        self._world = world
        self.answers: list[BookAnswer] = []

    def read(self, ticker: str) -> BookAnswer | None:
        """The book of a market as the stream has it now; None while there is no stream."""
        world = self._world
        self.answers.clear()
        letter = Letter(self.name, 1, f"desk:{ticker}", world.wall, BookRequest(ticker))
        world.feed(world.processes["stream"], Asked(world.wall, (b"desk", b"1"), letter))
        return self.answers[0] if self.answers else None

    def told(self, letter: Letter) -> None:
        if isinstance(letter.body, BookAnswer):
            self.answers.append(letter.body)


class Asker:
    """Asks a process for something until it is answered; one thing after the other."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.name = name
        self.answers: list[AnyMessage] = []
        self._asked = 0
        world.outsiders[name] = self

    def ask(self, peer: str, body: AnyMessage) -> None:
        self._asked += 1
        world, number = self._world, self._asked
        letter = Letter(self.name, 1, f"{self.name}:{number}", world.wall, body)

        def tell() -> None:
            if len(self.answers) < number:
                world.bus.send(self.name, (self.name.encode(), b"1"), peer, letter)
                world.at(world.now + SECOND, tell)

        tell()

    def told(self, letter: Letter) -> None:
        if letter.id == f"{self.name}:{len(self.answers) + 1}":
            self.answers.append(letter.body)


class Ear:
    """Hears all that the stream says, or what begins so, in its own time."""

    def __init__(self, world: "World", name: str, prefixes: tuple[str, ...]) -> None:
        self._world = world
        self.name = name
        self._prefixes = prefixes
        self._queue: deque[bytes] = deque()
        self._busy = False
        world.bus.ears.append(self)
        world.at(world.now + LOOK, self._again)

    def overhears(self, envelope: Envelope) -> bool:
        """Whether it gets this message, or never wanted it."""
        if not envelope.topic.startswith(self._prefixes):
            return True
        world = self._world
        if world.dice.random() < world.faults.tap_loss:
            world.happened[f"{self.name} was cut off from a message"] += 1
            return False
        if len(self._queue) >= QUEUE_MAX:
            world.happened[f"{self.name} was too slow for a message"] += 1
            return False
        self._queue.append(encode(envelope))
        self._next()
        return True

    def _next(self) -> None:
        if self._queue and not self._busy:
            self._busy = True
            self._world.at(self._world.now + self._world.faults.slow_pace, self._take)

    def _take(self) -> None:
        self._busy = False
        envelope = decode(self._queue.popleft())
        where = {"epoch": envelope.epoch, "seq": envelope.seq}
        self._world.seen("heard", envelope.topic, who=self.name, **where)
        self.hear(envelope)
        self._next()

    def _again(self) -> None:
        self.look()
        self._world.at(self._world.now + LOOK, self._again)

    def hear(self, envelope: Envelope) -> None:
        """A message has been taken."""
        raise NotImplementedError

    def look(self) -> None:
        """At whatever is due."""


class Attached(Ear):
    """A program of the trader's own: it follows books as `docs/ATTACH.md` shows."""

    def __init__(self, world: "World", name: str) -> None:
        self._outbox = Outbox(name, 1)
        self.followers: dict[str, BookFollower] = {}
        super().__init__(world, name, ("book.", topics.MARK))

    def hear(self, envelope: Envelope) -> None:
        for follower in self.followers.values():
            follower.hear(self._world.now, envelope)

    def told(self, letter: Letter) -> None:
        if isinstance(letter.body, BookAnswer):
            self.followers[letter.body.ticker].adopt(letter.body, letter.id)

    def look(self) -> None:
        world = self._world
        for ticker in world.exchange.markets.tickers:
            if ticker not in self.followers:
                self.followers[ticker] = BookFollower(ticker, self._outbox, world.now)
        for follower in self.followers.values():
            for effect in follower.due(world.now, world.wall):
                self._send(effect)

    def _send(self, effect: Effect) -> None:
        assert isinstance(effect, Tell)
        sender = (self.name.encode(), b"1")
        self._world.bus.send(self.name, sender, effect.peer, effect.letter)
