"""Takes appends into one bounded queue, commits them in groups, answers in order.

A commit starts at once when none is under way and takes what waits by then, so a quiet ledger
has no delay and a busy one shares its fsyncs. Nothing is acknowledged before its commit.
"""

import collections

from actors.writer.asides import Asides
from actors.writer.batch import Booked, Result, Wanted
from actors.writer.kept import Kept
from actors.writer.meanings import late_text, topic_of
from actors.writer.wire import (
    AsideTold,
    Checkpoint,
    Checkpointed,
    CloseStore,
    Commit,
    Committed,
    EntriesRead,
    KeeperEnded,
    KeeperSaid,
    OpenStore,
    ReadEntries,
    StoreFailed,
    StoreOpened,
    StoreOpening,
    StoreRefused,
)
from protocol import topics
from protocol.envelope import Letter, Outbox
from protocol.facts import INTENTS
from protocol.limits import (
    APPENDS_MAX,
    CHECKPOINT_COMMITS,
    CHECKPOINT_ROWS,
    COMMIT_ROWS_MAX,
    ENTRIES_MAX,
    INTENTS_MAX,
    LOCKED_RETRY_LAST,
    LOCKED_RETRY_MAX,
    LOCKED_RETRY_MIN,
    LOG_PAGES_MAX,
    OPEN_RETRY,
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
    BookedFill,
    Entries,
    EntriesRequest,
    Entry,
    Refused,
)
from protocol.pulse import Identity, Pulse, Vitals

TAIL_MAX = 5_000  # entries kept in memory for followers that missed a few
MISCONFIGURED = 78  # exit code: the runner does not start it again
READS_MAX = 64  # catch-up reads under way at once


