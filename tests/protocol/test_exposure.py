"""What a market can still cost, and which order only reduces: against trying everything."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.account import Account
from protocol.exposure import NOTHING_ASKED, Asked, Levels, paid_a_contract, worst_case
from protocol.facts import (
    AnyFact,
    Fill,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderIntended,
    OrderSeen,
    OrderUnknown,
    PositionDiffers,
    natural_id,
)
from protocol.lifecycle import AT_RISK, UNSETTLED
from protocol.messages import Entry, Position
from protocol.units import CONTRACT, DOLLAR, Count, Money, Price
from tests.actors.writer.anyfact import ANY_FACT

T = "KXA-1"


def take(account: Account, *facts: AnyFact) -> Account:
    for fact in facts:
        account.apply(Entry(account.n + 1, natural_id(fact), 1, "test", fact))
    return account


def intended(id: str, side: Any, count: int, price: int = 500_000, ticker: str = T) -> AnyFact:
    gtc = "good_till_canceled"
    return OrderIntended(id, ticker, side, Price(price), Count(count), gtc, "hash")


def rests(id: str, count: int) -> AnyFact:
    return OrderAccepted(id, f"o-{id}", Count(0), Count(count))


def fill(count: int, side: Any = "bid", price: int = 500_000) -> Fill:
    return Fill("o", f"t{count}{side}", T, side, Price(price), Count(count), Money(0), True)


def test_unsettled_orders_are_found_by_market() -> None:
    account = take(
        Account(), intended("c1", "bid", 100), intended("c2", "ask", 100), rests("c2", 100),
        intended("c3", "bid", 100), OrderUnknown("c3", "no answer"),
        intended("c4", "bid", 100, ticker="KXB-2"), OrderUnknown("c4", "no answer"),
    )  # fmt: skip
    assert [o.client_order_id for o in account.unsettled(T)] == ["c1", "c3"]
    assert [o.client_order_id for o in account.unsettled("KXB-2")] == ["c4"]
    assert account.unsettled("KXC-3") == []
    take(account, OrderAbsent("c3", "two listings"), OrderAbsent("c4", "two listings"))
    assert [o.client_order_id for o in account.unsettled(T)] == ["c1"]
    assert account.unsettled("KXB-2") == []


@pytest.mark.parametrize(
    ("facts", "dollars"),
    [
        ([], "0"),
        ([fill(1_000)], "5"),
        ([fill(1_000, "ask", 700_000)], "3"),
        ([intended("c1", "bid", 1_000, 400_000)], "4"),
        ([intended("c1", "ask", 1_000, 400_000)], "6"),
        ([intended("c1", "bid", 1_000, 400_000), OrderUnknown("c1", "?")], "4"),
        ([intended("c1", "bid", 1_000, 400_000), rests("c1", 1_000)], "4"),
        ([intended("c1", "bid", 1_000, 400_000), OrderAbsent("c1", "?")], "0"),
        # Only one side of a quote can lose
        ([intended("c1", "bid", 1_000, 400_000), intended("c2", "ask", 1_000, 700_000)], "4"),
        # A held YES and an ask that closes it: if it does not fill, the position is what is lost
        ([fill(1_000), intended("c1", "ask", 1_000, 600_000)], "5"),
        ([fill(1_000), intended("c1", "bid", 1_000, 400_000)], "9"),
        # It closes with a gain first, and then the other 20 contracts can cost what they pay
        ([fill(1_000), intended("c1", "ask", 3_000, 600_000)], "8"),
        # It closes with a loss of 3, and then the other 20 can cost 16
        ([fill(1_000), intended("c1", "ask", 3_000, 200_000)], "19"),
        # Told to be filled, and not booked: neither open nor held, and still at stake
        ([intended("c1", "bid", 1_000), OrderAccepted("c1", "x", Count(1_000), Count(0))], "5"),
        (
            [
                intended("c1", "bid", 1_000),
                OrderAccepted("c1", "o", Count(1_000), Count(0)),
                fill(1_000),
            ],
            "5",
        ),
        (
            [
                intended("c1", "bid", 1_000),
                rests("c1", 1_000),
                OrderCanceled("o-c1", "c1", Count(400)),
            ],
            "3",
        ),
    ],
)
def test_the_worst_case_of_a_market(facts: list[AnyFact], dollars: str) -> None:
    assert take(Account(), *facts).exposure(T) == int(dollars) * DOLLAR
    assert take(Account(), *facts).exposure("KXB-2") == 0


def test_a_closed_profit_is_no_exposure() -> None:
    account = take(Account(), fill(1_000, price=400_000), fill(1_000, "ask", 600_000))
    assert account.exposure(T) == 0


@pytest.mark.parametrize(
    ("held", "open_orders", "side", "count", "adds"),
    [
        (0, [], "bid", 1, True),
        (0, [], "ask", 1, True),
        (500, [], "bid", 1, True),
        (500, [], "ask", 500, False),
        (500, [], "ask", 501, True),
        (-500, [], "bid", 500, False),
        (-500, [], "bid", 501, True),
        (-500, [], "ask", 1, True),
        (500, [("ask", 300)], "ask", 200, False),
        (500, [("ask", 300)], "ask", 201, True),
        (500, [("bid", 300)], "ask", 501, True),  # it may never fill
        (-500, [("bid", 300), ("bid", 200)], "bid", 1, True),
    ],
)
def test_an_order_adds_risk_unless_it_can_only_close(
    held: int, open_orders: list[tuple[Any, int]], side: Any, count: int, adds: bool
) -> None:
    account = Account()
    if held:
        take(account, fill(abs(held), "bid" if held > 0 else "ask"))
    for i, (of, left) in enumerate(open_orders):
        take(account, intended(f"c{i}", of, left))
        if i % 2:
            take(account, rests(f"c{i}", left))
    assert account.adds_risk(T, side, Count(count)) is adds
    take(account, intended("own", side, count))
    assert account.adds_risk(T, side, Count(count), "own") is adds, "its own intent counts once"


def test_a_position_that_the_exchange_disputes_reduces_nothing() -> None:
    account = take(Account(), fill(500))
    assert not account.adds_risk(T, "ask", Count(500))
    differs = PositionDiffers(T, Count(500), Count(0), Money(0), "unexplained", 1, 1)
    assert take(account, differs).adds_risk(T, "ask", Count(500))


QUOTES = st.lists(
    st.tuples(
        st.sampled_from(["bid", "ask"]), st.integers(1, 99).map(lambda c: c * 10_000),
        st.integers(1, 500),
    ),
    max_size=5,
)  # fmt: skip


@settings(deadline=None)
@given(QUOTES, QUOTES)
def test_no_way_of_filling_and_settling_costs_more(
    held: list[tuple[Any, int, int]], quotes: list[tuple[Any, int, int]]
) -> None:
    """Try every set of fills and both results: none of all is worse than the exposure."""
    account = Account()
    for i, (side, price, count) in enumerate(held):
        fact = Fill("o", f"t{i}", T, side, Price(price), Count(count), Money(0), True)
        take(account, fact)
    position = account.position(T)
    for i, (side, price, count) in enumerate(quotes):
        take(account, intended(f"c{i}", side, count, price))
    worst = 0
    for filled in itertools.product([0, 1], repeat=len(quotes)):
        for result in (0, DOLLAR):
            held_now = int(position.position)
            worth = held_now * result if held_now > 0 else -held_now * (DOLLAR - result)
            gain = worth - int(position.cost) * CONTRACT
            for fills, (side, price, count) in zip(filled, quotes, strict=True):
                gain += fills * count * ((result - price) if side == "bid" else (price - result))
            worst = max(worst, -gain)
    assert account.exposure(T) >= -(-worst // CONTRACT)


HELD = st.integers(-1_500, 1_500).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, abs(n) * DOLLAR // CONTRACT * 11 // 10))
)


def added_up(held: int, paid: int, quotes: list[tuple[str, int, int]]) -> int:
    """The worst case by the letter: no sum is kept, every level is walked."""
    by_side: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
    for side, price, count in quotes:
        pays = price if side == "bid" else DOLLAR - price
        by_side[side][pays] = by_side[side].get(pays, 0) + count
    mine, others = by_side["bid"], by_side["ask"]
    if held < 0:
        mine, others = others, mine
    same = paid * CONTRACT + sum(pays * n for pays, n in mine.items())
    other = sum(pays * n for pays, n in others.items())
    left = whole = abs(held)
    brings = whole * DOLLAR - paid * CONTRACT
    for pays in sorted(others):
        if pays * whole < brings:
            closed = min(others[pays], left)
            other, left = other - pays * closed, left - closed
    if left:
        other -= brings * left // whole
    return max(-(-max(same, other) // CONTRACT), 0)


@settings(max_examples=1_000, deadline=None)
@given(HELD, st.lists(QUOTES, max_size=4), st.data())
def test_sums_in_parts_come_to_what_is_added_up(
    held: tuple[int, int], told: list[list[tuple[Any, int, int]]], data: st.DataObject
) -> None:
    """Whatever is asked for in how many parts, and whatever came and went before."""
    parts = []
    for quotes in told:
        part = Asked(Levels(), Levels())
        gone = data.draw(QUOTES)
        for side, price, count in [*gone, *quotes]:
            part.of(side).add(paid_a_contract(side, price), count)
        for side, price, count in gone:
            part.of(side).add(paid_a_contract(side, price), -count)
        parts.append(part)
    position = Position(T, Count(held[0]), Money(held[1]), Money(0), Money(0))
    every = [quote for quotes in told for quote in quotes]
    assert worst_case(position, *parts) == added_up(*held, every)
    assert worst_case(None, *parts) == added_up(0, 0, every)
    more = data.draw(QUOTES)
    for side, price, count in more:
        grown = (parts[0] if parts else NOTHING_ASKED).with_order(side, price, count)
        assert worst_case(position, grown, *parts[1:]) == added_up(
            *held, [*every, (side, price, count)]
        )
        back = grown.less(side, paid_a_contract(side, price), count)
        assert worst_case(position, back, *parts[1:]) == added_up(*held, every)
    assert worst_case(position, *parts) == added_up(*held, every), "copies, all of them"
    assert NOTHING_ASKED.bids.counts == NOTHING_ASKED.asks.counts == {}


def test_what_is_due_reduces_nothing_until_it_is_booked() -> None:
    account = take(Account(), fill(500), intended("c1", "ask", 300))
    take(account, OrderAccepted("c1", "x", Count(300), Count(0)))
    assert not account.adds_risk(T, "ask", Count(200))
    assert account.adds_risk(T, "ask", Count(201)), "300 of the 500 are sold already"


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY_FACT, max_size=30), st.integers(0, 30))
def test_the_index_is_what_the_orders_make_it(facts: list[AnyFact], cut: int) -> None:
    account, told = Account(), set()
    for fact in facts:
        if natural_id(fact) in told:
            continue
        told.add(natural_id(fact))
        take(account, fact)
        if account.n == cut:
            account = Account(account.state())
    again = Account(account.state())
    for ticker in (T, "KXB-2"):
        orders = [o for o in account.orders() if o.ticker == ticker]
        unsettled = [o for o in orders if o.state in UNSETTLED]
        assert sorted(account.unsettled(ticker), key=str) == sorted(unsettled, key=str)
        assert account.exposure(ticker) == again.exposure(ticker)
        left = {"bid": 0, "ask": 0}
        for order in orders:
            if order.state in AT_RISK:
                left[order.side] += order.remaining
        held, due = account.position(ticker).position, due_by_side(account, ticker)
        for side, against in (("bid", -held), ("ask", held)):
            free = against - left[side] - due[side]
            assert account.adds_risk(ticker, side, Count(1)) == (  # type: ignore[arg-type]
                free < 1 or ticker in account.differs
            )


def due_by_side(account: Account, ticker: str) -> dict[str, int]:
    """What orders with an intent were told to have filled, less what is booked of it."""
    state, due = account.state(), {"bid": 0, "ask": 0}
    for order in state.orders:
        if order.ticker == ticker and order.body_hash:
            told = max(order.filled, state.filled_at_cancel.get(order.order_id, 0))
            due[order.side] += max(told - state.filled_by.get(order.order_id, 0), 0)
    return due


# Two of ours under one id of the exchange: it can't be


def test_neither_of_two_orders_under_one_exchange_id_vanishes() -> None:
    account = take(
        Account(), intended("c1", "bid", 100), intended("c2", "bid", 100),
        OrderAccepted("c1", "o1", Count(0), Count(100)),
        OrderAccepted("c2", "o1", Count(0), Count(100)),
    )  # fmt: skip
    assert [o.client_order_id for o in account.orders()] == ["c1", "c2"]
    assert [(o.order_id, o.state) for o in account.orders()] == [("o1", "resting")] * 2
    assert account.orders()[1].reason == "c1 has the same order_id at the exchange"
    assert account.exposure(T) == DOLLAR, "both may still fill"
    take(account, OrderSeen("o1", "c1", T, "bid", Price(500_000), "canceled", Count(100),
                            Count(0), Count(0), 5))  # fmt: skip
    assert [o.state for o in account.orders()] == ["canceled", "resting"]
    assert account.orders()[0].reason == "c2 has the same order_id at the exchange"
    again = Account(account.state())
    assert again.order_by_id("o1") == account.order_by_id("o1")
