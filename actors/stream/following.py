"""Changes of what is followed: by letter, by the gateway's answer, by a market's life."""

from collections import deque

from msgspec import Struct

from actors.stream.books import Books
from actors.stream.follows import LOOK_RETRY, Follows
from actors.stream.lines import Lines
from actors.stream.wire import SaveFollow
from protocol.envelope import Outbox
from protocol.limits import CLOSED_DOUBT, FOLLOWS_WAITING_MAX, SECOND
from protocol.machine import Answer, Effect, Report
from protocol.messages import (
    AnyMessage,
    Follow,
    FollowAnswer,
    MarketsAnswer,
    MarketsRequest,
    Refused,
)
from protocol.telling import Outstanding

MISSED_LOOK = 1 * SECOND  # lives may have gone on unheard: look soon, but not at each hole


class _Change(Struct):
    """A change that is on its way to the disk, and who waits for it."""

    sender: tuple[bytes, ...]
    id: str
    wanted: Follow


class Following:
    """A change counts once it is on disk: a restart must not follow something else."""

    def __init__(
        self, follows: Follows, lines: Lines, books: Books, tells: Outstanding, outbox: Outbox
    ) -> None:
        self._follows = follows
        self._lines = lines
        self._books = books
        self._tells = tells
        self._outbox = outbox
        self._changes: deque[_Change] = deque()  # the first is on its way to the disk
        self._number = 0
        self._looks = 0
        self._look_id = ""
        self._stirred = True  # what is carried may differ from what is wished for
        self._cut = 0

    def asked(
        self, now: int, at: int, sender: tuple[bytes, ...], id: str, wanted: Follow
    ) -> list[Effect]:
        """A letter that wants more or less to be followed, or to know what is."""
        reason = self._follows.refusal(wanted.add, wanted.remove)
        if reason or not (wanted.add or wanted.remove):
            return [self._answer(sender, id, self._state(reason, wanted.named), at)]
        if len(self._changes) >= FOLLOWS_WAITING_MAX:
            busy = Refused("other changes are still on their way to the disk: ask again")
            return [self._answer(sender, id, busy, at)]
        self._changes.append(_Change(sender, id, wanted))
        return self._save(at) if len(self._changes) == 1 else []

    def saved(self, now: int, at: int, number: int, trouble: str) -> list[Effect]:
        """The first of the changes is on disk, or is not."""
        if number != self._number or not self._changes:
            return []
        change = self._changes.popleft()
        effects: list[Effect] = []
        if not trouble:
            self._follows.change(change.wanted.add, change.wanted.remove)
            self._tells.answered(self._look_id)  # what is still looked up, was wished for before
            effects = self._carry(now, at)
            wishes = ", ".join(self._follows.wishes)
            effects.append(Report(f"followed: {wishes[:200] or 'nothing'}"))
        state = self._state(f"could not be saved: {trouble}" if trouble else "")
        effects.append(self._answer(change.sender, change.id, state, at))
        return effects + self._save(at)

    def _save(self, at: int) -> list[Effect]:
        """One change after the other: each is held against what the one before has left."""
        effects: list[Effect] = []
        while self._changes:
            change = self._changes[0]
            reason = self._follows.refusal(change.wanted.add, change.wanted.remove)
            if not reason:
                self._number += 1
                beside = self._follows.beside_settings(change.wanted.add, change.wanted.remove)
                return [*effects, SaveFollow(self._number, *beside)]
            self._changes.popleft()
            effects.append(self._answer(change.sender, change.id, self._state(reason), at))
        return effects

    def due(self, now: int, at: int) -> list[Effect]:
        """Look up which markets there are; take what the life cycle has told."""
        effects: list[Effect] = []
        public = self._lines.public
        if public.missed:
            public.missed = False
            if self._follows.known:
                self._follows.look_at = min(self._follows.look_at, now + MISSED_LOOK)
        if public.changed:
            news, public.changed = public.changed, []
            self._stirred |= any([self._follows.changed(now, change) for change in news])
        if self._stirred:
            effects += self._carry(now, at)
        for ticker in self._follows.closed(at):
            self._books.doubted[ticker] = now + CLOSED_DOUBT
            effects += self._lines.distrust(now, at, ticker, "its market has closed")
        return effects + self._look(now, at)

    def deadline(self) -> int | None:
        waits = self._look_id in self._tells or not self._follows.asked
        return None if waits else self._follows.look_at

    def told(self, now: int, at: int, id: str, answer: MarketsAnswer) -> list[Effect]:
        """The gateway's answer to a look-up."""
        if id != self._look_id or self._tells.answered(id) is None:
            return []
        self._follows.told(now, answer)
        effects: list[Effect] = []
        if self._follows.left_out != self._cut:
            self._cut = self._follows.left_out
            text = f"{self._cut} markets more than can be followed are left out"
            effects = [Report(text, grave=True)] if self._cut else []
        return effects + (self._carry(now, at) if answer.complete else [])

    def _look(self, now: int, at: int) -> list[Effect]:
        follows = self._follows
        if not follows.asked or now < follows.look_at or self._look_id in self._tells:
            return []
        if self._tells.full:
            follows.look_at = now + LOOK_RETRY
            return []
        self._looks += 1
        self._look_id = f"markets:{self._outbox.epoch}:{self._looks}"
        return self._tells.tell(now, at, "gateway", self._look_id, MarketsRequest(follows.asked))

    def _carry(self, now: int, at: int) -> list[Effect]:
        self._stirred = False
        return self._lines.carry(now, at, self._follows.tickers, self._follows.whole)

    def _state(self, reason: str, named: str | None = None) -> FollowAnswer:
        follows, left_out = self._follows, self._follows.left_out + self._lines.left_out
        books, wishes = self._books.by_ticker, tuple(follows.wishes)
        tickers = () if named is None else tuple(t for t in books if t.startswith(named))
        return FollowAnswer(wishes, len(books), self._books.live, left_out, reason, tickers)

    def _answer(self, sender: tuple[bytes, ...], id: str, body: AnyMessage, at: int) -> Effect:
        return Answer(sender, self._outbox.letter(id, body, at))
