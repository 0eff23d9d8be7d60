"""Cancel everything that rests, and look until nothing does: what a panic consists of.

One call at a time, for the gateway and for the command that works without it. Nothing rests only
if a complete listing is empty and surely newer than the last cancel-all and than every order that
was still on its way: the exchange's reads lag behind its writes (FACTS.md section 6.1). How new
its reads are is what it says itself; where it does not, two empty listings must agree.
"""

import enum

import msgspec
from msgspec import Struct

from actors.gateway.desk import CallAnswered, CallFailed, Ended
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, calls
from protocol.kalshi.calls import Call
from protocol.limits import (
    CANCEL_RETRY_MAX,
    CLOCK_SKEW_MAX,
    PAGES_MAX,
    PANIC_RETRY,
    RESOLVE_INTERVAL,
    US,
)

ONES_MAX = 50  # orders canceled one by one before everything is canceled again
ACCOUNT_NEWNESS = msgspec.structs.replace(calls.USER_DATA, lane="cancel")


class Step(enum.Enum):
    """What the next call, or the one under way, is for."""

    CANCEL_ALL = enum.auto()
    DATE = enum.auto()  # how new are the exchange's reads?
    LIST = enum.auto()
    CANCEL_ONE = enum.auto()


class _Date(Struct, frozen=True):
    as_of_time: str


class _Row(Struct, frozen=True):
    """As little of an order as will do: the more is read, the more can be unreadable."""

    order_id: str
    ticker: str
    status: str = "resting"


class _Page(Struct, frozen=True):
    orders: tuple[_Row, ...]
    cursor: str | None = ""


