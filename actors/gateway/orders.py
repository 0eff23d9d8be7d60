"""An order's way: recorded, then sent at most once, then settled by what came back.

Only the writer's NEW lets an order go: a REPEAT means that a former life may have sent it.
Unknown is never sent again; evidence settles it (`reconcile.py`).
"""

import enum

from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, CallFailed, Desk, Ended
from actors.gateway.terms import alike, answer_from, flaw, hash_of
from protocol.facts import (
    AnyFact,
    OrderAccepted,
    OrderDenied,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithdrawn,
    natural_id,
)
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import Created, Refusal
from protocol.limits import (
    INTENT_ACK_MAX,
    LANE_QUEUE_MAX,
    MS,
    OUTCOME_ACK_MAX,
    QUEUED_MAX,
)
from protocol.machine import Effect
from protocol.messages import AnyMessage, Appended, Order, OrderAnswer, PlaceOrder


class Stage(enum.Enum):
    """Where an order is on its way."""

    INTENDING = enum.auto()  # the writer has not acknowledged the intent
    WITHDRAWING = enum.auto()  # it came too late: never to be sent
    QUEUED = enum.auto()  # recorded, waiting for tokens
    SENT = enum.auto()  # on the wire, or perhaps
    SETTLING = enum.auto()  # its outcome is being recorded
    DONE = enum.auto()  # answered; kept until the account shows it


class Ticket(Struct):
    """One order that is under way in this life of the gateway."""

    order: PlaceOrder
    body_hash: str
    askers: list[Asker]
    stage: Stage
    deadline: int | None
    answer: OrderAnswer | None = None
    settles: str = ""  # id of the fact whose acknowledgement ends it
    n: int = 0


