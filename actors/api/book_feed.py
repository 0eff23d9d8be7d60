"""Books for WebSocket clients: a snapshot where the follower is, then what the stream says next."""

from typing import Final

from actors.api.audience import Audience
from actors.api.books import Books, Kept, book_answer
from actors.api.commands import kind_of
from actors.api.in_step import InStep, Topic
from actors.api.notices import Why, snapshot
from protocol import topics
from protocol.envelope import Envelope
from protocol.limits import BOOKS_KEPT_MAX, BOOKS_NAMED_EVERY, ENDED_KEPT, NAMES_ASKED_MAX
from protocol.machine import Effect
from protocol.messages import BookLost, Follow, FollowAnswer
from protocol.telling import Outstanding

BOOK: Final = "book."
NAMED: Final = "named:"  # letters that ask for books under a prefix
MISSED: Final = "a message did not arrive, or may not have"
FULL: Final = f"more than {BOOKS_KEPT_MAX} books are followed"


class BookFeed:
    """Which books are followed by name or by prefix, and what those who do are told."""

    def __init__(self, books: Books, audience: Audience, steps: InStep, tells: Outstanding) -> None:
        self._books = books
        self._audience = audience
        self._steps = steps
        self._tells = tells
        self._wanted: dict[str, None] = {}  # prefixes whose books are to be asked for
        self._naming: set[str] = set()  # those that the stream is being asked for
        self._name_at = 0
        self._gone: dict[str, tuple[int, int]] = {}  # books let go, and their last number
        self._full: set[str] = set()  # prefixes whose followers know that there is no room

    def found(self, now: int, name: str, held: bool = False) -> list[Effect]:
        """A book that is followed by a prefix, and that was not known. `held`: it is heard."""
        if not self._books.follow(now, topics.subject(name), held):
            return self._no_room(name)
        return self._steps.put_out(self._steps.topic(name), self._audience.of(name))

    def _no_room(self, name: str) -> list[Effect]:
        effects: list[Effect] = []
        for prefix in self._audience.fitting(name):
            if prefix not in self._full:
                self._full.add(prefix)
                to = self._audience.follow(prefix)
                effects += self._steps.tell_lost(to, prefix, ("too_many", FULL), False)
        return effects

    def follow(self, now: int, topic: Topic) -> None:
        """Somebody follows a book by its name."""
        if not self._books.follow(now, topics.subject(topic.name)):
            topic.why = "too_many", FULL

    def hear(self, now: int, at: int, envelope: Envelope, frame: bytes) -> list[Effect]:
        effects: list[Effect] = []
        if envelope.topic not in self._steps.topics and self._audience.of(envelope.topic):
            effects = self.found(now, envelope.topic, held=True)
        self._books.hear(now, at, envelope)
        topic = self._steps.topics.get(envelope.topic)
        return effects + ([] if topic is None else self.settle(now, at, topic, envelope, frame))

    def marked(self, now: int, at: int, envelope: Envelope, named: dict[str, int]) -> list[Effect]:
        """The stream's mark: which numbers the topics have come to."""
        effects: list[Effect] = []
        for ticker in self._books.marked(now, at, envelope):
            topic = self._steps.topics.get(topics.book(ticker))
            if topic is not None:
                effects += self.settle(now, at, topic)
        for name, seq in named.items():
            known = name in self._steps.topics or kind_of(name) != BOOK
            news = not known and (envelope.epoch, seq) > self._gone.get(name, (0, 0))
            if news and self._audience.of(name):
                effects += self.found(now, name)
        return effects

    def settle(
        self, now: int, at: int, topic: Topic, envelope: Envelope | None = None, frame: bytes = b""
    ) -> list[Effect]:
        """The follower has taken something: pass it on if it is the next, or say what is lost."""
        kept = self._books.get(topics.subject(topic.name))
        if kept is None:
            if self._books.follow(now, topics.subject(topic.name)):
                topic.why = None  # there is room by now
            return []
        effects: list[Effect] = []
        here = kept.here
        if topic.open:
            assert topic.told is not None
            following = topic.told[0], topic.told[1] + 1
            if envelope is not None and (envelope.epoch, envelope.seq) == following == here:
                effects += self._steps.pass_on(topic, envelope, frame)
                topic.told = here
                if not kept.usable:
                    told = isinstance(envelope.body, BookLost)
                    effects += self._steps.close(topic, "missed", MISSED, said=told)
            elif here != topic.told or not kept.usable:
                effects += self._steps.close(topic, "missed", MISSED)
        if not topic.open and kept.usable:
            topic.open, topic.told, topic.why = True, here, None
            kept.trouble = ""
        if topic.open:
            return effects + self._steps.offer(now, at, topic)
        if envelope is not None and isinstance(envelope.body, BookLost):
            topic.why = "book_lost", envelope.body.reason  # whoever comes now is told
        return effects + self._trouble(now, topic, kept)

    def _trouble(self, now: int, topic: Topic, kept: Kept) -> list[Effect]:
        """The stream has no book of that name, or not now: those who wait are told, once.

        One that nobody follows by its name is let go; it is found again if it comes back.
        """
        if not kept.trouble or kept.follower.whole:
            return []
        gone = kept.trouble == "not followed"
        why: Why = "not_followed" if gone else "book_lost"
        fitting = self._audience.fitting(topic.name)
        by_name = any(topics.is_exact(prefix) for prefix in fitting)
        effects: list[Effect] = []
        if topic.why is None or topic.why[0] != why:
            topic.why = why, kept.reason or kept.trouble
            to, again = tuple(topic.out), by_name or not gone
            effects = self._steps.tell_lost(to, topic.name, topic.why, again)
        if gone and not by_name:
            self._steps.release(topic, tuple(topic.out))
            self._steps.drop(topic.name)
            self._gone[topic.name] = kept.here
            if len(self._gone) > ENDED_KEPT:
                del self._gone[next(iter(self._gone))]
            self.unfollow(now, topic.name)
        return effects

    def unfollow(self, now: int, name: str) -> None:
        """Nobody follows it any more."""
        self._books.unfollow(now, topics.subject(name))

    def prefixed(self, now: int, at: int, prefix: str) -> list[Effect]:
        """Somebody follows by a prefix: ask the stream which books it has there."""
        self._full.discard(prefix)
        self._wanted[prefix] = None
        return self._ask(now, at)

    def _ask(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        while self._wanted and len(self._naming) < NAMES_ASKED_MAX:
            prefix = next(iter(self._wanted))
            del self._wanted[prefix]
            if prefix not in self._naming and self._audience.follow(prefix):
                self._naming.add(prefix)
                named = Follow(named=prefix.removeprefix(BOOK))
                effects += self._tells.tell(now, at, "stream", f"{NAMED}{prefix}", named)
        return effects

    def due(self, now: int, at: int) -> list[Effect]:
        """Ask again now and then: a quiet book of which nothing was heard is known by its name."""
        if now < self._name_at:
            return []
        self._name_at = now + BOOKS_NAMED_EVERY
        effects: list[Effect] = []
        for prefix in self._audience.prefixes:
            if kind_of(prefix) == BOOK and not topics.is_exact(prefix):
                effects += self.prefixed(now, at, prefix)
        return effects

    def named(self, now: int, at: int, letter: str, answer: object) -> list[Effect]:
        """The stream's answer to that."""
        prefix = letter.removeprefix(NAMED)
        if not letter.startswith(NAMED) or prefix not in self._naming:
            return []
        self._naming.discard(prefix)
        effects = self._ask(now, at)
        if not isinstance(answer, FollowAnswer):
            return effects
        for ticker in answer.tickers:
            name = topics.book(ticker)
            if name not in self._steps.topics and self._audience.of(name):
                effects += self.found(now, name)
        return effects

    def snapshot(self, at: int, topic: Topic) -> bytes | None:
        """The book where those in step are; made once for all who come meanwhile."""
        kept = self._books.get(topics.subject(topic.name))
        if kept is None or not kept.usable or not topic.open or topic.told is None:
            return None
        if topic.snapshot is None or topic.snapshot[0] != topic.told:
            epoch, seq = topic.told
            text = snapshot(
                topic.name, source="stream", epoch=epoch, seq=seq, at=at, body=book_answer(kept)
            )
            topic.snapshot = topic.told, text
        return topic.snapshot[1]
