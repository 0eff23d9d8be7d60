"""The exchange itself: orders of the account and of the public meet in the books.

What stands behind it, the books and the journal's and the subscribers' share of what happens, is
the floor's.
"""

import heapq
import random
from collections.abc import Iterable
from typing import Final

from actors.paper import bodies
from actors.paper.account import Account
from actors.paper.answers import Answer, Refused, invalid_order, nested
from actors.paper.collateral import Order
from actors.paper.entries import Placed, Settled
from actors.paper.floor import Floor
from actors.paper.intake import NewOrder
from actors.paper.lives import Lives
from actors.paper.market import Market
from actors.paper.matching import Book, Lot, Plan, Side
from actors.paper.occurrences import BookReplaced, MarketChanged

OPEN_ORDERS_MAX: Final = 200_000  # FACTS.md section 6.2


class Exchange(Floor):
    """The floor, with orders of the account coming to it."""

    def __init__(
        self,
        markets: Iterable[Market],
        account: Account,
        dice: random.Random,
        lives: Lives | None = None,
    ) -> None:
        super().__init__(markets, account, dice, lives)
        self._expiring: list[tuple[int, str]] = []  # a heap: when, and which order
        self.transfer_takes = 0  # µs from shard to shard
        self.cancel_all_takes = 0  # µs from a cancel-all on, in which orders go with it
        self._sweeps_until = 0  # of the last cancel-all
        self._doomed: list[Order] = []  # accepted too soon after it
        for order in sorted(account.resting(), key=lambda order: order.queued):
            if order.placed.ticker in self.markets:
                self._make_room(order)
                self.rest(order)
                self.await_expiry(order)
        self._occurrences.clear()

    def create(self, new: NewOrder, at: int) -> Answer:
        """Accept and match an order, or refuse it (FACTS.md section 6.2, captures `orders__*`)."""
        if new.client_order_id in self.account.client_order_ids and new.client_order_id:
            return nested(409, "order_already_exists")
        market = self.markets.get(new.ticker)
        if market is None or new.exchange_index not in (-1, market.exchange_index):
            return nested(400, "market_not_found")
        if not market.open:
            return nested(400, "market_inactive")
        if new.order_group_id:
            group = self.account.groups.get(new.order_group_id)
            if group is None or group.exchange_index != market.exchange_index:
                return nested(400, "order_group_not_found")
            if group.triggered:
                return nested(400, "exceeded_order_group_risk_limit")
        if not market.allows(new.price):
            return nested(400, "invalid_price")
        order = self._order(new, at)
        plan = market.book.plan(order.side, new.price, order.remaining, True, new.on_self)
        refused = self._refusal(new, market.book, order, plan)
        if refused is not None:
            return refused
        self.book(order.placed)
        order = self.account.orders[order.placed.order_id]
        self.trade(market, order, plan, at)
        if order.resting and (plan.stopped or new.time_in_force != "good_till_canceled"):
            self.withdraw(order, "SelfTradeCancel" if plan.stopped else "", at)
        elif order.resting and new.reduce_only:
            self.withdraw(order, "ReduceOnlyCancel", at)
        elif order.resting:
            self.rest(order)
            self.await_expiry(order)
            if at <= self._sweeps_until:
                self._doomed.append(order)
        return Answer(201, bodies.created(order, at))

    def cancel(self, order_id: str, exchange_index: int, at: int) -> Answer:
        """Cancel one, wherever it is on that shard."""
        try:
            order = self.standing(order_id, exchange_index)
        except Refused as e:
            return e.answer
        reduced = order.remaining
        self.withdraw(order, "", at)
        return Answer(200, bodies.canceled(order_id, reduced, at))

    def standing(self, order_id: str, exchange_index: int) -> Order:
        """An order that rests on that shard, and may be changed.

        Raises Refused: a dead and an unknown order get the same 404 (`orders__cancel_*`), and one
        of another shard is unknown.
        """
        order = self.account.orders.get(order_id)
        if order is None or self.account.shard(order.placed.ticker) != exchange_index:
            raise Refused(nested(404, "not_found"))
        market = self.markets.get(order.placed.ticker)
        if order.placed.ticker in self.account.results or (market is not None and market.over):
            raise Refused(nested(400, "market_inactive"))
        if not order.resting:
            raise Refused(nested(404, "not_found"))
        return order

    def routed(self, exchange_index: int | None, ticker: str) -> int:
        """The shard that a request means (FACTS.md section 6.3). Raises Refused.

        None = it names none: then its market's, or 0 without a market. -1 = surely its market's.
        """
        if exchange_index is not None and exchange_index >= 0:
            return exchange_index
        if exchange_index is not None and not ticker:
            raise Refused(invalid_order("exchange_index -1 requires a market ticker"))
        return self.account.shard(ticker)

    def cancel_all(self, at: int) -> Answer:
        """Cancel everything that rests: 204; and what is accepted shortly after."""
        for order in self.account.resting():
            self.withdraw(order, "", at)
        self._sweeps_until = at + self.cancel_all_takes if self.cancel_all_takes else 0
        return Answer(204, None)

    def sweep(self, at: int) -> None:
        """Cancel the orders that came too soon after a cancel-all."""
        doomed, self._doomed = self._doomed, []
        for order in doomed:
            if order.resting:
                self.withdraw(order, "", at)

    def pause(self, at: int) -> None:
        """Trading is paused: cancel the orders that want no pause (FACTS.md section 9)."""
        for order in self.account.resting():
            if order.placed.cancel_on_pause:
                self.withdraw(order, "HaltCancel", at)

    def expire(self, at: int) -> None:
        """Cancel the orders whose time is over."""
        while self._expiring and self._expiring[0][0] <= at:
            when, order_id = heapq.heappop(self._expiring)
            order = self.account.orders[order_id]
            if order.resting and order.placed.expires == when:  # it may have another by now
                self.withdraw(order, "ExpiryCancel", at)

    def close_due(self, at: int) -> None:
        """Close the markets whose time has come.

        What rests is cancelled, and the owner hears of his; of the books nobody is told, nor of
        the close: the exchange says neither (FACTS.md sections 4.5 and 5).
        """
        for market in self.markets.due(at):
            for order in self.account.resting(market.ticker):
                self._gone(order, "CloseCancel", at)
            market.close()

    def settle(self, market: Market, result: str, at: int) -> None:
        """End a market: what rests is cancelled, what is held is paid."""
        for order in self.account.resting(market.ticker):
            self.withdraw(order, "CloseCancel", at)
        self.book(Settled(market.ticker, result, at))
        early = market.closes > at
        market.finish(result, at)
        self.tell(BookReplaced(market))
        words = ("determined", "settled")
        for word in ("close_date_updated", *words) if early else words:
            self.tell(MarketChanged(market, word))

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
            post_only=new.post_only,
            cancel_on_pause=new.cancel_on_pause,
            order_group_id=new.order_group_id,
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

    def trade(self, market: Market, order: Order, plan: Plan, at: int) -> None:
        """Let an order that is written down do what was planned."""
        changes = market.book.execute(plan)
        self.tell_levels(market, changes, order.placed.client_order_id)
        for lot in plan.own:
            self._gone(self.account.orders[lot.order_id], "SelfTradeCancel", at)
        self.print_takes(market, order.side, plan.takes, order, at)

    def _make_room(self, order: Order) -> None:
        # The public begins anew at each start, and must not stand where our orders still rest.
        book = self.markets[order.placed.ticker].book
        price, bids = order.placed.price, order.side is Side.BID
        for lot in book.lots():
            crosses = lot.price <= price if bids else lot.price >= price
            if not lot.ours and lot.side is order.side.other and crosses:
                book.reduce(lot, lot.remaining)

    def rest(self, order: Order) -> None:
        """Let an order stand in its book, last in the queue."""
        market = self.markets[order.placed.ticker]
        lot = Lot(order.placed.order_id, True, order.side, order.placed.price, order.remaining)
        self.tell_levels(market, market.book.add(lot), order.placed.client_order_id)

    def await_expiry(self, order: Order) -> None:
        """Cancel an order when its time is over, if that ever comes; once for each time."""
        if order.placed.expires:
            heapq.heappush(self._expiring, (order.placed.expires, order.placed.order_id))