class Sweep:
    """`next` says the call to make, `ended` takes what came of it, until `done`."""

    def __init__(self, now: int) -> None:
        self.done = False
        self.cancel_alls = 0  # sent, or perhaps
        self.resting = -1  # of the last complete listing
        self.trouble = "nothing has been listed yet"  # what keeps it from being done
        self.in_flight = False  # an order is on its way to the exchange
        self.lands_until = now  # one that nobody knows the end of may arrive until then
        self._floor = now  # what proves that nothing rests is not older than this
        self._step = Step.CANCEL_ALL
        self._owed = True  # everything is to be canceled (again)
        self._busy = False
        self._ready_at = now
        self._refusals = 0  # 429s, one after the other
        self._as_of: int | None = None  # the listing shows at least what was so at this moment
        self._began = now
        self._cursor = ""
        self._cursors: set[str] = set()
        self._rows: dict[str, str] = {}  # tickers by order_id, of this listing
        self._before: dict[str, str] = {}  # of the one before
        self._ones: list[tuple[str, str]] = []
        self._empty_at: int | None = None  # the first of two empty listings began

    def moved(self, now: int) -> None:
        """An order's call has ended: it may rest by now, so everything is canceled once more."""
        self._floor = max(self._floor, now)
        self._owed = True
        if self._step is Step.DATE and not self._busy:
            self._step = Step.CANCEL_ALL

    def next(self, now: int) -> Call | None:
        """The call to make now, if it is time; its end has to be told."""
        if self.done or self._busy or now < self._ready_at:
            return None
        self._busy = True
        match self._step:
            case Step.CANCEL_ALL:
                return calls.CANCEL_ALL
            case Step.DATE:
                return ACCOUNT_NEWNESS
            case Step.LIST:
                if not self._cursor:
                    self._began = now
                return calls.list_orders("cancel", status="resting", cursor=self._cursor)
            case Step.CANCEL_ONE:
                return calls.cancel(*self._ones[-1])

    def unsent(self, now: int) -> None:
        """The call could not even be queued."""
        self._busy = False
        self._ready_at = now + PANIC_RETRY

    def deadline(self) -> int | None:
        return None if self._busy or self.done else self._ready_at

    def ended(self, now: int, at: int, ended: Ended) -> str:
        """A call has ended. Returns what there is to say about it."""
        self._busy = False
        if isinstance(ended, CallAnswered) and ended.status == 429:
            wait = min(PANIC_RETRY << min(self._refusals, 8), CANCEL_RETRY_MAX)
            self._refusals += 1
            self._ready_at = now + wait
            self.trouble = "the exchange answers 429: the account's budget is used up"
            return self.trouble
        self._refusals = 0
        match self._step:
            case Step.CANCEL_ALL:
                return self._canceled_all(now, ended)
            case Step.DATE:
                return self._dated(now, at, ended)
            case Step.LIST:
                return self._listed(now, ended)
            case Step.CANCEL_ONE:
                return self._canceled_one(now, ended)

    def _canceled_all(self, now: int, ended: Ended) -> str:
        self._step = Step.DATE
        if may_have_worked(ended):
            self.cancel_alls += 1
            self._floor = max(self._floor, now)
        if isinstance(ended, CallAnswered) and 200 <= ended.status < 300:
            self._owed = False
            return "everything that rests is canceled, says the exchange"
        self.trouble = f"cancel-all: {_said(ended)}"  # it stays owed; but first a look
        if isinstance(ended, CallFailed):
            self._ready_at = now + PANIC_RETRY
            self._step = Step.DATE if ended.sent else Step.CANCEL_ALL
        return self.trouble

    def _dated(self, now: int, at: int, ended: Ended) -> str:
        """What it says is as of a time of its own clock, which may be ahead of ours."""
        self._step, self._as_of = Step.LIST, None
        if not isinstance(ended, CallAnswered) or ended.status != 200:
            return ""
        try:
            as_of = answers.micros(answers.read(ended.body, _Date).as_of_time)
        except RemoteProtocolError:
            return ""
        found = now - (at - as_of) * US - CLOCK_SKEW_MAX
        if found <= now + CLOCK_SKEW_MAX:  # else our clock is wrong: how new reads are is not known
            self._as_of = found
        return ""

    def _listed(self, now: int, ended: Ended) -> str:
        if not isinstance(ended, CallAnswered) or ended.status != 200:
            return self._look_again(now, f"listing: {_said(ended)}")
        try:
            page: _Page = answers.read(ended.body, _Page)
        except RemoteProtocolError as e:
            return self._look_again(now, f"listing: {e}")
        self._rows |= {r.order_id: r.ticker for r in page.orders if r.status == "resting"}
        self._cursor = page.cursor or ""
        if not self._cursor:
            return self._complete(now)
        if self._cursor in self._cursors or len(self._cursors) >= PAGES_MAX:
            return self._look_again(now, "listing: its pages go round")
        self._cursors.add(self._cursor)
        return ""

    def _complete(self, now: int) -> str:
        rows, before = self._rows, self._before
        self.resting, self._before = len(rows), rows
        if not rows:
            self.done = self._proved(now)
            return "nothing rests" if self.done else self._look_again(now, self.trouble)
        self._empty_at, self._owed = None, True
        self._ones = [(id, ticker) for id, ticker in rows.items() if id in before][:ONES_MAX]
        said = self._look_again(now, _resting(len(rows)))
        if self._ones:  # a listing may lag; two of them are reason to cancel each by its name
            self._step, self._ready_at = Step.CANCEL_ONE, now
        return said

    def _proved(self, now: int) -> bool:
        """Whether an empty, complete listing is the last word."""
        floor = max(self._floor, self.lands_until)
        if self.in_flight:
            self.trouble = "nothing is listed; an order is still on its way"
            return False
        if self._as_of is not None:
            self.trouble = "nothing is listed; the exchange's reads may not be up to date yet"
            if now < floor:
                self.trouble = "nothing is listed; an order sent before may still arrive"
            return self._as_of >= floor
        if self._began < floor:
            self.trouble = "nothing is listed; an order sent before may still arrive"
            return False
        self.trouble = "nothing is listed; it is looked at once more, because reads lag"
        if self._empty_at is None or self._empty_at < floor:
            self._empty_at = self._began
            return False
        return self._began >= self._empty_at + RESOLVE_INTERVAL

    def _look_again(self, now: int, why: str) -> str:
        self.trouble = why
        self._rows, self._cursor = {}, ""
        self._cursors.clear()
        self._step, self._ready_at = self._first(), now + PANIC_RETRY
        return why

    def _first(self) -> Step:
        """How a round begins."""
        return Step.CANCEL_ALL if self._owed else Step.DATE

    def _canceled_one(self, now: int, ended: Ended) -> str:
        """What it answers proves nothing: the next listing does."""
        self._ones.pop()
        if isinstance(ended, CallFailed):
            self._ones.clear()
        if not self._ones:
            self._step, self._ready_at = self._first(), now + PANIC_RETRY
        return ""


def _resting(count: int) -> str:
    return "1 order rests" if count == 1 else f"{count} orders rest"


def may_have_worked(ended: Ended) -> bool:
    """Whether a cancel-all that ended so can have canceled anything."""
    if isinstance(ended, CallFailed):
        return ended.sent
    return ended.status < 300 or ended.status >= 500


def _said(ended: Ended) -> str:
    if isinstance(ended, CallFailed):
        return ended.reason
    said = answers.refusal(ended.body)
    return f"status {ended.status} {said.code if said else ''}".strip()
