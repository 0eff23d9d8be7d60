"""Clients of the front that believe nothing: each answer is held against the exchange's own books,
or against what the same client was told before.

An answer may be a refusal with its reason, and while the front itself is dead there may be none.
Everything else has to be right; what is not is kept in `wrong`.
"""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import requests
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.engine.running import Engine, hundredths
from tests.engine.truth import Levels, Truth, digest, micros

PAUSE_S: Final = 0.02  # before a connection that ended is made again
SLACK_S: Final = 1.0  # what looking and asking take on a busy machine
GRACE_S: Final = 3.0  # so long the truth may be behind
TIMEOUT_S: Final = 20.0
WRONG_MAX: Final = 20
REFUSALS: Final = {(409, "book_lost"), (409, "book_stale")}
NOT_NOW: Final = {"not_ready", "no_answer", "busy"}
ACCOUNT: Final = ("orders", "fills", "positions", "balance")
FOLLOWED: Final = ("book.", "order.", "fill.", "position.", "balance.", "ledger")
SNAPSHOTS: Final = ("book.", "order.", "fill.", "position.", "balance.")


def levels_of(body: Any) -> Levels:
    """A book's levels as the truth has them."""
    return {
        (side, micros(price)): hundredths(count)
        for side in ("yes", "no")
        for price, count in body[side]
    }


class Client:
    """A thread that goes on until it is closed, and what it found wrong."""

    def __init__(self, engine: Engine, truth: Truth) -> None:
        self.engine, self.truth = engine, truth
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()
        self.excused = threading.Event()  # the front is being killed: there may be no answer
        self._over = threading.Event()
        self._doubts: list[tuple[float, str, int, float]] = []
        secret = Path(engine.settings.var_dir, "token.trade").read_text().strip()
        self.headers = {"Authorization": f"Bearer {secret}"}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.stop()
        self._thread.join(TIMEOUT_S)

    def stop(self) -> None:
        """Whatever it waits for."""

    def accuse(self, text: str) -> None:
        if len(self.wrong) < WRONG_MAX:
            self.wrong.append(text)

    def unanswered(self, error: BaseException) -> None:
        if not self.excused.is_set():
            self.accuse(f"no answer: {error!r}")
        self.seen["unanswered"] += 1
        self._over.wait(PAUSE_S)

    def doubt(self, ticker: str, state: int, at: float, age_max_s: float) -> None:
        """The exchange must have had this book, at most so long before `at` (monotonic)."""
        age = self.truth.age(ticker, state, at)
        if age is None or age > age_max_s:
            self._doubts.append((at, ticker, state, age_max_s))

    def sift(self) -> None:
        """What the truth has not confirmed after the grace is wrong."""
        now = time.monotonic()
        while self._doubts and now - self._doubts[0][0] > GRACE_S:
            at, ticker, state, age_max_s = self._doubts.pop(0)
            age = self.truth.age(ticker, state, at)
            if age is None:
                self.accuse(f"a book of {ticker} that the exchange never had")
            elif age > age_max_s:
                self.accuse(f"a book of {ticker} was {age:.2f} s old, said were {age_max_s:.2f}")

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self.turn()
                self.sift()
        except BaseException as e:
            self.accuse(f"the client has failed: {e!r}")
            raise

    def turn(self) -> None:
        raise NotImplementedError


class Reader(Client):
    """Asks for books and for the account, again and again, over a kept connection."""

    def __init__(self, engine: Engine, truth: Truth) -> None:
        super().__init__(engine, truth)
        self._session = requests.Session()
        self._session.trust_env = False
        self._turns = itertools.cycle([*truth.tickers, *ACCOUNT])
        self._n = 0

    def turn(self) -> None:
        what = next(self._turns)
        path = f"/v1/{what}" if what in ACCOUNT else f"/v1/books/{what}"
        asked = time.monotonic()
        try:
            answer = self._session.get(
                f"{self.engine.api}{path}", headers=self.headers, timeout=TIMEOUT_S
            )
        except requests.RequestException as e:
            self._session.close()
            self.unanswered(e)
            return
        found = answer.json()
        if answer.status_code != 200:
            code = found.get("code", "")
            honest = (answer.status_code, code) in REFUSALS or (
                answer.status_code == 503 and code in NOT_NOW and found["retry_after_ms"] > 0
            )
            self.seen[code] += 1
            if not honest:
                self.accuse(f"{path}: {answer.status_code} {answer.text[:200]}")
        elif what in ACCOUNT:
            self.seen["account"] += 1
            if found["n"] < self._n:
                self.accuse(f"{path}: as of entry {found['n']} after {self._n}")
            self._n = max(self._n, found["n"])
        else:
            self.seen["book"] += 1
            age = time.time() - found["as_of"] / 1e6
            took = time.monotonic() - asked
            state = digest(levels_of(found))
            self.doubt(what, state, time.monotonic(), max(age, 0.0) + took + SLACK_S)


