"""The books that the front keeps in step with the stream: for whoever follows them, and for GET.

A book is used only after a mark that came when the subscription held: until then nobody knows
what was missed. From memory a book is answered only while it is live, and the stream has lately
said how far to trust it; everything else is asked of the stream itself.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from protocol import topics
from protocol.envelope import Envelope, Letter, Outbox
from protocol.follower import BookFollower
from protocol.limits import (
    BOOK_GLANCE,
    BOOK_GLANCE_MAX,
    BOOK_KEPT,
    BOOK_LAG_MAX,
    BOOK_LOOK,
    BOOK_MISSING_RETRY,
    BOOKS_KEPT_MAX,
    SUBSCRIBED_AFTER,
    US,
)
from protocol.machine import Effect, Tell
from protocol.messages import BookAnswer, BookDelta, BookRequest, BookSnapshot, Level
from protocol.units import encode_unit

_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode
UNDATED = b',"as_of":0,"audited_at":0}'  # how an answer ends that says of neither


class Listen(Effect, frozen=True):
    """Hear what is published under this prefix; `on` is false: no more."""

    prefix: str
    on: bool = True


class Word(Struct, frozen=True):
    """What the stream has said of its own live book: it goes for ours that is at least as far."""

    epoch: int
    seq: int
    heard_at: int
    as_of: int
    audited_at: int


class Kept(Struct):
    """One market's book, who wants it, and how far it can be trusted."""

    follower: BookFollower
    since: int
    followed: bool = False  # by a client
    until: int = 0  # kept for requests
    marked: bool = False  # a mark was heard that covers the subscription
    trouble: str = ""  # what the stream said last of a book that it has not: its state
    reason: str = ""
    received_at: int = 0
    look_at: int = 0  # of a book that the stream does not follow
    glance_at: int = 0  # the stream is asked again
    word: Word | None = None  # the last one, if we are not there yet
    glanced_at: int = -BOOK_GLANCE_MAX - 1  # when the one was heard that goes for our book
    as_of: int = 0
    audited_at: int = 0
    place: tuple[int, int] = (0, 0)  # what `texts` are of
    texts: dict[int, bytes] = {}  # by depth

    @property
    def usable(self) -> bool:
        """Nothing is missing, and that is known."""
        return self.marked and self.follower.whole

    @property
    def here(self) -> tuple[int, int]:
        return self.follower.cursor.epoch, self.follower.cursor.seq

    def heed(self) -> None:
        """Whether the stream's word goes for our book by now: what came before it may have been
        overtaken by it. Of another epoch's book it says nothing."""
        word = self.word
        if word is None or not self.follower.whole or self.here < (word.epoch, word.seq):
            return
        self.word = None
        if self.here[0] == word.epoch:
            self.glanced_at, self.as_of = word.heard_at, word.as_of
            self.audited_at = word.audited_at