class Writer:
    """The core. Ready only while the database takes commits and nothing conflicts."""

    def __init__(self, identity: Identity, keeps_market: bool = False) -> None:
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._asides = Asides(self._outbox)
        self._keeper = Kept(keeps_market)
        self._queue: collections.deque[tuple[tuple[bytes, ...], Letter]] = collections.deque()
        self._committing: list[tuple[tuple[bytes, ...], Letter]] = []
        self._retry: Commit | OpenStore | None = None
        self._retry_at: int | None = None
        self._locked_since: int | None = None
        self._locked_wait = LOCKED_RETRY_MIN
        self._unsaved = (0, 0)  # commits and entries since the last checkpoint
        self._head = 0
        self._tail: collections.deque[Entry] = collections.deque(maxlen=TAIL_MAX)
        self._reads = 0
        self._alarm = 0
        self._open = False
        self._stopping = False
        self._finished = False
        self._troubles: dict[str, str] = {"store": "opening the database"}
        self._counters = {"entries": 0, "repeats": 0, "commits": 0, "refused": 0, "queue": 0}
        self._counters |= {"log_pages": 0, "late_fills": 0}

    def step(self, now: int, cause: Cause) -> list[Effect]:
        if self._finished:
            return []
        effects = self._take(now, cause)
        if self._committing and now < self._alarm and isinstance(cause, Asked):
            return effects  # all that is due waits for the end of the commit, or the alarm
        if self._retry is not None and self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            effects.append(self._retry)
        effects += self._start_commit(cause.at)
        effects += self._asides.due(now, cause.at)
        effects += self._keeper.due(now)
        self._counters["queue"] = len(self._queue)
        reasons = (*self._troubles.values(), *self._asides.troubles)
        vitals = Vitals(reasons, {"db_ready": self._open and not reasons})
        counters = self._counters | self._keeper.counters
        effects += self._pulse.beat(now, cause.at, vitals, counters)
        if self._open:
            effects += [Publish(e) for e in self._outbox.marks(now, cause.at, self._head)]
        if self._stopping and not self._committing and not (self._open and self._queue):
            self._finished = True
            effects += [CloseStore(), Finish(0)]
        self._alarm = self._next_alarm()
        return effects

    def deadline(self) -> int | None:
        return None if self._finished else self._alarm

    def _next_alarm(self) -> int:
        deadlines = [self._pulse.deadline(), self._retry_at, self._asides.deadline()]
        if self._open:
            deadlines.append(self._outbox.deadline())
        return min(d for d in deadlines if d is not None)

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started():
                self._retry = OpenStore()
                return [self._retry]
            case StoreOpening(text=text):
                self._troubles["store"] = text
                return [Report(text)]
            case StoreOpened(head=head, how=how, aside=aside, reason=reason, told=up_to):
                self._open, self._head = True, head
                self._keeper.begin(now)
                self._asides.opened(aside, reason, up_to)
                self._settled()
                self._troubles.pop("store", None)
                return [Report(f"the ledger is open at {head}: {how}")]
            case StoreRefused(reason=reason):
                self._finished = True
                return [Report(reason, grave=True), Finish(MISCONFIGURED)]
            case StoreFailed(reason=reason, fatal=True):
                return self._failed(now, reason)
            case StoreFailed(reason=reason):
                return self._locked(now, reason)
            case KeeperSaid():
                return self._keeper.said(now, cause)
            case KeeperEnded():
                return self._keeper.ended(now, cause)
            case AsideTold(aside=aside):
                self._asides.recorded(aside)
                return []
            case Checkpointed(pages=pages, done=done):
                return self._checkpointed(pages, done)
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
            case Answered(letter=letter):
                return self._asides.answered(letter)
            case Elapsed() | Heard():
                return []
        raise AssertionError(f"unexpected cause: {cause}")

    def _asked(self, at: int, sender: tuple[bytes, ...], letter: Letter) -> list[Effect]:
        match letter.body:
            case Append(fact=fact):
                return self._append(at, sender, letter, isinstance(fact, INTENTS))
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
        done, self._committing = self._committing, []
        self._settled()
        self._counters["commits"] += 1
        effects: list[Effect] = []
        for (sender, letter), result in zip(done, results, strict=True):
            answer = Appended(result.verdict, result.n, result.reason, result.aside)
            effects.append(self._reply(sender, letter.id, answer, at))
            if result.verdict != "NEW":
                effects += self._noted(letter, result)
        seal = self._outbox.seal
        for one in booked:
            self._tail.append(one.entry)
            effects.append(Publish(seal(topics.LEDGER, one.entry, at)))
            for meaning in one.meanings:
                effects.append(Publish(seal(topic_of(meaning), meaning, at)))
                if isinstance(meaning, BookedFill) and meaning.late:
                    self._counters["late_fills"] += 1
                    effects.append(Report(late_text(meaning), grave=True))
        if booked:
            self._head = booked[-1].entry.n
            self._counters["entries"] += len(booked)
        return effects + self._checkpoint(len(booked))

    def _settled(self) -> None:
        """The database answered: nothing waits to be tried again."""
        self._retry = self._retry_at = self._locked_since = None
        self._locked_wait = LOCKED_RETRY_MIN
        self._troubles.pop("locked", None)

    def _noted(self, letter: Letter, result: Result) -> list[Effect]:
        assert isinstance(letter.body, Append)
        if result.verdict == "REPEAT":
            self._counters["repeats"] += 1
            return []
        self._counters["refused"] += 1
        return self._asides.noted(letter.body.fact, result)

    def _failed(self, now: int, reason: str) -> list[Effect]:
        """Storage that failed ends this life. What can't even be opened waits for the operator:
        the others go on, and orders can still be canceled."""
        if self._open:
            self._finished = True
            return [Report(f"database: {reason}", grave=True), Finish(1)]
        self._keeper.begin(now)
        said = self._troubles.get("store") == reason
        self._troubles["store"] = reason
        self._retry, self._retry_at = OpenStore(), now + OPEN_RETRY
        return [] if said else [Report(f"database: {reason}", grave=True)]

    def _locked(self, now: int, reason: str) -> list[Effect]:
        if self._locked_since is None:
            self._locked_since = now
        self._retry_at = now + self._locked_wait
        self._locked_wait = min(self._locked_wait * 2, LOCKED_RETRY_LAST)
        if now - self._locked_since < LOCKED_RETRY_MAX:
            return []
        said = "locked" in self._troubles
        self._troubles["locked"] = f"database: {reason}"
        return [] if said else [Report(self._troubles["locked"], grave=True)]

    def _checkpoint(self, entries: int) -> list[Effect]:
        """Due after so many commits or entries; the next commit waits behind it."""
        self._unsaved = (self._unsaved[0] + 1, self._unsaved[1] + entries)
        if self._unsaved[0] < CHECKPOINT_COMMITS and self._unsaved[1] < CHECKPOINT_ROWS:
            return []
        self._unsaved = (0, 0)
        return [Checkpoint()]

    def _checkpointed(self, pages: int, done: int) -> list[Effect]:
        pinned = pages - done
        self._counters["log_pages"] = pinned
        if pinned <= LOG_PAGES_MAX:
            self._troubles.pop("log", None)
            return []
        said = "log" in self._troubles
        self._troubles["log"] = f"database: a reader that does not end holds {pinned} log pages"
        return [] if said else [Report(self._troubles["log"], grave=True)]

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
