"""The front with a stream and a writer that say what they like, a bus that drops what it likes,
and programs that listen over WebSocket and know when they were left in the dark."""

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from actors.api.asks import GetBook
from actors.api.books import Listen
from actors.api.core import Api, Requested
from actors.api.effects import Drained, Joined, Left, Pace, Said, Say
from actors.api.replies import Reply
from actors.stream.books import Books as StreamBooks
from actors.writer.meanings import topic_of
from protocol import topics
from protocol.account import Account
from protocol.book import Book
from protocol.envelope import Envelope, Letter, Outbox, encode
from protocol.facts import AnyFact, natural_id
from protocol.limits import MS, SECOND
from protocol.machine import Answered, Cause, Effect, Elapsed, Heard, Publish, Started, Tell
from protocol.messages import (
    AccountAnswer,
    AccountRequest,
    AnyMessage,
    BookDelta,
    BookRequest,
    BookSide,
    Entries,
    EntriesRequest,
    Entry,
    Follow,
    FollowAnswer,
    ProcessHealth,
    System,
)
from protocol.pulse import Identity
from protocol.units import Count, Price

AT = 1_782_873_388_379_000
ACCOUNT = ("order.", "fill.", "position.", "balance.")
WITHOUT = ("trade.", "ticker.", "market.", "event.", "reported.", "group.", "raw.", "mark")


Levels = dict[str, dict[str, int]]  # counts in hundredths by side and price


