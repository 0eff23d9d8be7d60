"""The orders of the account: the part of the fold that keeps what is known of each.

What a fact does to an order's state stands in `protocol/lifecycle.py`; here it is found which
order a fact speaks of, how much of it is filled, and what of it stays in memory.
"""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from protocol import amends, lifecycle
from protocol.errors import RemoteProtocolError
from protocol.exposure import OpenOrders
from protocol.facts import (
    AmendIntended,
    AmendOutcome,
    Fill,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderIntended,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
)
from protocol.lifecycle import ENDED, FINISHED, MAY_FOLLOW, UNSETTLED, OwnWord, State
from protocol.limits import OPEN_ORDERS_MAX, ORDERS_KEPT
from protocol.messages import AccountState, Entry, Order
from protocol.units import Count

NOTHING: Final = Count(0)


def key_of(order: Order) -> str:
    """Ours go by the client's id, the others by the exchange's."""
    return order.client_order_id or order.order_id


class Orders:
    """Every open order, and the last ORDERS_KEPT finished ones, oldest first."""

    def __init__(self, state: AccountState) -> None:
        self._n = state.n
        self._orders: dict[str, Order] = {}
        self._keys: dict[str, str] = {}  # by the exchange's id
        self.filled_by = dict(state.filled_by)
        self.withdrawn = dict(state.withdrawn)
        self.filled_at_cancel = dict(state.filled_at_cancel)
        self.open = OpenOrders()
        self.due = OpenOrders()  # what was told to be filled, and is not booked: as if open
        for order in state.orders:
            self._orders[key_of(order)] = order
            self.open.put(key_of(order), None, order)
            self._expect(key_of(order), order)
        self._find_owners()

    def get(self, key: str) -> Order | None:
        return self._orders.get(key)

    def by_id(self, order_id: str) -> Order | None:
        key = self._keys.get(order_id)
        return None if key is None else self._orders[key]

    def all(self) -> Iterable[Order]:
        return self._orders.values()

    def take(self, entry: Entry) -> list[Order]:
        """Take a fact about an order, any but a fill. Returns the order, if it meant anything."""
        self._n = entry.n
        fact = entry.fact
        match fact:
            case OrderIntended():
                return [self._intended(entry, fact)]
            case OrderAccepted():
                return self._accepted(fact)
            case OrderSeen():
                return [self._seen(entry, fact)]
            case OrderCanceled():
                return self._canceled(fact)
            case AmendIntended() | AmendOutcome():
                return self._amended(fact)
            case OrderUnknown(client_order_id=key, reason=reason):
                return self._concluded(key, "unknown", reason)
            case OrderWithdrawn(client_order_id=key, reason=reason):
                if key not in self._orders and len(self.withdrawn) < ORDERS_KEPT:
                    self.withdrawn[key] = reason
                return self._concluded(key, "withdrawn", reason)
            case OrderDenied(client_order_id=key, reason=reason):
                return self._concluded(key, "denied", reason)
            case OrderAbsent(client_order_id=key, evidence=evidence):
                return self._concluded(key, "absent", evidence)
            case OrderRejected(client_order_id=key, code=code, text=text):
                return self._concluded(key, "rejected", f"{code}: {text}" if text else code)
        raise AssertionError(f"a fact without a place in the fold: {fact}")

    def fill(self, n: int, fact: Fill) -> tuple[Order | None, bool]:
        """Count a fill. Returns its order, if it is known, and whether the fill is late.

        Late: the order counted as finished, and its fills, together, are more than its end told.
        """
        self._n = n
        total = Count(self.filled_by.get(fact.order_id, 0) + fact.count)
        self.filled_by[fact.order_id] = total
        order = self._orders.get(self._keys.get(fact.order_id, fact.client_order_id))
        if order is None:
            return None, fact.client_order_id in self.withdrawn
        told = max(int(order.filled), int(self.filled_at_cancel.get(fact.order_id, 0)))
        if total >= told:
            self.filled_at_cancel.pop(fact.order_id, None)
        late = order.state in FINISHED and total > told
        order = self._adopt(order, fact.order_id)
        return self._keep(self._settle(order, lifecycle.after(order.state, "filled"))), late

    # What each fact does

    def _intended(self, entry: Entry, fact: OrderIntended) -> Order:
        known = self._orders.get(fact.client_order_id)
        withdrawn = self.withdrawn.pop(fact.client_order_id, None)
        order = Order(
            fact.client_order_id,
            "" if known is None else known.order_id,
            fact.ticker,
            fact.side,
            fact.price,
            fact.count,
            fact.time_in_force,
            "intended" if known is None else known.state,
            NOTHING if known is None else known.filled,
            fact.count if known is None else known.remaining,
            "" if known is None else known.reason,
            fact.body_hash,
            entry.at,
            0 if known is None else known.updated_at,
            self._n,
            None if known is None else known.amend,
            0 if known is None else known.amended_at,
            fact.lease_s,
        )
        if withdrawn is not None and known is None:  # a withdrawal wins over the late intent
            state = lifecycle.after(order.state, "withdrawn")
            order = replace(order, state=state, reason=withdrawn, remaining=NOTHING)
        return self._keep(order)

    def _concluded(self, key: str, word: OwnWord, reason: str) -> list[Order]:
        """An outcome that rests on our own word yields to what the exchange has shown."""
        order = self._orders.get(key)
        if order is None or order.order_id or order.state not in UNSETTLED:
            return []
        state = lifecycle.after(order.state, word)
        remaining = order.remaining if state == "unknown" else NOTHING
        return [
            self._keep(replace(order, state=state, reason=reason, remaining=remaining, n=self._n))
        ]

    def _accepted(self, fact: OrderAccepted) -> list[Order]:
        order = self._orders.get(fact.client_order_id)
        if order is None:
            return []
        order = self._adopt(order, fact.order_id)
        if order.state in ENDED or order.state == "denied":
            return [self._keep(replace(order, n=self._n))]  # the stream was faster, and knows more
        order = replace(order, filled=Count(max(order.filled, fact.filled)))
        evidence = lifecycle.accepted_as(order.count, order.filled, fact.remaining)
        return [self._keep(self._settle(order, lifecycle.after(order.state, evidence)))]

    def _seen(self, entry: Entry, fact: OrderSeen) -> Order:
        key = self._keys.get(fact.order_id, fact.client_order_id or fact.order_id)
        if fact.client_order_id in self._orders:
            key = fact.client_order_id  # an earlier sighting may not have named it
        order = self._orders.get(key)
        if order is None:
            order = Order(
                fact.client_order_id,
                fact.order_id,
                fact.ticker,
                fact.side,
                fact.price,
                fact.initial,
                "good_till_canceled",
                "resting",
                created_at=entry.at,
            )
        order = self._adopt(order, fact.order_id)
        filled = Count(max(order.filled, fact.filled))
        stale, newer = fact.updated_at < order.updated_at, fact.updated_at > order.updated_at
        former = fact.updated_at < order.amended_at  # of terms that it has no more
        outgrown = newer and self._outgrown(order, fact)
        order = replace(order, filled=filled, updated_at=max(order.updated_at, fact.updated_at))
        if fact.terms and fact.status == "resting" and not (stale or former):
            whole = Count(max(fact.filled + fact.remaining, filled))
            order = amends.shown(order, fact.price, whole, newer)
        if outgrown:
            state = lifecycle.after(order.state, lifecycle.outgrown_as(fact.status))
            return self._keep(self._settle(order, state, fact.remaining))
        if stale or order.state in ENDED:  # a listing may still say resting after a cancel
            return self._keep(self._settle(order, order.state))
        state = lifecycle.after(order.state, lifecycle.seen_as(fact.status))
        return self._keep(self._settle(order, state, None if former else fact.remaining))

    @staticmethod
    def _outgrown(order: Order, fact: OrderSeen) -> bool:
        """Whether an order that counted as executed, because its fills came to its count, is a
        larger one: somebody had amended it, and a fill was told before that."""
        rests = fact.status == "resting"
        whole = fact.filled + fact.remaining if rests else fact.initial
        return order.state == "executed" and fact.terms and whole > order.count

    def _amended(self, fact: AmendIntended | AmendOutcome) -> list[Order]:
        order = self._orders.get(fact.client_order_id)
        if order is None:
            return []
        if isinstance(fact, AmendIntended):
            found = amends.intended(order, fact)
        else:
            found = amends.resolved(order, fact)
        return [] if found is None else [self._keep(self._settle(found, found.state))]

    def _canceled(self, fact: OrderCanceled) -> list[Order]:
        order = self._orders.get(self._keys.get(fact.order_id, fact.client_order_id))
        if order is None or order.state == "executed":
            return []
        filled = order.count - fact.reduced_by
        sure = order.amend is None or not order.amend.pending  # of what it was reduced from
        within = sure and order.filled < filled <= order.count
        if within and len(self.filled_at_cancel) < ORDERS_KEPT:
            self.filled_at_cancel[fact.order_id] = Count(filled)  # fills are still on their way
        return [self._keep(self._settle(order, lifecycle.after(order.state, "canceled")))]

    # What is kept

    def _adopt(self, order: Order, order_id: str) -> Order:
        """Tie an order to the exchange's id, with fills that came before this was known."""
        if order.order_id != order_id:
            if order.order_id:  # it had another: that one is nobody's now, or a second order's
                self._find_owners(leaving=key_of(order))
            order = replace(order, order_id=order_id, reason="")
        filled = self.filled_by.get(order_id, order.filled)
        return order if filled <= order.filled else replace(order, filled=filled)

    def _settle(self, order: Order, state: State, remaining: int | None = None) -> Order:
        state = lifecycle.counted(state, amends.whole_at_most(order), order.filled)
        if state in FINISHED:
            remaining = 0
        elif remaining is None or remaining > order.count - order.filled:
            remaining = max(order.count - order.filled, 0)
        return replace(order, state=state, remaining=Count(remaining), n=self._n)

    def _keep(self, order: Order) -> Order:
        key = key_of(order)
        before = self._orders.get(key)
        if before is not None:
            assert order.state in MAY_FOLLOW[before.state], f"{before.state} to {order.state}"
        if order.order_id:
            order = self._own(key, order)
        self._orders[key] = order
        self.open.put(key, before, order)
        self._expect(key, order)
        if len(self._orders) > ORDERS_KEPT:
            self._forget()
        return order

    def _expect(self, key: str, order: Order) -> None:
        """An answer, a sighting or a cancel may tell of fills that are not booked yet: until they
        are, that part is neither open nor held. Of an order whose intent is on record all fills
        will come; of others they may lie before the ledger began."""
        told = max(int(order.filled), int(self.filled_at_cancel.get(order.order_id, 0)))
        missing = told - int(self.filled_by.get(order.order_id, 0)) if order.body_hash else 0
        before = self.due.get(order.ticker, key)
        if missing <= 0 and before is None:
            return
        part = replace(order, state="resting", remaining=Count(missing)) if missing > 0 else None
        self.due.put(key, before, part)

    def _own(self, key: str, order: Order) -> Order:
        """Note whose the exchange's id is. Two of ours under one id can't be: it is flagged."""
        former = self._keys.get(order.order_id)
        if former == key:
            return order
        if former is not None:
            other = self._orders[former]
            if other.client_order_id and order.client_order_id:
                flag = f"{former} has the same order_id at the exchange"
                order = replace(order, reason=order.reason or flag)
            elif not other.client_order_id:  # known by the exchange's id only, until now
                self.open.put(former, self._orders.pop(former), None)
        self._keys[order.order_id] = self._owner(order.order_id, key)
        return order

    def _owner(self, order_id: str, key: str) -> str:
        """Of two, always the same one, however they came: a snapshot must restore alike."""
        former = self._keys.get(order_id)
        return key if former not in self._orders else max(former, key)

    def _find_owners(self, leaving: str = "") -> None:
        self._keys = {}
        for key, order in self._orders.items():
            if order.order_id and key != leaving:
                self._keys[order.order_id] = self._owner(order.order_id, key)

    @property
    def crowded(self) -> bool:
        """Whether so many are kept that older ones may have been dropped."""
        return len(self._orders) >= ORDERS_KEPT * 9 // 10

    def _forget(self) -> None:
        """Drop the oldest finished orders, a tenth at a time; open ones always stay."""
        finished = [key for key, order in self._orders.items() if order.state in FINISHED]
        for key in finished[: max(len(self._orders) - ORDERS_KEPT * 9 // 10, 0)]:
            order = self._orders.pop(key)
            self.due.put(key, self.due.get(order.ticker, key), None)
            self.filled_by.pop(order.order_id, None)
            self.filled_at_cancel.pop(order.order_id, None)
        self._find_owners()
        if len(self._orders) > OPEN_ORDERS_MAX + ORDERS_KEPT:
            raise RemoteProtocolError("more open orders than the exchange allows")
