"""Amends: other terms for an order that rests, recorded first, sent at most once.

An amend is an order's way once more: door, brakes, intent, tokens, a last look, outcome. From the
brakes to the outcome the order counts as the larger of what it is and what it may become, also
over a restart: the ledger keeps both. An answer that settles nothing makes the amend unknown; a
sighting of the new terms, or of the old ones when no request of ours can land any more, ends that
(`doubts.py`).
"""

from collections.abc import Callable

from actors.gateway import amend_terms
from actors.gateway.amend_recalls import AmendRecalls
from actors.gateway.amend_tickets import Stage, Ticket, Tickets
from actors.gateway.brakes import Brakes, amended_terms
from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.door import Door
from actors.gateway.lanes import Place
from actors.gateway.markets import Flaw, Markets, Standing
from actors.gateway.passes import Pass
from actors.gateway.terms import expires_at
from actors.gateway.told import Told
from protocol.facts import AmendIntended, AmendOutcome, AnyFact, natural_id
from protocol.kalshi import calls, writes
from protocol.kalshi.answers import Refusal
from protocol.kalshi.calls import Call
from protocol.kalshi.writes import Amended
from protocol.limits import (
    AMENDS_MAX,
    CANCEL_ASKERS_MAX,
    INTENT_ACK_MAX,
    MARKET_LOOK_MAX,
    OUTCOME_ACK_MAX,
    QUEUED_MAX,
)
from protocol.machine import Effect
from protocol.messages import (
    AmendAnswer,
    AmendOrder,
    AnyMessage,
    Appended,
    Order,
)

KEY = "amend"
Stopped = tuple[str, str, int] | None  # code, text, and when to try again (ms)


