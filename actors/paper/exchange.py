"""The exchange itself: orders of the account and of the public meet in the books.

Every method is told the time (`at`, wall microseconds) and leaves behind, until `drain`, what the
journal must keep and what subscribers may hear. It does no I/O; ids come from the dice.
"""

import heapq
import random
from collections.abc import Iterable
from typing import Final

from actors.paper import bodies, fixed
from actors.paper.account import Account, taker_fee
from actors.paper.collateral import Order
from actors.paper.entries import Entry, Filled, Gone, Placed, Settled
from actors.paper.intake import Answer, NewOrder, invalid_order, nested
from actors.paper.market import Market
from actors.paper.matching import Book, Change, Lot, OnSelf, Plan, Side, Take, TapeBook
from actors.paper.occurrences import (
    BookReplaced,
    LevelMoved,
    Occurrence,
    OrderFilled,
    OrderMoved,
    Traded,
)

OPEN_ORDERS_MAX: Final = 200_000  # FACTS.md section 6.2
TRADES_KEPT: Final = 20_000  # public prints that GET /markets/trades can still show


class Exchange:
    """Markets by ticker, and the one account that trades in them."""

    def __init__(self, markets: Iterable[Market], account: Account, dice: random.Random) -> None:
        self.markets = {market.ticker: market for market in markets}
        self.account = account
        self.trades: list[tuple[Traded, int]] = []
        self.trades_forgotten = 0
        self._dice = dice
        self._entries: list[Entry] = []
        self._occurrences: list[Occurrence] = []
        self._moved: dict[str, Order] = {}  # orders to speak of at the next drain
        self._expiring: list[tuple[int, str]] = []  # a heap: when, and which order
        self._sweeps_until = 0  # of the last cancel-all
        self._doomed: list[Order] = []  # accepted too soon after it
        for market in self.markets.values():
            market.exchange_index = account.shard(market.ticker)
            if market.ticker in account.results:
                found = account.results[market.ticker]
                market.finish(found.result, found.at)
        for order in account.resting():
            if order.placed.ticker in self.markets:
                self._rest(order)
        self._occurrences.clear()

    def drain(self) -> tuple[list[Entry], list[Occurrence]]:
        """What to keep and what to tell, since the last call."""
        occurrences = self._occurrences + [OrderMoved(order) for order in self._moved.values()]
        entries, self._entries, self._occurrences = self._entries, [], []
        self._moved.clear()
        return entries, occurrences

    def create(self, new: NewOrder, at: int) -> Answer:
        """Accept and match an order, or refuse it (FACTS.md section 6.2, captures `orders__*`)."""
        if new.client_order_id in self.account.client_order_ids and new.client_order_id:
            return nested(409, "order_already_exists")
        market = self.markets.get(new.ticker)
        if market is None or new.exchange_index not in (-1, market.exchange_index):
            return nested(400, "market_not_found")
        if not market.open:
            return nested(400, "market_inactive")
        if not market.allows(new.price):
            return nested(400, "invalid_price")
        order = self._order(new, at)
        plan = market.book.plan(order.side, new.price, order.remaining, True, new.on_self)
        refused = self._refusal(new, market.book, order, plan)
        if refused is not None:
            return refused
        self.book(order.placed)
        order = self.account.orders[order.placed.order_id]
        self._trade(market, order, plan, at)
        if order.resting and (plan.stopped or new.time_in_force != "good_till_canceled"):
            self._gone(order, "SelfTradeCancel" if plan.stopped else "", at)
        elif order.resting and new.reduce_only:
            self._gone(order, "ReduceOnlyCancel", at)
        elif order.resting:
            self._rest(order)
            if at <= self._sweeps_until:
                self._doomed.append(order)
        return Answer(201, bodies.created(order, at))

    def cancel(self, order_id: str, exchange_index: int, at: int) -> Answer:
        """Cancel one; a dead and an unknown order get the same 404 (`orders__cancel_*`).

        An order on another shard than the one asked is unknown there.
        """
        order = self.account.orders.get(order_id)
        if order is None or self.account.shard(order.placed.ticker) != exchange_index:
            return nested(404, "not_found")
        if order.placed.ticker in self.account.results:
            return nested(400, "market_inactive")
        if not order.resting:
            return nested(404, "not_found")
        reduced = order.remaining
        self._withdraw(order, "", at)
        return Answer(200, bodies.canceled(order_id, reduced, at))

    def cancel_all(self, at: int, takes: int = 0) -> Answer:
        """Cancel everything that rests: 204; and what is accepted within `takes` µs from now."""
        for order in self.account.resting():
            self._withdraw(order, "", at)
        self._sweeps_until = at + takes if takes else 0
        return Answer(204, None)

    def sweep(self, at: int) -> None:
        """Cancel the orders that came too soon after a cancel-all."""
        doomed, self._doomed = self._doomed, []
        for order in doomed:
            if order.resting:
                self._withdraw(order, "", at)

    def expire(self, at: int) -> None:
        """Cancel the orders whose time is over."""
        while self._expiring and self._expiring[0][0] <= at:
            order = self.account.orders[heapq.heappop(self._expiring)[1]]
            if order.resting:
                self._withdraw(order, "ExpiryCancel", at)

    def settle(self, market: Market, result: str, at: int) -> None:
        """End a market: what rests is cancelled, what is held is paid."""
        for order in self.account.resting(market.ticker):
            self._withdraw(order, "CloseCancel", at)
        self.book(Settled(market.ticker, result, at))
        market.finish(result, at)
        self._occurrences.append(BookReplaced(market))

    def book(self, entry: Entry) -> None:
        """Let an entry happen to the account, and have it written down."""
        self.account.apply(entry)
        self._entries.append(entry)
        if isinstance(entry, Placed | Filled | Gone):
            self._moved[entry.order_id] = self.account.orders[entry.order_id]

    def new_id(self) -> str:
        """A fresh UUID."""
        return fixed.uuid_from(self._dice.getrandbits(128))

    def public_rest(self, ticker: str, lot: Lot) -> None:
        """Somebody's post-only order; dropped if it would cross."""
        market = self.markets[ticker]
        if market.open and not market.book.crosses(lot.side, lot.price):
            self._tell_levels(market, market.book.add(lot))

    def public_withdraw(self, ticker: str, lot_id: str) -> None:
        """Somebody cancels; nothing happens if the lot has traded away."""
        market = self.markets[ticker]
        lot = market.book.lot(lot_id)
        if lot is not None:
            self._tell_levels(market, market.book.reduce(lot, lot.remaining))

    def public_take(self, ticker: str, side: Side, price: int, count: int, at: int) -> None:
        """Somebody's immediate-or-cancel order."""
        market = self.markets[ticker]
        plan = market.book.plan(side, price, count, False, OnSelf.STOP)
        self._tell_levels(market, market.book.execute(plan))
        for take in plan.takes:
            self._print(market, side, take, None, at)

    def tape_moved(self, ticker: str, side: Side, price: int, delta: int, at: int) -> None:
        """A delta of the capture."""
        market = self.markets[ticker]
        assert isinstance(market.book, TapeBook)
        if not market.open:
            return
        takes = market.book.move(side, price, delta)
        self._occurrences.append(LevelMoved(market, side, price, delta))
        for take in takes:
            self._print(market, take.lot.side.other, take, None, at)

    def tape_replaced(
        self, ticker: str, bids: dict[int, int], asks: dict[int, int], at: int
    ) -> None:
        """A snapshot of the capture."""
        market = self.markets[ticker]
        assert isinstance(market.book, TapeBook)
        if not market.open:
            return
        takes = market.book.replace(bids, asks)
        self._occurrences.append(BookReplaced(market))
        for take in takes:
            self._print(market, take.lot.side.other, take, None, at)

    def tape_traded(self, ticker: str, side: Side, price: int, count: int, at: int) -> None:
        """A public trade of the capture."""
        if self.markets[ticker].open:
            self._print_trade(self.markets[ticker], side, price, count, at)

    def _order(self, new: NewOrder, at: int) -> Order:
        count = new.count
        if new.reduce_only:
            held = self.account.position(new.ticker).count
            count = min(count, max(-held if new.side is Side.BID else held, 0)) or count
        placed = Placed(
            order_id=self.new_id(),
            client_order_id=new.client_order_id,
            ticker=new.ticker,
            side=new.side.value,
            price=new.price,
            count=count,
            on_self=new.on_self.value,
            at=at,
            expires=new.expires,
        )
        return Order(n=0, placed=placed, side=new.side, remaining=count)

    def _refusal(self, new: NewOrder, book: Book, order: Order, plan: Plan) -> Answer | None:
        if new.post_only and book.crosses(order.side, new.price):
            return invalid_order("post only cross")
        held = self.account.position(new.ticker).count
        if new.reduce_only and (-held if new.side is Side.BID else held) <= 0:
            return invalid_order("reduce only")
        killed = new.time_in_force == "fill_or_kill" and plan.quantity < order.remaining
        if killed and not plan.stopped:
            return nested(400, "fok_insufficient_volume")
        rests = new.time_in_force == "good_till_canceled" and not plan.stopped
        if not self.account.affords(order, plan.takes, rests):
            return nested(400, "insufficient_balance")
        if self.account.open_count >= OPEN_ORDERS_MAX:
            return nested(400, "open_orders_limit_exceeded")
        return None

    def _trade(self, market: Market, order: Order, plan: Plan, at: int) -> None:
        changes = market.book.execute(plan)
        self._tell_levels(market, changes, order.placed.client_order_id)
        for lot in plan.own:
            self._gone(self.account.orders[lot.order_id], "SelfTradeCancel", at)
        for take in plan.takes:
            self._print(market, order.side, take, order, at)

    def _print(self, market: Market, side: Side, take: Take, ours: Order | None, at: int) -> None:
        price, count = take.lot.price, take.count
        trade_id = self._print_trade(market, side, price, count, at)
        if ours is not None:
            fee = taker_fee(price, count)
            order_id = ours.placed.order_id
            self._filled(Filled(trade_id, order_id, price, count, True, fee, at))
        elif take.lot.ours:
            self._filled(Filled(trade_id, take.lot.order_id, price, count, False, 0, at))

    def _print_trade(self, market: Market, side: Side, price: int, count: int, at: int) -> str:
        trade = Traded(market, self.new_id(), price, count, side)
        market.printed(price, count)
        self.trades.append((trade, at))
        if len(self.trades) > 2 * TRADES_KEPT:
            del self.trades[:TRADES_KEPT]
            self.trades_forgotten += TRADES_KEPT
        self._occurrences.append(trade)
        return trade.trade_id

    def _filled(self, entry: Filled) -> None:
        self.book(entry)
        self._occurrences.append(OrderFilled(self.account.fills[-1]))

    def _withdraw(self, order: Order, reason: str, at: int) -> None:
        market = self.markets.get(order.placed.ticker)
        lot = market.book.lot(order.placed.order_id) if market else None
        if market is not None and lot is not None:
            changes = market.book.reduce(lot, lot.remaining)
            self._tell_levels(market, changes, order.placed.client_order_id)
        self._gone(order, reason, at)

    def _gone(self, order: Order, reason: str, at: int) -> None:
        self.book(Gone(order.placed.order_id, reason, at))

    def _rest(self, order: Order) -> None:
        market = self.markets[order.placed.ticker]
        lot = Lot(order.placed.order_id, True, order.side, order.placed.price, order.remaining)
        self._tell_levels(market, market.book.add(lot), order.placed.client_order_id)
        if order.placed.expires:
            heapq.heappush(self._expiring, (order.placed.expires, order.placed.order_id))

    def _tell_levels(
        self, market: Market, changes: list[Change], client_order_id: str = ""
    ) -> None:
        for side, price, delta in changes:
            self._occurrences.append(LevelMoved(market, side, price, delta, client_order_id))
