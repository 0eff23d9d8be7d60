"""Cancels: always allowed, in the first lane, retried until something settles them.

They need no gate, no halt lifted and not even the account: an order that we don't know the
exchange's id of is looked for among what rests there.
"""

import enum
from typing import Literal

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.lanes import Place
from protocol.account import FINISHED
from protocol.errors import RemoteProtocolError
from protocol.facts import OrderCanceled
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import Canceled, OneOrder, OrderPage
from protocol.limits import LANE_QUEUE_MAX, PAGES_MAX
from protocol.machine import Effect
from protocol.messages import CancelAnswer, Order
from protocol.units import Count

TRIES_MAX = 3

Outcome = Literal["canceled", "gone", "not_found", "unknown", "unavailable"]


class Step(enum.Enum):
    """What the last call of a cancel was for."""

    FINDING = enum.auto()
    CANCELING = enum.auto()
    CHECKING = enum.auto()


class Cancel(Struct):
    """One cancel that is under way."""

    askers: list[Asker]
    step: Step
    order_id: str = ""
    ticker: str = ""
    tries: int = 0
    cursors: set[str] = set()


class Cancels:
    """All cancels under way, by client_order_id."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: dict[str, Cancel] = {}

    def cancel(self, at: int, asker: Asker, id: str, made: Order | None = None) -> list[Effect]:
        """Take a cancel. Asked again while it is under way, it is one cancel.

        `made` is the order as the exchange has just accepted it, before the ledger shows it.
        """
        running = self._open.get(id)
        if running is not None:
            if asker not in running.askers:
                running.askers.append(asker)
            return []
        if len(self._open) >= LANE_QUEUE_MAX:
            busy = CancelAnswer(id, "unavailable", text="too many cancels are under way")
            return self._desk.answer([asker], busy, at)
        account = self._desk.ledger.account
        order = None if account is None else account.order(id)
        if made is not None and (order is None or not order.order_id):
            order = made
        if order is not None and order.state in FINISHED:
            gone = CancelAnswer(id, "gone", order.order_id, text=order.state)
            return self._desk.answer([asker], gone, at)
        self._open[id] = Cancel([asker], Step.FINDING, cursors=set())
        if order is not None and order.order_id:
            return self._send(at, id, order.order_id, order.ticker)
        return self._find(at, id, "")

    def ended(self, now: int, at: int, id: str, ended: Ended) -> list[Effect]:
        """A call of this cancel has ended."""
        cancel = self._open.get(id)
        if cancel is None:
            return []
        if not isinstance(ended, CallAnswered):
            return self._again(at, id, cancel, ended.reason)
        try:
            return self._read(now, at, id, cancel, ended)
        except RemoteProtocolError as e:
            return self._again(at, id, cancel, str(e))

    def _read(
        self, now: int, at: int, id: str, cancel: Cancel, ended: CallAnswered
    ) -> list[Effect]:
        match cancel.step, ended.status:
            case Step.FINDING, 200:
                return self._found(at, id, cancel, answers.read(ended.body, OrderPage))
            case Step.CANCELING, 200:
                done: Canceled = answers.read(ended.body, Canceled)
                if done.reduced_by == 0:  # nothing was left to cancel: executed, perhaps
                    cancel.step = Step.CHECKING
                    return self._submit(at, id, calls.get_order(cancel.order_id, "cancel"))
                fact = OrderCanceled(cancel.order_id, id, done.reduced_by, done.ts_ms * 1_000)
                answer = self._finish(at, id, "canceled", reduced_by=done.reduced_by)
                return [*self._desk.append(now, at, fact), *answer]
            case Step.CANCELING, 404:  # proves nothing: executed, canceled and unknown look alike
                cancel.step = Step.CHECKING
                return self._submit(at, id, calls.get_order(cancel.order_id, "cancel"))
            case Step.CHECKING, 200:
                row = answers.read(ended.body, OneOrder).order
                if row.status == "resting":
                    return self._again(at, id, cancel, "404, yet it is shown as resting")
                return [
                    *self._desk.append(now, at, row.fact()),
                    *self._finish(at, id, "gone", row.status),
                ]
            case Step.CHECKING, 404:
                return self._finish(at, id, "gone", "the exchange does not know it")
        return self._again(at, id, cancel, f"status {ended.status}")

    def _found(self, at: int, id: str, cancel: Cancel, page: OrderPage) -> list[Effect]:
        for row in page.orders:
            if row.client_order_id == id:
                return self._send(at, id, row.order_id, row.ticker)
        if page.cursor:
            if page.cursor in cancel.cursors or len(cancel.cursors) >= PAGES_MAX:
                return self._finish(at, id, "unknown", "the exchange's listing goes round")
            cancel.cursors.add(page.cursor)
            return self._find(at, id, page.cursor)
        account = self._desk.ledger.account
        if account is None or account.order(id) is not None:
            text = "it does not rest at the exchange; whether it ever did is not known here"
            return self._finish(at, id, "unknown", text)
        return self._finish(at, id, "not_found", "no such order")

    def _find(self, at: int, id: str, cursor: str) -> list[Effect]:
        return self._submit(at, id, calls.list_orders("cancel", status="resting", cursor=cursor))

    def _send(self, at: int, id: str, order_id: str, ticker: str) -> list[Effect]:
        cancel = self._open[id]
        cancel.step, cancel.order_id, cancel.ticker = Step.CANCELING, order_id, ticker
        return self._submit(at, id, calls.cancel(order_id, ticker))

    def _submit(self, at: int, id: str, call: calls.Call) -> list[Effect]:
        place = self._desk.lanes.submit(f"cancel:{id}", call)
        if place is Place.TAKEN:
            return []
        return self._finish(at, id, "unavailable", place.value)

    def _again(self, at: int, id: str, cancel: Cancel, reason: str) -> list[Effect]:
        """A cancel may be repeated: canceled twice is canceled once."""
        cancel.tries += 1
        if cancel.tries >= TRIES_MAX:
            return self._finish(at, id, "unknown", reason)
        if cancel.order_id:
            return self._send(at, id, cancel.order_id, cancel.ticker)
        cancel.cursors.clear()
        return self._find(at, id, "")

    def _finish(
        self, at: int, id: str, outcome: Outcome, text: str = "", reduced_by: int = 0
    ) -> list[Effect]:
        cancel = self._open.pop(id)
        answer = CancelAnswer(id, outcome, cancel.order_id, Count(reduced_by), text)
        return self._desk.answer(cancel.askers, answer, at)
