"""Takes appends into one bounded queue, commits them in groups, answers in order.

A commit starts at once when none is under way and takes what waits by then, so a quiet ledger
has no delay and a busy one shares its fsyncs. Nothing is acknowledged before its commit.
"""

import collections

from actors.writer.batch import Booked, Result, Wanted
from protocol import topics
from protocol.account import Meaning
from protocol.envelope import Letter, Outbox
from protocol.facts import OrderIntended, is_money
from protocol.limits import (
    APPENDS_MAX,
    COMMIT_ROWS_MAX,
    ENTRIES_MAX,
    INTENTS_MAX,
    LOCKED_RETRY_MAX,
    MS,
)
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Publish,
    Report,
    Started,
    Stopping,
)
from protocol.messages import (
    AnyMessage,
    Append,
    Appended,
    Balance,
    BookedFill,
    Entries,
    EntriesRequest,
    Entry,
    Order,
    Position,
    Refused,
)
from protocol.pulse import Identity, Pulse, Vitals

TAIL_MAX = 5_000  # entries kept in memory for followers that missed a few
READS_MAX = 64  # catch-up reads under way at once
LOCKED_RETRY = 100 * MS


class StoreOpened(Cause, frozen=True):
    """The database is open, sound as far as its tail, and a trial commit went through."""

    head: int


class StoreFailed(Cause, frozen=True):
    """The database can't be used; `fatal` unless it is only locked by somebody else."""

    reason: str
    fatal: bool


class Committed(Cause, frozen=True):
    """The batch is on disk: a result for each append, in order."""

    results: tuple[Result, ...]
    booked: tuple[Booked, ...]


class EntriesRead(Cause, frozen=True):
    """Entries from the database, for one asker."""

    sender: tuple[bytes, ...]
    id: str
    entries: tuple[Entry, ...]


class OpenStore(Effect, frozen=True):
    """Open the database and prove that it can be written."""


class Commit(Effect, frozen=True):
    """Append these facts, and what follows from them, in one transaction."""

    wanted: tuple[Wanted, ...]
    at: int


class ReadEntries(Effect, frozen=True):
    """Read entries above `since` from the database."""

    sender: tuple[bytes, ...]
    id: str
    since: int
    limit: int


class CloseStore(Effect, frozen=True):
    """Save a snapshot of the account and close the database."""


