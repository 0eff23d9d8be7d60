"""What WebSocket clients follow, and what each of them is told.

Of a topic with snapshots a client is told a snapshot, and then each message after it as the bus
brings it, or `lost` and a snapshot again. Of a topic without, each message from now on, or `lost`.
"""

from typing import Final

from msgspec.structs import astuple

from actors.api import notices
from actors.api.audience import Audience
from actors.api.book_feed import BOOK, MISSED, BookFeed
from actors.api.books import Books, Listen
from actors.api.commands import Amiss, Command, kind_of, read_command
from actors.api.effects import Drained, Joined, Left, Said, Say
from actors.api.entries import Ledger
from actors.api.in_step import Client, InStep, Topic
from actors.api.quota import Meter
from actors.api.row_feed import SAID, RowFeed
from actors.api.rows import ACCOUNT
from protocol import topics
from protocol.continuity import ATTACHED_WITHIN_US, Continuity, Missed
from protocol.envelope import Envelope, Letter
from protocol.follower import LedgerFollower
from protocol.limits import (
    HEARTBEAT_INTERVAL,
    MS,
    PREFIXES_A_SECOND,
    PREFIXES_BURST,
    PREFIXES_MAX,
    SECOND,
    SNAPSHOT_BYTES_A_TURN,
    TOKENS_MAX,
    TOPICS_WATCHED_MAX,
    US,
)
from protocol.machine import Cause, Effect
from protocol.messages import BookAnswer, Entry, Mark
from protocol.sequence import Verdict
from protocol.telling import Outstanding

HEARD_ANYWAY: Final = (*SAID, *ACCOUNT, topics.MARK, topics.LEDGER)
WITH_SNAPSHOTS: Final = (BOOK, *ACCOUNT, *SAID)
SPEAKERS: Final = dict.fromkeys(ACCOUNT, "writer") | dict.fromkeys(SAID, "supervisor")


