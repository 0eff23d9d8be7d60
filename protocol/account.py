"""The account: orders, fills, positions and money, as a fold over ledger entries.

Everyone who needs the account folds the same entries in the order of their numbers with this one
function, so that all agree. Facts may come in any order (a fill before its order, a listing that
is older than what the stream already said); the fold ends in the same place.
"""

from typing import Final, Literal

from msgspec.structs import replace

from protocol.errors import RemoteProtocolError
from protocol.facts import (
    BalanceSeen,
    Fill,
    LedgerRestored,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderIntended,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
    Reconciled,
    RestoreConfirmed,
)
from protocol.limits import ABSENCE_AFTER, FILLS_KEPT, OPEN_ORDERS_MAX, ORDERS_KEPT, US
from protocol.messages import (
    AccountState,
    Balance,
    BookedFill,
    Entry,
    Order,
    Position,
    Restored,
)
from protocol.units import DOLLAR, Count, Money, cost

Meaning = Order | BookedFill | Position | Balance
State = Literal[
    "intended",
    "unknown",
    "resting",
    "executed",
    "canceled",
    "rejected",
    "denied",
    "withdrawn",
    "absent",
]

UNSETTLED: Final = frozenset({"intended", "unknown"})
AT_RISK: Final = UNSETTLED | {"resting"}  # may still fill
FINISHED: Final = frozenset({"executed", "canceled", "rejected", "denied", "withdrawn", "absent"})


