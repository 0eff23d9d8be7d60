"""Cancels: always allowed, in the first lane, repeated until something proves that nothing rests.

They need no gate, no halt lifted and not even the account: orders that we don't know the
exchange's id of are looked for, all in one listing, among what rests there. Whoever asked is told
"unknown" after a while; the cancel itself goes on until there is evidence. A 404 is none: a
canceled, an executed and an unknown order look alike (captures `orders__cancel_*`).
"""

import enum
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.markets import Markets
from actors.gateway.orders import Orders
from actors.gateway.terms import is_client_order_id
from actors.gateway.tickets import Stage
from protocol.account import FINISHED
from protocol.errors import RemoteProtocolError
from protocol.facts import OrderCanceled
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import Canceled, OneOrder, OrderPage, Refusal
from protocol.limits import (
    CANCEL_ASKERS_MAX,
    CANCEL_RETRY_MAX,
    CANCEL_RETRY_MIN,
    CANCEL_TOLD_AFTER,
    LANE_QUEUE_MAX,
    PAGES_MAX,
    SEARCH_INTERVAL,
    SEARCHED_FOR,
)
from protocol.machine import Effect
from protocol.messages import CancelAnswer, Order
from protocol.units import Count

Outcome = Literal["canceled", "gone", "not_found", "unknown", "unavailable"]


class Step(enum.Enum):
    """What a cancel waits for."""

    ORDER = enum.auto()  # the order's own call: before it, there is no id to cancel by
    FINDING = enum.auto()  # a listing of what rests
    CANCELING = enum.auto()
    CHECKING = enum.auto()  # what the exchange shows of the order
    PAUSE = enum.auto()  # between two tries


class Cancel(Struct):
    """One cancel that is under way."""

    askers: list[Asker]
    tell_at: int  # then the askers are told that it is unknown, and it goes on
    since: int
    step: Step = Step.ORDER
    order_id: str = ""
    ticker: str = ""
    again_at: int = 0
    pause: int = CANCEL_RETRY_MIN
    reason: str = "the order is on its way"
    batch: int = 0  # the call that it shares with others (`cancel_batches.py`); 0: it has its own


class _Search(Struct):
    """One listing of what rests, for all cancels without an order id."""

    wanted: set[str]  # those that waited when it began
    cursors: set[str]