class Amends:
    """All amends under way, by client_order_id: one an order.

    `release` is told whose does not count any more beside what the account shows; `changing` says
    of which order a decrease or the renewal of a lease may still land.
    """

    def __init__(
        self,
        desk: Desk,
        markets: Markets,
        door: Door,
        brakes: Brakes,
        release: Callable[[str], None],
        changing: Callable[[int, str], bool],
    ) -> None:
        self._desk = desk
        self._markets = markets
        self._door = door
        self._brakes = brakes
        self._changing = changing
        self._tickets = Tickets(release)
        self._refusals: Told[AmendAnswer] = Told(desk)
        self.recalls = AmendRecalls(desk, self._refusals)
        self.ended_at: dict[str, tuple[int, int]] = {}  # calls of unknown ones: `now` and `at`

    # The way in

    def ask(self, now: int, at: int, asker: Asker, wanted: AmendOrder) -> list[Effect]:
        """Take an amend. Asked again while it is under way, or once it is settled, it is one."""
        known = self._known(at, asker, wanted)
        if known is not None:
            return known
        if self._desk.ledger.account is None:
            text = "the account is not restored yet: ask again with the same amend_id"
            unsure = amend_terms.answer(wanted, "unknown", None, "not_restored", text)
            return self._desk.answer([asker], unsure, at)
        found = self._order(now, wanted)
        wrong = found if isinstance(found, Flaw) else self._flaw(now, found, wanted)
        if wrong is not None:
            return self._object(now, at, wanted, [asker], wrong)
        ticket = self._tickets.open(wanted, asker, now + MARKET_LOOK_MAX)
        return self._look(now, at, ticket)

    def _known(self, at: int, asker: Asker, wanted: AmendOrder) -> list[Effect] | None:
        """What an amend that was asked for before is answered; None for a new one."""
        ticket = self._tickets.get(wanted.client_order_id)
        if ticket is not None and ticket.wanted.amend_id == wanted.amend_id:
            if ticket.wanted != wanted:
                return self._desk.answer([asker], amend_terms.conflict(wanted), at)
            if ticket.answer is not None and ticket.stage is Stage.DONE:
                return self._desk.answer([asker], ticket.answer, at)
            if asker not in ticket.askers and len(ticket.askers) < CANCEL_ASKERS_MAX:
                ticket.askers.append(asker)
            return []
        refused = self._refusals.known(asker)
        if refused is not None and refused.amend_id == wanted.amend_id:
            return self._desk.answer([asker], refused, at)
        account = self._desk.ledger.account
        order = None if account is None else account.order(wanted.client_order_id)
        if order is None or order.amend is None or order.amend.id != wanted.amend_id:
            return None
        same = (order.amend.price, order.amend.count) == (wanted.price, wanted.count)
        answer = (
            amend_terms.told(wanted, order, order.amend) if same else amend_terms.conflict(wanted)
        )
        return self._desk.answer([asker], answer, at)

    def _object(
        self, now: int, at: int, wanted: AmendOrder, askers: list[Asker], wrong: Flaw
    ) -> list[Effect]:
        """Refuse one of which nothing is recorded. One that may be is looked for first: whoever
        asks again must not be told that nothing was sent."""
        account, refusal = self._desk.ledger.account, amend_terms.denial(wanted, wrong)
        order = None if account is None else account.order(wanted.client_order_id)
        forgotten = order is None and account is not None and account.forgets
        if forgotten or (order is not None and order.amend is not None):
            return self.recalls.ask(now, at, wanted, askers, refusal)
        return self._refusals.say(askers, refusal, at)

    def _order(self, now: int, wanted: AmendOrder) -> Order | Flaw:
        """The open order that it is about, or why there is none."""
        account, id = self._desk.ledger.account, wanted.client_order_id
        assert account is not None
        order = account.order(id)
        if order is None:
            return Flaw("order_not_found", "client_order_id", "no order has this id")
        if order.state != "resting" or not order.order_id:
            return Flaw("order_not_open", "client_order_id", f"the order is {order.state}")
        text = ""
        if (order.amend is not None and order.amend.pending) or id in self._tickets:
            text = "another amend of this order is not settled yet"
        elif self._changing(now, id):
            text = "a decrease, or a renewal of its lease, may still land: cancel it instead"
        return Flaw("amend_under_way", "client_order_id", text) if text else order

    def _flaw(self, now: int, order: Order, wanted: AmendOrder) -> Flaw | None:
        """What is wrong with it before its market and the brakes are asked."""
        wrong = amend_terms.flaw(order, wanted) or self._barred(now, order, wanted)
        if wrong is not None:
            return wrong
        if len(self._tickets) >= AMENDS_MAX or self._desk.tells.crowded:
            wait = self._desk.lanes.retry_after_ms(now, self._call(0, order, wanted))
            return Flaw("busy", "", "too many amends are under way", wait)
        return None

    def _barred(self, now: int, order: Order, wanted: AmendOrder) -> Flaw | None:
        return self._door.barred(now, amended_terms(order, amend_terms.pending(wanted)))

    def _look(self, now: int, at: int, ticket: Ticket) -> list[Effect]:
        """Hold it against its market's rules and the brakes; read first what they need."""
        wanted = ticket.wanted
        order = self._order_now(wanted)
        if order is None:
            return self._turn_away(now, at, ticket, amend_terms.GONE)
        standing, wrong = self._markets.look(now, at, order.ticker, wanted.price)
        if standing is Standing.UNREAD:
            if self._markets.read(order.ticker):
                return []
            wrong = Flaw("busy", "", "too many calls are waiting")
        amend = amend_terms.pending(wanted)
        if wrong is None and self._brakes.unread(now, amended_terms(order, amend), order):
            return []
        wrong = wrong or self._brakes.reserve_amend(now, order, amend)
        if wrong is not None:
            return self._turn_away(now, at, ticket, wrong)
        ticket.enter(Stage.INTENDING, now + INTENT_ACK_MAX)
        return self._desk.append(now, at, amend_terms.intent(wanted))

    def _order_now(self, wanted: AmendOrder) -> Order | None:
        """The order as the account shows it; None if it rests no more."""
        account = self._desk.ledger.account
        order = None if account is None else account.order(wanted.client_order_id)
        return order if order is not None and order.state == "resting" else None

    def go_on(self, now: int, at: int, ticker: str = "", trouble: str = "") -> list[Effect]:
        """What amends in a market, or in all, wait for has come, or can't be read: look again."""
        effects: list[Effect] = []
        for ticket in self._tickets:
            order = self._order_now(ticket.wanted)
            if ticket.stage is not Stage.LOOKING:
                continue
            if order is not None and ticker not in ("", order.ticker):
                continue
            wrong = amend_terms.GONE if order is None else self._barred(now, order, ticket.wanted)
            if trouble:
                wrong = Flaw("market_not_read", "ticker", f"{ticker} can't be read: {trouble}")
            if wrong is not None:
                effects += self._turn_away(now, at, ticket, wrong)
            else:
                effects += self._look(now, at, ticket)
        return effects

    def _turn_away(self, now: int, at: int, ticket: Ticket, wrong: Flaw) -> list[Effect]:
        self._tickets.close(ticket)
        return self._object(now, at, ticket.wanted, ticket.askers, wrong)

    # The way out

    def acknowledged(self, now: int, at: int, told: AnyFact, answer: AnyMessage) -> list[Effect]:
        """The writer answered a fact of ours about an amend."""
        if not isinstance(told, AmendIntended | AmendOutcome) or not isinstance(answer, Appended):
            return []
        ticket = self._tickets.get(told.client_order_id)
        if ticket is None or ticket.wanted.amend_id != told.amend_id:
            return []
        if isinstance(told, AmendIntended):
            return self._recorded(now, at, ticket, answer)
        if ticket.outcome is None or natural_id(ticket.outcome) != natural_id(told):
            return []
        done = self._tell(at, ticket)
        ticket.n = answer.n
        if not answer.n:  # the ledger did not take it: what it has instead counts
            self._tickets.close(ticket)
        return done

    def _recorded(self, now: int, at: int, ticket: Ticket, answer: Appended) -> list[Effect]:
        if ticket.stage is not Stage.INTENDING:
            return []  # withdrawn meanwhile: a late NEW must not send
        if answer.verdict == "NEW":
            ticket.n = answer.n
            ticket.enter(Stage.RECORDED, now + INTENT_ACK_MAX)
            return self._queue(now, at, ticket)
        self._tickets.close(ticket)
        wanted = ticket.wanted
        if answer.verdict == "REPEAT":
            return self.recalls.ask(now, at, wanted, ticket.askers)
        if answer.verdict == "CONFLICT":
            said = amend_terms.conflict(wanted)
        else:
            text = answer.reason
            said = amend_terms.answer(wanted, "unavailable", None, "not_recorded", text)
        return self._desk.answer(ticket.askers, said, at)

    def _queue(self, now: int, at: int, ticket: Ticket) -> list[Effect]:
        """It waits for tokens once the account shows it: so nobody else's is pending there."""
        account = self._desk.ledger.account
        if account is None or account.n < ticket.n:
            return []
        order = self._order_now(ticket.wanted)
        if order is None:
            return self._deny(now, at, ticket, amend_terms.GONE)
        ticket.enter(Stage.QUEUED, now + QUEUED_MAX)
        ticket.order = order
        call = self._call(at, order, ticket.wanted)
        place = self._desk.lanes.submit(f"{KEY}:{ticket.wanted.client_order_id}", call)
        if place:
            return []
        code = "busy" if place is Place.FULL else "budget"
        return self._deny(now, at, ticket, Flaw(code, "", place.value))

    def _call(self, at: int, order: Order, wanted: AmendOrder) -> Call:
        shard, until = self._markets.shard(order.ticker), expires_at(at, order.lease_s)
        return calls.amend(order, wanted.price, wanted.count, shard, until)

    def may_go(self, now: int, at: int, id: str, call: Call) -> list[Effect] | Pass:
        """The last look, after the last queue and right before the signature: as for an order."""
        ticket = self._tickets.get(id)
        if ticket is None or ticket.stage is not Stage.QUEUED:
            return []
        passed = self._last_look(now, ticket.wanted, call)
        if isinstance(passed, Flaw):
            return self._deny(now, at, ticket, passed)
        ticket.enter(Stage.SENT)
        self._desk.counters["sent"] += 1
        return passed

    def _last_look(self, now: int, wanted: AmendOrder, call: Call) -> Flaw | Pass:
        order = self._order_now(wanted)
        if order is None:
            return amend_terms.GONE
        mine = order.amend is not None and order.amend.id == wanted.amend_id
        if not mine or order.amend is None or not order.amend.pending:
            return Flaw("amend_under_way", "client_order_id", "another amend came before it")
        if wanted.count <= order.filled:
            return amend_terms.flaw(order, wanted) or amend_terms.GONE
        terms = amended_terms(order, order.amend)
        return self._door.last_look(now, terms, call, order)

    def deny_queued(self, now: int, at: int, code: str, text: str, wait_ms: int) -> list[Effect]:
        """Nothing that waits for tokens will be sent."""
        effects: list[Effect] = []
        for ticket in self._tickets:
            if ticket.stage in (Stage.QUEUED, Stage.RECORDED):
                effects += self._deny(now, at, ticket, Flaw(code, "", text, wait_ms))
        return effects

    def _deny(self, now: int, at: int, ticket: Ticket, wrong: Flaw) -> list[Effect]:
        """Refuse one that was recorded and not sent."""
        self._desk.lanes.withdraw(f"{KEY}:{ticket.wanted.client_order_id}")
        self._desk.counters["denied"] += 1
        return self._settle(now, at, ticket, amend_terms.denial(ticket.wanted, wrong))

    def ended(
        self, now: int, at: int, id: str, ended: Ended, stopped: Stopped = None
    ) -> list[Effect]:
        """Its call has ended. `stopped` says why it never left after all, if the latch kept it."""
        ticket = self._tickets.get(id)
        if ticket is None or ticket.stage is not Stage.SENT:
            return []
        if stopped is not None:
            return self._deny(now, at, ticket, Flaw(stopped[0], "", stopped[1], stopped[2]))
        if not isinstance(ended, CallAnswered):
            if not ended.sent:
                return self._deny(now, at, ticket, Flaw("unreachable", "", ended.reason))
            return self._doubt(now, at, ticket, ended.reason)
        order, wanted = ticket.order, ticket.wanted
        assert order is not None
        match writes.amended(order.order_id, ended.status, ended.body):
            case Amended(ts_ms=ms):
                done = amend_terms.accepted(wanted, self._order_now(wanted) or order)
                return self._settle(now, at, ticket, done, exchange_at=ms * 1_000)
            case Refusal(code=code, text=text):
                refused = amend_terms.answer(wanted, "rejected", None, code, text)
                return self._settle(now, at, ticket, refused)
            case str() as reason:
                return self._doubt(now, at, ticket, reason)

    def _doubt(self, now: int, at: int, ticket: Ticket, reason: str) -> list[Effect]:
        self.ended_at[ticket.wanted.client_order_id] = (now, at)
        unsure = amend_terms.answer(ticket.wanted, "unknown", None, "no_answer", reason)
        return self._settle(now, at, ticket, unsure)

    def _settle(
        self, now: int, at: int, ticket: Ticket, answer: AmendAnswer, exchange_at: int = 0
    ) -> list[Effect]:
        """Record the outcome, then tell the client; if the record is late, tell it anyway."""
        ticket.answer, ticket.n = answer, 0
        ticket.outcome = amend_terms.outcome(answer, exchange_at)
        ticket.enter(Stage.SETTLING, now + OUTCOME_ACK_MAX)
        return self._desk.append(now, at, ticket.outcome)

    def _tell(self, at: int, ticket: Ticket) -> list[Effect]:
        assert ticket.answer is not None
        askers, ticket.askers = ticket.askers, []
        ticket.enter(Stage.DONE)
        return self._desk.answer(askers, ticket.answer, at)

    # When

    def due(self, now: int, at: int) -> list[Effect]:
        """What waited too long, and what the account shows by now."""
        effects = self.recalls.due(now, at)
        account = self._desk.ledger.account
        n = -1 if account is None else account.n
        for ticket in self._tickets:
            if ticket.stage is Stage.RECORDED and n >= ticket.n:
                effects += self._queue(now, at, ticket)
            elif ticket.stage is Stage.DONE and 0 < ticket.n <= n:
                self._tickets.close(ticket)
            if ticket.deadline is not None and now >= ticket.deadline:
                effects += self._late(now, at, ticket)
        return effects

    def _late(self, now: int, at: int, ticket: Ticket) -> list[Effect]:
        match ticket.stage:
            case Stage.LOOKING:
                order = self._order_now(ticket.wanted)
                if order is None:
                    return self._turn_away(now, at, ticket, amend_terms.GONE)
                terms = amended_terms(order, amend_terms.pending(ticket.wanted))
                return self._turn_away(now, at, ticket, self._door.too_slow(now, at, terms))
            case Stage.INTENDING:
                return self._withdraw(now, at, ticket)
            case Stage.RECORDED:
                stale = Flaw("account_stale", "", "the account does not show the intent in time")
                return self._deny(now, at, ticket, stale)
            case Stage.QUEUED:
                return self._deny(now, at, ticket, Flaw("busy", "", "no tokens in time"))
        return self._tell(at, ticket)

    def _withdraw(self, now: int, at: int, ticket: Ticket) -> list[Effect]:
        """Give up an intent that the writer has not acknowledged; it may still be recorded."""
        wanted = ticket.wanted
        self._desk.tells.answered(natural_id(amend_terms.intent(wanted)))  # told no more
        text = "it will not be sent: no acknowledgement of the intent"
        gone = amend_terms.answer(wanted, "unavailable", None, "not_recorded", text)
        return self._settle(now, at, ticket, gone)

    def __len__(self) -> int:
        return len(self._tickets)

    def forget_ended(self) -> None:
        """Calls of amends that were settled before they came into doubt need no moment."""
        for id in [id for id in self.ended_at if id not in self._tickets]:
            del self.ended_at[id]

    def under_way(self, id: str) -> bool:
        """Whether no other evidence is wanted for an order's amend."""
        return id in self._tickets

    @property
    def unfinished(self) -> bool:
        """Whether one is recorded or sent, with an outcome that is not on record yet."""
        return self._tickets.unfinished

    def deadline(self) -> int | None:
        found = [self._tickets.deadline(), self.recalls.deadline()]
        return min((when for when in found if when is not None), default=None)
