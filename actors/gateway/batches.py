"""Batches of orders: each is an order of its own, and those that may go leave in one call.

Each member comes in by the door, with its own ticket and its own intent, and is looked at twice.
Once all of a batch are recorded or refused, those that were recorded wait for their tokens as one
call. Right before the signature each is looked at once more: who may not go is denied and is not
in the body, and the pass is for the body that leaves. What comes back is read by
client_order_id; whoever is not in it, or not clearly, is unknown (`doubts.py`). Nothing is ever
sent again.
"""

import functools
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from actors.gateway.allowance import WRITE
from actors.gateway.brakes import Leaving
from actors.gateway.desk import Asker, Desk, Ended
from actors.gateway.door import Door
from actors.gateway.lanes import Place
from actors.gateway.markets import Flaw, Markets
from actors.gateway.orders import Orders, Stopped
from actors.gateway.outcomes import outcomes
from actors.gateway.parts import Parts
from actors.gateway.terms import expires_at
from actors.gateway.tickets import Stage, Ticket
from actors.gateway.told import Told
from protocol.kalshi import calls
from protocol.kalshi.calls import Call
from protocol.limits import BATCH_MAX, LIMITS_AGAIN, MS, QUEUED_MAX
from protocol.machine import Effect, Report
from protocol.messages import BatchAnswer, OrderAnswer, PlaceBatch, PlaceOrder

KEY: Final = "batch"
TOO_LARGE: Final = "batch_too_large"
_COMING: Final = frozenset({Stage.LOOKING, Stage.INTENDING})  # not recorded and not refused yet


class _Batch(Struct):
    """One batch whose call has not ended."""

    ids: tuple[str, ...]  # in the order asked
    call: Call | None = None  # once it waits for tokens
    queued_at: int = 0  # by the wall clock; leases run from then
    sent: bool = False


