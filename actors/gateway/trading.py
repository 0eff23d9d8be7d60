"""All that changes what the account has at the exchange, put together: orders and batches of them,
amends, leases, decreases, cancels, order groups. What comes in goes to the part it is for."""

from typing import NamedTuple

from actors.gateway.amend_recalls import KEY as RECALL_AMEND
from actors.gateway.amends import KEY as AMEND
from actors.gateway.amends import Amends
from actors.gateway.batches import KEY as BATCH
from actors.gateway.batches import Batches
from actors.gateway.cancel_batches import KEY as CANCELS
from actors.gateway.cancel_batches import CancelBatches, OpenNow
from actors.gateway.cancels import Cancels
from actors.gateway.decreases import KEY as DECREASE
from actors.gateway.decreases import Decreases
from actors.gateway.desk import Asker, Desk, Ended
from actors.gateway.door import Closed, Door
from actors.gateway.groups import KEY as GROUP
from actors.gateway.groups import Groups
from actors.gateway.halt import Halts, kept_back
from actors.gateway.lanes import Waiting
from actors.gateway.leases import KEY as LEASE
from actors.gateway.leases import Leases
from actors.gateway.orders import Orders
from actors.gateway.parts import Parts
from actors.gateway.passes import Pass
from actors.gateway.risk import Risk
from actors.gateway.tickets import Tickets
from protocol.envelope import Letter
from protocol.kalshi.calls import Call
from protocol.machine import Effect
from protocol.messages import (
    AmendOrder,
    AnyMessage,
    Append,
    CancelBatch,
    CancelOpen,
    CancelOrder,
    DecreaseOrder,
    EvidenceRequest,
    ManageGroup,
    PlaceBatch,
    PlaceOrder,
)


class Leaving(NamedTuple):
    """A call that may leave, and its pass, if it needs one."""

    call: Call
    passed: Pass | None