class Orders:
    """All orders under way, by client_order_id."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.tickets: dict[str, Ticket] = {}
        self.settled_at: dict[str, int] = {}  # when the call of an unknown order ended

    def place(
        self,
        now: int,
        at: int,
        asker: Asker,
        order: PlaceOrder,
        closed: tuple[str, str, int] | None,
        unproved: str,
    ) -> list[Effect]:
        """Take an order. `closed` is why no new risk may be taken: code, text, and for how many
        ms at least (0: nobody knows).

        `unproved` says why an id that the ledger doesn't know may have been used all the same,
        "" if it can't have been.
        """
        known = self._known(asker, order, at)
        if known is not None:
            return known
        if self._desk.ledger.account is None:  # a former life may know it: no word is sure
            text = "the account is not restored yet: ask again with the same client_order_id"
            unsure = OrderAnswer(order.client_order_id, "unknown", code="not_restored", text=text)
            return self._desk.answer([asker], unsure, at)
        wrong = flaw(order)
        if wrong:
            return self._refuse(asker, order, at, "invalid_order", wrong)
        if unproved and not order.minted:
            return self._refuse(asker, order, at, "restore_unconfirmed", unproved)
        if closed is not None:
            return self._refuse(asker, order, at, *closed)
        if len(self.tickets) >= LANE_QUEUE_MAX or self._desk.tells.full:
            wait = max(self._desk.lanes.ready_at(now, calls.create(order)) - now, MS) // MS
            return self._refuse(asker, order, at, "busy", "too many orders are waiting", wait)
        intent = OrderIntended(
            order.client_order_id,
            order.ticker,
            order.side,
            order.price,
            order.count,
            order.time_in_force,
            hash_of(order),
            order.post_only,
        )
        self.tickets[order.client_order_id] = Ticket(
            order, intent.body_hash, [asker], Stage.INTENDING, now + INTENT_ACK_MAX
        )
        return self._desk.append(now, at, intent)

    def _known(self, asker: Asker, order: PlaceOrder, at: int) -> list[Effect] | None:
        id, terms = order.client_order_id, hash_of(order)
        ticket = self.tickets.get(id)
        account = self._desk.ledger.account
        booked = None if account is None else account.order(id)
        if ticket is None and booked is None:
            return None
        taken_by = ticket.body_hash if ticket is not None else booked.body_hash if booked else ""
        if ticket is None and booked is not None and not taken_by and alike(order, booked):
            taken_by = terms  # a restore forgot the intent; the exchange has shown what it knows
        if taken_by != terms:
            conflict = OrderAnswer(id, "conflict", code="order_id_taken", text="other terms")
            return self._desk.answer([asker], conflict, at)
        if ticket is not None and ticket.answer is None:
            if asker not in ticket.askers:
                ticket.askers.append(asker)
            return []
        if booked is not None and (ticket is None or booked.n >= ticket.n):
            return self._desk.answer([asker], answer_from(booked), at)
        assert ticket is not None
        assert ticket.answer is not None
        return self._desk.answer([asker], ticket.answer, at)

    def _refuse(
        self, asker: Asker, order: PlaceOrder, at: int, code: str, text: str, wait_ms: int = 0
    ) -> list[Effect]:
        denied = OrderAnswer(
            order.client_order_id, "denied", None, code, text, retry_after_ms=wait_ms
        )
        return self._desk.answer([asker], denied, at)

    def acknowledged(self, now: int, at: int, told: AnyFact, answer: AnyMessage) -> list[Effect]:
        """The writer answered a fact of ours about an order."""
        id = getattr(told, "client_order_id", "")
        ticket = self.tickets.get(id)
        if ticket is None or not isinstance(answer, Appended):
            return []
        if isinstance(told, OrderIntended):
            return self._recorded(now, at, ticket, answer)
        if ticket.settles == natural_id(told):
            ticket.n = answer.n
            return self._done(at, ticket)
        return []

    def _recorded(self, now: int, at: int, ticket: Ticket, answer: Appended) -> list[Effect]:
        if ticket.stage is not Stage.INTENDING:
            return []  # withdrawn meanwhile: a late NEW must not send
        id = ticket.order.client_order_id
        if answer.verdict == "NEW":
            ticket.stage, ticket.deadline = Stage.QUEUED, now + QUEUED_MAX
            fits = self._desk.lanes.submit(f"order:{id}", calls.create(ticket.order))
            assert fits, "there are no more tickets than places in the lane"
            return []
        text = answer.reason
        if answer.verdict == "REPEAT":
            text = "a former life may have sent it"
            ticket.answer = OrderAnswer(id, "unknown", code="repeat", text=text)
        elif answer.verdict == "CONFLICT":
            ticket.answer = OrderAnswer(id, "conflict", code="order_id_taken", text="other terms")
        else:
            ticket.answer = OrderAnswer(id, "unavailable", code="not_recorded", text=text)
        del self.tickets[id]
        return self._desk.answer(ticket.askers, ticket.answer, at)

    def may_go(self, now: int, at: int, id: str, closed: tuple[str, str, int] | None) -> bool:
        """The last look, after the last queue and right before the signature."""
        ticket = self.tickets.get(id)
        if ticket is None or ticket.stage is not Stage.QUEUED or closed is not None:
            return False
        ticket.stage, ticket.deadline = Stage.SENT, None
        self._desk.counters["sent"] += 1
        return True

    def deny(self, now: int, at: int, id: str, code: str, text: str) -> list[Effect]:
        """Refuse an order that was recorded and not sent."""
        ticket = self.tickets.get(id)
        if ticket is None:
            return []
        answer = OrderAnswer(id, "denied", code=code, text=text)
        return self._settle(now, at, ticket, OrderDenied(id, f"{code}: {text}"), answer)

    def ended(self, now: int, at: int, id: str, ended: Ended) -> list[Effect]:
        """The call of an order has ended: settle it by table B2."""
        ticket = self.tickets.get(id)
        if ticket is None or ticket.stage is not Stage.SENT:
            return []
        match ended:
            case CallFailed(sent=False, reason=reason):
                return self.deny(now, at, id, "unreachable", reason)
            case CallFailed(reason=reason):
                return self._unknown(now, at, ticket, reason)
            case CallAnswered(status=status, body=body):
                found = answers.outcome(id, status, body)
        match found:
            case Created():
                return self._accepted(now, at, ticket, found)
            case Refusal(code=code, text=text):
                self._desk.counters["rejected"] += 1
                fact = OrderRejected(id, status, code, text)
                answer = OrderAnswer(id, "rejected", code=code, text=text)
                return self._settle(now, at, ticket, fact, answer)
        return self._unknown(now, at, ticket, found)

    def _accepted(self, now: int, at: int, ticket: Ticket, made: Created) -> list[Effect]:
        self._desk.counters["accepted"] += 1
        o, id = ticket.order, ticket.order.client_order_id
        fact = OrderAccepted(
            id, made.order_id, made.fill_count, made.remaining_count, made.ts_ms * 1_000
        )
        whole = made.fill_count >= o.count
        order = Order(
            id,
            made.order_id,
            o.ticker,
            o.side,
            o.price,
            o.count,
            o.time_in_force,
            "resting" if made.remaining_count > 0 else "executed" if whole else "canceled",
            made.fill_count,
            made.remaining_count,
        )
        return self._settle(now, at, ticket, fact, OrderAnswer(id, "accepted", order))

    def _unknown(self, now: int, at: int, ticket: Ticket, reason: str) -> list[Effect]:
        id = ticket.order.client_order_id
        self._desk.counters["unknown"] += 1
        self.settled_at[id] = now
        answer = OrderAnswer(id, "unknown", code="no_answer", text=reason)
        return self._settle(now, at, ticket, OrderUnknown(id, reason), answer)

    def _settle(
        self, now: int, at: int, ticket: Ticket, fact: AnyFact, answer: OrderAnswer
    ) -> list[Effect]:
        """Record the outcome, then tell the client; if the record is late, tell it anyway."""
        ticket.stage, ticket.deadline = Stage.SETTLING, now + OUTCOME_ACK_MAX
        ticket.answer, ticket.settles = answer, natural_id(fact)
        return self._desk.append(now, at, fact)

    def _done(self, at: int, ticket: Ticket) -> list[Effect]:
        assert ticket.answer is not None
        askers, ticket.askers = ticket.askers, []
        ticket.stage, ticket.deadline = Stage.DONE, None
        return self._desk.answer(askers, ticket.answer, at)

    def due(self, now: int, at: int) -> list[Effect]:
        """What waited too long, and what the account shows by now."""
        effects: list[Effect] = []
        for id, ticket in list(self.tickets.items()):
            if ticket.deadline is not None and ticket.deadline <= now:
                effects += self._late(now, at, id, ticket)
            elif ticket.stage is Stage.DONE and ticket.n and self._shown(ticket):
                del self.tickets[id]
        return effects

    def under_way(self) -> set[str]:
        """Orders that no other evidence is wanted for: on their way, or settled by an entry that
        the account does not show yet."""
        return {
            id
            for id, ticket in self.tickets.items()
            if ticket.stage is not Stage.DONE or not self._shown(ticket)
        }

    def _shown(self, ticket: Ticket) -> bool:
        account = self._desk.ledger.account
        return account is not None and account.n >= ticket.n

    def _late(self, now: int, at: int, id: str, ticket: Ticket) -> list[Effect]:
        match ticket.stage:
            case Stage.INTENDING:
                intent = f"intent:{id}"
                self._desk.tells.answered(intent)  # told no more
                text = "it was not recorded in time and will not be sent"
                ticket.answer = OrderAnswer(id, "unavailable", code="not_recorded", text=text)
                ticket.stage = Stage.WITHDRAWING
                ticket.deadline = None
                fact = OrderWithdrawn(id, "no acknowledgement of the intent")
                ticket.settles = natural_id(fact)
                askers, ticket.askers = ticket.askers, []
                answers = self._desk.answer(askers, ticket.answer, at)
                return [*answers, *self._desk.append(now, at, fact)]
            case Stage.QUEUED:
                self._desk.lanes.withdraw(f"order:{id}")
                return self.deny(now, at, id, "busy", "no tokens in time")
            case _:
                return self._done(at, ticket)

    def deadline(self) -> int | None:
        return min(
            (t.deadline for t in self.tickets.values() if t.deadline is not None), default=None
        )
