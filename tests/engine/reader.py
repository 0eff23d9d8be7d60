"""A reader of the engine's books, as any program may be one, that holds them against the truth."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq

from protocol.envelope import Envelope, Outbox, decode, decode_letter, encode_letter
from protocol.follower import BookFollower
from protocol.machine import Tell
from protocol.messages import BookAnswer, BookFresh, BookLost, BookSnapshot, BookStale
from tests.engine.running import Engine
from tests.engine.truth import Truth, digest

LOOK_S = 0.05  # between two looks at all books
GRACE_S = 3.0  # so long the truth may be behind a reader
SURE_AFTER_S = 0.5  # an old state may be a new one again, of which the truth has not heard yet
OLD_S = 0.5  # younger ones are not looked at twice
CLOSE_MAX_S = 10.0


@dataclass(frozen=True)
class Said:
    """A word about a book other than a change, and when it was heard (monotonic seconds)."""

    at: float
    ticker: str
    kind: str
    reason: str


class Reader:
    """Followers of all books, in a thread of their own.

    A book that its follower calls live is trusted. `oldest` is by how much a trusted book was ever
    behind the exchange, and of whom; `wrong` are trusted states that the exchange never had.
    """

    def __init__(self, engine: Engine, truth: Truth) -> None:
        self.truth = truth
        self.oldest: tuple[float, str] = (0.0, "")
        self.wrong: list[tuple[str, int]] = []
        self.said: list[Said] = []
        self._news = threading.Condition()
        self._strange: dict[tuple[str, int], float] = {}
        self._old: deque[tuple[float, str, int]] = deque()  # trusted when it was old, it seems
        self._states: dict[str, int | None] = dict.fromkeys(truth.tickers)  # None: not trusted
        self._over = threading.Event()
        self._trouble: list[BaseException] = []
        outbox = Outbox("reader", 1)
        now = time.monotonic_ns()
        self._followers = {ticker: BookFollower(ticker, outbox, now) for ticker in truth.tickers}
        self._context = zmq.Context()
        self._sub: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._sub.set(zmq.RCVHWM, 0)
        self._sub.set(zmq.RECONNECT_IVL, 20)
        for prefix in ("book.", "mark "):
            self._sub.subscribe(prefix)
        self._sub.connect(engine.settings.endpoint("stream.pub"))
        self._dealer: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._dealer.set(zmq.IMMEDIATE, 1)
        self._dealer.set(zmq.LINGER, 0)
        self._dealer.set(zmq.SNDTIMEO, 0)
        self._dealer.connect(engine.settings.endpoint("stream.in"))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # What a test asks

    def trusted(self) -> set[str]:
        """Tickers whose books a program would use now."""
        with self._news:
            return {ticker for ticker, state in self._states.items() if state is not None}

    def in_step(self) -> bool:
        """Whether all books are trusted, and are as the exchange's are now."""
        at = time.monotonic()
        with self._news:
            states = dict(self._states)
        for ticker, state in states.items():
            if state is None:
                return False
            age = self.truth.age(ticker, state, at)
            if age is None or age > 1.0:
                return False
        return True

    def sure(self) -> bool:
        """Whether `oldest` is the last word about all that has been heard."""
        with self._news:
            return not self._old

    def heard(self, kind: type, since: float, ticker: str | None = None) -> list[Said]:
        """Words of a kind that came since then."""
        with self._news:
            return [
                said
                for said in self.said
                if said.kind == kind.__name__ and said.at >= since and ticker in (None, said.ticker)
            ]

    def forget(self) -> None:
        """Begin anew with `oldest`, `wrong` and `said`."""
        with self._news:
            self.oldest, self.wrong, self.said = (0.0, ""), [], []
            self._strange.clear()
            self._old.clear()

    def until(self, found: Callable[[], Any], seconds: float, what: str) -> Any:
        """Look again whenever something was heard, until there is something."""
        deadline = time.monotonic() + seconds
        while not (seen := found()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}; {self.state()}")
            with self._news:
                self._news.wait(LOOK_S)
        return seen

    def state(self) -> str:
        """For whoever reads why a test failed."""
        missing = sorted(set(self._followers) - self.trusted())
        return (
            f"{len(missing)} books not trusted {missing[:4]}; oldest {self.oldest}; "
            f"wrong {self.wrong[:4]}; last said {self.said[-6:]}"
        )

    def close(self) -> None:
        self._over.set()
        self._thread.join(CLOSE_MAX_S)
        self._context.destroy(linger=0)
        if self._trouble:
            raise self._trouble[0]

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The thread

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._sub, zmq.POLLIN)
        poller.register(self._dealer, zmq.POLLIN)
        look_at = 0.0
        try:
            while not self._over.is_set():
                poller.poll(int(LOOK_S * 1_000))
                changed = self._drain()
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK_S
                    self._ask()
                    changed = set(self._followers)
                for ticker in changed:
                    self._look(ticker)
                with self._news:
                    self._news.notify_all()
        except BaseException as e:
            self._trouble.append(e)
            raise

    def _drain(self) -> set[str]:
        changed: set[str] = set()
        while self._sub.poll(0):
            envelope = decode(self._sub.recv())
            now = time.monotonic_ns()
            ticker = envelope.topic.removeprefix("book.")
            if ticker in self._followers:
                self._followers[ticker].hear(now, envelope)
                self._note(ticker, envelope)
                changed.add(ticker)
            elif envelope.topic == "mark":
                for follower in self._followers.values():
                    follower.hear(now, envelope)
                changed = set(self._followers)
        while self._dealer.poll(0):
            letter = decode_letter(self._dealer.recv_multipart()[-1])
            body = letter.body
            if isinstance(body, BookAnswer) and body.ticker in self._followers:
                self._followers[body.ticker].adopt(body, letter.id)
                changed.add(body.ticker)
        return changed

    def _note(self, ticker: str, envelope: Envelope) -> None:
        body = envelope.body
        if isinstance(body, BookStale | BookFresh | BookSnapshot | BookLost):
            reason = getattr(body, "reason", "")
            with self._news:
                self.said.append(Said(time.monotonic(), ticker, type(body).__name__, reason))

    def _ask(self) -> None:
        now, at = time.monotonic_ns(), time.time_ns() // 1_000
        for follower in self._followers.values():
            for effect in follower.due(now, at):
                assert isinstance(effect, Tell)
                try:
                    self._dealer.send(encode_letter(effect.letter), zmq.DONTWAIT)
                except zmq.Again:
                    break  # nobody is there: asked again by its timer

    def _look(self, ticker: str) -> None:
        follower = self._followers[ticker]
        if not follower.live:
            with self._news:
                self._states[ticker] = None
            return
        levels = {
            (side, int(price)): int(count)
            for side in ("yes", "no")
            for price, count in follower.book.levels(side)
        }
        state, at = digest(levels), time.monotonic()
        age = self.truth.age(ticker, state, at)
        with self._news:
            self._states[ticker] = state
            if age is not None:
                self._strange.pop((ticker, state), None)
                if age > OLD_S:
                    self._old.append((at, ticker, state))
                else:
                    self.oldest = max(self.oldest, (age, ticker))
            self._sift(at)
            if age is None:
                self._strange.setdefault((ticker, state), at)

    def _sift(self, at: float) -> None:
        """States that the truth still does not know after the grace are wrong.

        Those that it still calls old after a while were.
        """
        while self._old and at - self._old[0][0] > SURE_AFTER_S:
            then, ticker, state = self._old.popleft()
            age = self.truth.age(ticker, state, then)
            self.oldest = max(self.oldest, (age or 0.0, ticker))
        for (ticker, state), since in list(self._strange.items()):
            if at - since > GRACE_S:
                del self._strange[ticker, state]
                if self.truth.age(ticker, state, at) is None:
                    self.wrong.append((ticker, state))