class Reader:
    """What a program makes of what it is told. It fails if it was left in the dark."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.at: dict[str, tuple[int, int | None]] = {}  # where it is, of topics in step
        self.books: dict[str, Levels] = {}  # whole ones
        self.rows: dict[str, dict[str, Any]] = {}
        self.entries: list[int] = []
        self.lost: list[str] = []
        self.excused: set[str] = set()  # the next message is as good as a snapshot

    def take(self, text: bytes) -> None:
        said = json.loads(text)
        self.said.append(said)
        match said.get("kind"):
            case None:
                self._published(said)
            case "snapshot":
                self._snapshot(said)
            case "lost":
                self.lost.append(said["topic"])
                if said["snapshot"]:
                    self.forget(said["topic"])
                else:
                    for name in [n for n in self.at if f"{n} ".startswith(said["topic"])]:
                        self.forget(name)
                        self.excused.add(name)
            case "entries":
                for entry in said["entries"]:
                    self._entry(entry["n"])

    def forget(self, topic: str) -> None:
        self.at.pop(topic, None)
        self.books.pop(topic, None)
        self.rows.pop(topic, None)

    def _snapshot(self, said: dict[str, Any]) -> None:
        topic = said["topic"]
        assert topic not in self.at, f"{topic}: a snapshot in the middle"
        if topic == topics.LEDGER:
            self.at[topic] = 0, 0
            self.entries = [said["n"]]
            return
        self.at[topic] = said["epoch"], said["seq"]
        if topic.startswith("book."):
            sides: tuple[BookSide, ...] = ("yes", "no")
            self.books[topic] = {side: _levels(said["body"][side]) for side in sides}
        elif topic.startswith(ACCOUNT):
            self.rows[topic] = {_key(row): row for row in said["body"]} | {"n": said["n"]}

    def _published(self, said: dict[str, Any]) -> None:
        topic, body = said["topic"], said["body"]
        if topic == topics.LEDGER:
            self._entry(body["n"])
            return
        loose = topic.startswith(WITHOUT)
        if not loose and topic not in self.excused:
            assert topic in self.at, f"{topic}: a change before the snapshot"
        epoch, seq = self.at.get(topic, (said["epoch"], None))
        here = said["epoch"], said["seq"]
        if topic != topics.MARK:
            assert seq is None or here == (epoch, seq + 1), f"{topic}: {here} after {epoch, seq}"
        self.at[topic] = here
        self.excused.discard(topic)
        if topic.startswith("book."):
            self._change(topic, body)
        elif topic.startswith(ACCOUNT) and body["n"] > self.rows[topic]["n"]:
            self.rows[topic][_key(body)] = body

    def _change(self, topic: str, body: dict[str, Any]) -> None:
        match body["type"]:
            case "BookSnapshot":
                self.books[topic] = {side: _levels(body[side]) for side in ("yes", "no")}
            case "BookLost":
                self.forget(topic)
            case "BookDelta":
                side = self.books[topic][body["side"]]
                side[body["price"]] = side.get(body["price"], 0) + _count(body["change"])
                if not side[body["price"]]:
                    del side[body["price"]]

    def _entry(self, n: int) -> None:
        assert n == self.entries[-1] + 1, f"ledger: {n} after {self.entries[-1]}"
        self.entries.append(n)

    def kinds(self) -> list[str]:
        """What came, in short."""
        return [said.get("kind") or said["body"]["type"] for said in self.said]


def _count(text: str) -> int:
    return round(float(text) * 100)


def _levels(levels: list[list[str]]) -> dict[str, int]:
    return {price: _count(count) for price, count in levels}


def _key(row: dict[str, Any]) -> str:
    for name in ("trade_id", "client_order_id", "order_id"):
        if row.get(name):
            return str(row[name])
    return str(row.get("ticker", row.get("shard")))


def levels_of(book: Book) -> Levels:
    """A book as a reader has it."""
    sides: tuple[BookSide, ...] = ("yes", "no")
    return {side: {f"{int(p) / 1e6:.4f}": int(c) for p, c in book.levels(side)} for side in sides}


def shown(state: Levels, levels: Levels) -> bool:
    """Whether the levels are the best ones of a book in that state."""
    return all(
        [*state[side].items()][len(state[side]) - len(best) :] == [*best.items()]
        for side, best in levels.items()
    )


class Scene:
    """Everything is at once, but letters: these wait until somebody lets them arrive."""

    def __init__(self, drops: Callable[[Envelope], bool] = lambda _: False) -> None:
        self.now, self.at = SECOND, AT
        self.drops = drops
        self.api = Api(Identity("api", 7))
        self.readers: dict[int, Reader] = {}
        self.letters: deque[tuple[str, Letter]] = deque()  # to the others, not there yet
        self.heard: set[str] = {"mark", "ledger", "system", "health.", *ACCOUNT}
        self.truth: dict[tuple[str, int, int], Book | None] = {}
        self.past: dict[str, list[tuple[int, Levels | None]]] = {}  # each book, since when
        self.replies: dict[int, Reply] = {}
        self.numbers = 0
        self.drained = True  # programs take what they are told at once
        self._waiting: list[int] = []
        self._last_id = 0
        self.entries: list[Entry] = []
        self.account = Account()
        self.writer = Outbox("writer", 3)
        self.supervisor = Outbox("supervisor", 2)
        self.stream = Outbox("stream", 1)
        self.books = StreamBooks(self.stream)
        self.feed(Started(self.at))
        self.system()
        self.mark()
        self.letters_arrive()

    # The front

    def feed(self, cause: Cause) -> None:
        self._perform(self.api.step(self.now, cause))

    def _perform(self, effects: list[Effect]) -> None:
        later: list[Cause] = []
        for effect in effects:
            match effect:
                case Say(to=to, text=text):
                    assert len(set(to)) == len(to), "twice to the same"
                    for id in to:
                        self.readers[id].take(text)
                case Reply(id=id):
                    self.replies[id] = effect
                    self.check_reply(effect)
                case Pace(client=id):
                    self._waiting.append(id)
                case Listen(prefix=prefix, on=True):
                    self.heard.add(prefix)
                case Listen(prefix=prefix):
                    self.heard.discard(prefix)
                case Tell(peer=peer, letter=letter) if peer != "supervisor":
                    self.letters.append((peer, letter))
        if self.drained:
            later = [Drained(self.at, id) for id in self._waiting]
            self._waiting.clear()
        for cause in later:
            self.feed(cause)

    def passes(self, nanoseconds: int = 100 * MS) -> None:
        """Time goes on."""
        self.now += nanoseconds
        self.at += nanoseconds // 1_000
        deadline = self.api.deadline()
        if deadline is not None and deadline <= self.now:
            self.feed(Elapsed(self.at))

    def join(self, *prefixes: str, since: int | None = None, token: str = "one") -> Reader:
        self._last_id += 1
        id = self._last_id
        self.readers[id] = reader = Reader()
        self.feed(Joined(self.at, id, token))
        if prefixes:
            self.say(id, subscribe=prefixes, **({} if since is None else {"since": since}))
        return reader

    def say(self, id: int, /, **command: Any) -> None:
        self.feed(Said(self.at, id, json.dumps(command).encode()))

    def leave(self, id: int) -> None:
        self.feed(Left(self.at, id))
        del self.readers[id]

    def ask(self, ticker: str, depth: int = 0, stale: bool = False) -> int:
        """For a book, over HTTP. Returns the question's number: it may be answered by and by."""
        self.numbers += 1
        self.feed(Requested(self.at, self.numbers, GetBook(ticker, stale, depth)))
        return self.numbers

    # The others

    def publish(self, envelope: Envelope) -> None:
        if not f"{envelope.topic} ".startswith(tuple(self.heard)) or self.drops(envelope):
            return
        self.feed(Heard(self.at, envelope, encode(envelope)))

    def say_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                self.note(effect.envelope)
                self.publish(effect.envelope)

    def note(self, envelope: Envelope) -> None:
        """How the book is, as of this message."""
        ticker = topics.subject(envelope.topic)
        followed = self.books.by_ticker.get(ticker)
        whole = followed is not None and followed.live
        book = followed.book.copy() if followed is not None and whole else None
        self.truth[envelope.topic, envelope.epoch, envelope.seq] = book
        levels = None if book is None else levels_of(book)
        self.past.setdefault(envelope.topic, []).append((self.at, levels))

    def mark(self) -> None:
        for outbox in (self.stream, self.writer, self.supervisor):
            head = len(self.entries) if outbox is self.writer else 0
            for envelope in outbox.marks(self.now, self.at, head):
                self.publish(envelope)

    def second(self) -> None:
        """One goes by, with marks and letters at its end."""
        for _ in range(4):
            self.passes(250 * MS)
            self.letters_arrive()
        self.mark()
        self.letters_arrive()

    def system(self) -> None:
        stream = ProcessHealth("ready", "", 1, 1, 0, 0)
        body = System(True, "open", 10_000, (), {"rehydrated": True}, {"stream": stream})
        self.publish(self.supervisor.seal(topics.SYSTEM, body, self.at))

    def install(self, ticker: str, *yes: tuple[int, int]) -> None:
        """The stream has a book from the exchange, whole."""
        book = Book([(Price(p), Count(c)) for p, c in yes])
        self.say_all(self.books.adopt(self.books.follow(ticker), book, self.at))

    def change(self, ticker: str, price: int, change: int) -> None:
        followed = self.books.by_ticker[ticker]
        followed.book.apply("yes", price, change)
        followed.received_at = self.at
        delta = BookDelta(ticker, "yes", Price(price), Count(change), self.at, self.at)
        self.say_all([Publish(self.stream.seal(followed.topic, delta, self.at))])

    def lose(self, ticker: str, reason: str = "gap before 813") -> None:
        self.say_all(self.books.lose([self.books.by_ticker[ticker]], reason, self.at))

    def restart_stream(self) -> None:
        """Its memory is gone, and its numbers begin anew."""
        for states in self.past.values():
            states.append((self.at, None))
        self.stream = Outbox("stream", self.stream.epoch + 1)
        self.books = StreamBooks(self.stream)

    def stream_does(self, word: str, ticker: str, k: int) -> None:
        """One thing of those that change a book, if it makes sense now; `k` is what differs."""
        followed = self.books.by_ticker.get(ticker)
        live = followed is not None and followed.live
        match word:
            case "change" if live:
                self.change(ticker, 10_000 * (k + 1), 100)
            case "install":
                self.install(ticker, (470_000, 100 * (k + 1)))
            case "lose" if live:
                self.lose(ticker)
            case "stale" | "fresh" if followed and live and followed.stale == (word == "fresh"):
                reason = "data is late" if word == "stale" else ""
                self.say_all(self.books.age([followed], reason, self.at))

    def book_fact(self, *facts: AnyFact) -> None:
        for fact in facts:
            entry = Entry(len(self.entries) + 1, natural_id(fact), self.at, "gateway", fact)
            self.entries.append(entry)
            meanings = self.account.apply(entry)
            self.publish(self.writer.seal(topics.LEDGER, entry, self.at))
            for meaning in meanings:
                self.publish(self.writer.seal(topic_of(meaning), meaning, self.at))

    def letters_arrive(self, most: int = 1_000) -> None:
        """Those who are asked answer."""
        for _ in range(min(most, len(self.letters))):
            peer, letter = self.letters.popleft()
            body = self._answer(letter.body)
            if body is not None:
                answer = Letter(peer, 1, letter.id, self.at, body)
                self.feed(Answered(self.at, peer, answer))

    def _answer(self, asked: AnyMessage) -> AnyMessage | None:
        match asked:
            case BookRequest(ticker=ticker):
                return self.books.answer(ticker, self.at)
            case Follow(named=named):
                found = tuple(t for t in self.books.by_ticker if t.startswith(named or ""))
                return FollowAnswer((), len(self.books.by_ticker), 0, tickers=found)
            case EntriesRequest(since=since, limit=limit):
                return Entries(tuple(self.entries[since : since + limit]), len(self.entries))
            case AccountRequest():
                return AccountAnswer("restored", self.account.state())
        return None

    # What must hold

    def check(self) -> None:
        """Whoever is in step on a book has the very one that the stream had at that number."""
        for reader in self.readers.values():
            for topic, book in reader.books.items():
                epoch, seq = reader.at[topic]
                assert seq is not None
                truth = self.truth[topic, epoch, seq]
                assert truth is not None and book == levels_of(truth), f"{topic} {epoch, seq}"

    def check_reply(self, reply: Reply) -> None:
        """A whole book that was answered is none that was changed before `as_of`."""
        found = json.loads(reply.body)
        if reply.status != 200 or "generation" not in found:
            return
        levels = {side: _levels(found[side]) for side in ("yes", "no")}
        states = self.past[topics.book(found["ticker"])]
        ends = [at for at, _ in states[1:]] + [self.at]
        last = max(e for (_, s), e in zip(states, ends, strict=True) if s and shown(s, levels))
        assert last >= found["as_of"], f"changed {found['as_of'] - last} us before `as_of`"