class Account:
    """The state after entry `n`. Finished orders and fills are kept up to a bound."""

    def __init__(self, state: AccountState | None = None) -> None:
        state = state or AccountState(0)
        self.n = state.n
        self.reconciled_to = state.reconciled_to
        self._orders: dict[str, Order] = {key_of(order): order for order in state.orders}
        self._keys = {o.order_id: key for key, o in self._orders.items() if o.order_id}
        self._fills = list(state.fills)
        self._positions = {p.ticker: p for p in state.positions}
        self._balances = {b.shard: b for b in state.balances}
        self._filled_by = dict(state.filled_by)
        self._withdrawn = dict(state.withdrawn)
        self.restored = state.restored  # until somebody confirms it

    def __repr__(self) -> str:
        return f"Account(n={self.n})"

    def state(self) -> AccountState:
        """The whole, as a message: `Account(account.state())` is the same account."""
        return AccountState(
            self.n,
            tuple(self._orders.values()),
            tuple(self._fills),
            tuple(self._positions.values()),
            tuple(self._balances.values()),
            dict(self._filled_by),
            self.reconciled_to,
            dict(self._withdrawn),
            self.restored,
        )

    def apply(self, entry: Entry) -> list[Meaning]:
        """Take the next entry. Returns what it changed, in full.

        Raises RemoteProtocolError if `entry.n` is not the next number.
        """
        if entry.n != self.n + 1:
            raise RemoteProtocolError(f"entry {entry.n} does not follow {self.n}")
        self.n = entry.n
        match entry.fact:
            case OrderIntended():
                return self._intended(entry, entry.fact)
            case Fill():
                return self._filled(entry.fact)
            case BalanceSeen(shard=shard, balance=balance, seen_at=seen_at):
                seen = Balance(shard, balance, seen_at, self.n)
                known = self._balances.get(shard)
                if known is not None and known.seen_at >= seen_at:
                    return []
                self._balances[shard] = seen
                return [seen]
            case Reconciled(started_at=started_at):
                self.reconciled_to = max(self.reconciled_to, started_at)
                if self.restored is not None and started_at >= self.restored.settles_at:
                    self.restored = replace(self.restored, reconciled=True)
                return []
            case LedgerRestored(restore_id=restore_id, head=head, restored_at=restored_at):
                settles_at = restored_at + ABSENCE_AFTER // US
                self.restored = Restored(restore_id, self.n, head, settles_at=settles_at)
                return []
            case RestoreConfirmed(restore_id=restore_id):
                if self.restored is not None and self.restored.restore_id == restore_id:
                    self.restored = None
                return []
            case _:
                return self._order_fact(entry)

    # Reading

    def order(self, client_order_id: str) -> Order | None:
        return self._orders.get(client_order_id)

    def order_by_id(self, order_id: str) -> Order | None:
        key = self._keys.get(order_id)
        return None if key is None else self._orders[key]

    def orders(self) -> tuple[Order, ...]:
        """All that are kept, oldest first."""
        return tuple(self._orders.values())

    def fills(self) -> tuple[BookedFill, ...]:
        """All that are kept, oldest first, each with the client_order_id known by now."""
        return tuple(self._named(fill) for fill in self._fills)

    def positions(self) -> tuple[Position, ...]:
        return tuple(self._positions.values())

    def balances(self) -> tuple[Balance, ...]:
        return tuple(self._balances[shard] for shard in sorted(self._balances))

    # Orders

    def _intended(self, entry: Entry, fact: OrderIntended) -> list[Meaning]:
        known = self._orders.get(fact.client_order_id)
        withdrawn = self._withdrawn.pop(fact.client_order_id, None)
        order = Order(
            fact.client_order_id,
            "" if known is None else known.order_id,
            fact.ticker,
            fact.side,
            fact.price,
            fact.count,
            fact.time_in_force,
            "intended" if known is None else known.state,
            Count(0) if known is None else known.filled,
            fact.count if known is None else known.remaining,
            "" if known is None else known.reason,
            fact.body_hash,
            entry.at,
            0 if known is None else known.updated_at,
            self.n,
        )
        if withdrawn is not None and known is None:  # a withdrawal wins over the late intent
            order = replace(order, state="withdrawn", reason=withdrawn, remaining=Count(0))
        return [self._keep(order)]

    def _order_fact(self, entry: Entry) -> list[Meaning]:
        fact = entry.fact
        match fact:
            case OrderAccepted():
                return self._accepted(fact)
            case OrderSeen():
                return self._seen(entry, fact)
            case OrderCanceled():
                order = self._orders.get(self._keys.get(fact.order_id, fact.client_order_id))
                if order is None or order.state == "executed":
                    return []
                return [self._keep(self._settle(order, "canceled"))]
            case OrderUnknown(client_order_id=key, reason=reason):
                return self._verdict(key, "unknown", reason)
            case OrderWithdrawn(client_order_id=key, reason=reason):
                if key not in self._orders and len(self._withdrawn) < ORDERS_KEPT:
                    self._withdrawn[key] = reason
                return self._verdict(key, "withdrawn", reason)
            case OrderDenied(client_order_id=key, reason=reason):
                return self._verdict(key, "denied", reason)
            case OrderAbsent(client_order_id=key, evidence=evidence):
                return self._verdict(key, "absent", evidence)
            case OrderRejected(client_order_id=key, code=code, text=text):
                return self._verdict(key, "rejected", f"{code}: {text}" if text else code)
        raise AssertionError(f"a fact without a place in the fold: {fact}")

    def _verdict(self, key: str, state: State, reason: str) -> list[Meaning]:
        """An outcome that rests on our own word yields to what the exchange has shown."""
        order = self._orders.get(key)
        if order is None or order.order_id or order.state not in UNSETTLED:
            return []
        remaining = order.remaining if state == "unknown" else Count(0)
        return [
            self._keep(replace(order, state=state, reason=reason, remaining=remaining, n=self.n))
        ]

    def _accepted(self, fact: OrderAccepted) -> list[Meaning]:
        order = self._orders.get(fact.client_order_id)
        if order is None:
            return []
        order = self._adopt(order, fact.order_id)
        if order.state in FINISHED and order.state not in ("rejected", "absent", "withdrawn"):
            order = replace(order, n=self.n)
            return [self._keep(order)]  # the stream was faster, and knows more
        filled = Count(max(order.filled, fact.filled))
        if order.state == "resting":  # seen already, perhaps after a fill: never go back
            return [self._keep(self._settle(replace(order, filled=filled), "resting"))]
        if fact.remaining > 0:
            return [self._keep(self._settle(replace(order, filled=filled), "resting"))]
        state: State = "executed" if filled >= order.count else "canceled"
        return [self._keep(self._settle(replace(order, filled=filled), state))]

    def _seen(self, entry: Entry, fact: OrderSeen) -> list[Meaning]:
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
        stale = fact.updated_at < order.updated_at
        done = order.state in ("executed", "canceled")
        order = replace(order, filled=filled, updated_at=max(order.updated_at, fact.updated_at))
        if stale or done:  # a listing may still say resting after a cancel (captures)
            return [self._keep(self._settle(order, order.state))]
        return [self._keep(self._settle(order, fact.status, fact.remaining))]

    def _adopt(self, order: Order, order_id: str) -> Order:
        """Tie an order to the exchange's id, with fills that came before this was known."""
        if order.order_id != order_id:
            self._keys.pop(order.order_id, None)
            order = replace(order, order_id=order_id, reason="")
        filled = self._filled_by.get(order_id, order.filled)
        return order if filled <= order.filled else replace(order, filled=filled)

    def _settle(self, order: Order, state: State, remaining: int | None = None) -> Order:
        if state in AT_RISK and order.filled >= order.count:
            state = "executed"
        if state in FINISHED:
            remaining = 0
        elif remaining is None or remaining > order.count - order.filled:
            remaining = max(order.count - order.filled, 0)
        return replace(order, state=state, remaining=Count(remaining), n=self.n)

    def _keep(self, order: Order) -> Order:
        key = key_of(order)
        if order.order_id:
            former = self._keys.get(order.order_id)
            if former is not None and former != key:
                del self._orders[former]  # known by the exchange's id only, until now
            self._keys[order.order_id] = key
        self._orders[key] = order
        if len(self._orders) > ORDERS_KEPT:
            self._forget()
        return order

    def _forget(self) -> None:
        """Drop the oldest finished orders, a tenth at a time; open ones always stay."""
        finished = [key for key, order in self._orders.items() if order.state in FINISHED]
        for key in finished[: max(len(self._orders) - ORDERS_KEPT * 9 // 10, 0)]:
            order = self._orders.pop(key)
            self._keys.pop(order.order_id, None)
            self._filled_by.pop(order.order_id, None)
        if len(self._orders) > OPEN_ORDERS_MAX + ORDERS_KEPT:
            raise RemoteProtocolError("more open orders than the exchange allows")

    # Fills

    def _filled(self, fact: Fill) -> list[Meaning]:
        total = Count(self._filled_by.get(fact.order_id, 0) + fact.count)
        self._filled_by[fact.order_id] = total
        position = self._moved(fact)
        key = self._keys.get(fact.order_id, fact.client_order_id)
        order = self._orders.get(key)
        booked = BookedFill(
            self.n,
            fact.trade_id,
            fact.order_id,
            fact.client_order_id or ("" if order is None else order.client_order_id),
            fact.ticker,
            fact.side,
            fact.price,
            fact.count,
            fact.fee,
            fact.is_taker,
            fact.exchange_at,
            position.position,
        )
        self._fills.append(booked)
        if len(self._fills) > FILLS_KEPT:
            del self._fills[: FILLS_KEPT // 10]
        meanings: list[Meaning] = [booked, position]
        if order is not None:
            order = self._adopt(order, fact.order_id)
            state = (
                "resting" if order.state in UNSETTLED or order.state == "absent" else order.state
            )
            meanings.append(self._keep(self._settle(order, state)))
        return meanings

    def _named(self, fill: BookedFill) -> BookedFill:
        if fill.client_order_id:
            return fill
        order = self.order_by_id(fill.order_id)
        return fill if order is None else replace(fill, client_order_id=order.client_order_id)

    def _moved(self, fact: Fill) -> Position:
        """The position after a fill: closing contracts realise what they earned."""
        before = self._positions.get(fact.ticker) or Position(
            fact.ticker, Count(0), Money(0), Money(0), Money(0)
        )
        change = int(fact.count) if fact.side == "bid" else -int(fact.count)
        held, paid, realized = int(before.position), int(before.cost), int(before.realized)
        closing = min(abs(change), abs(held)) if held * change < 0 else 0
        if closing:
            basis = paid * closing // abs(held)
            sold_at = int(fact.price) if held > 0 else DOLLAR - int(fact.price)
            realized += cost(sold_at, closing) - basis
            paid -= basis
        opening = abs(change) - closing
        bought_at = int(fact.price) if change > 0 else DOLLAR - int(fact.price)
        after = Position(
            fact.ticker,
            Count(held + change),
            Money(paid + cost(bought_at, opening)),
            Money(realized),
            Money(before.fees + fact.fee),
            self.n,
        )
        self._positions[fact.ticker] = after
        return after


def key_of(order: Order) -> str:
    """Ours go by the client's id, the others by the exchange's."""
    return order.client_order_id or order.order_id
