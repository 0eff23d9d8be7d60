"""The brakes: every order is held against them twice, and only they give out passes.

Once at the door, when the exposure is reserved and before the intent is recorded; and once after
the last queue, right before the signature, because a limit, a book or a fill may have come
meanwhile. docs/RISK.md explains each brake.
"""

import collections
from collections.abc import Callable
from typing import Any

from actors.gateway.books import Books
from actors.gateway.cash import Cash
from actors.gateway.exposures import Exposures
from actors.gateway.markets import Flaw, Markets
from actors.gateway.passes import Pass, digest_of
from protocol.brakes import Limits, written
from protocol.exposure import paid_a_contract
from protocol.kalshi.calls import Call
from protocol.limits import BOOK_AGAIN, MS, RATE_WINDOW, SAME_ORDERS_KEPT
from protocol.messages import Amend, Order, PlaceOrder
from protocol.units import DOLLAR, Money, cost, format_price

Check = Callable[[int, PlaceOrder, Order | None], Flaw | None]
Made = Callable[[list[PlaceOrder]], Call]
"""Makes the one call in which orders leave together."""
Leaving = tuple[Call, Pass]
"""A call, and its pass."""
Terms = tuple[str, str, int, int, str]


class Brakes:
    """Refuses what goes beyond a limit, and remembers what has passed."""

    def __init__(
        self, limits: Limits, markets: Markets, exposures: Exposures, books: Books, cash: Cash
    ) -> None:
        self.limits = limits
        self._markets = markets
        self._exposures = exposures
        self._books = books
        self._cash = cash
        self._passed: collections.deque[int] = collections.deque()  # when, at the door
        self._left: collections.deque[int] = collections.deque()  # when, to the wire
        self._same: dict[Terms, tuple[int, str]] = {}  # when it passed last, and under which id
        self._checks: tuple[Check, ...] = (
            self._size,
            self._self_cross,
            self._same_order,
            self._book,
            self._exposure,
            self._open_orders,
            self._money,
        )

    def unread(self, now: int, order: PlaceOrder, amended: Order | None = None) -> Flaw | None:
        """What has to be read first, as a refusal for when it does not come in time; it is asked
        for. None: all that the brakes measure by is there."""
        shard = self._markets.shard(order.ticker)
        if self.limits.money and self._cash.unread(now, order, shard, amended):
            return Flaw("balance_not_read", "", "the balance could not be read in time")
        if self._by_book:
            self._books.want(now, order.ticker)
            if self._books.trouble(order.ticker) is None:
                text = f"fresh_book: the book of {order.ticker} did not come in time"
                return Flaw("book_not_live", "ticker", text, BOOK_AGAIN // MS)
        return None

    def reserve(self, now: int, order: PlaceOrder) -> Flaw | None:
        """The first look: why an order may not go; None: it may, and counts from now on.

        It counts while it is looked at, too: so both looks see the same, and it is added up once.
        """
        self._exposures.promise(order)
        wrong = self._look(now, order) or self._rate(now, self._passed)
        if wrong is not None:
            self._exposures.release(order.client_order_id)
            return wrong
        self._passed.append(now)
        self._remember(now, order)
        return None

    def reserve_amend(self, now: int, order: Order, amend: Amend) -> Flaw | None:
        """The same for other terms of an open order: it counts as the larger of both."""
        wanted = amended_terms(order, amend)
        self._exposures.promise_amend(order, amend)
        wrong = self._look(now, wanted, order) or self._rate(now, self._passed)
        if wrong is not None:
            self._exposures.release_amend(order.client_order_id)
            return wrong
        self._passed.append(now)
        self._remember(now, wanted)
        return None

    def last_look(
        self, now: int, order: PlaceOrder, call: Call, amended: Order | None = None
    ) -> Flaw | Pass:
        """The second look, right before the signature: a pass for this very request. `amended` is
        the open order that it gives other terms to, if it does."""
        wrong = self._look(now, order, amended) or self._rate(now, self._left)
        if wrong is not None:
            return wrong
        self._left.append(now)
        return Pass(digest_of(call))

    def last_looks(
        self, now: int, orders: list[PlaceOrder], made: Made
    ) -> tuple[dict[str, Flaw], Leaving | None]:
        """The second look at orders that leave in one call, each by itself. The call is `made`
        here, of those that pass, so the pass is for them and nobody else."""
        flaws: dict[str, Flaw] = {}
        for order in orders:
            wrong = self._look(now, order) or self._rate(now, self._left)
            if wrong is None:
                self._left.append(now)
            else:
                flaws[order.client_order_id] = wrong
        passing = [order for order in orders if order.client_order_id not in flaws]
        if not passing:
            return flaws, None
        call = made(passing)
        return flaws, (call, Pass(digest_of(call)))

    def renewal(self, call: Call) -> Pass:
        """A pass for the renewal of a lease: price and count are those that the order has."""
        return Pass(digest_of(call))

    def _look(self, now: int, order: PlaceOrder, amended: Order | None = None) -> Flaw | None:
        for check in self._checks:
            wrong = check(now, order, amended)
            if wrong is not None:
                return wrong
        return None

    # Each brake

    def _size(self, now: int, order: PlaceOrder, amended: Order | None) -> Flaw | None:
        if order.count > self.limits.order_count:
            return self._above("order_count", "count", order.count, "the order")
        paid = cost(paid_a_contract(order.side, order.price), int(order.count))
        if paid > self.limits.order_cost:
            return self._above("order_cost", "count", paid, "the order costs")
        return None

    def _self_cross(self, now: int, order: PlaceOrder, amended: Order | None) -> Flaw | None:
        if not self.limits.self_cross:
            return None
        bid = order.side == "bid"
        ours = self._exposures.best(order.ticker, "ask" if bid else "bid")
        if ours is None or (order.price < ours if bid else order.price > ours):
            return None
        text = (
            f"self_cross: {_named(order)} would trade with an order of ours: "
            f"{'an ask' if bid else 'a bid'} at {format_price(ours)}"
        )
        return Flaw("self_cross", "price", text, 0, format_price(ours), format_price(order.price))

    def _same_order(self, now: int, order: PlaceOrder, amended: Order | None) -> Flaw | None:
        window = self.limits.same_order_ms * MS
        when, id = self._same.get(_terms(order), (now - window, ""))
        left = when + window - now
        if left <= 0 or id == order.client_order_id:
            return None
        text = (
            f"same_order: {id} has the same terms and passed {(now - when) // MS} ms ago, "
            f"limit {self.limits.same_order_ms} ms"
        )
        limit, value = f"{self.limits.same_order_ms}", f"{(now - when) // MS}"
        return Flaw("same_order", "", text, -(-left // MS), limit, value)

    def _book(self, now: int, order: PlaceOrder, amended: Order | None) -> Flaw | None:
        if not self._by_book:
            return None
        trouble = self._books.trouble(order.ticker)
        if trouble != "":
            text = f"fresh_book: the book of {order.ticker} is {trouble or 'not there yet'}"
            return Flaw("book_not_live", "ticker", text, BOOK_AGAIN // MS)
        return self._band(order) if self._banded else None

    def _band(self, order: PlaceOrder) -> Flaw | None:
        book, bid = self._books.book(order.ticker), order.side == "bid"
        best, no = book.best_price("yes"), book.best_price("no")
        ask = DOLLAR - no if no else 0  # 0: nothing rests there
        reference = (ask or best) if bid else (best or ask)
        if not reference:
            text = f"price_band: nothing rests in {order.ticker} that a price could be held against"
            return Flaw("price_band", "price", text, BOOK_AGAIN // MS)
        through = int(order.price) - reference if bid else reference - int(order.price)
        if through <= self.limits.price_band:
            return None
        text = (
            f"price_band: {_named(order)} reaches {format_price(through)} through "
            f"{format_price(reference)}, limit {format_price(self.limits.price_band)}"
        )
        limit = format_price(self.limits.price_band)
        return Flaw("price_band", "price", text, 0, limit, format_price(through))

    @property
    def _banded(self) -> bool:
        return self.limits.price_band < DOLLAR

    @property
    def _by_book(self) -> bool:
        return self.limits.fresh_book or self._banded

    def _exposure(self, now: int, order: PlaceOrder, amended: Order | None) -> Flaw | None:
        """An order that makes nothing worse passes, also where a limit is overdrawn already."""
        found, most = self._exposures, self.limits
        after = found.market_with(order) if amended is None else found.market(order.ticker)
        event = found.beside(order.ticker, self._markets.event(order.ticker))
        account = found.beside(order.ticker)
        for name, others, limit in (
            ("market_exposure", 0, most.market_exposure),
            ("event_exposure", event, most.event_exposure),
            ("account_exposure", account, most.account_exposure),
        ):
            if others + after > limit:
                if after <= self._before(order, amended):
                    return None
                what = f"with it the {name.partition('_')[0]} could lose"
                return self._above(name, "count", Money(others + after), what)
        return None

    def _before(self, order: PlaceOrder, amended: Order | None) -> Money:
        """What the market could lose before."""
        if amended is None:
            return self._exposures.market_without(order)
        return self._exposures.market_as_was(amended)

    def _open_orders(self, now: int, order: PlaceOrder, amended: Order | None) -> Flaw | None:
        if amended is not None:
            return None
        found = self._exposures.open_without(order) + 1
        if found > self.limits.open_orders:
            return self._above("open_orders", "", found, "with it")
        return None

    def _money(self, now: int, order: PlaceOrder, amended: Order | None) -> Flaw | None:
        if not self.limits.money:
            return None
        return self._cash.short(now, order, self._markets.shard(order.ticker), amended)

    def _rate(self, now: int, times: "collections.deque[int]") -> Flaw | None:
        while times and times[0] <= now - RATE_WINDOW:
            times.popleft()
        if len(times) < self.limits.orders_a_second:
            return None
        text = "orders within a second, with it"
        wait = -(-(times[0] + RATE_WINDOW - now) // MS) if times else 0
        return self._above("orders_a_second", "", len(times) + 1, text, wait)

    def _above(self, name: str, field: str, value: Any, what: str, wait_ms: int = 0) -> Flaw:
        limit, shown = written(getattr(self.limits, name)), written(value)
        return Flaw(name, field, f"{name}: {what} {shown}, limit {limit}", wait_ms, limit, shown)

    def _remember(self, now: int, order: PlaceOrder) -> None:
        if not self.limits.same_order_ms:
            return
        terms, over = _terms(order), now - self.limits.same_order_ms * MS
        self._same.pop(terms, None)
        self._same[terms] = now, order.client_order_id
        oldest = next(iter(self._same))
        while self._same[oldest][0] <= over or len(self._same) > SAME_ORDERS_KEPT:
            del self._same[oldest]
            oldest = next(iter(self._same))


def amended_terms(order: Order, amend: Amend) -> PlaceOrder:
    """An open order as the amend would have it."""
    return PlaceOrder(
        order.client_order_id,
        order.ticker,
        order.side,
        amend.price,
        amend.count,
        order.time_in_force,
    )


def _terms(order: PlaceOrder) -> Terms:
    return order.ticker, order.side, order.price, order.count, order.time_in_force


def _named(order: PlaceOrder) -> str:
    return f"{'a bid' if order.side == 'bid' else 'an ask'} at {format_price(order.price)}"
