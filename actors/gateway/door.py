"""An order's way in: known or new, right or wrong by itself, by its market and by the account.

Nothing is recorded before all of this has been looked at; whatever is refused here has left no
trace in the ledger, and the same id may be used again, by another letter.
"""

from collections.abc import Callable

from actors.gateway.brakes import Brakes, Leaving, Made
from actors.gateway.desk import Asker, Desk
from actors.gateway.markets import Flaw, Markets, Standing
from actors.gateway.passes import Pass
from actors.gateway.terms import alike, answer_from, flaw, hash_of
from actors.gateway.tickets import Stage, Ticket, Tickets
from actors.gateway.told import Told
from protocol.facts import OrderIntended
from protocol.kalshi import calls
from protocol.kalshi.calls import Call
from protocol.limits import (
    INTENT_ACK_MAX,
    LANE_QUEUE_MAX,
    MARKET_LOOK_MAX,
    RECALL_MAX,
)
from protocol.machine import Effect
from protocol.messages import EvidenceRequest, Order, OrderAnswer, PlaceOrder

Closed = Callable[[int], tuple[str, str, int] | None]
"""Why no new risk may be taken: code, text, and after how many ms it is worth another try."""


class Door:
    """Where orders come in."""

    def __init__(
        self, desk: Desk, tickets: Tickets, markets: Markets, brakes: Brakes, closed: Closed
    ) -> None:
        self._desk = desk
        self._tickets = tickets
        self._markets = markets
        self._brakes = brakes
        self._closed = closed
        self._refusals: Told[OrderAnswer] = Told(desk)

    def place(
        self,
        now: int,
        at: int,
        asker: Asker,
        order: PlaceOrder,
        unproved: str,
        besides: Flaw | None = None,
    ) -> list[Effect]:
        """Take an order.

        `unproved` says why an id that the ledger doesn't know may have been used all the same,
        "" if it can't have been; `besides`, what keeps a new one out that is not its own fault.
        """
        known = self._known(asker, order, at)
        if known is not None:
            return known
        refused = self._refusals.known(asker)
        if refused is not None and refused.client_order_id == order.client_order_id:
            return self._desk.answer([asker], refused, at)
        if self._desk.ledger.account is None:  # a former life may know it: no word is sure
            text = "the account is not restored yet: ask again with the same client_order_id"
            unsure = OrderAnswer(order.client_order_id, "unknown", code="not_restored", text=text)
            return self._desk.answer([asker], unsure, at)
        wrong = flaw(order)
        if wrong is None and unproved and not order.minted:
            wrong = Flaw("restore_unconfirmed", "client_order_id", unproved)
        wrong = wrong or self.barred(now, order) or besides
        if wrong is not None:
            return self._object(now, at, self._tickets.open(order, hash_of(order), asker), wrong)
        if len(self._tickets) >= LANE_QUEUE_MAX or self._desk.tells.crowded:
            wait = self._desk.lanes.retry_after_ms(now, calls.create(order))
            busy = Flaw("busy", "", "too many orders are waiting", wait)
            return self._refuse([asker], order, at, busy)
        ticket = self._tickets.open(order, hash_of(order), asker)
        self._tickets.enter(ticket, Stage.LOOKING, now + MARKET_LOOK_MAX)
        return self._look(now, at, ticket)

    def barred(self, now: int, order: PlaceOrder) -> Flaw | None:
        """Why this order may not go now, whatever its terms; None if it may.

        Asked at the door, and once more right before the signature. The brakes are asked apart,
        once there is all that they measure by.
        """
        closed = self._closed(now)
        if closed is not None:
            return Flaw(closed[0], "", closed[1], closed[2])
        doubtful = self._unresolved(order)
        if not doubtful:
            return None
        text = f"{doubtful} in {order.ticker} is unknown: no new risk there until it is settled"
        return Flaw("unresolved_order", "ticker", text)

    def last_look(
        self, now: int, order: PlaceOrder, call: Call, amended: Order | None = None
    ) -> Flaw | Pass:
        """Right before the signature: all that can have changed since the door. `amended` is the
        open order that it gives other terms to, if it does."""
        return self.barred(now, order) or self._brakes.last_look(now, order, call, amended)

    def last_looks(
        self, now: int, orders: list[PlaceOrder], made: Made
    ) -> tuple[dict[str, Flaw], Leaving | None]:
        """The same for orders that leave in one call, which is `made` of those that pass: what
        keeps the others back, by id; and the call with its pass, None if nobody passes."""
        barred = {o.client_order_id: why for o in orders if (why := self.barred(now, o))}
        free = [order for order in orders if order.client_order_id not in barred]
        wrong, leaving = self._brakes.last_looks(now, free, made)
        return barred | wrong, leaving

    def too_slow(self, now: int, at: int, order: PlaceOrder) -> Flaw:
        """What an order waited for too long before it could be looked at."""
        unread = Flaw("market_not_read", "ticker", "its market could not be read in time")
        if self._markets.look(now, at, order.ticker, order.price)[0] is Standing.UNREAD:
            return unread
        return self._brakes.unread(now, order) or unread

    def go_on(self, now: int, at: int, ticker: str = "", trouble: str = "") -> list[Effect]:
        """What orders in a market, or in all, wait for has come, or can't be read: look again."""
        effects: list[Effect] = []
        for _, ticket in self._tickets:
            if ticket.stage is not Stage.LOOKING or ticker not in ("", ticket.order.ticker):
                continue
            wrong = self.barred(now, ticket.order)
            if trouble:
                wrong = Flaw("market_not_read", "ticker", f"{ticker} can't be read: {trouble}")
            if wrong is not None:
                effects += self._object(now, at, ticket, wrong)
            else:
                effects += self._look(now, at, ticket)
        return effects

    def _object(self, now: int, at: int, ticket: Ticket, wrong: Flaw) -> list[Effect]:
        """Refuse an order that nobody knows. One that was sent and has ended long ago may be
        known to the ledger alone: then it is asked first."""
        account, order = self._desk.ledger.account, ticket.order
        forgotten = account is not None and account.forgets and not order.minted
        if not forgotten or self._desk.tells.crowded or flaw(order) is not None:
            return self.turn_away(at, ticket, wrong)
        ticket.refusal = denial(order, wrong)
        return self.recall(now, at, ticket)

    def recall(self, now: int, at: int, ticket: Ticket) -> list[Effect]:
        """Ask for the entries that speak of an order which memory does not have."""
        id = ticket.order.client_order_id
        self._tickets.enter(ticket, Stage.RECALLING, now + RECALL_MAX)
        request = EvidenceRequest(id)
        return self._desk.tells.tell(now, at, "rehydrator", f"recall:{id}", request)

    def never_heard_of(self, at: int, ticket: Ticket, refusal: OrderAnswer) -> list[Effect]:
        """The ledger does not know it, either."""
        self._tickets.close(ticket)
        return self._refusals.say(ticket.askers, refusal, at)

    def turn_away(self, at: int, ticket: Ticket, wrong: Flaw) -> list[Effect]:
        """Refuse an order of which nothing is recorded."""
        self._tickets.close(ticket)
        ticker = ticket.order.ticker
        if not any(t.stage is Stage.LOOKING and t.order.ticker == ticker for _, t in self._tickets):
            self._markets.forget_reading(ticker)
        return self._refuse(ticket.askers, ticket.order, at, wrong)

    def _known(self, asker: Asker, order: PlaceOrder, at: int) -> list[Effect] | None:
        id, terms = order.client_order_id, hash_of(order)
        ticket = self._tickets.get(id)
        account = self._desk.ledger.account
        booked = None if account is None else account.order(id)
        if ticket is None and booked is None:
            return None
        taken_by = ticket.body_hash if ticket is not None else booked.body_hash if booked else ""
        if ticket is None and booked is not None and not taken_by and alike(order, booked):
            taken_by = terms  # a restore forgot the intent; the exchange has shown what it knows
        if taken_by != terms:
            return self._desk.answer([asker], conflict(id), at)
        if ticket is not None and (ticket.answer is None or ticket.stage is Stage.SETTLING):
            if asker not in ticket.askers:
                ticket.askers.append(asker)
            return []
        if booked is not None and (ticket is None or self._knows_more(booked, ticket)):
            return self._desk.answer([asker], answer_from(booked), at)
        assert ticket is not None
        assert ticket.answer is not None
        return self._desk.answer([asker], ticket.answer, at)

    @staticmethod
    def _knows_more(booked: Order, ticket: Ticket) -> bool:
        """Whether the ledger is past what was last told: an intent alone never is."""
        return booked.state != "intended" and booked.n >= ticket.n

    def _unresolved(self, order: PlaceOrder) -> str:
        """An unknown order in the market of one that would add risk there; "" if there is none."""
        account, id = self._desk.ledger.account, order.client_order_id
        assert account is not None
        here = set(self._tickets.in_doubt(order.ticker))
        for other in account.unsettled(order.ticker):
            if other.state == "unknown" or other.client_order_id not in self._tickets:
                here.add(other.client_order_id)
        here.discard(id)
        if not here or not account.adds_risk(order.ticker, order.side, order.count, id):
            return ""
        return min(here)

    def _look(self, now: int, at: int, ticket: Ticket) -> list[Effect]:
        """Hold an order against its market's rules and the brakes; read first what they need."""
        order = ticket.order
        standing, wrong = self._markets.look(now, at, order.ticker, order.price)
        if standing is Standing.UNREAD:
            if self._markets.read(order.ticker):
                return []
            wrong = Flaw("busy", "", "too many calls are waiting")
        if wrong is not None:
            return self._object(now, at, ticket, wrong)
        if self._brakes.unread(now, order) is not None:
            return []
        wrong = self._brakes.reserve(now, order)
        if wrong is not None:
            return self._object(now, at, ticket, wrong)
        self._tickets.enter(ticket, Stage.INTENDING, now + INTENT_ACK_MAX)
        intent = OrderIntended(
            order.client_order_id,
            order.ticker,
            order.side,
            order.price,
            order.count,
            order.time_in_force,
            ticket.body_hash,
            order.post_only,
            order_group_id=order.order_group_id,
            lease_s=order.lease_s,
        )
        return self._desk.append(now, at, intent)

    def _refuse(self, askers: list[Asker], order: PlaceOrder, at: int, wrong: Flaw) -> list[Effect]:
        return self._refusals.say(askers, denial(order, wrong), at)


def denial(order: PlaceOrder, wrong: Flaw) -> OrderAnswer:
    """The answer that refuses an order."""
    return OrderAnswer(
        order.client_order_id,
        "denied",
        None,
        wrong.code,
        wrong.text,
        wrong.wait_ms,
        wrong.field,
        wrong.limit,
        wrong.value,
    )


def conflict(id: str) -> OrderAnswer:
    """The id is taken."""
    text = "this id belongs to an order with other terms"
    return OrderAnswer(id, "conflict", None, "order_id_taken", text, 0, "client_order_id")