class Listener(Client):
    """Follows everything over the WebSocket, and checks that nothing is missing unsaid.

    Of a topic with snapshots the first thing has to be one, then each number after it, until it
    is said that something was lost; of the ledger each entry, over all connections.
    """

    def __init__(self, engine: Engine, truth: Truth) -> None:
        super().__init__(engine, truth)
        self.n: int | None = None  # the last entry of the ledger
        self.books: dict[str, Levels] = {}  # those that are in step
        self._places: dict[str, tuple[int, int] | None] = {}  # None: nothing was said yet
        self._socket: ClientConnection | None = None

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.close_socket()

    def in_step(self) -> bool:
        """Whether each book is as the exchange's is now."""
        now = time.monotonic()
        books = dict(self.books)
        return set(books) == set(self.truth.tickers) and all(
            self.truth.age(ticker, digest(dict(levels)), now) == 0.0
            for ticker, levels in books.items()
        )

    def turn(self) -> None:
        address = f"{self.engine.api.replace('http', 'ws')}/v1/ws"
        wish: dict[str, Any] = {"id": 1, "subscribe": FOLLOWED}
        if self.n is not None:
            wish["since"] = self.n
        try:
            with connect(
                address, additional_headers=self.headers, proxy=None, max_size=None
            ) as self._socket:
                self.books.clear()
                self._places.clear()
                self._socket.send(json.dumps(wish))
                for text in self._socket:
                    self.take(json.loads(text))
                    self.sift()
        except (WebSocketException, InvalidHandshake, OSError) as e:
            if not self._over.is_set():
                self.unanswered(e)

    def take(self, said: Any) -> None:
        kind, topic = said.get("kind", "message"), said.get("topic", "")
        self.seen[kind] += 1
        match kind:
            case "error" if said["code"] == "not_ready":
                assert self._socket is not None
                self._socket.close()  # subscribes again over the next one
                self._over.wait(PAUSE_S)
            case "error":
                self.accuse(f"an error: {said}")
            case "lost":
                for name in [n for n in self._places if f"{n} ".startswith(topic)]:
                    del self._places[name]
                    self.books.pop(name.removeprefix("book."), None)
            case "snapshot" if topic == "ledger":
                if self.n is not None and said["n"] != self.n:
                    self.accuse(f"entries since {self.n} were wanted, they begin at {said['n']}")
                self.n = said["n"]
            case "entries":
                for entry in said["entries"]:
                    self._entry(entry["n"])
            case "snapshot":
                self._places[topic] = self._place(said)
                if topic.startswith("book."):
                    self._book(topic, levels_of(said["body"]))
            case "message" if topic == "ledger":
                self._entry(said["body"]["n"])
            case "message":
                self._next(topic, said)

    @staticmethod
    def _place(said: Any) -> tuple[int, int] | None:
        return None if said.get("seq") is None else (said["epoch"], said["seq"])

    def _entry(self, n: int) -> None:
        if self.n is None or n != self.n + 1:
            self.accuse(f"entry {n} of the ledger after {self.n}")
        self.n = n

    def _next(self, topic: str, said: Any) -> None:
        if not topic.startswith(SNAPSHOTS):
            return
        here = self._place(said)
        assert here is not None
        if topic not in self._places:
            self.accuse(f"{topic}: {here} before a snapshot")
            return
        before = self._places[topic]
        if before is not None and here != (before[0], before[1] + 1):
            self.accuse(f"{topic}: {here} after {before}, and nothing was said to be lost")
        self._places[topic] = here
        if topic.startswith("book."):
            self._change(topic, said["body"])

    def _change(self, topic: str, body: Any) -> None:
        ticker = topic.removeprefix("book.")
        match body["type"]:
            case "BookSnapshot":
                self._book(topic, levels_of(body))
            case "BookDelta":
                level = (body["side"], micros(body["price"]))
                levels = self.books[ticker]
                after = levels.pop(level, 0) + hundredths(body["change"])
                if after:
                    levels[level] = after
                self._book(topic, levels)
            case "BookLost":
                del self._places[topic]
                self.books.pop(ticker, None)

    def _book(self, topic: str, levels: Levels) -> None:
        ticker = topic.removeprefix("book.")
        self.books[ticker] = levels
        self.doubt(ticker, digest(levels), time.monotonic(), float("inf"))


class Trader(Client):
    """Places orders, a few a second, and remembers what it was told of each."""

    def __init__(self, engine: Engine, truth: Truth, next_order: Callable[[], Any]) -> None:
        super().__init__(engine, truth)
        self.told: dict[str, int] = {}  # statuses by id; 0: no answer
        self._next_order = next_order
        self._number = 0

    def turn(self) -> None:
        self._number += 1
        id = f"survivor-{self._number}"
        order = self._next_order() | {"client_order_id": id}
        self.told[id] = 0
        try:
            answer = requests.post(
                f"{self.engine.api}/v1/orders", json=order, headers=self.headers, timeout=TIMEOUT_S
            )
        except requests.RequestException as e:
            self.unanswered(e)
            return
        self.told[id] = answer.status_code
        self.seen[str(answer.status_code)] += 1
        if answer.status_code not in (201, 202, 503):
            self.accuse(f"{id}: {answer.status_code} {answer.text[:300]}")
        self._over.wait(0.2)
