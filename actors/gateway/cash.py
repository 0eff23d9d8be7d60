"""The cash on each shard, as the exchange last said it: collateral does not cross shards.

An order is refused only by a balance that was read just now, because the exchange looks once more
at what is let pass, and nobody at what is refused. Fees are left to the exchange.
"""

from collections.abc import Callable
from typing import Final

from actors.gateway.desk import Desk
from actors.gateway.markets import Flaw
from protocol.exposure import paid_a_contract
from protocol.facts import OrderSide
from protocol.kalshi.answers import BalanceBody
from protocol.limits import MONEY_FRESH
from protocol.messages import Order, PlaceOrder
from protocol.units import Count, Money, Price, cost, format_money

NEVER: Final = -MONEY_FRESH


class Cash:
    """Balances by shard. `refresh` has them read anew."""

    def __init__(self, desk: Desk, refresh: Callable[[int], None]) -> None:
        self._desk = desk
        self._refresh = refresh
        self._shards: dict[int, Money] | None = None  # None: only their sum is known
        self._total = Money(0)
        self._read_at = NEVER

    def learn(self, now: int, body: BalanceBody) -> None:
        """What the exchange has just said."""
        shards = {row.exchange_index: row.balance for row in body.balance_breakdown}
        self._shards = shards or None
        self._total = Money(sum(shards.values())) if shards else body.balance_dollars
        self._read_at = now

    def unread(self, now: int, order: PlaceOrder, shard: int, amended: Order | None = None) -> bool:
        """Whether a balance that is too old would refuse this order: then it is read anew.

        `amended` is the open order that it gives other terms to, if it does.
        """
        if self._enough(order, shard, amended) or self._fresh(now):
            return False
        self._refresh(now)
        return True

    def short(
        self, now: int, order: PlaceOrder, shard: int, amended: Order | None = None
    ) -> Flaw | None:
        """Why an order can't be paid, by what was read just now."""
        if self._enough(order, shard, amended) or not self._fresh(now):
            return None
        needed = self._needed(order, amended)
        there = self._on(shard)
        limit, value = format_money(there), format_money(needed)
        if self._total >= needed:
            text = f"enough cash, wrong shard: {order.ticker} trades on shard {shard}, which has "
            text += f"{limit}; the order needs {value}, all shards have {format_money(self._total)}"
            return Flaw("wrong_shard", "ticker", text, 0, limit, value)
        text = f"money: the order needs {value}, the account has {format_money(self._total)}"
        return Flaw("not_enough_cash", "count", text, 0, limit, value)

    def _fresh(self, now: int) -> bool:
        return now - self._read_at <= MONEY_FRESH

    def _enough(self, order: PlaceOrder, shard: int, amended: Order | None) -> bool:
        there = self._on(shard)
        whole = cost(paid_a_contract(order.side, order.price), order.count)
        if whole <= there:
            return True  # most need no look at what is held
        return self._needed(order, amended) <= there

    def _on(self, shard: int) -> Money:
        return self._total if self._shards is None else self._shards.get(shard, Money(0))

    def _needed(self, order: PlaceOrder, amended: Order | None) -> Money:
        """What the order would pay for contracts that close nothing; an amended one, more than
        what is kept for it already."""
        account = self._desk.ledger.account
        held = 0 if account is None else int(account.position(order.ticker).position)
        closes = max(-held if order.side == "bid" else held, 0)
        if amended is None:
            return _opening(order.side, order.price, order.count, closes)
        left = Count(order.count - amended.filled)
        wanted = _opening(order.side, order.price, left, closes)
        kept = _opening(amended.side, amended.price, amended.remaining, closes)
        return Money(max(wanted - kept, 0))


def _opening(side: OrderSide, price: Price, count: Count, closes: int) -> Money:
    return cost(paid_a_contract(side, price), max(int(count) - closes, 0))
