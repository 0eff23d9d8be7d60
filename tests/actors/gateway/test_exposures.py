"""Worst cases kept as orders and fills come, against the same added up anew after each step."""

import math
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.gateway.exposures import Exposures
from protocol.account import Account
from protocol.facts import (
    Fill,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderIntended,
    OrderSeen,
    OrderUnknown,
    Settled,
)
from protocol.messages import Entry, PlaceOrder
from protocol.units import DOLLAR, Count, Money, Price

TICKERS = ("KXA-1", "KXA-2", "KXA-2-B", "KXAB-1", "KXB")
CENT = DOLLAR // 100

ids = st.integers(0, 5)
tickers = st.sampled_from(TICKERS)
sides: Any = st.sampled_from(["bid", "ask"])
prices = st.integers(1, 99).map(lambda cents: Price(cents * CENT))
counts = st.integers(1, 500).map(Count)
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["promise", "release", "intended", "accepted", "unknown", "denied", "absent", "fill",
             "canceled", "seen", "settled", "restart", "told"],
        ),
        ids, tickers, sides, prices, counts,
    ),
    max_size=40,
)  # fmt: skip


def worst(account: Account, promised: dict[str, PlaceOrder], ticker: str) -> int:
    """Order by order: nothing is kept from step to step."""
    position = account.position(ticker)
    held, spent = int(position.position), int(position.cost) * 100
    open_now = [(o.ticker, o.side, o.price, o.remaining) for o in account.open_orders()]
    open_now += [(o.ticker, o.side, o.price, o.count) for o in promised.values()]
    state = account.state()
    for o in state.orders:
        told = max(o.filled, state.filled_at_cancel.get(o.order_id, 0))
        due = told - state.filled_by.get(o.order_id, 0)
        if o.body_hash and due > 0:
            open_now.append((o.ticker, o.side, o.price, Count(due)))
    rests = [(side, int(price), int(count)) for t, side, price, count in open_now if t == ticker]
    paid = {
        "bid": [(p, c) for s, p, c in rests if s == "bid"],
        "ask": [(DOLLAR - p, c) for s, p, c in rests if s == "ask"],
    }
    mine, others = ("bid", "ask") if held >= 0 else ("ask", "bid")
    same = spent + sum(p * c for p, c in paid[mine])
    one_by_one = sorted(Fraction(p) for p, c in paid[others] for _ in range(c))
    brings = DOLLAR - Fraction(spent, abs(held)) if held else Fraction(0)
    closers = [*one_by_one[: abs(held)], *[Fraction(DOLLAR)] * (abs(held) - len(one_by_one))]
    other = sum(one_by_one) - sum(min(p, brings) for p in closers)
    return max(math.ceil(max(same, other) / 100), 0)