class Cancels:
    """All cancels under way, by client_order_id."""

    def __init__(self, desk: Desk, orders: Orders, markets: Markets) -> None:
        self._desk = desk
        self._orders = orders
        self._markets = markets
        self._open: dict[str, Cancel] = {}
        self._looked_at = -1
        self._due_at: int | None = None
        self._search: _Search | None = None
        self._search_at = 0  # not before

    def cancel(
        self, now: int, at: int, asker: Asker, id: str, together: list[str] | None = None
    ) -> list[Effect]:
        """Take a cancel. Asked again while it is under way, it is one cancel.

        An order that has not left yet never does. `together` collects those whose call could
        leave now, to be sent as one.
        """
        if not is_client_order_id(id):
            nobody = CancelAnswer(id, "not_found", text="no order can have this id")
            return self._desk.answer([asker], nobody, at)
        running = self._open.get(id)
        if running is not None:
            return self._join(now, at, id, running, asker)
        unsent = self._orders.stop_unsent(now, at, id)
        if unsent is not None:
            gone = CancelAnswer(id, "gone", text="canceled before it was sent")
            return [*unsent, *self._desk.answer([asker], gone, at)]
        if len(self._open) >= LANE_QUEUE_MAX and not self._make_room():
            busy = CancelAnswer(id, "unavailable", text="too many cancels are under way")
            return self._desk.answer([asker], busy, at)
        order = self._orders.latest(id)
        if order is not None and order.state in FINISHED:
            gone = CancelAnswer(id, "gone", order.order_id, text=order.state)
            return self._desk.answer([asker], gone, at)
        cancel = Cancel([asker], now + CANCEL_TOLD_AFTER, now)
        self._open[id] = cancel
        self._due_at = now
        return self._go_on(now, id, cancel, together)

    def _join(self, now: int, at: int, id: str, running: Cancel, asker: Asker) -> list[Effect]:
        """One more who waits for a cancel that is under way."""
        if asker in running.askers:
            return []
        if len(running.askers) >= CANCEL_ASKERS_MAX:
            many = CancelAnswer(id, "unknown", running.order_id, text="many wait for this cancel")
            return self._desk.answer([asker], many, at)
        if not running.askers:
            running.tell_at = now + CANCEL_TOLD_AFTER
        running.askers.append(asker)
        self._due_at = now
        return []

    def _make_room(self) -> bool:
        """Give up one that nobody waits for and of which nobody knows an order id."""
        for id, cancel in self._open.items():
            if not cancel.askers and not cancel.order_id:
                del self._open[id]
                return True
        return False

    def wake(self, now: int) -> None:
        """The call of an order has ended: its cancel may have waited for the id."""
        if self._open:
            self._due_at = now

    @property
    def unfinished(self) -> bool:
        """Whether somebody waits for a cancel whose call is under way."""
        return any(c.askers and c.step is not Step.PAUSE for c in self._open.values())

    @property
    def open(self) -> int:
        """How many are under way."""
        return len(self._open)

    def due(self, now: int, at: int) -> list[Effect]:
        """Go on with what may: the pause is over, or the account knows more by now."""
        account = self._desk.ledger.account
        n = -1 if account is None else account.n
        if n == self._looked_at and (self._due_at is None or now < self._due_at):
            return []
        self._looked_at = n
        effects: list[Effect] = []
        for id, cancel in list(self._open.items()):
            order = self._orders.latest(id)
            if order is not None and order.state in FINISHED:
                if cancel.step is not Step.CANCELING or now >= cancel.tell_at:
                    effects += self._finish(at, id, "gone", order.state)
                continue  # the stream was faster: the call's own answer says who canceled it
            if cancel.step is Step.ORDER or (cancel.step is Step.PAUSE and now >= cancel.again_at):
                effects += self._go_on(now, id, cancel)
            if cancel.askers and now >= cancel.tell_at:
                unsure = CancelAnswer(id, "unknown", cancel.order_id, text=cancel.reason)
                effects += self._desk.answer(cancel.askers, unsure, at)
                cancel.askers = []
            if (
                not cancel.askers
                and now >= cancel.since + SEARCHED_FOR
                and self._nobodys(cancel, order)
            ):
                del self._open[id]
        self._look_for(now)
        self._due_at = self._next()
        return effects

    @staticmethod
    def _nobodys(cancel: Cancel, order: Order | None) -> bool:
        """Whether neither the ledger nor what rests has shown an order of this name."""
        return not cancel.order_id and order is None

    def deadline(self) -> int | None:
        return self._due_at

    def _next(self) -> int | None:
        found = [c.again_at for c in self._open.values() if c.step is Step.PAUSE]
        found += [c.tell_at for c in self._open.values() if c.askers]
        if self._search is None and any(c.step is Step.FINDING for c in self._open.values()):
            found.append(self._search_at)
        return min(found, default=None)

    def _go_on(
        self, now: int, id: str, cancel: Cancel, together: list[str] | None = None
    ) -> list[Effect]:
        """Cancel by the exchange's id; without one, look for it among what rests."""
        ticket = self._orders.tickets.get(id)
        if ticket is not None and ticket.stage is Stage.SENT:
            cancel.step = Step.ORDER
            return []
        order = self._orders.latest(id)
        if order is not None and order.order_id:
            cancel.order_id, cancel.ticker = order.order_id, order.ticker
        if cancel.order_id and together is not None:
            together.append(id)
            return []
        if cancel.order_id:
            return self._send(now, id, cancel)
        cancel.step = Step.FINDING
        self._look_for(now)
        return []

    def ended(self, now: int, at: int, id: str, ended: Ended) -> list[Effect]:
        """A call of this cancel has ended; without an id, that of the search for all."""
        if not id:
            return self._searched(now, at, ended)
        cancel = self._open.get(id)
        if cancel is None:
            return []
        if not isinstance(ended, CallAnswered):
            return self._again(now, cancel, ended.reason)
        if self._desk.tells.full:
            return self._again(now, cancel, "the writer is behind")
        try:
            return self._read(now, at, id, cancel, ended)
        except RemoteProtocolError as e:
            return self._again(now, cancel, str(e))

    def _read(
        self, now: int, at: int, id: str, cancel: Cancel, ended: CallAnswered
    ) -> list[Effect]:
        match cancel.step, ended.status:
            case Step.CANCELING, 200:
                done = answers.canceled(cancel.order_id, 200, ended.body)
                return self._canceled(now, at, id, cancel, done)
            case Step.CANCELING, 404:
                return self._check(now, id, cancel)
            case Step.CHECKING, 200:
                row = answers.read(ended.body, OneOrder).order
                if row.order_id != cancel.order_id:
                    return self._again(now, cancel, "the exchange answered for another order")
                if row.status == "resting":
                    return self._again(now, cancel, "the exchange still shows it as resting")
                return [
                    *self._desk.append(now, at, row.fact()),
                    *self._finish(at, id, "gone", row.status),
                ]
            case Step.CHECKING, 404:
                return self._again(now, cancel, "the exchange does not show it, which is no proof")
        said = answers.refusal(ended.body)
        code = f" {said.code}" if said else ""
        return self._again(now, cancel, f"status {ended.status}{code}")

    def _canceled(
        self, now: int, at: int, id: str, cancel: Cancel, done: Canceled | Refusal | str
    ) -> list[Effect]:
        """What the exchange says of a cancel that it has done."""
        if not isinstance(done, Canceled) or done.reduced_by == 0:
            # Nothing was left to cancel, or it does not say: see what became of it.
            return self._check(now, id, cancel)
        fact = OrderCanceled(cancel.order_id, id, done.reduced_by, done.ts_ms * 1_000)
        answer = self._finish(at, id, "canceled", reduced_by=done.reduced_by)
        return [*self._desk.append(now, at, fact), *answer]

    # Those that share a call

    def called(self, id: str) -> tuple[str, str, int]:
        """How the exchange is asked for one: order id, market, shard."""
        cancel = self._open[id]
        return cancel.order_id, cancel.ticker, self._markets.shard(cancel.ticker)

    def share(self, ids: Iterable[str], batch: int) -> None:
        """These leave together, in the call of this number."""
        for id in ids:
            self._open[id].step, self._open[id].batch = Step.CANCELING, batch

    def part(self, now: int, ids: Iterable[str]) -> list[Effect]:
        """Each gets a call of its own."""
        return [e for id in ids for e in self._send(now, id, self._open[id])]

    def sharing(self, ids: Iterable[str], batch: int) -> list[str]:
        """Those of them that still wait for this call."""
        found = ((id, self._open.get(id)) for id in ids)
        return [
            id for id, c in found if c is not None and c.step is Step.CANCELING and c.batch == batch
        ]

    def told(self, now: int, at: int, id: str, found: Canceled | str) -> list[Effect]:
        """What the call that it shared says of one."""
        cancel = self._open[id]
        if self._desk.tells.full:
            return self._again(now, cancel, "the writer is behind")
        return self._canceled(now, at, id, cancel, found)

    def failed(self, now: int, id: str, reason: str) -> list[Effect]:
        """The call that it shared says nothing: it goes on by itself."""
        return self._again(now, self._open[id], reason)

    # Orders that we know no id of

    def _look_for(self, now: int) -> None:
        """List what rests, once for all that wait for it."""
        if self._search is not None or now < self._search_at:
            return
        wanted = {id for id, cancel in self._open.items() if cancel.step is Step.FINDING}
        if wanted:
            self._search_at = now + SEARCH_INTERVAL
            self._search = _Search(wanted, set())
            self._turn_page(now, "")

    def _turn_page(self, now: int, cursor: str) -> None:
        call = calls.list_orders("cancel", status="resting", cursor=cursor)
        if not self._desk.lanes.submit("cancel:", call):
            self._search_failed(now, "too many cancels are waiting")

    def _search_failed(self, now: int, reason: str) -> None:
        assert self._search is not None
        wanted, self._search = self._search.wanted, None
        for id in sorted(wanted):
            cancel = self._open.get(id)
            if cancel is not None and cancel.step is Step.FINDING:
                self._again(now, cancel, reason)

    def _searched(self, now: int, at: int, ended: Ended) -> list[Effect]:
        """A page of what rests, or none."""
        search = self._search
        assert search is not None
        try:
            if not isinstance(ended, CallAnswered):
                raise RemoteProtocolError(ended.reason)
            if ended.status != 200:
                raise RemoteProtocolError(f"status {ended.status}")
            page: OrderPage = answers.read(ended.body, OrderPage)
            if page.cursor and (page.cursor in search.cursors or len(search.cursors) >= PAGES_MAX):
                raise RemoteProtocolError("the exchange's listing goes round")
        except RemoteProtocolError as e:
            self._search_failed(now, str(e))
            return []
        effects: list[Effect] = []
        for row in page.orders:
            cancel = self._open.get(row.client_order_id)
            if cancel is not None and cancel.step is Step.FINDING:
                search.wanted.discard(row.client_order_id)
                cancel.order_id, cancel.ticker = row.order_id, row.ticker
                effects += self._send(now, row.client_order_id, cancel)
        if page.cursor:
            search.cursors.add(page.cursor)
            self._turn_page(now, page.cursor)
            return effects
        self._search = None
        return [*effects, *self._not_found(now, at, search.wanted)]

    def _not_found(self, now: int, at: int, wanted: set[str]) -> list[Effect]:
        """A complete listing without them: nobody's, if the ledger does not know them either."""
        effects: list[Effect] = []
        sure = self._desk.ledger.current(now)
        for id in sorted(wanted):
            cancel = self._open.get(id)
            if cancel is None or cancel.step is not Step.FINDING:
                continue
            if sure and self._orders.latest(id) is None:
                effects += self._finish(at, id, "not_found", "no such order")
            else:
                unsure = "it does not rest now; whether it will is not known yet"
                effects += self._again(now, cancel, unsure)
        return effects

    # Calls

    def _send(self, now: int, id: str, cancel: Cancel) -> list[Effect]:
        cancel.step, cancel.batch = Step.CANCELING, 0
        shard = self._markets.shard(cancel.ticker)
        return self._submit(now, id, cancel, calls.cancel(cancel.order_id, cancel.ticker, shard))

    def _check(self, now: int, id: str, cancel: Cancel) -> list[Effect]:
        cancel.step = Step.CHECKING
        return self._submit(now, id, cancel, calls.get_order(cancel.order_id, "cancel"))

    def _submit(self, now: int, id: str, cancel: Cancel, call: calls.Call) -> list[Effect]:
        if self._desk.lanes.submit(f"cancel:{id}", call):
            return []
        return self._again(now, cancel, "too many cancels are waiting")

    def _again(self, now: int, cancel: Cancel, reason: str) -> list[Effect]:
        """Once more, after a pause: canceled twice is canceled once."""
        cancel.step, cancel.reason = Step.PAUSE, reason
        cancel.again_at = now + cancel.pause
        cancel.pause = min(2 * cancel.pause, CANCEL_RETRY_MAX)
        self._due_at = (
            cancel.again_at if self._due_at is None else min(self._due_at, cancel.again_at)
        )
        return []

    def _finish(
        self, at: int, id: str, outcome: Outcome, text: str = "", reduced_by: int = 0
    ) -> list[Effect]:
        cancel = self._open.pop(id)
        answer = CancelAnswer(id, outcome, cancel.order_id, Count(reduced_by), text)
        return self._desk.answer(cancel.askers, answer, at)
