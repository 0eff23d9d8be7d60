"""Decreases: less of an order rests. Always allowed, as cancels are; sent once, never repeated.

A decrease only ever lowers what rests, and says what shall rest, not by how much less: so it needs
no intent, no brake and no pass, and may be asked for twice. Whatever came of the call, the order's
own row is read and told to the ledger, so that what counts there is what the exchange has.
"""

import enum
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.gateway.desk import Asker, CallAnswered, CallFailed, Desk, Ended
from actors.gateway.markets import Markets
from actors.gateway.orders import Orders
from actors.gateway.terms import is_client_order_id
from actors.gateway.told import Told
from protocol.account import FINISHED
from protocol.errors import RemoteProtocolError
from protocol.facts import AnyFact, natural_id
from protocol.kalshi import answers, calls, writes
from protocol.kalshi.answers import OneOrder, OrderRow, Refusal
from protocol.kalshi.writes import Decreased
from protocol.limits import (
    ABSENCE_AFTER,
    CANCEL_ASKERS_MAX,
    CANCEL_RETRY_MIN,
    DECREASE_LOOK_MAX,
    DECREASES_KEPT,
    DECREASES_MAX,
    QUEUED_MAX,
)
from protocol.machine import Effect
from protocol.messages import DecreaseAnswer, DecreaseOrder, Order
from protocol.units import Count, format_count

KEY: Final = "decrease"
NOT_FOUND: Final = "not_found"  # the exchange's 404, which proves nothing by itself


Amending = Callable[[int, str], bool]
"""Of which order an amend, or the renewal of a lease, may still land: it names the whole count."""


class Step(enum.Enum):
    """What a decrease waits for."""

    CALLING = enum.auto()  # tokens, or what the exchange answers
    READING = enum.auto()  # the order's row
    PAUSE = enum.auto()  # between two readings: reads lag behind writes
    TELLING = enum.auto()  # the writer has not acknowledged what the row shows


class Decrease(Struct):
    """One decrease that is under way."""

    wanted: DecreaseOrder
    order_id: str
    askers: list[Asker]
    deadline: int | None  # then the askers are told what is known; None: they were
    answer: DecreaseAnswer  # what is known so far
    step: Step = Step.CALLING
    again_at: int = 0
    pause: int = CANCEL_RETRY_MIN
    tells: str = ""  # id of the fact that the writer has to acknowledge