class Story:
    def __init__(self) -> None:
        self.account, self.exposures = Account(), Exposures()
        self.exposures.follow(self.account)
        self.orders: dict[str, PlaceOrder] = {}
        self.promised: dict[str, PlaceOrder] = {}

    def tell(self, fact: Any) -> None:
        n = self.account.n + 1
        meanings = self.account.apply(Entry(n, f"e{n}", 1_000_000, "test", fact))
        self.exposures.changed(self.account, meanings)

    def do(self, what: str, i: int, ticker: str, side: Any, price: Price, count: Count) -> None:
        id, n = f"c{i}", self.account.n
        order = self.orders.setdefault(
            id, PlaceOrder(id, ticker, side, price, count, "good_till_canceled")
        )
        match what:
            case "promise" if id not in self.promised and self.account.order(id) is None:
                self.promised[id] = order
                self.exposures.promise(order)
            case "release":
                self.promised.pop(id, None)
                self.exposures.release(id)
            case "intended":
                self.promised.pop(id, None)
                o = order
                self.tell(
                    OrderIntended(id, o.ticker, o.side, o.price, o.count, o.time_in_force, "h")
                )
            case "accepted":
                self.tell(OrderAccepted(id, f"x{i}", Count(0), order.count))
            case "told":
                part = Count(min(count, order.count))
                self.tell(OrderAccepted(id, f"x{i}", part, Count(order.count - part)))
            case "unknown":
                self.tell(OrderUnknown(id, "silence"))
            case "denied":
                self.tell(OrderDenied(id, "busy"))
            case "absent":
                self.tell(OrderAbsent(id, "two listings"))
            case "canceled":
                self.tell(OrderCanceled(f"x{i}", id, Count(min(count, order.count))))
            case "fill":
                part = Count(min(count, order.count))
                self.tell(
                    Fill(f"x{i}", f"t{n}", order.ticker, order.side, price, part, Money(0), True)
                )
            case "seen":
                self.promised.pop(id, None) if self.account.order(id) else None
                self.tell(
                    OrderSeen(
                        f"y{i}", "", ticker, side, price, "resting", count, Count(0), count, n
                    )
                )
            case "settled":
                self.tell(Settled(ticker, 0, "yes", Count(0), Count(0), Money(0), Money(0), n))
            case "restart":
                self.account = Account(self.account.state())
                self.exposures.changed(self.account, [])

    def check(self) -> None:
        by_ticker = {t: worst(self.account, self.promised, t) for t in TICKERS}
        assert {t: self.exposures.market(t) for t in TICKERS} == by_ticker
        assert self.exposures.total == sum(by_ticker.values())
        for event in ("KXA", "KXA-2", "KXAB", "KXB", "KX"):
            inside = [t for t in TICKERS if t == event or t.startswith(f"{event}-")]
            assert self.exposures.event(event) == sum(by_ticker[t] for t in inside), event
            for t in TICKERS:
                others = [other for other in inside if other != t]
                assert self.exposures.beside(t, event) == sum(by_ticker[o] for o in others)
        for order in self.orders.values():
            self._check(order)

    def _check(self, order: PlaceOrder) -> None:
        """Without an order and with it: as if it were not there, and as if it were promised."""
        id = order.client_order_id
        without, with_it = self.exposures.market_without(order), self.exposures.market_with(order)
        booked = self.account.order(id)
        others = {k: v for k, v in self.promised.items() if k != id}
        if booked is None:
            assert without == worst(self.account, others, order.ticker)
            assert with_it == worst(self.account, {**others, id: order}, order.ticker)
        elif booked.state in ("resting", "intended", "unknown"):
            assert with_it == worst(self.account, self.promised, order.ticker)
            assert without <= with_it or booked.remaining == 0


@settings(max_examples=300, deadline=None)
@given(steps)
def test_sums_that_are_kept_are_those_added_up_anew(told: list[tuple[Any, ...]]) -> None:
    story = Story()
    for step in told:
        story.do(*step)
        story.check()
    open_now = len(story.account.open_orders()) + len(story.promised)
    stranger = PlaceOrder("new", "KXA-1", "bid", Price(CENT), Count(1), "good_till_canceled")
    assert story.exposures.open_without(stranger) == open_now
    bids = [o.price for o in story.account.open_orders() if (o.ticker, o.side) == ("KXA-1", "bid")]
    bids += [o.price for o in story.promised.values() if (o.ticker, o.side) == ("KXA-1", "bid")]
    assert story.exposures.best("KXA-1", "bid") == max(bids, default=None)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(sides, prices, counts), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), counts), max_size=30),
)
def test_no_fill_makes_the_worst_case_worse(
    asked: list[tuple[Any, Price, Count]], filled: list[tuple[int, Count]]
) -> None:
    story = Story()
    for i, (side, price, count) in enumerate(asked):
        story.do("promise", i, "KXA-1", side, price, count)
        story.do("intended", i, "KXA-1", side, price, count)
        story.do("accepted", i, "KXA-1", side, price, count)
    before = story.exposures.market("KXA-1")
    for i, count in filled:
        order = story.account.order(f"c{i}")
        if order is None or not order.remaining:
            continue
        part = Count(min(count, order.remaining))
        n = story.account.n
        story.tell(Fill(f"x{i}", f"t{n}", "KXA-1", order.side, order.price, part, Money(0), True))
        after = story.exposures.market("KXA-1")
        assert after <= before + 1, "a micro-dollar is lost in rounding"
        before = max(after, before)
