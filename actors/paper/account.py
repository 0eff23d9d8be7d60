"""The account: orders, fills, positions and cash, as a fold over journal entries.

The same `apply` runs when an order trades and when the journal is read back at the start, so a
killed process comes back with exactly what it had said. Cash lies on the exchange's shards, and an
order is paid from that of its market (FACTS.md section 6.3).
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from actors.paper.collateral import More, Order, Resting
from actors.paper.entries import (
    AccountEntry,
    Amended,
    Filled,
    Gone,
    Moved,
    Placed,
    Settled,
    Tampered,
    TransferArrived,
    TransferSent,
)
from actors.paper.fixed import DOLLAR, cost
from actors.paper.groups import Groups
from actors.paper.matching import Side, Take
from actors.paper.positions import Position, move, settled, taker_fee
from actors.paper.shard_transfers import ShardTransfers

OPENING_CASH: Final = 10_000 * DOLLAR  # what a fresh account has on each shard


class Fill(Struct, frozen=True):
    """A fill with the context that its readers want."""

    n: int
    entry: Filled
    order: Order
    position: int  # signed, after this fill


class Settlement(Struct, frozen=True):
    """What a settled market paid for what was held in it."""

    n: int
    entry: Settled
    count: int  # signed, as held until then
    cost: int
    revenue: int
    fees: int


class Account:
    """The one account of this exchange. `shards` says on which shard a series trades, if not 0."""

    def __init__(self, shards: Mapping[str, int] | None = None) -> None:
        self._shards = dict(shards or {})
        self.cash_on = {shard: OPENING_CASH for shard in sorted({0, *self._shards.values()})}
        self.orders: dict[str, Order] = {}
        self.sequence: list[Order] = []  # the same, by n
        self.fills: list[Fill] = []
        self.positions: dict[str, Position] = {}
        self.settlements: list[Settlement] = []
        self.results: dict[str, Settled] = {}  # of the markets that ended, by ticker
        self.transfers: list[Moved] = []
        self.client_order_ids: set[str] = set()  # of every accepted order, for good
        self.groups = Groups()
        self.shard_transfers = ShardTransfers()
        self.open_count = 0
        self._queued = 0
        self._resting: dict[str, Resting] = {}  # by ticker
        self._reserves: dict[str, int] = {}  # by ticker
        self._reserved = dict.fromkeys(self.cash_on, 0)  # by shard

    @property
    def cash(self) -> int:
        """On all shards."""
        return sum(self.cash_on.values())

    def shard(self, ticker: str) -> int:
        """The `exchange_index` of a market."""
        return self._shards.get(ticker.partition("-")[0], 0)

    def apply(self, entry: AccountEntry) -> None:
        """Take one entry, new or read back."""
        match entry:
            case Placed():
                self._place(entry)
            case Amended():
                self._amend(self.orders[entry.order_id], entry)
            case Filled():
                self._fill(entry)
            case Gone():
                self._end(self.orders[entry.order_id], entry)
            case Settled():
                self._settle(entry)
            case Moved():
                self._pay(entry.exchange_index, entry.amount)
                self.transfers.append(entry)
            case Tampered():
                self._pay(entry.exchange_index, entry.cash)
                if entry.ticker:
                    self._held(entry.ticker).count += entry.count
                    self._reserve_anew(entry.ticker)
            case TransferSent() | TransferArrived():
                self._pay(*self.shard_transfers.apply(entry))
            case _:
                self.groups.apply(entry)

    def resting(self, ticker: str | None = None) -> list[Order]:
        """Resting orders, oldest first; of one market or of all."""
        if ticker is not None:
            found = self._resting.get(ticker)
            return sorted(found.orders.values(), key=lambda order: order.n) if found else []
        every = [order for found in self._resting.values() for order in found.orders.values()]
        return sorted(every, key=lambda order: order.n)

    def resting_count(self, ticker: str) -> int:
        """How many orders rest in one market."""
        found = self._resting.get(ticker)
        return len(found.orders) if found else 0

    def position(self, ticker: str) -> Position:
        """What is held in a market; a fresh zero if nothing ever was."""
        return self.positions.get(ticker) or Position(ticker)

    def available(self, shard: int | None = None) -> int:
        """Cash that no resting order needs; on one shard or on all."""
        if shard is None:
            return self.cash - sum(self._reserved.values())
        return self.cash_on.get(shard, 0) - self._reserved.get(shard, 0)

    def affords(
        self, order: Order, takes: list[Take], rests: bool, instead_of: Order | None = None
    ) -> bool:
        """Whether the shard's cash could pay for an order, whatever else then fills.

        `instead_of` is one that rests now and would not rest then. Cash can never fall below zero:
        each trade the order would make now is paid at its price with its fee, and what rests
        afterwards is reserved in full.
        """
        ticker = order.placed.ticker
        count, change = self.position(ticker).count, 0
        for take in takes:
            count, paid = settled(count, order.side, take.lot.price, take.count)
            change += paid - taker_fee(take.lot.price, take.count)
        left = order.remaining - sum(take.count for take in takes)
        mores = [More(order.side, order.placed.price, left)] if rests and left > 0 else []
        if instead_of is not None:
            old = instead_of
            mores.append(More(old.side, old.placed.price, -old.remaining))
        after = self._resting.get(ticker, Resting()).reserve(count, *mores)
        before = self._reserves.get(ticker, 0)
        return self.available(self.shard(ticker)) + change + before - after >= 0

    def copied(self) -> "Account":
        """The account as it is now, untouched by what comes later."""
        new = Account(self._shards)
        new.cash_on, new._reserved = dict(self.cash_on), dict(self._reserved)
        new._reserves, new._queued = dict(self._reserves), self._queued
        for order in self.sequence:
            new._list(msgspec.structs.replace(order))
        new.groups, new.shard_transfers = self.groups.copied(), self.shard_transfers.copied()
        new.fills, new.settlements = list(self.fills), list(self.settlements)
        new.results, new.transfers = dict(self.results), list(self.transfers)
        new.positions = {p.ticker: msgspec.structs.replace(p) for p in self.positions.values()}
        return new

    def newest_first(self, below: int | None = None) -> Iterator[Order]:
        """Orders whose `n` is less than `below`, the newest first."""
        last = len(self.sequence) if below is None else min(below - 1, len(self.sequence))
        return (self.sequence[index] for index in range(last - 1, -1, -1))

    def _list(self, order: Order) -> None:
        self.orders[order.placed.order_id] = order
        self.sequence.append(order)
        if order.placed.client_order_id:
            self.client_order_ids.add(order.placed.client_order_id)
        if order.resting:
            self.open_count += 1
            self._resting.setdefault(order.placed.ticker, Resting()).add(order)
            self.groups.join(order)

    def _place(self, entry: Placed) -> None:
        self._queued += 1
        order = Order(
            n=len(self.sequence) + 1,
            placed=entry,
            side=Side(entry.side),
            remaining=entry.count,
            updated=entry.at,
            queued=self._queued,
        )
        self._list(order)
        self._reserve_anew(entry.ticker)

    def _amend(self, order: Order, entry: Amended) -> None:
        resting = self._resting[order.placed.ticker]
        resting.take(order, order.remaining)
        order.placed = msgspec.structs.replace(
            order.placed,
            client_order_id=entry.client_order_id,
            price=entry.price,
            count=entry.count,
            expires=entry.expires,
        )
        order.remaining, order.updated, order.reason = entry.remaining, entry.at, entry.reason
        if entry.client_order_id:
            self.client_order_ids.add(entry.client_order_id)
        if entry.back:
            self._queued += 1
            order.queued = self._queued
        resting.add(order)
        self._reserve_anew(order.placed.ticker)

    def _end(self, order: Order, entry: Gone) -> None:
        if order.resting:
            self._resting[order.placed.ticker].take(order, order.remaining)
            self.open_count -= 1
        self.groups.leave(order)
        order.remaining, order.status = 0, "canceled"
        order.updated, order.reason = entry.at, entry.reason
        self._reserve_anew(order.placed.ticker)

    def _fill(self, entry: Filled) -> None:
        order = self.orders[entry.order_id]
        assert 0 < entry.count <= order.remaining
        self._resting[order.placed.ticker].take(order, entry.count)
        order.remaining -= entry.count
        order.filled += entry.count
        order.updated, order.reason = entry.at, "Trade"
        own_cost = cost(order.side.own_price(entry.price), entry.count)
        if entry.taker:
            order.taker_cost += own_cost
            order.taker_fees += entry.fee
        else:
            order.maker_cost += own_cost
        group = self.groups.of(order)
        if group is not None:
            group.match(entry.count, entry.at)
        if not order.remaining:
            order.status = "executed"
            self.open_count -= 1
            self.groups.leave(order)
        position = self._held(order.placed.ticker)
        change = move(position, order.side, entry) - entry.fee
        self._pay(self.shard(order.placed.ticker), change)
        self._reserve_anew(order.placed.ticker)
        self.fills.append(Fill(len(self.fills) + 1, entry, order, position.count))

    def _settle(self, entry: Settled) -> None:
        self.results[entry.ticker] = entry
        position = self.positions.get(entry.ticker)
        if position is None or not position.count:
            return
        wins = (position.count > 0) == (entry.result == "yes")
        revenue = cost(DOLLAR, abs(position.count)) if wins else 0
        self.settlements.append(
            Settlement(
                n=len(self.settlements) + 1,
                entry=entry,
                count=position.count,
                cost=position.cost,
                revenue=revenue,
                fees=position.fees,
            )
        )
        position.realized += revenue - position.cost
        position.count = position.cost = 0
        position.updated = entry.at
        self._pay(self.shard(entry.ticker), revenue)

    def _held(self, ticker: str) -> Position:
        return self.positions.setdefault(ticker, Position(ticker))

    def _pay(self, shard: int, amount: int) -> None:
        self.cash_on[shard] = self.cash_on.get(shard, 0) + amount

    def _reserve_anew(self, ticker: str) -> None:
        shard, resting = self.shard(ticker), self._resting.get(ticker)
        reserve = resting.reserve(self.position(ticker).count) if resting else 0
        change = reserve - self._reserves.get(ticker, 0)
        self._reserves[ticker] = reserve
        self._reserved[shard] = self._reserved.get(shard, 0) + change
