"""The trading floor: books, the public in them, prints, and what is to be written down and told.

Every method is told the time (`at`, wall microseconds) and leaves behind, until `drain`, what the
journal must keep and what subscribers may hear. It does no I/O; ids come from the dice.
"""

import random
from collections.abc import Callable, Iterable
from typing import Final

from actors.paper import fixed
from actors.paper.account import Account
from actors.paper.collateral import Order
from actors.paper.entries import Amended, Entry, Filled, Gone, GroupTriggered, LifeEntry, Placed
from actors.paper.fixed import CONTRACT
from actors.paper.groups import Group
from actors.paper.listing import Listing
from actors.paper.lives import Lives, made
from actors.paper.market import CENT, Market
from actors.paper.matching import Change, Lot, OnSelf, Side, Take, TapeBook, added_up
from actors.paper.occurrences import (
    BookReplaced,
    GroupChanged,
    LevelMoved,
    Occurrence,
    OrderFilled,
    OrderMoved,
    Traded,
)
from actors.paper.positions import taker_fee

TRADES_KEPT: Final = 20_000  # public prints that GET /markets/trades can still show


class Floor:
    """Markets by ticker, and the one account that trades in them."""

    def __init__(
        self,
        markets: Iterable[Market],
        account: Account,
        dice: random.Random,
        lives: Lives | None = None,
    ) -> None:
        self.lives = lives or Lives()
        self.markets = Listing(markets)
        self.account = account
        self.trades: list[tuple[Traded, int]] = []
        self.trades_forgotten = 0
        self._dice = dice
        self._entries: list[Entry] = []
        self._occurrences: list[Occurrence] = []
        self._moved: dict[str, Order] = {}  # orders to speak of at the next drain
        self._matched: dict[str, None] = {}  # groups whose orders were filled just now
        for ticker, entry in self.lives.made.items():
            if ticker not in self.markets:
                self.markets.add(made(entry))
        for market in self.markets.values():
            self._come_back(market)

    def _come_back(self, market: Market) -> None:
        market.exchange_index = self.account.shard(market.ticker)
        closes = market.closes
        self.lives.shape(market)
        if market.closes != closes:
            self.markets.closes(market)
        found = self.account.results.get(market.ticker)
        if found is not None:
            market.finish(found.result, found.at)

    def drain(self) -> tuple[list[Entry], list[Occurrence]]:
        """What to keep and what to tell, since the last call."""
        occurrences = self._occurrences + [OrderMoved(order) for order in self._moved.values()]
        entries, self._entries, self._occurrences = self._entries, [], []
        self._moved.clear()
        return entries, occurrences

    def book(self, entry: Entry) -> None:
        """Let an entry happen to the account or to the markets, and have it written down."""
        self._entries.append(entry)
        if isinstance(entry, LifeEntry):
            self.lives.apply(entry)
            return
        self.account.apply(entry)
        if isinstance(entry, Placed | Amended | Filled | Gone):
            self._moved[entry.order_id] = self.account.orders[entry.order_id]

    def list_market(self, market: Market) -> bool:
        """A market is new. Answers whether its event is."""
        market.exchange_index = self.account.shard(market.ticker)
        return self.markets.add(market)

    def tell(self, occurrence: Occurrence) -> None:
        """Have subscribers hear of something."""
        self._occurrences.append(occurrence)

    def withdraw(self, order: Order, reason: str, at: int) -> None:
        """Take a resting order of the account out of its book: it is canceled."""
        market = self.markets.get(order.placed.ticker)
        lot = market.book.lot(order.placed.order_id) if market else None
        if market is not None and lot is not None:
            changes = market.book.reduce(lot, lot.remaining)
            self.tell_levels(market, changes, order.placed.client_order_id)
        self._gone(order, reason, at)

    def clear(self, market: Market, goes: Callable[[int], bool], reason: str, at: int) -> None:
        """Cancel what rests at the prices that go, the public's orders and the account's."""
        changes: list[Change] = []
        for lot in market.book.lots():
            if not goes(lot.price):
                continue
            if lot.ours:
                self.withdraw(self.account.orders[lot.order_id], reason, at)
            else:
                changes += market.book.reduce(lot, lot.remaining)
        self.tell_levels(market, added_up(changes))

    def new_id(self) -> str:
        """A fresh UUID."""
        return fixed.uuid_from(self._dice.getrandbits(128))

    def public_rest(self, ticker: str, lot: Lot) -> None:
        """Somebody's post-only order; dropped if it would cross."""
        market = self.markets[ticker]
        if market.open and not market.book.crosses(lot.side, lot.price):
            self.tell_levels(market, market.book.add(lot))

    def public_withdraw(self, ticker: str, lot_id: str) -> None:
        """Somebody cancels; nothing happens if the lot has traded away."""
        market = self.markets[ticker]
        lot = market.book.lot(lot_id)
        if lot is not None:
            self.tell_levels(market, market.book.reduce(lot, lot.remaining))

    def public_shrink(self, ticker: str, side: Side, price: int, count: int) -> None:
        """Others cancel so much of what they have at a price, or all of it."""
        market, changes = self.markets[ticker], list[Change]()
        for lot in market.book.lots():
            if not lot.ours and (lot.side, lot.price) == (side, price) and count:
                taken = min(count, lot.remaining)
                changes += market.book.reduce(lot, taken)
                count -= taken
        self.tell_levels(market, added_up(changes))

    def public_take(self, ticker: str, side: Side, price: int, count: int, at: int) -> None:
        """Somebody's immediate-or-cancel order."""
        market = self.markets[ticker]
        plan = market.book.plan(side, price, count, False, OnSelf.STOP)
        self.tell_levels(market, market.book.execute(plan))
        self.print_takes(market, side, plan.takes, None, at)

    def tape_moved(self, ticker: str, side: Side, price: int, delta: int, at: int) -> None:
        """A delta of the capture."""
        market = self.markets[ticker]
        assert isinstance(market.book, TapeBook)
        if market.over:
            return
        takes = market.book.move(side, price, delta)
        self._occurrences.append(LevelMoved(market, side, price, delta))
        for take in takes:
            self._print(market, take.lot.side.other, take, None, at)
        self._trip(at)

    def tape_replaced(
        self, ticker: str, bids: dict[int, int], asks: dict[int, int], at: int
    ) -> None:
        """A snapshot of the capture."""
        market = self.markets[ticker]
        assert isinstance(market.book, TapeBook)
        if market.over:
            return
        takes = market.book.replace(bids, asks)
        self._occurrences.append(BookReplaced(market))
        for take in takes:
            self._print(market, take.lot.side.other, take, None, at)
        self._trip(at)

    def tape_traded(self, ticker: str, side: Side, price: int, count: int, at: int) -> None:
        """A public trade of the capture."""
        if not self.markets[ticker].over:
            self._print_trade(self.markets[ticker], side, price, count, at)

    def print_takes(
        self, market: Market, side: Side, takes: list[Take], ours: Order | None, at: int
    ) -> None:
        """An incoming order of `side`, ours or somebody's, has traded so: print it."""
        for take in takes:
            self._print(market, side, take, ours, at)
        self._trip(at)

    def empty(self, group: Group, at: int) -> None:
        """Cancel what rests in an order group."""
        for order_id in list(group.orders):
            self.withdraw(self.account.orders[order_id], "", at)

    def trigger(self, group: Group, at: int) -> None:
        """Cancel what rests in an order group; it takes no more orders until it is reset."""
        self.empty(group, at)
        self.book(GroupTriggered(group.group_id, at))
        self.tell(GroupChanged("triggered", group.group_id))

    def _trip(self, at: int) -> None:
        # Not before all that an incoming order takes is written down: what is filled then can't
        # be cancelled any more.
        for group_id in self._matched:
            group = self.account.groups.get(group_id)
            if group is not None and group.exceeded(at):
                self.trigger(group, at)
        self._matched.clear()

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
        fill = self.account.fills[-1]
        self._occurrences.append(OrderFilled(fill))
        if fill.order.placed.order_group_id:
            self._matched[fill.order.placed.order_group_id] = None

    def _gone(self, order: Order, reason: str, at: int) -> None:
        self.book(Gone(order.placed.order_id, reason, at))

    def tell_levels(self, market: Market, changes: list[Change], client_order_id: str = "") -> None:
        """Have subscribers hear how a book changed, and whose order did it if it was ours."""
        for side, price, delta in changes:
            self._occurrences.append(LevelMoved(market, side, price, delta, client_order_id))

    def lie(self, ticker: str, at: int) -> None:
        """A hidden change: a contract more at the best bid, and no subscriber is told.

        Without bids it is the best ask that grows. Raises KeyError for an unknown ticker.
        """
        market = self.markets[ticker]
        side, price = Side.BID, market.book.best(Side.BID)
        if price is None and (ask := market.book.best(Side.ASK)) is not None:
            side, price = Side.ASK, ask
        price = CENT if price is None else price
        if not isinstance(market.book, TapeBook):
            market.book.add(Lot(self.new_id(), False, side, price, CONTRACT))
            return
        self.print_takes(market, side, market.book.move(side, price, CONTRACT), None, at)
