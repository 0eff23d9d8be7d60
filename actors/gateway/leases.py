"""Lease orders: they end by themselves unless we live and renew them.

The exchange knows no cancel on disconnect for REST. What it knows is an order's expiry: an order
with a lease of L seconds leaves with an expiry of at most L from now, and an amend of nothing but
the expiry, at half of the lease, keeps its place in the queue (FACTS.md section 6.2). A renewal
changes no terms, so it leaves no entry; asked twice it does no harm. But it names the terms, so
one that may still land would bring former ones back: while there is one the order gets no others.
While no new risk may be taken nothing is renewed: what a dead man's switch is for.
"""

from collections.abc import Callable

from msgspec import Struct

from actors.gateway.amends import Amends
from actors.gateway.brakes import Brakes
from actors.gateway.desk import CallAnswered, Desk, Ended
from actors.gateway.markets import Markets
from actors.gateway.passes import Pass
from actors.gateway.terms import expires_at
from protocol.kalshi import calls, writes
from protocol.kalshi.answers import Refusal
from protocol.kalshi.calls import Call
from protocol.kalshi.writes import Amended
from protocol.limits import ABSENCE_AFTER, LEASE_AGAIN, SECOND, US
from protocol.messages import Order

KEY = "lease"
Closed = Callable[[int], tuple[str, str, int] | None]


class _Lease(Struct):
    """One order's lease."""

    renew_at: int
    runs_out_at: int  # 0: not known, a former life has renewed it last
    asked_at: int | None = None  # the renewal that is under way would begin here
    sent: bool = False  # it is on the wire
    may_land_until: int = -1  # a renewal without an answer


class Leases:
    """All leases of orders that rest, by client_order_id. `closed` says why nothing is renewed,
    `lowering` of which order a decrease is not settled: the renewal would take it back."""

    def __init__(
        self,
        desk: Desk,
        now: int,
        markets: Markets,
        amends: Amends,
        brakes: Brakes,
        closed: Closed,
        lowering: Callable[[int, str], bool],
    ) -> None:
        self._desk = desk
        self._markets = markets
        self._amends = amends
        self._brakes = brakes
        self._closed = closed
        self._lowering = lowering
        self._held: dict[str, _Lease] = {}
        self._former_until = now + ABSENCE_AFTER  # what a former life sent may land until then
        self._looked_at = -1  # the entry
        self._due_at: int | None = None

    def due(self, now: int, at: int) -> None:
        """Ask for the renewals that it is time for."""
        account = self._desk.ledger.account
        if account is None:
            return
        if account.n == self._looked_at and (self._due_at is None or now < self._due_at):
            return
        former, self._looked_at, self._due_at = self._looked_at < 0, account.n, None
        leased = account.open.leased
        self._held = {id: lease for id, lease in self._held.items() if id in leased}
        closed = self._closed(now)
        for id, order in leased.items():
            lease = self._held.get(id)
            if lease is None:
                lease = self._held[id] = _begun(now, at, order)
                if former:
                    lease.may_land_until = self._former_until
            if order.state == "resting" and lease.asked_at is None and now >= lease.renew_at:
                self._renew(now, at, order, lease, closed is not None)
            if lease.asked_at is None:
                self._due_by(lease.renew_at)

    def _renew(self, now: int, at: int, order: Order, lease: _Lease, closed: bool) -> None:
        lease.renew_at = now + LEASE_AGAIN
        if closed or self._pending(now, order):
            return
        shard = self._markets.shard(order.ticker)
        until = expires_at(at, order.lease_s)
        call = calls.renew(order, shard, until)
        if self._desk.lanes.submit(f"{KEY}:{order.client_order_id}", call):
            lease.asked_at = now

    def _pending(self, now: int, order: Order) -> bool:
        """Whether an amend is not settled: it has the lease, too, or its terms are not known; or a
        decrease."""
        unsettled = order.amend is not None and order.amend.pending
        id = order.client_order_id
        return unsettled or self._amends.under_way(id) or self._lowering(now, id)

    def may_go(self, now: int, id: str, call: Call) -> Pass | None:
        """The last look, right before the signature: a pass if the order still rests with the very
        terms that the renewal names, and new risk may be taken; else it is looked at again."""
        account, lease = self._desk.ledger.account, self._held.get(id)
        order = None if account is None else account.open.leased.get(id)
        if order is None or lease is None:
            return None
        rests = order.state == "resting" and not self._pending(now, order)
        same = (order.price, order.count) == calls.amended_to(call)
        if rests and same and self._closed(now) is None:
            lease.sent = True
            return self._brakes.renewal(call)
        self._put_off(now, lease)
        return None

    def withdraw(self, now: int) -> None:
        """None of those that wait for tokens will be sent: no new risk may be taken now."""
        for id, lease in self._held.items():
            if lease.asked_at is not None and self._desk.lanes.withdraw(f"{KEY}:{id}"):
                self._put_off(now, lease)

    def _put_off(self, now: int, lease: _Lease) -> None:
        lease.asked_at, lease.renew_at = None, now + LEASE_AGAIN
        self._due_by(lease.renew_at)

    def ended(self, now: int, id: str, ended: Ended) -> None:
        """A renewal's call has ended. Without a good answer it is asked for once more."""
        account, lease = self._desk.ledger.account, self._held.get(id)
        order = None if account is None else account.open.leased.get(id)
        if lease is None or order is None or lease.asked_at is None:
            return
        asked_at, lease.asked_at, lease.sent = lease.asked_at, None, False
        found = _renewed(order, ended)
        if isinstance(found, Amended):
            lease.runs_out_at = asked_at + order.lease_s * SECOND
            lease.renew_at = asked_at + order.lease_s * SECOND // 2
        else:
            lease.renew_at = now + LEASE_AGAIN
        if isinstance(found, str):
            lease.may_land_until = now + ABSENCE_AFTER
        self._due_by(lease.renew_at)

    def unsettled(self, now: int, id: str) -> bool:
        """Whether a renewal of this order is on the wire, or may still land."""
        account, lease = self._desk.ledger.account, self._held.get(id)
        if lease is not None:
            return lease.sent or now < lease.may_land_until
        return account is not None and id in account.open.leased and now < self._former_until

    def _due_by(self, when: int) -> None:
        self._due_at = when if self._due_at is None else min(self._due_at, when)

    def deadline(self) -> int | None:
        return self._due_at

    def counters(self, now: int) -> dict[str, int]:
        """For the heartbeat: how many there are, and how many have run out, as far as is known."""
        account = self._desk.ledger.account
        leased = {} if account is None else account.open.leased
        known = (self._held.get(id) for id in leased)
        over = sum(lease is not None and 0 < lease.runs_out_at <= now for lease in known)
        return {"leases": len(leased), "leases_run_out": over}


def _begun(now: int, at: int, order: Order) -> _Lease:
    """The lease that an order left with; one that is older was renewed by a former life, and
    nobody knows when."""
    lease, age = order.lease_s * SECOND, max(at - order.created_at, 0) * US
    if age >= lease:
        return _Lease(now, 0)
    return _Lease(max(now + lease // 2 - age, now), now + lease - age)


def _renewed(order: Order, ended: Ended) -> Amended | Refusal | str:
    """What came of a renewal; a text: nobody knows whether it holds."""
    if isinstance(ended, CallAnswered):
        return writes.amended(order.order_id, ended.status, ended.body)
    return ended.reason if ended.sent else Refusal("unreachable", ended.reason)
