"""What the account holds and what that cost: positions, balances, and the cash they must make.

Cash can't be folded from a balance that is only polled. But what came and went can: every fill,
settlement, deposit and withdrawal moves cash by an amount that the ledger knows. So from balances
that were once right (the base), what the next ones must be follows to the micro-dollar.
"""

from typing import Final

from msgspec import Struct

from protocol.errors import RemoteProtocolError
from protocol.facts import (
    BalanceSeen,
    CashDiffers,
    Fill,
    MoneyMoved,
    PositionDiffers,
    Settled,
)
from protocol.limits import COUNT_MAX, MONEY_MAX, POSITIONS_DIFFER_MAX, SETTLEMENTS_KEPT
from protocol.messages import AccountState, Balance, CashBase, Position
from protocol.units import DOLLAR, Count, Money, cost

NOTHING: Final = Money(0)


class Settlement(Struct, frozen=True):
    """A market that was settled: what it paid, and what was won or lost in it, fees apart.
    `fee` is all that was paid in fees for it, by the exchange's word; `fees` are those of fills."""

    ticker: str
    settled_at: int  # microseconds
    revenue: Money
    fee: Money
    realized: Money
    fees: Money
    n: int  # the last entry that changed its position


def flow_of(position: Position) -> int:
    """What all fills and settlements of a market have brought, less what they cost and fees."""
    return int(position.realized) - int(position.cost) - int(position.fees)