class Feeds:
    """Clients, what they follow, and what is heard for them."""

    def __init__(self, books: Books, ledger: LedgerFollower, tells: Outstanding) -> None:
        self._books = books
        self._account = ledger
        self._audience = Audience()
        self._steps = InStep(self._audience, self._snapshot)
        self._book = BookFeed(books, self._audience, self._steps, tells)
        self._rows = RowFeed(ledger)
        self._entries = Ledger(tells)
        self._wanted = Meter(SECOND // PREFIXES_A_SECOND, PREFIXES_BURST, 2 * TOKENS_MAX)
        self._since: dict[str, int] = {}  # by prefix: when it was first followed
        self._continuity = Continuity(("",))
        self._silent: set[str] = set()
        self._doubtful = True  # there may be topics of the account that were not heard of
        self._look_at = 0

    def counters(self) -> dict[str, int]:
        """For a heartbeat."""
        clients, lost = len(self._steps.clients), self._steps.lost
        return {"clients": clients, "books": len(self._books), "lost": lost}

    # Clients

    def take(self, now: int, cause: Cause) -> list[Effect]:
        """What became of a client, or what it said."""
        clients = self._steps.clients
        match cause:
            case Joined(client=id, token=token):
                clients[id] = Client(id, token, {}, {})
                return []
            case Left(client=id) if id in clients:
                effects = self._unfollow(now, clients[id], [*clients[id].prefixes])
                del clients[id]
                return effects
            case Drained(client=id) if id in clients:
                clients[id].credit = SNAPSHOT_BYTES_A_TURN
                self._entries.ready(id)
                return self._steps.serve(now, cause.at, clients[id])
            case Said(client=id, text=text) if id in clients:
                return self._said(now, cause.at, clients[id], text)
            case Left() | Drained() | Said():
                return []  # it has just been closed
        raise AssertionError(f"unexpected cause: {cause}")

    def _said(self, now: int, at: int, client: Client, text: bytes) -> list[Effect]:
        command = read_command(text)
        if isinstance(command, Command):
            command = self._refused(now, client, command) or command
        if isinstance(command, Amiss):
            return [Say((client.id,), notices.error(*astuple(command)))]
        effects: list[Effect] = []
        if command.unsubscribe:
            effects += self._unfollow(now, client, [*command.unsubscribe])
            said = notices.unsubscribed(command.id, command.unsubscribe)
            effects.append(Say((client.id,), said))
        if command.subscribe:
            said = notices.subscribed(command.id, command.subscribe)
            effects.append(Say((client.id,), said))
            for prefix in dict.fromkeys(command.subscribe):
                if prefix not in client.prefixes:
                    effects += self._follow(now, at, client, prefix, command.since)
            self._steps.stir()
            effects += self._steps.serve(now, at, client)
        return effects

    def _refused(self, now: int, client: Client, command: Command) -> Amiss | None:
        """Why a command that makes sense can't be done."""
        count = len(command.subscribe) + len(command.unsubscribe)
        wait = self._wanted.take(now, client.token, count)
        if wait:
            detail = "the clients of this token subscribe and unsubscribe too fast"
            return Amiss(command.id, "too_many_requests", detail, "", -(-wait // MS))
        strange = next((p for p in command.unsubscribe if p not in client.prefixes), None)
        if strange is not None:
            detail = f"{strange!r} is not subscribed to"
            return Amiss(command.id, "not_subscribed", detail, "unsubscribe")
        left = client.prefixes.keys() - set(command.unsubscribe)
        if len(left | set(command.subscribe)) > PREFIXES_MAX:
            detail = f"at most {PREFIXES_MAX} subscriptions of one client"
            return Amiss(command.id, "too_many_subscriptions", detail, "subscribe")
        if not any(kind_of(prefix) == topics.LEDGER for prefix in command.subscribe):
            return None
        if self._account.account is None:
            return Amiss(command.id, "not_ready", "the account is not restored yet", "subscribe")
        head = max(self._entries.head, self._account.account.n)
        if command.since is not None and client.id in self._entries:
            return Amiss(command.id, "invalid_since", "`ledger` is subscribed to already", "since")
        if command.since is not None and command.since > head:
            return Amiss(command.id, "invalid_since", f"the ledger ends at {head}", "since")
        return None

    def _follow(
        self, now: int, at: int, client: Client, prefix: str, since: int | None
    ) -> list[Effect]:
        effects: list[Effect] = []
        kind, by_name = kind_of(prefix), topics.is_exact(prefix)
        client.prefixes[prefix] = None
        if self._audience.add(client.id, prefix):
            self._since[prefix] = now
            effects += self._listen(prefix, True)
        if kind == topics.LEDGER and client.id not in self._entries:
            assert self._account.account is not None
            self._entries.reach(self._account.account.n)
            start = self._entries.head if since is None else since
            effects.append(Say((client.id,), self._entries.join(client.id, start)))
        for name in self._under(prefix):
            if self._follows(client, name, but=prefix):
                continue  # in step, or waiting for it, already
            known = name in self._steps.topics
            topic = self._steps.topic(name)
            if kind == BOOK:
                self._book.follow(now, topic)
            effects += self._steps.put_out(
                topic, (client.id,) if known else self._audience.of(name)
            )
        if kind == BOOK and not by_name:
            effects += self._book.prefixed(now, at, prefix)
        return effects

    def _unfollow(self, now: int, client: Client, prefixes: list[str]) -> list[Effect]:
        effects: list[Effect] = []
        for prefix in dict.fromkeys(prefixes):
            del client.prefixes[prefix]
            if self._audience.remove(client.id, prefix):
                del self._since[prefix]
                effects += self._listen(prefix, False)
            for topic in [self._steps.topics[name] for name in self._steps.under(prefix)]:
                name = topic.name
                if not self._follows(client, name):
                    self._steps.release(topic, (client.id,))
                if not self._audience.of(name):
                    self._forget(now, topic)
        if not any(kind_of(p) == topics.LEDGER for p in client.prefixes):
            self._entries.leave(client.id)
        self._steps.stir()
        return effects

    def _follows(self, client: Client, name: str, but: str = "") -> bool:
        """Whether a client follows a topic, by another prefix than this."""
        fitting = self._audience.fitting(name)
        return any(prefix in client.prefixes and prefix != but for prefix in fitting)

    def _listen(self, prefix: str, on: bool) -> list[Effect]:
        """What is not heard anyway. A book that is followed by its name is listened for as such."""
        kind = kind_of(prefix)
        by_name = kind == BOOK and topics.is_exact(prefix)
        return [] if kind in HEARD_ANYWAY or by_name else [Listen(prefix, on)]

    def _under(self, prefix: str) -> list[str]:
        """The topics under a prefix that have snapshots, as far as they are known."""
        kind = kind_of(prefix)
        if kind not in WITH_SNAPSHOTS:
            return []
        if topics.is_exact(prefix):
            return [prefix[:-1]]
        known = self._steps.under(prefix)
        return [*dict.fromkeys(known + (self._rows.under(prefix) if kind in ACCOUNT else []))]

    def _forget(self, now: int, topic: Topic) -> None:
        """Nobody follows it any more. What is heard anyway stays known."""
        if topic.kind not in SAID:
            self._steps.drop(topic.name)
        if topic.kind == BOOK:
            self._book.unfollow(now, topic.name)

    def _snapshot(self, now: int, at: int, topic: Topic) -> bytes | None:
        if topic.kind == BOOK:
            return self._book.snapshot(at, topic)
        return self._rows.snapshot(now, at, topic)

    # What is heard

    def hear(self, now: int, at: int, envelope: Envelope, frame: bytes) -> list[Effect]:
        """Take what was published. The ledger's follower has taken it before."""
        verdict, missed = self._continuity.hear(now, envelope)
        ahead = self._rows.note(envelope)
        if isinstance(envelope.body, Mark):
            self._silent.discard(envelope.source)
        effects: list[Effect] = []
        for each in missed:
            effects += self._missed(now, each)
        for topic in [self._steps.topics[name] for name in ahead if name in self._steps.topics]:
            self._rows.again()
            effects += self._steps.close(topic, "tail", MISSED)
        kind, body = kind_of(envelope.topic), envelope.body
        if kind == BOOK:
            return effects + self._book.hear(now, at, envelope, frame)
        if verdict is Verdict.DUPLICATE:
            return effects
        to = self._audience.of(envelope.topic)
        if kind in ACCOUNT or kind in SAID:
            effects += self._rows.hear(now, at, self._steps, to, envelope, frame)
        elif kind == topics.LEDGER and isinstance(body, Entry):
            effects += self._entries.heard(body, notices.passed_on(envelope, frame) if to else b"")
        else:
            effects += self._loose(to, envelope, frame)
        if isinstance(body, Mark) and envelope.source == "writer":
            self._entries.reach(body.head)
            effects += self._come_into_being(tuple(body.topics))
        if isinstance(body, Mark) and envelope.source == "stream":
            effects += self._book.marked(now, at, envelope, body.topics)
        return effects + self._fed(now, at)

    def _loose(self, to: tuple[int, ...], envelope: Envelope, frame: bytes) -> list[Effect]:
        """A message of a topic without snapshots."""
        if not to:
            return []
        if envelope.topic in self._steps.topics or len(self._steps.topics) < TOPICS_WATCHED_MAX:
            self._steps.topic(envelope.topic)
        return [Say(to, notices.passed_on(envelope, frame))]

    def _come_into_being(self, names: tuple[str, ...]) -> list[Effect]:
        """These may be topics of the account of which nothing was heard."""
        effects: list[Effect] = []
        for name in names:
            if name not in self._steps.topics and kind_of(name) in ACCOUNT:
                to = self._audience.of(name)
                if to:
                    self._rows.again()
                    effects += self._steps.put_out(self._steps.topic(name), to)
        return effects

    def _fed(self, now: int, at: int) -> list[Effect]:
        """The account may have gone on."""
        if not self._rows.fed(now):
            return []
        effects: list[Effect] = []
        if self._doubtful:
            self._doubtful = False
            for prefix in self._audience.prefixes:
                if kind_of(prefix) in ACCOUNT:
                    effects += self._come_into_being(tuple(self._rows.under(prefix)))
        return effects + self._steps.serve_all(now, at)

    def _missed(self, now: int, missed: Missed) -> list[Effect]:
        """Something was not heard: whoever follows it is told. Books and the ledger see to that
        themselves."""
        if missed.topic:
            return self._missed_of(now, missed)
        effects: list[Effect] = []
        if missed.source == "supervisor":
            self._rows.outdated(self._steps)
        if missed.source == "writer":
            self._rows.again()
            self._doubtful = True
            for topic in [t for t in self._steps.topics.values() if t.kind in ACCOUNT and t.open]:
                effects += self._steps.close(topic, missed.why, MISSED)
        for prefix in self._audience.prefixes:
            kind = kind_of(prefix)
            ours = SPEAKERS.get(kind, "stream") == missed.source
            if not ours or kind in (*ACCOUNT, topics.MARK, topics.LEDGER):
                continue
            if kind != BOOK:
                to, why = self._audience.follow(prefix), (missed.why, MISSED)
                effects += self._steps.tell_lost(to, prefix, why, False)
            elif not topics.is_exact(prefix):
                effects += self._book.prefixed(now, missed.until, prefix)
        return effects

    def _missed_of(self, now: int, missed: Missed) -> list[Effect]:
        """Of one topic."""
        name, kind = missed.topic, kind_of(missed.topic)
        topic, to = self._steps.topics.get(name), self._audience.of(name)
        if kind in (BOOK, topics.LEDGER, topics.MARK) or not to:
            return []
        if kind in ACCOUNT:
            self._rows.again()
            if topic is None:
                return self._come_into_being((name,))
            return self._steps.close(topic, missed.why, MISSED, missed.missing)
        if topic is None:  # what was missed may be older than our subscription
            since = min(self._since[prefix] for prefix in self._audience.fitting(name))
            if now - since < ATTACHED_WITHIN_US * US:
                return []
        elif kind in SAID:
            topic.last = None
        return self._steps.tell_lost(to, name, (missed.why, MISSED), False, missed.missing)

    # Answers and time

    def answered(self, now: int, at: int, letter: Letter) -> list[Effect]:
        """An answer to a letter of ours, or of a follower's."""
        body = letter.body
        effects = self._entries.answered(letter.id, body)
        effects += self._book.named(now, at, letter.id, body)
        if isinstance(body, BookAnswer):
            self._books.answered(now, letter, body)
            effects += self._settle(now, at, (topics.book(body.ticker),))
        return effects + self._fed(now, at)

    def due(self, now: int, at: int) -> list[Effect]:
        effects = self._books.due(now, at) + self._entries.due(now, at)
        if now < self._look_at:
            return effects
        self._look_at = now + HEARTBEAT_INTERVAL
        effects += self._book.due(now, at)
        for source in self._continuity.silent(now):
            if source not in self._silent:
                self._silent.add(source)
                effects += self._missed(now, Missed("silence", source, "", 0, at, at))
        books = tuple(name for name, t in self._steps.topics.items() if t.kind == BOOK)
        return effects + self._settle(now, at, books) + self._fed(now, at)

    def _settle(self, now: int, at: int, names: tuple[str, ...]) -> list[Effect]:
        effects: list[Effect] = []
        for name in names:
            topic = self._steps.topics.get(name)
            if topic is not None:
                effects += self._book.settle(now, at, topic)
        return effects

    def deadline(self) -> int | None:
        found = [self._books.deadline(), self._entries.deadline()]
        if self._steps.clients:
            found.append(self._look_at)
        return min((d for d in found if d is not None), default=None)