class Decreases:
    """All decreases under way."""

    def __init__(self, desk: Desk, orders: Orders, markets: Markets, amending: Amending) -> None:
        self._desk = desk
        self._orders = orders
        self._markets = markets
        self._amending = amending
        self._open: dict[int, Decrease] = {}
        self._ended: dict[str, tuple[int, Count]] = {}  # until when they may land, and what for
        self._told: Told[DecreaseAnswer] = Told(desk, DECREASES_KEPT)
        self._number = 0

    @property
    def unfinished(self) -> bool:
        """Whether there is one that could still become known."""
        return bool(self._open)

    def ask(self, now: int, at: int, asker: Asker, wanted: DecreaseOrder) -> list[Effect]:
        """Take a decrease. The same one again, while it is under way, is one decrease; a copy of a
        letter that was answered, perhaps with unknown, sends nothing."""
        told = self._told.known(asker)
        if told is not None:
            return self._desk.answer([asker], told, at)
        id = wanted.client_order_id
        running = next((d for d in self._open.values() if d.wanted.client_order_id == id), None)
        if running is not None and running.wanted == wanted:
            return self._join(now, at, running, asker)
        order = self._orders.latest(id)
        refused = self._refused(now, wanted, order)
        if refused is None and (running is not None or self._crowded(now)):
            text = "a decrease of it is under way" if running else "too many decreases"
            refused = DecreaseAnswer(id, "unavailable", code="busy", text=text)
        if refused is not None:
            return self._told.say([asker], refused, at)
        assert order is not None
        call = calls.decrease(
            order.order_id, order.ticker, wanted.reduce_to, self._markets.shard(order.ticker)
        )
        place = self._desk.lanes.submit(f"{KEY}:{self._number + 1}", call)
        if not place:
            busy = DecreaseAnswer(id, "unavailable", code="busy", text=place.value)
            return self._told.say([asker], busy, at)
        self._number += 1
        text = "the exchange has not answered yet"
        known = DecreaseAnswer(id, "unknown", order.remaining, "no_answer", text, order.order_id)
        self._open[self._number] = Decrease(
            wanted, order.order_id, [asker], now + QUEUED_MAX, known
        )
        return []

    def _join(self, now: int, at: int, running: Decrease, asker: Asker) -> list[Effect]:
        """One more who waits for a decrease that is under way."""
        if asker in running.askers:
            return []
        if len(running.askers) >= CANCEL_ASKERS_MAX:
            return self._told.say([asker], running.answer, at)
        running.askers.append(asker)
        if running.deadline is None:
            running.deadline = now + DECREASE_LOOK_MAX
        return []

    def _crowded(self, now: int) -> bool:
        """Whether no more can be taken."""
        if len(self._ended) >= DECREASES_KEPT:
            known = self._ended.items()
            self._ended = {id: ended for id, ended in known if self.unsettled(now, id)}
        return len(self._open) >= DECREASES_MAX or len(self._ended) >= DECREASES_KEPT

    def _refused(
        self, now: int, wanted: DecreaseOrder, order: Order | None
    ) -> DecreaseAnswer | None:
        """Why nothing is sent; None if it may be."""
        id, least = wanted.client_order_id, wanted.reduce_to
        if not is_client_order_id(id):
            return DecreaseAnswer(id, "not_found", text="no order can have this id")
        if least <= 0:
            text = "reduce_to: more than 0; to let nothing rest, cancel the order"
            return DecreaseAnswer(id, "rejected", code="invalid_reduce_to", text=text)
        if order is None and self._desk.ledger.current(now) and id not in self._orders.tickets:
            return DecreaseAnswer(id, "not_found", text="no such order")
        if order is None or (order.state not in FINISHED and not order.order_id):
            text = "the exchange's id of it is not known yet"
            return DecreaseAnswer(id, "unavailable", code="not_known_yet", text=text)
        known = DecreaseAnswer(id, "gone", order_id=order.order_id, text=order.state)
        if order.state in FINISHED:
            return known
        known = replace(known, remaining=order.remaining)
        if order.remaining == least:
            return replace(known, outcome="decreased", text="no more than that rests")
        if order.remaining < least:
            rests = format_count(order.remaining)
            text = f"reduce_to: {rests} rests, which is less than {format_count(least)}"
            return replace(known, outcome="rejected", code="invalid_reduce_to", text=text)
        if self._amending(now, id) or (order.amend is not None and order.amend.pending):
            text = "an amend, or a renewal of its lease, may still land: cancel it instead"
            return replace(known, outcome="unavailable", code="amend_under_way", text=text)
        return None

    def unsettled(self, now: int, id: str) -> bool:
        """Whether a decrease of this order is under way, or may still land, or has been done and
        the account does not show it yet."""
        if any(one.wanted.client_order_id == id for one in self._open.values()):
            return True
        until, least = self._ended.get(id, (now, Count(0)))
        if now >= until:
            return False
        order = self._orders.latest(id)
        return order is not None and order.remaining > least

    # What comes of it

    def ended(self, now: int, at: int, number: int, ended: Ended) -> list[Effect]:
        """A call of this decrease has ended: itself, or a reading of its order."""
        one = self._open[number]
        if one.step is Step.READING:
            return self._read(now, at, number, ended)
        one.answer = _answer(one, ended)
        one.deadline = now + DECREASE_LOOK_MAX
        if one.answer.outcome == "unavailable":
            return self._finish(at, number)
        if one.answer.outcome != "rejected":
            self._remember(now, one.wanted)
        return self._look(now, number)

    def _remember(self, now: int, wanted: DecreaseOrder) -> None:
        """It may still land, or is done and not seen yet: no amend may cross it, and no renewal of
        a lease undo it."""
        self._ended[wanted.client_order_id] = now + ABSENCE_AFTER, wanted.reduce_to

    def _look(self, now: int, number: int) -> list[Effect]:
        """Read the order's row."""
        one = self._open[number]
        call = calls.get_order(one.order_id, "decrease")
        if not self._desk.lanes.submit(f"{KEY}:{number}", call):
            return self._again(now, number)
        one.step = Step.READING
        return []

    def _again(self, now: int, number: int) -> list[Effect]:
        """Look once more after a pause, if somebody still waits for it."""
        one = self._open[number]
        if one.deadline is None:
            del self._open[number]
            return []
        one.step, one.again_at = Step.PAUSE, now + one.pause
        one.pause *= 2
        return []

    def _read(self, now: int, at: int, number: int, ended: Ended) -> list[Effect]:
        """The row has come, or has not. One that lags behind is read again."""
        one = self._open[number]
        try:
            if not isinstance(ended, CallAnswered) or ended.status != 200:
                return self._again(now, number)
            row = answers.read(ended.body, OneOrder).order
            fact = row.fact()
        except RemoteProtocolError:
            return self._again(now, number)
        if row.order_id != one.order_id or self._desk.tells.full:
            return self._again(now, number)
        found = _shown(one, row)
        if found is None:
            return self._again(now, number)
        one.answer, one.step, one.tells = found, Step.TELLING, natural_id(fact)
        return self._desk.append(now, at, fact)

    def acknowledged(self, at: int, told: AnyFact) -> list[Effect]:
        """The writer has taken a fact, perhaps one of ours."""
        effects: list[Effect] = []
        for number, one in list(self._open.items()):
            if one.step is Step.TELLING and one.tells == natural_id(told):
                effects += self._finish(at, number)
        return effects

    def _finish(self, at: int, number: int) -> list[Effect]:
        one = self._open.pop(number)
        return self._told.say(one.askers, one.answer, at)

    def due(self, now: int, at: int) -> list[Effect]:
        """Read again, and tell whoever has waited long enough."""
        effects: list[Effect] = []
        for number, one in list(self._open.items()):
            late = one.deadline is not None and now >= one.deadline
            if late and one.step is not Step.READING:
                effects += self._late(at, number)
            elif late:
                effects += self._tell(one, at)
            elif one.step is Step.PAUSE and now >= one.again_at:
                effects += self._look(now, number)
        return effects

    def _late(self, at: int, number: int) -> list[Effect]:
        """Long enough: one that has not left never does; of one on its way nothing is known."""
        one = self._open[number]
        if one.step is not Step.CALLING:
            return self._finish(at, number)
        if not self._desk.lanes.withdraw(f"{KEY}:{number}"):
            return self._tell(one, at)
        text = "no tokens in time: nothing was sent"
        one.answer = replace(one.answer, outcome="unavailable", code="busy", text=text)
        return self._finish(at, number)

    def _tell(self, one: Decrease, at: int) -> list[Effect]:
        """Tell what is known; the call that is on its way ends by itself."""
        askers, one.askers, one.deadline = one.askers, [], None
        return self._told.say(askers, one.answer, at)

    def deadline(self) -> int | None:
        found = [one.deadline for one in self._open.values()]
        found += [one.again_at for one in self._open.values() if one.step is Step.PAUSE]
        return min((moment for moment in found if moment is not None), default=None)