class Writer:
    """The core. Ready only while the database takes commits and nothing conflicts."""

    def __init__(self, identity: Identity) -> None:
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._queue: collections.deque[tuple[tuple[bytes, ...], Letter]] = collections.deque()
        self._committing: list[tuple[tuple[bytes, ...], Letter]] = []
        self._retry: Commit | OpenStore | None = None
        self._retry_at: int | None = None
        self._locked_since: int | None = None
        self._head = 0
        self._tail: collections.deque[Entry] = collections.deque(maxlen=TAIL_MAX)
        self._reads = 0
        self._open = False
        self._stopping = False
        self._finished = False
        self._troubles: dict[str, str] = {"store": "opening the database"}
        self._counters = {"entries": 0, "repeats": 0, "commits": 0, "refused": 0, "queue": 0}

    def step(self, now: int, cause: Cause) -> list[Effect]:
        if self._finished:
            return []
        effects = self._take(now, cause)
        if self._retry is not None and self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            effects.append(self._retry)
        effects += self._start_commit(cause.at)
        self._counters["queue"] = len(self._queue)
        vitals = Vitals(
            tuple(self._troubles.values()), {"db_ready": self._open and not self._troubles}
        )
        effects += self._pulse.beat(now, cause.at, vitals, dict(self._counters))
        effects += [Publish(e) for e in self._outbox.marks(now, cause.at, self._head)]
        if self._stopping and not self._committing and not self._queue:
            self._finished = True
            effects += [CloseStore(), Finish(0)]
        return effects

    def deadline(self) -> int | None:
        if self._finished:
            return None
        deadlines = [self._pulse.deadline(), self._outbox.deadline()]
        if self._retry_at is not None:
            deadlines.append(self._retry_at)
        return min(deadlines)

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started():
                self._retry = OpenStore()
                return [self._retry]
            case StoreOpened(head=head):
                self._open, self._head = True, head
                self._retry = self._locked_since = None
                self._troubles.pop("store", None)
                self._troubles.pop("locked", None)
                return [Report(f"the ledger is open at {head}")]
            case StoreFailed(reason=reason, fatal=True):
                self._finished = True
                return [Report(f"database: {reason}", grave=True), Finish(1)]
            case StoreFailed(reason=reason):
                return self._locked(now, reason)
            case Committed(results=results, booked=booked):
                return self._committed(cause.at, results, booked)
            case Asked(sender=sender, letter=letter):
                return self._asked(cause.at, sender, letter)
            case EntriesRead(sender=sender, id=id, entries=entries):
                self._reads -= 1
                return [self._reply(sender, id, Entries(entries, self._head), cause.at)]
            case Stopping():
                self._stopping = True
                return []
            case Elapsed() | Heard() | Answered():
                return []
        raise AssertionError(f"unexpected cause: {cause}")

    def _asked(self, at: int, sender: tuple[bytes, ...], letter: Letter) -> list[Effect]:
        match letter.body:
            case Append(fact=fact):
                return self._append(at, sender, letter, isinstance(fact, OrderIntended))
            case EntriesRequest(since=since, limit=limit):
                limit = min(max(limit, 1), ENTRIES_MAX)  # to SQLite a negative one is none
                return self._entries(at, sender, letter.id, max(since, 0), limit)
        refusal = Refused(f"the writer does not take {type(letter.body).__name__}")
        return [self._reply(sender, letter.id, refusal, at)]

    def _append(
        self, at: int, sender: tuple[bytes, ...], letter: Letter, is_intent: bool
    ) -> list[Effect]:
        waiting = len(self._queue)
        if waiting >= APPENDS_MAX:
            return []  # unanswered, so it is told again: a fill is never refused
        if is_intent and (waiting >= INTENTS_MAX or self._stopping):
            busy = Appended("REFUSED", reason="the ledger is busy")
            return [self._reply(sender, letter.id, busy, at)]
        self._queue.append((sender, letter))
        return []

    def _start_commit(self, at: int) -> list[Effect]:
        if not self._open or self._committing or not self._queue:
            return []
        count = min(len(self._queue), COMMIT_ROWS_MAX)
        self._committing = [self._queue.popleft() for _ in range(count)]
        wanted = tuple(
            Wanted(letter.body.fact, letter.source)
            for _, letter in self._committing
            if isinstance(letter.body, Append)
        )
        self._retry = Commit(wanted, at)
        return [self._retry]

    def _committed(
        self, at: int, results: tuple[Result, ...], booked: tuple[Booked, ...]
    ) -> list[Effect]:
        done, self._committing, self._retry, self._locked_since = self._committing, [], None, None
        self._troubles.pop("locked", None)
        self._counters["commits"] += 1
        effects: list[Effect] = []
        for (sender, letter), result in zip(done, results, strict=True):
            answer = Appended(result.verdict, result.n, result.reason)
            effects.append(self._reply(sender, letter.id, answer, at))
            effects += self._noted(letter, result)
        for one in booked:
            self._head = one.entry.n
            self._tail.append(one.entry)
            self._counters["entries"] += 1
            effects.append(Publish(self._outbox.seal(topics.LEDGER, one.entry, at)))
            effects += [
                Publish(self._outbox.seal(topic_of(meaning), meaning, at))
                for meaning in one.meanings
            ]
        return effects

    def _noted(self, letter: Letter, result: Result) -> list[Effect]:
        """Remember what must stop trading: money that could not be booked as it was told."""
        assert isinstance(letter.body, Append)
        fact = letter.body.fact
        if result.verdict == "REPEAT":
            self._counters["repeats"] += 1
        if result.verdict not in ("CONFLICT", "REFUSED"):
            return []
        self._counters["refused"] += 1
        if not is_money(fact) or (result.verdict == "CONFLICT" and isinstance(fact, OrderIntended)):
            return []  # an order under a used id is the client's mistake, not the ledger's
        self._troubles["money"] = f"ledger: {result.verdict.lower()}: {result.reason}"
        return [Report(self._troubles["money"], grave=True)]

    def _locked(self, now: int, reason: str) -> list[Effect]:
        if self._locked_since is None:
            self._locked_since = now
        self._retry_at = now + LOCKED_RETRY
        if now - self._locked_since >= LOCKED_RETRY_MAX and "locked" not in self._troubles:
            self._troubles["locked"] = f"database: {reason}"
            return [Report(self._troubles["locked"], grave=True)]
        return []

    def _entries(
        self, at: int, sender: tuple[bytes, ...], id: str, since: int, limit: int
    ) -> list[Effect]:
        if not self._open:
            return []  # asked again soon
        if self._tail and self._tail[0].n <= since + 1 or since >= self._head:
            entries = tuple(e for e in self._tail if e.n > since)[:limit]
            return [self._reply(sender, id, Entries(entries, self._head), at)]
        if self._reads >= READS_MAX:
            return []
        self._reads += 1
        return [ReadEntries(sender, id, since, limit)]

    def _reply(self, sender: tuple[bytes, ...], id: str, body: AnyMessage, at: int) -> Effect:
        return Answer(sender, self._outbox.letter(id, body, at))


def topic_of(meaning: Meaning) -> str:
    """Where the meaning of an entry is published."""
    match meaning:
        case Order(ticker=ticker):
            return topics.order(ticker)
        case BookedFill(ticker=ticker):
            return topics.fill(ticker)
        case Position(ticker=ticker):
            return topics.position(ticker)
        case Balance(shard=shard):
            return topics.balance(shard)
    raise AssertionError(f"no topic for {meaning}")
