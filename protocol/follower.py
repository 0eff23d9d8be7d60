"""Copies kept in step with what is published: live, or lost and aware of it.

Being lost is ordinary: PUB/SUB drops. What a follower never is, is wrong without knowing. A
missing piece is asked for by a timer, never "on the next message", which may not come.
"""

from typing import Literal

from protocol import topics
from protocol.account import Account, Meaning
from protocol.book import Book
from protocol.envelope import Envelope, Outbox
from protocol.errors import RemoteProtocolError
from protocol.limits import (
    CATCH_UP_RETRY,
    ENTRIES_MAX,
    LEDGER_SILENCE_MAX,
    MARK_SILENCE_MAX,
    PENDING_MAX,
    SNAPSHOT_RETRY,
)
from protocol.machine import Effect, Tell
from protocol.messages import (
    AccountAnswer,
    AccountRequest,
    BookAnswer,
    BookDelta,
    BookFresh,
    BookLost,
    BookRequest,
    BookSnapshot,
    BookStale,
    Entries,
    EntriesRequest,
    Entry,
    Mark,
)
from protocol.sequence import Cursor, Verdict


class BookFollower:
    """One market's book, from `book.<ticker>` and the marks of the stream.

    `live`: all of it, and of now. `stale`: all of it, of a past moment. Else lost: `book` must not
    be read; a snapshot is asked for.
    """

    def __init__(self, ticker: str, outbox: Outbox, now: int) -> None:
        self.ticker = ticker
        self.book = Book()
        self.whole = False  # nothing is missing
        self.late = False  # the stream says that what it publishes is of a past moment
        self.generation = 0
        self.cursor = Cursor()
        self.gaps = 0
        self._topic = topics.book(ticker)
        self._outbox = outbox
        self._marks = Cursor()
        self._heard_at = now
        self._pending: list[Envelope] = []  # contiguous, ends at the cursor
        self._ask_at = now
        self._asked = 0
        self._doubted = 0  # of those asked for: answers up to here may be too old

    def attached(self, epoch: int, seq: int) -> None:
        """It is heard from now on without a hole: this was the stream's last mark."""
        self._marks = Cursor(epoch, seq)

    @property
    def live(self) -> bool:
        return self.whole and not self.late

    @property
    def state(self) -> Literal["live", "stale", "lost"]:
        if not self.whole:
            return "lost"
        return "stale" if self.late else "live"

    def hear(self, now: int, envelope: Envelope) -> None:
        """Take what was published; other topics than the book's and the mark are ignored."""
        if envelope.source != "stream":
            return
        if envelope.topic == topics.MARK and isinstance(envelope.body, Mark):
            self._marked(now, envelope, envelope.body)
        elif envelope.topic == self._topic:
            self._heard_at = now
            self._said(envelope)

    def adopt(self, answer: BookAnswer, id: str = "") -> None:
        """Take a snapshot from the stream, and what was published after it.

        `id` is that of its letter. An answer to what was asked before a mark was missing may be
        from before what was missed with it: it is left. Without an id, that is for the caller to
        know.
        """
        number = id.removeprefix(f"book:{self.ticker}:")
        if number.isdecimal() and int(number) <= self._doubted:
            return
        if self.whole or answer.ticker != self.ticker or answer.state not in ("live", "stale"):
            return
        if answer.epoch < self.cursor.epoch:
            return
        held = [e for e in self._pending if e.epoch == answer.epoch and e.seq > answer.seq]
        if held and held[0].seq != answer.seq + 1:
            return
        try:
            book = Book(answer.yes, answer.no)
        except RemoteProtocolError:
            return
        if (answer.epoch, answer.seq) > (self.cursor.epoch, self.cursor.seq):
            self.cursor = Cursor(answer.epoch, answer.seq)
        elif not held and (answer.epoch, answer.seq) < (self.cursor.epoch, self.cursor.seq):
            return  # something after it was not kept
        self.book, self.generation = book, answer.generation
        self.whole, self.late = True, answer.state == "stale"
        self._pending.clear()
        for envelope in held:
            self._take(envelope)

    def due(self, now: int, at: int) -> list[Effect]:
        """Ask for a snapshot while lost; notice silence."""
        if self.whole and now - self._heard_at > MARK_SILENCE_MAX:
            self._doubt()
        if self.whole or now < self._ask_at:
            return []
        self._ask_at = now + SNAPSHOT_RETRY
        self._asked += 1
        letter = self._outbox.letter(
            f"book:{self.ticker}:{self._asked}", BookRequest(self.ticker), at
        )
        return [Tell("stream", letter)]

    def deadline(self) -> int:
        return self._heard_at + MARK_SILENCE_MAX + 1 if self.whole else self._ask_at

    def _said(self, envelope: Envelope) -> None:
        verdict = self.cursor.admit(envelope.epoch, envelope.seq)
        if verdict is Verdict.DUPLICATE:
            return
        if verdict is Verdict.GAP:
            self.gaps += 1
        match envelope.body:
            case BookSnapshot() | BookLost():
                self._take(envelope)
            case BookDelta() | BookStale() | BookFresh() if self.whole and verdict is Verdict.NEXT:
                self._take(envelope)
            case BookDelta() | BookStale() | BookFresh():
                self._hold(envelope, verdict)

    def _take(self, envelope: Envelope) -> None:
        """What was said next."""
        try:
            match envelope.body:
                case BookSnapshot(yes=yes, no=no, generation=generation):
                    self._pending.clear()
                    self.book, self.generation = Book(yes, no), generation
                    self.whole, self.late = True, False
                case BookLost():
                    self._lose()
                case BookDelta(side=side, price=price, change=change) if self.whole:
                    self.book.apply(side, price, change)
                case BookStale():
                    self.late = True
                case BookFresh():
                    self.late = False
        except RemoteProtocolError:
            self._lose()

    def _hold(self, envelope: Envelope, verdict: Verdict) -> None:
        self.whole = False
        if verdict is not Verdict.NEXT or len(self._pending) >= PENDING_MAX:
            self._pending.clear()
        self._pending.append(envelope)

    def _lose(self) -> None:
        self.whole = False
        self._pending.clear()

    def _marked(self, now: int, envelope: Envelope, mark: Mark) -> None:
        verdict = self._marks.admit(envelope.epoch, envelope.seq)
        if verdict is Verdict.DUPLICATE:
            return
        self._heard_at = now
        last = mark.topics.get(self._topic, 0)
        if last and self.cursor.admit(envelope.epoch, last) is not Verdict.DUPLICATE:
            self._lose()  # and no answer from before that will do
        if verdict is not Verdict.NEXT:
            self._doubt()
        elif envelope.epoch != self.cursor.epoch:
            self._lose()

    def _doubt(self) -> None:
        """Anything may have been missed: only what is asked for from now on is of use."""
        self._lose()
        self._doubted = self._asked