class Holdings:
    """Positions by ticker, balances by shard, and what explains the cash between two readings."""

    def __init__(self, state: AccountState) -> None:
        self.positions = {p.ticker: p for p in state.positions}
        self.balances = {b.shard: b for b in state.balances}
        self.settled = dict(state.settled)
        self.cash = state.cash
        self.moved = state.moved
        self.differs = dict(state.differs)
        self.cash_differs = state.cash_differs
        self._flows = sum(map(flow_of, self.positions.values()))

    def position(self, ticker: str) -> Position:
        """What is held of a market, nothing if it was never heard of."""
        found = self.positions.get(ticker)
        return found or Position(ticker, Count(0), NOTHING, NOTHING, NOTHING)

    def flows(self) -> Money:
        """What all fills and settlements have brought, fees taken off.

        It counts as paid what an opened or accepted position cost, which never moved cash while
        we looked. So only a difference means something, and `PositionDiffers` moves the base.
        """
        return Money(self._flows)

    def expected_cash(self) -> Money | None:
        """What the balances of all shards must be together, None before there is a base."""
        if self.cash is None:
            return None
        since = self._flows - self.cash.flows + self.moved - self.cash.moved
        return Money(self.cash.balance + since)

    # What each fact does. All raise RemoteProtocolError for amounts beyond MONEY_MAX, COUNT_MAX:
    # where a fact makes no row, no table refuses them.

    def filled(self, n: int, fact: Fill) -> Position:
        """The position after a fill: closing contracts realise what they earned."""
        before = self.position(fact.ticker)
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
        return self._put(
            Position(
                fact.ticker,
                Count(held + change),
                Money(paid + cost(bought_at, opening)),
                Money(realized),
                Money(before.fees + fact.fee),
                n,
            )
        )

    def settle(self, n: int, fact: Settled) -> list[Position]:
        """The market paid `revenue`, and nothing is held of it any more. Its `fee` is all that
        was paid in fees for it, with the fills, and is booked with them.

        The exchange has one settlement a market and says what it comes to in total. If it is
        amended (a later `settled_at`), what was paid then is the difference to the one before;
        one that is older than what is on record was amended already. The gateway tells fills
        before settlements; a fill that is booked after it opens a position, which the next
        comparison with the exchange's positions finds.
        """
        _bounded("revenue", fact.revenue, MONEY_MAX)
        _bounded("fee", fact.fee, MONEY_MAX)
        _bounded("yes_count", fact.yes_count, COUNT_MAX)
        _bounded("no_count", fact.no_count, COUNT_MAX)
        last = self.settled.get(fact.ticker)
        if last is not None and fact.settled_at < last[0]:
            return []
        revenue = NOTHING if last is None else last[1]
        before = self.position(fact.ticker)
        earned = fact.revenue - revenue - before.cost
        after = Position(
            fact.ticker,
            Count(0),
            NOTHING,
            Money(before.realized + earned),
            before.fees,
            n,
        )
        self.settled.pop(fact.ticker, None)
        self.settled[fact.ticker] = (fact.settled_at, fact.revenue, fact.fee)
        if len(self.settled) > SETTLEMENTS_KEPT:
            for ticker in list(self.settled)[: SETTLEMENTS_KEPT // 10]:
                del self.settled[ticker]
        return [self._put(after)]

    def see_balance(self, n: int, fact: BalanceSeen) -> list[Balance]:
        """The exchange showed a balance; an older one changes nothing."""
        known = self.balances.get(fact.shard)
        if known is not None and known.seen_at >= fact.seen_at:
            return []
        seen = Balance(fact.shard, fact.balance, fact.seen_at, n)
        self.balances[fact.shard] = seen
        return [seen]

    def move(self, fact: MoneyMoved) -> None:
        """Money came from outside or went there."""
        _bounded("amount", fact.amount, MONEY_MAX)
        _bounded("all that was moved", self.moved + fact.amount, MONEY_MAX)
        self.moved = Money(self.moved + fact.amount)

    def compare_position(self, n: int, fact: PositionDiffers) -> list[Position]:
        """The exchange holds another position for us than we do. Unexplained: it is remembered.
        Resolved: it is not so any more. Otherwise the exchange's counts, and the base moves
        along: no cash was paid for it. What was booked since the two were compared comes on top.
        """
        for count in (fact.ours, fact.theirs):
            _bounded("a position", count, COUNT_MAX)
        _bounded("cost", fact.cost, MONEY_MAX)
        if fact.cause == "unexplained":
            if fact.ticker not in self.differs and len(self.differs) >= POSITIONS_DIFFER_MAX:
                raise RemoteProtocolError(f"more than {POSITIONS_DIFFER_MAX} positions differ")
            self.differs[fact.ticker] = (fact.ours, fact.theirs)
            return []
        self.differs.pop(fact.ticker, None)
        if fact.cause == "resolved":
            return []
        before, flows = self.position(fact.ticker), self._flows
        held = Count(fact.theirs + before.position - fact.ours)
        paid = fact.cost if held else NOTHING
        after = self._put(Position(fact.ticker, held, paid, before.realized, before.fees, n))
        if self.cash is not None:
            base = self.cash
            moved = Money(base.flows + self._flows - flows)
            self.cash = CashBase(base.balance, moved, base.moved, base.n)
        return [after]

    def compare_cash(self, n: int, fact: CashDiffers) -> None:
        """The balances are other than expected, or the first. Unexplained: by how much is
        remembered. Resolved: they are as expected again. Otherwise they are the new base, as of
        when they were compared: what was booked since is the difference between what is expected
        now and what was expected then."""
        _bounded("balance", fact.balance, MONEY_MAX)
        _bounded("expected", fact.expected, MONEY_MAX)
        if fact.cause == "unexplained":
            self.cash_differs = Money(fact.balance - fact.expected)
            return
        self.cash_differs = None
        if fact.cause == "resolved":
            return
        _bounded("what all positions have brought", self._flows, MONEY_MAX)
        booked = self._flows + self.moved if self.cash is None else self.expected_cash()
        since = 0 if booked is None else booked - fact.expected
        self.cash = CashBase(fact.balance, Money(self._flows - since), self.moved, n)

    def _put(self, after: Position) -> Position:
        before = self.positions.get(after.ticker)
        self._flows += flow_of(after) - (0 if before is None else flow_of(before))
        self.positions[after.ticker] = after
        return after


def _bounded(what: str, amount: int, most: int) -> None:
    if abs(amount) > most:
        raise RemoteProtocolError(f"{what} is beyond what the ledger takes: {int(amount)}")