class Batches:
    """All batches under way, by number; `Ticket.batch` says which orders belong to one."""

    def __init__(
        self, desk: Desk, orders: Orders, markets: Markets, door: Door, parts: Parts
    ) -> None:
        self._desk = desk
        self._orders = orders
        self._markets = markets
        self._door = door
        self._parts = parts
        self._refusals: Told[BatchAnswer] = Told(desk)
        self._open: dict[int, _Batch] = {}
        self._number = 0

    def place(
        self, now: int, at: int, asker: Asker, wanted: PlaceBatch, unproved: str
    ) -> list[Effect]:
        """Take a batch. The same letter again, while it is under way, is the same batch; later on
        each of its orders is answered as it would be alone.

        `unproved` as in `Door.place`.
        """
        if self._parts.waits(asker):
            return []
        refused = self._refusals.known(asker)
        wrong = batch_flaw([order.client_order_id for order in wanted.orders])
        if wrong is None and self._parts.full:
            wrong = Flaw("busy", "", "too many batches are under way")
        if refused is not None or wrong is not None:
            answer = refused if refused is not None else _refusal(wrong)
            return self._refusals.say([asker], answer, at)
        self._number += 1
        self._open[self._number] = _Batch(tuple(o.client_order_id for o in wanted.orders))
        too_large = self._too_large(at, wanted.orders)
        effects: list[Effect] = []
        for part, order in zip(
            self._parts.begin(asker, len(wanted.orders), _whole), wanted.orders, strict=True
        ):
            before = self._orders.tickets.get(order.client_order_id)
            effects += self._door.place(now, at, part, order, unproved, too_large)
            ticket = self._orders.tickets.get(order.client_order_id)
            if ticket is not None and ticket is not before:
                ticket.batch = self._number
        return effects

    def _too_large(self, at: int, orders: tuple[PlaceOrder, ...]) -> Flaw | None:
        """Why this batch could never leave: the budget of all must hold it at once."""
        call = self._call(at, orders)
        allowance = self._desk.lanes.allowance
        cost = allowance.cost(call)
        if allowance.fits(call.lane, WRITE, cost):
            return None
        room = allowance.budgets[WRITE].bucket.holds - allowance.keep(call.lane, WRITE)
        most, count = max(room, 0) * len(orders) // cost, len(orders)
        text = f"{count} orders cost {cost} tokens; at most {most} orders fit into one batch"
        sure = allowance.limits_sure and allowance.costs_sure  # else the lower of two readings
        wait = 0 if sure else LIMITS_AGAIN // MS
        return Flaw(TOO_LARGE, "orders", text, wait, str(most), str(count))

    def _call(self, at: int, orders: Iterable[PlaceOrder]) -> Call:
        return calls.create_batch(
            (order, self._markets.shard(order.ticker), expires_at(at, order.lease_s))
            for order in orders
        )

    def due(self, now: int, at: int) -> list[Effect]:
        """Queue the batches that are complete, and take out those that lost all their members."""
        effects: list[Effect] = []
        for number in list(self._open):
            batch = self._open[number]
            if batch.sent:
                continue
            mine = self._mine(number, batch)
            if any(ticket.stage in _COMING for ticket in mine):
                continue
            queued = [ticket for ticket in mine if ticket.stage is Stage.QUEUED]
            if not queued:
                self._drop(number)
            elif batch.call is None:
                effects += self._queue(now, at, number, queued)
            elif self._shrunk(batch.call):
                self._drop(number)
                for ticket in queued:
                    effects += self._orders.deny(now, at, ticket, "budget", Place.NEVER.value)
        return effects

    def _queue(self, now: int, at: int, number: int, queued: list[Ticket]) -> list[Effect]:
        call = self._call(at, (ticket.order for ticket in queued))
        place = self._desk.lanes.submit(f"{KEY}:{number}", call)
        if place:
            self._open[number].call, self._open[number].queued_at = call, at
            for ticket in queued:
                self._orders.tickets.enter(ticket, Stage.QUEUED, now + QUEUED_MAX)
            return []
        del self._open[number]
        code = "busy" if place is Place.FULL else "budget"
        effects: list[Effect] = []
        for ticket in queued:
            effects += self._orders.deny(now, at, ticket, code, place.value)
        return effects

    def _shrunk(self, call: Call) -> bool:
        """Whether the budget went below a batch that waits: the exchange would answer 429."""
        allowance = self._desk.lanes.allowance
        return not allowance.fits(call.lane, WRITE, allowance.cost(call))

    def _drop(self, number: int) -> None:
        if self._open.pop(number).call is not None:
            self._desk.lanes.withdraw(f"{KEY}:{number}")

    def _mine(self, number: int, batch: _Batch) -> list[Ticket]:
        found = (self._orders.tickets.get(id) for id in batch.ids)
        return [ticket for ticket in found if ticket is not None and ticket.batch == number]

    def may_go(self, now: int, at: int, number: int) -> tuple[list[Effect], Leaving | None]:
        """The last look, right before the signature: what follows for those that may not go; and
        the call of those that may with the pass for its very bytes, None if there are none.

        The tokens of the whole are drawn by now: they count as spent.
        """
        batch = self._open[number]
        queued = [t for t in self._mine(number, batch) if t.stage is Stage.QUEUED]
        made = functools.partial(self._call, batch.queued_at)
        flaws, leaving = self._door.last_looks(now, [t.order for t in queued], made)
        effects: list[Effect] = []
        for ticket in queued:
            wrong = flaws.get(ticket.order.client_order_id)
            if wrong is not None:
                effects += self._orders.refuse(now, at, ticket, wrong)
            else:
                self._orders.leaves(ticket)
        batch.sent = leaving is not None
        if leaving is None:
            del self._open[number]
        return effects, leaving

    def ended(self, now: int, at: int, number: int, ended: Ended, stopped: Stopped) -> list[Effect]:
        """The call of a batch has ended: settle each member by itself.

        `stopped` says why it never left after all, if the wire kept it.
        """
        mine = self._mine(number, self._open.pop(number))
        sent = [ticket for ticket in mine if ticket.stage is Stage.SENT]
        effects: list[Effect] = []
        if stopped is not None:
            for ticket in sent:
                effects += self._orders.deny(now, at, ticket, *stopped)
            return effects
        found, strangers = outcomes([ticket.order for ticket in sent], ended)
        for ticket, (fact, answer) in zip(sent, found, strict=True):
            effects += self._orders.conclude(now, at, ticket, fact, answer)
        if strangers:
            text = f"the answer to a batch of orders names what nobody asked for: {strangers}"
            effects.append(Report(text, grave=True))
        return effects


def batch_flaw(ids: list[str], field: str = "orders[{}].client_order_id") -> Flaw | None:
    """What is wrong with a batch whatever its members are; `field` names one of their ids."""
    whole = field.partition("[")[0]
    if not 1 <= len(ids) <= BATCH_MAX:
        text = f"{whole}: 1 to {BATCH_MAX} in one batch, not {len(ids)}"
        return Flaw("invalid_batch", whole, text)
    for place, id in enumerate(ids):
        if ids.index(id) != place:
            text = f"{id[:80]} is named twice in one batch"
            return Flaw("invalid_batch", field.format(place), text)
    return None


def _refusal(wrong: Flaw | None) -> BatchAnswer:
    assert wrong is not None
    return BatchAnswer(
        (), wrong.code, wrong.text, wrong.wait_ms, wrong.field, wrong.limit, wrong.value
    )


def _whole(answers: tuple[OrderAnswer, ...]) -> BatchAnswer:
    """One refusal for all where each of them was too many."""
    first = answers[0]
    if any(a.outcome != "denied" or a.code != TOO_LARGE for a in answers):
        return BatchAnswer(answers)
    return BatchAnswer(
        (), first.code, first.text, first.retry_after_ms, first.field, first.limit, first.value
    )
