"""What each market, each event and the whole account can still cost at worst.

Every resting, intended and unknown order counts as if it filled whole; and so does an order that
has passed the brakes and is not in the account yet, and one whose fills were told and are not
booked yet. Sums are kept as orders and fills come, so a question costs the same however many
orders there are.
"""

import functools
from collections.abc import Collection, Iterable

from msgspec.structs import replace

from protocol.account import Account, Meaning
from protocol.exposure import NOTHING_ASKED, Asked, OpenOrders, worst_case
from protocol.facts import OrderSide
from protocol.lifecycle import FINISHED
from protocol.limits import MARKETS_KNOWN_MAX
from protocol.messages import Amend, Balance, Order, PlaceOrder
from protocol.units import Money


class Exposures:
    """Follows one account, and the orders that are promised to it."""

    def __init__(self) -> None:
        self._account: Account | None = None
        self._promised: dict[str, Order] = {}  # passed the brakes, not in the account yet
        self._amends: dict[str, Order] = {}  # open orders, with an amend that is promised
        self._promises = OpenOrders()
        self._worst: dict[str, int] = {}  # micro-dollars, by ticker; none of them zero
        self._within: dict[str, int] = {}  # their sums, by what they begin with (`_begin_with`)
        self.total = Money(0)

    # What changes it

    def follow(self, account: Account | None) -> None:
        """From now on it is this account: all is added up anew."""
        self._account = account
        self._worst, self._within, self.total = {}, {}, Money(0)
        at_risk = set() if account is None else account.tickers_at_risk()
        for id in (*self._promised, *self._amends):
            self._shown(id)
        for ticker in sorted(at_risk.union(self._promises.tickers())):
            self._sum(ticker)

    def changed(self, account: Account, meanings: Iterable[Meaning]) -> None:
        """The account has taken entries that changed this."""
        if account is not self._account:
            self.follow(account)
            return
        for meaning in meanings:
            if isinstance(meaning, Balance):
                continue
            if isinstance(meaning, Order):
                self._shown(meaning.client_order_id)
            self._sum(meaning.ticker)

    def promise(self, order: PlaceOrder) -> None:
        """An order has passed the brakes: it counts from now on."""
        id = order.client_order_id
        promised = Order(
            id, "", order.ticker, order.side, order.price, order.count, order.time_in_force,
            "intended", remaining=order.count,
        )  # fmt: skip
        self._promised[id] = promised
        self._promises.put(id, None, promised)
        self._sum(order.ticker)

    def release(self, id: str) -> None:
        """An order that was promised is in the account by now, or never will be."""
        promised = self._promised.pop(id, None)
        if promised is not None:
            self._promises.put(id, promised, None)
            self._sum(promised.ticker)

    def promise_amend(self, order: Order, amend: Amend) -> None:
        """An amend of an open order has passed the brakes: from now on it counts as the larger of
        what it is and what it may become."""
        id = order.client_order_id
        self.release_amend(id)
        self._amends[id] = promised = replace(order, amend=amend)
        self._promises.put(_amend_key(id), None, promised)
        self._sum(order.ticker)

    def release_amend(self, id: str) -> None:
        """The account shows the amend by now, or it never will leave."""
        promised = self._amends.pop(id, None)
        if promised is not None:
            self._promises.put(_amend_key(id), promised, None)
            self._sum(promised.ticker)

    def _shown(self, id: str) -> None:
        """What the account knows counts there, not twice."""
        known = None if self._account is None else self._account.order(id)
        if known is None:
            return
        self.release(id)
        promised = self._amends.get(id)
        if promised is None or promised.amend is None:
            return
        recorded = known.amend is not None and known.amend.id == promised.amend.id
        if recorded or known.state in FINISHED:
            self.release_amend(id)

    def _sum(self, ticker: str) -> None:
        before, after = self._worst.get(ticker, 0), int(self._worst_with(ticker))
        more = after - before
        if not more:
            return
        self.total = Money(self.total + more)
        _add(self._worst, ticker, more)
        for name in _begin_with(ticker):
            _add(self._within, name, more)

    def _worst_with(self, ticker: str, *more: Asked, leaving: str = "") -> Money:
        account = self._account
        promised = self._promises.asked(ticker, (leaving, _amend_key(leaving)) if leaving else ())
        if account is None:
            return worst_case(None, promised, *more)
        booked, due = account.at_risk(ticker, self._beside_promises(ticker, leaving))
        return worst_case(account.position(ticker), booked, due, promised, *more)

    def _beside_promises(self, ticker: str, leaving: str) -> Collection[str]:
        """Open orders that don't count as the account has them: `leaving`, and those with an amend
        that is promised."""
        if not self._amends:
            return (leaving,) if leaving else ()
        return {leaving, *(id for id, order in self._amends.items() if order.ticker == ticker)}

    # What is asked of it

    def market(self, ticker: str) -> Money:
        """The most that a market can still cost."""
        return Money(self._worst.get(ticker, 0))

    def event(self, event_ticker: str) -> Money:
        """The same of all markets of an event: their tickers begin with the event's."""
        return Money(self._event(event_ticker))

    def _event(self, event_ticker: str) -> int:
        return self._worst.get(event_ticker, 0) + self._within.get(event_ticker, 0)

    def beside(self, ticker: str, event_ticker: str = "") -> Money:
        """What all markets but this one can still cost; or all others of an event."""
        own = self._worst.get(ticker, 0)
        if not event_ticker:
            return Money(self.total - own)
        among = ticker == event_ticker or event_ticker in _begin_with(ticker)
        return Money(self._event(event_ticker) - (own if among else 0))

    def market_with(self, order: PlaceOrder) -> Money:
        """What the order's market can still cost with it. It may be counted already, because it
        was promised or is in the account."""
        if self._counted(order):
            return self.market(order.ticker)
        more = NOTHING_ASKED.with_order(order.side, int(order.price), int(order.count))
        return self._worst_with(order.ticker, more)

    def market_without(self, order: PlaceOrder) -> Money:
        """The same without it."""
        if self._counted(order):
            return self._worst_with(order.ticker, leaving=order.client_order_id)
        return self.market(order.ticker)

    def market_as_was(self, order: Order) -> Money:
        """The same with an open order as it is by its own terms, whatever a pending or promised
        amend may make of it."""
        own = NOTHING_ASKED.with_order(order.side, int(order.price), int(order.remaining))
        return self._worst_with(order.ticker, own, leaving=order.client_order_id)

    @property
    def open(self) -> int:
        """How many orders are open or on their way."""
        return len(self._promised) + (0 if self._account is None else len(self._account.open))

    def open_without(self, order: PlaceOrder) -> int:
        """The same, this one apart."""
        return self.open - self._counted(order)

    def best(self, ticker: str, side: OrderSide) -> int | None:
        """The price of the highest bid or the lowest ask of ours in a market."""
        promised = self._promises.best(ticker, side)
        booked = None if self._account is None else self._account.open.best(ticker, side)
        if promised is None or booked is None:
            return booked if promised is None else promised
        return promised if (promised > booked) == (side == "bid") else booked

    def _counted(self, order: PlaceOrder) -> bool:
        id, account = order.client_order_id, self._account
        if id in self._promised:
            return True
        return account is not None and account.open.get(order.ticker, id) is not None


def _add(sums: dict[str, int], name: str, more: int) -> None:
    """None of the sums is zero: what is closed leaves no trace."""
    found = sums.get(name, 0) + more
    if found:
        sums[name] = found
    else:
        del sums[name]


@functools.lru_cache(maxsize=MARKETS_KNOWN_MAX)
def _begin_with(ticker: str) -> tuple[str, ...]:
    """All that a ticker begins with, up to one of its dashes: what its event may be called."""
    return tuple(ticker[:i] for i, letter in enumerate(ticker) if letter == "-")


def _amend_key(id: str) -> str:
    """Under which a promised amend stands: no client_order_id has a space."""
    return f"{id} amend"
