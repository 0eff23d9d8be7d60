"""Money: fees as captured, netting, reservations, and never below zero."""

import random

from hypothesis import given
from hypothesis import strategies as st

from actors.paper.account import OPENING_CASH, Account
from actors.paper.exchange import Exchange
from actors.paper.fixed import DOLLAR
from actors.paper.intake import NewOrder
from actors.paper.market import Market
from actors.paper.matching import Book, Lot, OnSelf, Side
from actors.paper.positions import taker_fee

CENT = 10_000
TICKER = "KXA-1"


def new(side: Side, cents: int, count: int, force: str = "good_till_canceled") -> NewOrder:
    return NewOrder(TICKER, side, count, cents * CENT, force, OnSelf.STOP, "", False, False, 0)


def exchange() -> Exchange:
    return Exchange([Market(TICKER, "A", Book(), 0)], Account(), random.Random(1))


def test_fees_are_those_of_the_captures() -> None:
    assert taker_fee(520_000, 100) == 17_500  # orders__create_v2_taker_ioc
    assert taker_fee(990_000, 100) == 700  # fills__after_taker
    assert taker_fee(170_000, 552) == 54_600  # stream/demo-2026-06-30-five-markets
    assert taker_fee(160_000, 116) == 11_000  # the same


def test_a_pair_of_yes_and_no_pays_a_dollar() -> None:
    place = exchange()
    place.public_rest(TICKER, Lot("p1", False, Side.ASK, 40 * CENT, 1_000))
    place.create(new(Side.BID, 40, 1_000), 1)
    spent = 10 * 400_000 + taker_fee(400_000, 1_000)
    assert place.account.cash == OPENING_CASH - spent
    place.create(new(Side.ASK, 60, 1_000), 2)
    assert place.account.available() == OPENING_CASH - spent  # closing needs no collateral
    place.public_take(TICKER, Side.BID, 60 * CENT, 1_000, 3)
    assert place.account.cash == OPENING_CASH - spent + 10 * 600_000
    held = place.account.position(TICKER)
    assert (held.count, held.cost, held.realized) == (0, 0, 2 * DOLLAR)
    assert held.traded == 10 * 400_000 + 10 * 400_000


def test_resting_orders_reserve_what_they_could_cost() -> None:
    place = exchange()
    place.create(new(Side.BID, 40, 1_000), 1)
    place.create(new(Side.ASK, 70, 1_000), 2)
    assert place.account.cash == OPENING_CASH
    assert place.account.available() == OPENING_CASH - 10 * 400_000 - 10 * 300_000
    place.cancel_all(3)
    assert place.account.available() == OPENING_CASH


def test_an_order_beyond_the_balance_is_refused() -> None:
    place = exchange()
    answer = place.create(new(Side.BID, 99, 1_020_000), 1)
    assert answer.status == 400
    assert isinstance(answer.body, dict)
    assert answer.body["error"]["code"] == "insufficient_balance"


def test_selling_a_position_twice_needs_collateral() -> None:
    place = exchange()
    place.public_rest(TICKER, Lot("p1", False, Side.ASK, 99 * CENT, 1_000_000))
    place.create(new(Side.BID, 99, 1_000_000), 1)  # nearly all the cash
    assert place.create(new(Side.ASK, 99, 1_000_000), 2).status == 201
    assert place.create(new(Side.ASK, 1, 1_000_000), 3).status == 400


moves = st.lists(
    st.tuples(
        st.sampled_from(["mine", "rest", "take", "cancel"]), st.sampled_from(Side),
        st.integers(1, 99), st.integers(1, 900_000),
    ),
    max_size=30,
)  # fmt: skip


@given(moves)
def test_cash_is_never_negative_and_the_fold_is_repeatable(sent: list[tuple]) -> None:
    place, journal = exchange(), []
    for at, (word, side, cents, count) in enumerate(sent, 1):
        if word == "mine":
            place.create(new(side, cents, count), at)
        elif word == "rest":
            place.public_rest(TICKER, Lot(f"p{at}", False, side, cents * CENT, count))
        elif word == "take":
            place.public_take(TICKER, side, cents * CENT, count, at)
        else:
            place.cancel_all(at)
        journal += place.drain()[0]
        assert place.account.available() >= 0
        assert place.account.cash >= 0
    again = Account()
    for entry in journal:
        again.apply(entry)
    assert (again.cash, again.orders, again.positions) == (
        place.account.cash,
        place.account.orders,
        place.account.positions,
    )