def _answer(one: Decrease, ended: Ended) -> DecreaseAnswer:
    """What the end of the call says; what is left open, the order's row may."""
    known = one.answer
    match ended:
        case CallFailed(sent=False, reason=reason):
            return replace(known, outcome="unavailable", code="unreachable", text=reason)
        case CallFailed(reason=reason):
            return replace(known, text=reason)
        case CallAnswered(status=status, body=body):
            found = writes.decreased(one.order_id, status, body)
    match found:
        case Decreased(remaining=rests):
            least = one.wanted.reduce_to
            rests = least if rests is None else min(rests, least)
            return replace(known, outcome="decreased", remaining=rests, code="", text="")
        case Refusal(text=text) if status == 404:
            return replace(known, code=NOT_FOUND, text=f"the exchange does not find it: {text}")
        case Refusal(code=code, text=text):
            return replace(known, outcome="rejected", code=code, text=text)
    return replace(known, text=found)


def _shown(one: Decrease, row: OrderRow) -> DecreaseAnswer | None:
    """The answer by the order's row; None if the row does not settle it, or lags behind."""
    known, rests = one.answer, row.remaining_count_fp
    if row.status != "resting":
        known = replace(known, remaining=Count(0))
        if known.outcome == "decreased":
            return known
        return replace(known, outcome="gone", code="", text=row.status)
    match known.outcome:
        case "decreased":
            return replace(known, remaining=rests) if rests <= known.remaining else None
        case "rejected":
            return replace(known, remaining=rests)
        case _ if known.code == NOT_FOUND or rests > one.wanted.reduce_to:
            return None
    text = "unanswered, but no more than that rests"
    return replace(known, outcome="decreased", remaining=rests, code="", text=text)
