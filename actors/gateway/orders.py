"""An order's way out: recorded, then sent at most once, then settled by what came back.

Only the writer's NEW lets an order go: a REPEAT means that a former life may have sent it.
Unknown is never sent again; evidence settles it (`doubts.py`).
"""

from actors.gateway.desk import Desk, Ended
from actors.gateway.door import Door, conflict, denial
from actors.gateway.lanes import Place
from actors.gateway.markets import Flaw, Markets
from actors.gateway.outcomes import outcome
from actors.gateway.passes import Pass
from actors.gateway.terms import answer_from, expires_at
from actors.gateway.tickets import Stage, Ticket, Tickets
from protocol.facts import AnyFact, OrderDenied, OrderIntended, OrderWithdrawn, natural_id
from protocol.kalshi import calls
from protocol.kalshi.calls import Call
from protocol.limits import GATHER_MAX, OUTCOME_ACK_MAX, QUEUED_MAX
from protocol.machine import Effect
from protocol.messages import AnyMessage, Appended, EvidenceAnswer, Order, OrderAnswer
from protocol.recall import recalled

Stopped = tuple[str, str, int] | None  # code, text, and when to try again (ms)


class Orders:
    """All orders under way, from their intent to their outcome."""

    def __init__(self, desk: Desk, tickets: Tickets, markets: Markets, door: Door) -> None:
        self._desk = desk
        self._markets = markets
        self._door = door
        self.tickets = tickets
        self.ended_at: dict[str, tuple[int, int]] = {}  # calls of unknown orders: `now` and `at`

    def acknowledged(self, now: int, at: int, told: AnyFact, answer: AnyMessage) -> list[Effect]:
        """The writer answered a fact of ours about an order."""
        ticket = self.tickets.get(getattr(told, "client_order_id", ""))
        if ticket is None or not isinstance(answer, Appended):
            return []
        if isinstance(told, OrderIntended):
            return self._recorded(now, at, ticket, answer)
        if ticket.settles != natural_id(told):
            return []
        done = self._done(at, ticket)
        if answer.n:
            self.tickets.settled(ticket, answer.n)
        else:  # the ledger did not take it: what it has instead counts, and is looked into
            self.tickets.close(ticket)
        return done

    def _recorded(self, now: int, at: int, ticket: Ticket, answer: Appended) -> list[Effect]:
        if ticket.stage is not Stage.INTENDING:
            return []  # withdrawn meanwhile: a late NEW must not send
        id = ticket.order.client_order_id
        if answer.verdict == "NEW" and ticket.batch:
            self.tickets.enter(ticket, Stage.QUEUED, now + GATHER_MAX)
            return []
        if answer.verdict == "NEW":
            self.tickets.enter(ticket, Stage.QUEUED, now + QUEUED_MAX)
            until = expires_at(at, ticket.order.lease_s)
            shard = self._markets.shard(ticket.order.ticker)
            call = calls.create(ticket.order, shard, until)
            place = self._desk.lanes.submit(f"order:{id}", call)
            code = "busy" if place is Place.FULL else "budget"
            return [] if place else self.deny(now, at, ticket, code, place.value)
        text = answer.reason
        if answer.verdict == "REPEAT":
            account = self._desk.ledger.account
            if account is not None and 0 < answer.n <= account.n:  # it has ended, and is forgotten
                return self._door.recall(now, at, ticket)
            ticket.answer = _repeat(id)
        elif answer.verdict == "CONFLICT":
            ticket.answer = conflict(id)
        else:
            ticket.answer = OrderAnswer(id, "unavailable", code="not_recorded", text=text)
        self.tickets.close(ticket)
        return self._desk.answer(ticket.askers, ticket.answer, at)

    def recalled(self, at: int, id: str, told: AnyMessage | None) -> list[Effect]:
        """What the ledger's entries tell of an order that ended long ago; None: nothing in time."""
        ticket = self.tickets.get(id)
        if ticket is None or ticket.stage is not Stage.RECALLING:
            return []
        unheard = isinstance(told, EvidenceAnswer) and not told.entries and not told.reason
        if unheard and ticket.refusal is not None:
            return self._door.never_heard_of(at, ticket, ticket.refusal)
        self.tickets.close(ticket)
        order = None if told is None else recalled(id, told)
        if order is None:
            answer = _repeat(id)
        elif order.body_hash not in ("", ticket.body_hash):
            answer = conflict(id)
        else:
            answer = answer_from(order)
        return self._desk.answer(ticket.askers, answer, at)

    def may_go(self, now: int, at: int, id: str, call: Call) -> list[Effect] | Pass:
        """The last look, after the last queue and right before the signature.

        A pass: it goes. Otherwise it does not, and this follows from it.
        """
        ticket = self.tickets.get(id)
        if ticket is None or ticket.stage is not Stage.QUEUED:
            return []
        passed = self._door.last_look(now, ticket.order, call)
        if isinstance(passed, Flaw):
            return self.refuse(now, at, ticket, passed)
        self.leaves(ticket)
        return passed

    def leaves(self, ticket: Ticket) -> None:
        """It is on the wire from now on, or perhaps."""
        self.tickets.enter(ticket, Stage.SENT)
        self._desk.counters["sent"] += 1

    def stop_unsent(self, now: int, at: int, id: str) -> list[Effect] | None:
        """A cancel came before a byte has left: it never will. None if it may have left."""
        ticket = self.tickets.get(id)
        if ticket is None:
            return None
        match ticket.stage:
            case Stage.LOOKING:
                wrong = Flaw("canceled", "", "canceled before it was sent")
                return self._door.turn_away(at, ticket, wrong)
            case Stage.INTENDING:
                return self._withdraw(now, at, ticket, "canceled before it was sent")
            case Stage.QUEUED:
                return self._unqueue(now, at, ticket, "canceled", "before it was sent")
        return None

    def deny_queued(self, now: int, at: int, code: str, text: str, wait_ms: int) -> list[Effect]:
        """Nothing that waits for tokens will be sent."""
        effects: list[Effect] = []
        for _, ticket in self.tickets:
            if ticket.stage is Stage.QUEUED:
                effects += self._unqueue(now, at, ticket, code, text, wait_ms)
        return effects

    def _unqueue(
        self, now: int, at: int, ticket: Ticket, code: str, text: str, wait_ms: int = 0
    ) -> list[Effect]:
        if not ticket.batch:  # a batch goes on without it, or looks itself that nobody is left
            self._desk.lanes.withdraw(f"order:{ticket.order.client_order_id}")
        return self.deny(now, at, ticket, code, text, wait_ms)

    def deny(
        self, now: int, at: int, ticket: Ticket, code: str, text: str, wait_ms: int = 0
    ) -> list[Effect]:
        """Refuse an order that was recorded and not sent."""
        return self.refuse(now, at, ticket, Flaw(code, "", text, wait_ms))

    def refuse(self, now: int, at: int, ticket: Ticket, wrong: Flaw) -> list[Effect]:
        """The same, for what a look has found."""
        fact = OrderDenied(ticket.order.client_order_id, f"{wrong.code}: {wrong.text}")
        return self._settle(now, at, ticket, fact, denial(ticket.order, wrong))

    def ended(
        self, now: int, at: int, id: str, ended: Ended, stopped: Stopped = None
    ) -> list[Effect]:
        """The call of an order has ended: settle it by table B2.

        `stopped` says why it never left after all, if the halt latch kept it.
        """
        ticket = self.tickets.get(id)
        if ticket is None or ticket.stage is not Stage.SENT:
            return []
        if stopped is not None:
            return self.deny(now, at, ticket, *stopped)
        return self.conclude(now, at, ticket, *outcome(ticket.order, ended))

    def conclude(
        self, now: int, at: int, ticket: Ticket, fact: AnyFact, answer: OrderAnswer
    ) -> list[Effect]:
        """This is what became of an order that was sent."""
        self._desk.counters[answer.outcome] += 1
        if answer.outcome == "unknown":
            self.ended_at[ticket.order.client_order_id] = (now, at)
            self.tickets.doubt(ticket)
        return self._settle(now, at, ticket, fact, answer)

    def _settle(
        self, now: int, at: int, ticket: Ticket, fact: AnyFact, answer: OrderAnswer
    ) -> list[Effect]:
        """Record the outcome, then tell the client; if the record is late, tell it anyway."""
        self.tickets.enter(ticket, Stage.SETTLING, now + OUTCOME_ACK_MAX)
        ticket.answer, ticket.settles = answer, natural_id(fact)
        return self._desk.append(now, at, fact)

    def _done(self, at: int, ticket: Ticket) -> list[Effect]:
        assert ticket.answer is not None
        askers, ticket.askers = ticket.askers, []
        self.tickets.enter(ticket, Stage.DONE)
        return self._desk.answer(askers, ticket.answer, at)

    def due(self, now: int, at: int) -> list[Effect]:
        """What waited too long, and what the account shows by now."""
        effects: list[Effect] = []
        for ticket in self.tickets.late(now):
            effects += self._late(now, at, ticket)
        account = self._desk.ledger.account
        if account is not None:
            self.tickets.close_shown(account.n)
        return effects

    def latest(self, id: str) -> Order | None:
        """The order as the ledger shows it, or as the exchange has just accepted it."""
        account = self._desk.ledger.account
        order = None if account is None else account.order(id)
        ticket = self.tickets.get(id)
        made = None if ticket is None or ticket.answer is None else ticket.answer.order
        if made is not None and (order is None or not order.order_id):
            return made
        return order

    def under_way(self, id: str) -> bool:
        """Whether no other evidence is wanted for an order: it is on its way, or settled by an
        entry that the account does not show yet."""
        ticket = self.tickets.get(id)
        return ticket is not None and (ticket.stage is not Stage.DONE or not self._shown(ticket))

    def _shown(self, ticket: Ticket) -> bool:
        account = self._desk.ledger.account
        return account is not None and 0 < ticket.n <= account.n

    def _late(self, now: int, at: int, ticket: Ticket) -> list[Effect]:
        match ticket.stage:
            case Stage.LOOKING:
                return self._door.turn_away(at, ticket, self._door.too_slow(now, at, ticket.order))
            case Stage.INTENDING:
                return self._withdraw(now, at, ticket, "no acknowledgement of the intent")
            case Stage.RECALLING:
                self._desk.tells.answered(f"recall:{ticket.order.client_order_id}")
                return self.recalled(at, ticket.order.client_order_id, None)
            case Stage.QUEUED:
                wait = self._desk.lanes.retry_after_ms(now, calls.create(ticket.order))
                return self._unqueue(now, at, ticket, "busy", "no tokens in time", wait)
            case _:
                return self._done(at, ticket)

    def _withdraw(self, now: int, at: int, ticket: Ticket, reason: str) -> list[Effect]:
        """Give up an intent that the writer has not acknowledged; it may still be recorded."""
        id = ticket.order.client_order_id
        self._desk.tells.answered(f"intent:{id}")  # told no more
        text = f"it will not be sent: {reason}"
        ticket.answer = OrderAnswer(id, "unavailable", code="not_recorded", text=text)
        self.tickets.enter(ticket, Stage.WITHDRAWING)
        fact = OrderWithdrawn(id, reason)
        ticket.settles = natural_id(fact)
        askers, ticket.askers = ticket.askers, []
        told = self._desk.answer(askers, ticket.answer, at)
        return [*told, *self._desk.append(now, at, fact)]

    def deadline(self) -> int | None:
        return self.tickets.deadline()


def _repeat(id: str) -> OrderAnswer:
    text = "a former life may have sent it"
    return OrderAnswer(id, "unknown", code="repeat", text=text)