class Books:
    """At most BOOKS_KEPT_MAX books; those that were only asked for make room for others."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._kept: dict[str, Kept] = {}
        self._effects: list[Effect] = []
        self._asked = 0
        self._lag = 0  # microseconds, of what the stream said last
        self._mark = 0, 0  # the stream's last one
        self._look_at: int | None = None
        self._sweep_at = 0
        self.served = 0  # answers from memory, since the start

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def stirred(self) -> bool:
        """Whether `due` has something to say, whatever the time is."""
        return bool(self._effects)

    def get(self, ticker: str) -> Kept | None:
        return self._kept.get(ticker)

    def follow(self, now: int, ticker: str, held: bool = False) -> bool:
        """Keep it for clients. `held`: it is heard already. False: there is no room."""
        kept = self._keep(now, ticker)
        if kept is None:
            return False
        kept.followed = True
        if held and not kept.marked:
            kept.marked = True
            kept.follower.attached(*self._mark)
        return True

    def unfollow(self, now: int, ticker: str) -> None:
        """No client follows it any more."""
        kept = self._kept.get(ticker)
        if kept is not None:
            kept.followed = False
            if kept.until <= now:
                self._drop(ticker)

    def read(self, now: int, at: int, ticker: str, depth: int) -> bytes | None:
        """The answer to GET /v1/books/TICKER, if it may be given from memory. None: ask the
        stream. From now on the book is kept for a while."""
        kept = self._keep(now, ticker)
        if kept is None:
            return None
        kept.until = now + BOOK_KEPT
        if kept.usable and now >= kept.glance_at:
            kept.glance_at = now + BOOK_GLANCE
            self._asked += 1
            letter = self._outbox.letter(f"glance:{self._asked}", BookRequest(ticker), at)
            self._effects.append(Tell("stream", letter))
        fresh = now - kept.glanced_at <= BOOK_GLANCE_MAX and self._lag * US <= BOOK_LAG_MAX
        if not (fresh and kept.marked and kept.follower.live):
            return None
        self.served += 1
        age = max(at - kept.as_of, 0) // 1_000
        text = self._text(kept, depth)
        return b'%b,"as_of":%d,"audited_at":%d,"age_ms":%d}' % (
            text, kept.as_of, kept.audited_at, age,
        )  # fmt: skip

    def _text(self, kept: Kept, depth: int) -> bytes:
        """All of the answer that changes only with the book."""
        if kept.place != kept.here:
            kept.place, kept.texts = kept.here, {}
        text = kept.texts.get(depth)
        if text is None:
            whole = _encode(book_answer(kept, depth))
            assert whole.endswith(UNDATED)
            text = kept.texts[depth] = whole.removesuffix(UNDATED)
            if len(kept.texts) > 8:
                del kept.texts[next(iter(kept.texts))]
        return text

    def hear(self, now: int, at: int, envelope: Envelope) -> None:
        """Take what was said of a book that is kept."""
        kept = self._kept.get(topics.subject(envelope.topic))
        self._lag = max(at - envelope.at, 0)
        if kept is None:
            return
        before = kept.here
        kept.follower.hear(now, envelope)
        kept.heed()
        match envelope.body:
            case BookDelta(received_at=received_at) | BookSnapshot(received_at=received_at):
                if kept.here != before:
                    kept.received_at = received_at
        self._look_by(kept)

    def marked(self, now: int, at: int, envelope: Envelope) -> Iterable[str]:
        """The stream said its mark. Returns the markets that it may have changed."""
        self._lag = max(at - envelope.at, 0)
        self._mark = envelope.epoch, envelope.seq
        for kept in self._kept.values():
            kept.follower.hear(now, envelope)
            kept.marked = kept.marked or now - kept.since >= SUBSCRIBED_AFTER
            self._look_by(kept)
        return tuple(self._kept)

    def answered(self, now: int, letter: Letter, answer: BookAnswer) -> None:
        """The stream said how a book is, because we asked."""
        kept = self._kept.get(answer.ticker)
        if kept is None:
            return
        if letter.id.startswith(f"book:{answer.ticker}:"):  # what the follower itself has asked
            whole = kept.follower.whole
            kept.follower.adopt(answer, letter.id)
            if not whole and kept.follower.whole:
                kept.received_at = max(kept.received_at, answer.received_at)
                kept.place = (0, 0)
        self._take_word(now, kept, answer)
        known = answer.state in ("live", "stale") or kept.follower.whole  # the answer may be old
        kept.trouble, kept.reason = ("", "") if known else (answer.state, answer.reason)
        if answer.state == "not followed":
            kept.look_at = now + BOOK_MISSING_RETRY
        self._look_by(kept)

    @staticmethod
    def _take_word(now: int, kept: Kept, answer: BookAnswer) -> None:
        if answer.state == "live" and answer.epoch >= kept.here[0]:
            as_of = answer.as_of or answer.received_at
            kept.word = Word(answer.epoch, answer.seq, now, as_of, answer.audited_at)
            kept.heed()
        if answer.state != "live" or answer.epoch != kept.here[0]:
            kept.glanced_at = now - BOOK_GLANCE_MAX - 1

    def due(self, now: int, at: int) -> list[Effect]:
        """Listen, ask for what is missing, let go of what nobody wants."""
        if now >= self._sweep_at:
            self._sweep_at = now + BOOK_LOOK
            for ticker in [t for t, k in self._kept.items() if not k.followed and k.until <= now]:
                self._drop(ticker)
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            for kept in self._kept.values():
                if now >= kept.look_at or kept.follower.whole:
                    self._effects += kept.follower.due(now, at)
                self._look_by(kept)
        effects, self._effects = self._effects, []
        return effects

    def deadline(self) -> int | None:
        if not self._kept:
            return None
        return self._sweep_at if self._look_at is None else min(self._look_at, self._sweep_at)

    def _keep(self, now: int, ticker: str) -> Kept | None:
        kept = self._kept.get(ticker)
        if kept is not None:
            return kept
        if len(self._kept) >= BOOKS_KEPT_MAX and not self._make_room():
            return None
        kept = self._kept[ticker] = Kept(BookFollower(ticker, self._outbox, now), now)
        self._effects.append(Listen(f"{topics.book(ticker)} "))
        self._look_by(kept)
        return kept

    def _make_room(self) -> bool:
        """The book goes that was asked for longest ago."""
        idle = [(kept.until, ticker) for ticker, kept in self._kept.items() if not kept.followed]
        if not idle:
            return False
        self._drop(min(idle)[1])
        return True

    def _drop(self, ticker: str) -> None:
        del self._kept[ticker]
        self._effects.append(Listen(f"{topics.book(ticker)} ", False))

    def _look_by(self, kept: Kept) -> None:
        by = kept.follower.deadline()
        if not kept.follower.whole:
            by = max(by, kept.look_at)
        self._look_at = by if self._look_at is None else min(self._look_at, by)


def book_answer(kept: Kept, depth: int = 0) -> BookAnswer:
    """A book that is whole, as the stream would answer for it; of when is not said."""
    follower = kept.follower
    return BookAnswer(
        follower.ticker,
        follower.state,
        *kept.here,
        best(follower.book.levels("yes"), depth),
        best(follower.book.levels("no"), depth),
        received_at=kept.received_at,
        generation=follower.generation,
    )


def best(levels: tuple[Level, ...], depth: int) -> tuple[Level, ...]:
    """The last levels are the best; with 0, all."""
    return levels[-depth:] if depth else levels
