"""One market's book, kept in step as any program would, that notices whatever it misses."""

import time
from collections.abc import Callable
from typing import Any

import zmq

from protocol.book import Book
from protocol.envelope import Envelope, Outbox, decode, decode_letter, encode_letter
from protocol.follower import BookFollower
from protocol.machine import Tell
from protocol.messages import AuditAnswer, AuditRequest, BookAnswer, BookDelta, Mark
from tests.engine.running import Engine

TURN_MS = 50


class Copy:
    """A follower on the bus. It hears while it waits; what comes meanwhile is kept for it."""

    def __init__(self, engine: Engine, ticker: str) -> None:
        self.losses: list[str] = []  # what was said when it was no longer whole
        self.marks = 0
        self.changes = 0
        self._engine = engine
        self._ticker = ticker
        self.follower = BookFollower(ticker, Outbox("copy", 1), time.monotonic_ns())
        self._context = zmq.Context()
        self._sub: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._sub.set(zmq.RCVHWM, 0)
        for prefix in (f"book.{ticker} ", "mark "):
            self._sub.subscribe(prefix)
        self._sub.connect(engine.settings.endpoint("stream.pub"))
        self._dealer: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._dealer.connect(engine.settings.endpoint("stream.in"))

    def until(self, found: Callable[[], Any], seconds: float, what: str) -> Any:
        """Look again after each turn of hearing, until there is something."""
        deadline = time.monotonic() + seconds
        while not (seen := found()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {seconds} s: {what}; {self.follower.state}, {self.losses[-3:]}"
                )
            self.hear()
        return seen

    def until_live(self, seconds: float = 10.0) -> None:
        """And surely subscribed: before the first mark, what was said may have been missed."""
        self.until(lambda: self.marks and self.follower.live, seconds, "live")

    def hear(self) -> None:
        """All that has come; if nothing has, wait for it a little."""
        self._sub.poll(TURN_MS)
        while self._sub.poll(0):
            self._take(decode(self._sub.recv()))
        while self._dealer.poll(0):
            letter = decode_letter(self._dealer.recv_multipart()[-1])
            if isinstance(letter.body, BookAnswer):
                self.follower.adopt(letter.body, letter.id)
        for effect in self.follower.due(time.monotonic_ns(), time.time_ns() // 1_000):
            assert isinstance(effect, Tell)
            self._dealer.send(encode_letter(effect.letter))

    def like_the_listing(self) -> bool:
        """Whether it is live, and is what the exchange lists now."""
        answer = self._engine.tell("gateway", AuditRequest((self._ticker,)))
        assert isinstance(answer, AuditAnswer)
        [listed] = answer.books
        return self.follower.live and self.follower.book == Book(listed.yes, listed.no)

    def _take(self, envelope: Envelope) -> None:
        was = self.follower.whole
        self.changes += isinstance(envelope.body, BookDelta)
        self.follower.hear(time.monotonic_ns(), envelope)
        if was and not self.follower.whole and self.marks:
            self.losses.append(str(envelope)[:300])
        self.marks += isinstance(envelope.body, Mark)

    def close(self) -> None:
        self._context.destroy(linger=0)

    def __enter__(self) -> "Copy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