class Trading:
    """The parts. `closed` says why no new risk may be taken."""

    def __init__(self, desk: Desk, now: int, risk: Risk, halts: Halts, closed: Closed) -> None:
        self._desk = desk
        self._halts = halts
        markets, brakes = risk.markets, risk.brakes
        tickets = Tickets(risk.exposures.release)
        self._door = Door(desk, tickets, markets, brakes, closed)
        self.orders = Orders(desk, tickets, markets, self._door)
        self.cancels = Cancels(desk, self.orders, markets)
        self._decreases = Decreases(desk, self.orders, markets, self._amending)
        self.groups = Groups(desk)
        release = risk.exposures.release_amend
        self.amends = Amends(desk, markets, self._door, brakes, release, self._changing)
        unsettled = self._decreases.unsettled
        self._leases = Leases(desk, now, markets, self.amends, brakes, closed, unsettled)
        self._parts = Parts(desk)
        self._batches = Batches(desk, self.orders, markets, self._door, self._parts)
        self._cancel_batches = CancelBatches(desk, self.cancels, self._parts)

    def _open(self, ticker: str) -> OpenNow | None:
        """What may still fill, by the account and by what is on its way; None: not known yet."""
        account = self._desk.ledger.account
        if account is None:
            return None
        rows = [o for o in account.open_orders() if ticker in ("", o.ticker)]
        ours = dict.fromkeys(o.client_order_id for o in rows if o.client_order_id)
        sent = self.orders.tickets.may_fill(ticker)
        return OpenNow((*ours, *(id for id in sent if id not in ours)), len(rows) - len(ours))

    # One change of an order at a time

    def _amending(self, now: int, id: str) -> bool:
        """Whether an amend of this order, or a renewal of its lease, may still land."""
        return self.amends.under_way(id) or self._leases.unsettled(now, id)

    def _changing(self, now: int, id: str) -> bool:
        """Whether a decrease of this order, or a renewal of its lease, may still land."""
        return self._decreases.unsettled(now, id) or self._leases.unsettled(now, id)

    # Letters

    def asked(
        self, now: int, at: int, asker: Asker, letter: Letter, unproved: str
    ) -> list[Effect] | None:
        """Take a letter; None if it is for somebody else. `unproved` as for `Door.place`."""
        match letter.body:
            case PlaceOrder():
                return self._door.place(now, at, asker, letter.body, unproved)
            case PlaceBatch():
                return self._batches.place(now, at, asker, letter.body, unproved)
            case AmendOrder():
                return self.amends.ask(now, at, asker, letter.body)
            case DecreaseOrder():
                return self._decreases.ask(now, at, asker, letter.body)
            case CancelOrder(client_order_id=id):
                return self.cancels.cancel(now, at, asker, id)
            case CancelBatch():
                return self._cancel_batches.cancel(now, at, asker, letter.body)
            case CancelOpen(ticker=ticker):
                return self._cancel_batches.cancel_open(now, at, asker, self._open(ticker))
            case ManageGroup():
                halted = self._halts.stopped(now)
                return self.groups.ask(now, at, asker, letter.at, letter.body, halted)
        return None

    def acknowledged(self, now: int, at: int, told: Append, answer: AnyMessage) -> list[Effect]:
        """The writer answered a fact of ours."""
        return [
            *self.orders.acknowledged(now, at, told.fact, answer),
            *self.amends.acknowledged(now, at, told.fact, answer),
            *self._decreases.acknowledged(at, told.fact),
        ]

    def recalled(self, at: int, told: EvidenceRequest, letter: Letter) -> list[Effect]:
        """The ledger's entries about an order were asked for, and are here."""
        if letter.id.startswith(RECALL_AMEND):
            return self.amends.recalls.answered(at, letter.id, letter.body)
        return self.orders.recalled(at, told.client_order_id, letter.body)

    def look_again(self, now: int, at: int, ticker: str = "", trouble: str = "") -> list[Effect]:
        """What orders and amends in a market, or in all, wait for has come, or can't be read."""
        return [
            *self._door.go_on(now, at, ticker, trouble),
            *self.amends.go_on(now, at, ticker, trouble),
        ]

    # When

    def due(self, now: int, at: int) -> list[Effect]:
        """What waited too long, and what the account shows by now."""
        effects = self.orders.due(now, at)
        effects += self.amends.due(now, at)
        self._leases.due(now, at)
        effects += self.cancels.due(now, at)
        effects += self._decreases.due(now, at)
        effects += self._cancel_batches.due(now)
        return effects

    def gather(self, now: int, at: int) -> list[Effect]:
        """Batches whose members are all recorded or refused, and groups, get into their lanes."""
        return [
            *self._batches.due(now, at),
            *self.groups.due(now, at, self._halts.stopped(now)),
        ]

    def tell(self, at: int) -> list[Effect]:
        """Letters that asked for several things are answered once all of it is."""
        return self._parts.due(at)

    def deadlines(self) -> list[int | None]:
        return [
            self.orders.deadline(),
            self.amends.deadline(),
            self._leases.deadline(),
            self.cancels.deadline(),
            self._decreases.deadline(),
            self.groups.deadline(),
        ]

    @property
    def unfinished(self) -> bool:
        """Whether something is under way that could still become known in this life."""
        lowered = self.cancels.unfinished or self._decreases.unfinished
        raised = bool(self.orders.tickets.unfinished) or self.amends.unfinished
        return raised or lowered or self.groups.unfinished

    # Calls

    def deny_queued(self, now: int, at: int, code: str, text: str, wait_ms: int) -> list[Effect]:
        """Nothing that adds risk and waits for tokens will be sent."""
        self._leases.withdraw(now)
        return [
            *self.orders.deny_queued(now, at, code, text, wait_ms),
            *self.amends.deny_queued(now, at, code, text, wait_ms),
        ]

    def may_go(self, now: int, at: int, waiting: Waiting) -> tuple[list[Effect], Leaving | None]:
        """The last look at a call, right before the signature: what follows from it, and the call
        that leaves, if one does."""
        call = waiting.call
        kind, _, name = waiting.key.partition(":")
        if kind == BATCH:
            effects, found = self._batches.may_go(now, at, int(name))
            return effects, None if found is None else Leaving(*found)
        if kind == LEASE:
            passed = self._leases.may_go(now, name, call)
            return [], None if passed is None else Leaving(call, passed)
        if kind not in ("order", AMEND):
            return [], Leaving(call, None)
        risky = self.orders if kind == "order" else self.amends
        looked = risky.may_go(now, at, name, call)
        return ([], Leaving(call, looked)) if isinstance(looked, Pass) else (looked, None)

    def ended(self, now: int, at: int, key: str, ended: Ended) -> list[Effect] | None:
        """A call has ended; None if it is somebody else's."""
        kind, _, name = key.partition(":")
        if kind in ("order", BATCH):
            self.cancels.wake(now)
            kept = self._halts.order_ended(now, ended)
            if kind == BATCH:
                return self._batches.ended(now, at, int(name), ended, kept)
            return self.orders.ended(now, at, name, ended, kept)
        if kind == "cancel":
            return self.cancels.ended(now, at, name, ended)
        if kind == CANCELS:
            return self._cancel_batches.ended(now, at, int(name), ended)
        if kind == AMEND:
            return self.amends.ended(now, at, name, ended, kept_back(ended))
        if kind == LEASE:
            self._leases.ended(now, name, ended)
            return []
        if kind == DECREASE:
            return self._decreases.ended(now, at, int(name), ended)
        if kind == GROUP:
            return self.groups.ended(now, at, int(name), ended)
        return None

    def counters(self, now: int) -> dict[str, int]:
        """For the heartbeat."""
        return {"cancels_open": self.cancels.open} | self._leases.counters(now)