class LedgerFollower:
    """The account, folded from the writer's `ledger` topic; gaps are filled by asking it.

    It starts empty (`begin` asks the rehydrator for the account) or with an account that its
    owner has restored. `current` is what risk may rest on: complete, and heard of lately.
    """

    def __init__(self, outbox: Outbox, account: Account | None = None) -> None:
        self.account = account
        self.head = 0 if account is None else account.n
        self._outbox = outbox
        self._pending: dict[int, Entry] = {}
        self._heard_at: int | None = None
        self._ask_at = 0
        self._asked = 0
        self._gaps = 0
        self._catching_up = False
        self._lag = 0  # microseconds, the largest since `counters`

    def current(self, now: int) -> bool:
        """Complete as far as we know, and the writer was heard within LEDGER_SILENCE_MAX."""
        return self.why_not(now) == ""

    def why_not(self, now: int) -> str:
        """Why the account is not fit for new risk; "" if it is."""
        if self.account is None:
            return "waiting for rehydrator: no account yet"
        if self._heard_at is None or now - self._heard_at > LEDGER_SILENCE_MAX:
            return "writer: silent"
        if self.account.n < self.head:
            return f"ledger: {self.head - self.account.n} entries behind"
        return ""

    def age(self, now: int) -> int:
        """How long ago the writer was heard last, nanoseconds: nothing before that is missing once
        `current`. 0 if it never was."""
        return 0 if self._heard_at is None else now - self._heard_at

    def restore(self, account: Account) -> None:
        """Start from an account that was restored elsewhere."""
        self.account = account
        self.head = max(self.head, account.n)

    def counters(self) -> dict[str, int]:
        """For a heartbeat: the largest lag since the last one, and how often entries had to be
        fetched. The lag is from the moment the writer spoke to the moment it was heard."""
        lag, self._lag = self._lag, 0
        return {"lag_ms": lag // 1_000, "gaps": self._gaps}

    def hear(self, now: int, envelope: Envelope, at: int = 0) -> list[Meaning]:
        """Take what the writer published. Returns what changed in the account.

        `at` is the wall clock, microseconds; without it no lag is known.
        """
        if envelope.source != "writer":
            return []
        self._heard_at = now
        self._lag = max(self._lag, at - envelope.at)
        match envelope.body:
            case Mark(head=head):
                self.head = max(self.head, head)
                return []
            case Entry() if envelope.topic == topics.LEDGER:
                return self._take(now, envelope.body)
        return []

    def answered(self, now: int, body: object) -> list[Meaning]:
        """Take an answer to what `due` asked. Returns what changed in the account."""
        match body:
            case AccountAnswer(state="restored", account=state) if state is not None:
                if self.account is None:
                    self.restore(Account(state))
                    return self._drain()
            case Entries(entries=entries, head=head):
                self.head = max(self.head, head)
                self._heard_at = now
                before = self.account.n if self.account is not None else 0
                meanings = [m for entry in entries for m in self._take(now, entry)]
                if self.account is not None and self.account.n > before:
                    self._ask_at = now  # the next page at once, but never a second time for one
                return meanings
        return []

    def due(self, now: int, at: int) -> list[Effect]:
        """Ask for what is missing, at a bounded rate."""
        self._catching_up = self._catching_up and self._missing
        if now < self._ask_at or not self._missing:
            return []
        self._ask_at = now + CATCH_UP_RETRY
        self._asked += 1
        if self.account is None:
            letter = self._outbox.letter(f"account:{self._asked}", AccountRequest(), at)
            return [Tell("rehydrator", letter)]
        self._gaps += not self._catching_up
        self._catching_up = True
        request = EntriesRequest(self.account.n, ENTRIES_MAX)
        return [Tell("writer", self._outbox.letter(f"entries:{self._asked}", request, at))]

    def deadline(self) -> int | None:
        return self._ask_at if self._missing else None

    @property
    def _missing(self) -> bool:
        return self.account is None or self.account.n < self.head

    def _take(self, now: int, entry: Entry) -> list[Meaning]:
        self.head = max(self.head, entry.n)
        if self.account is not None and entry.n <= self.account.n:
            return []
        if len(self._pending) < PENDING_MAX:
            self._pending[entry.n] = entry
        return self._drain()

    def _drain(self) -> list[Meaning]:
        if self.account is None:
            return []
        meanings: list[Meaning] = []
        while (entry := self._pending.pop(self.account.n + 1, None)) is not None:
            meanings += self.account.apply(entry)
        if self._pending and len(self._pending) >= PENDING_MAX:
            self._pending = {n: e for n, e in self._pending.items() if n > self.account.n}
        return meanings
