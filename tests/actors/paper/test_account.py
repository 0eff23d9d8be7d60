"""Money: fees as captured, netting, reservations, and never below zero."""

import json
import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.paper import amending
from actors.paper.account import OPENING_CASH, Account
from actors.paper.answers import Refused
from actors.paper.entries import GroupMade, LifeEntry
from actors.paper.exchange import Exchange
from actors.paper.fixed import DOLLAR, contracts, dollars4
from actors.paper.intake import NewOrder
from actors.paper.market import Market
from actors.paper.matching import Book, Lot, OnSelf, Side
from actors.paper.positions import taker_fee
from actors.paper.wire import Happened, Line

CENT = 10_000
TICKER = "KXA-1"


def new(
    side: Side, cents: int, count: int, force: str = "good_till_canceled", group: str = ""
) -> NewOrder:
    return NewOrder(
        TICKER, side, count, cents * CENT, force, OnSelf.STOP, "", False, False, 0,
        order_group_id=group,
    )  # fmt: skip


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
        st.sampled_from(["mine", "rest", "take", "amend", "decrease", "cancel"]),
        st.sampled_from(Side), st.integers(1, 99), st.integers(1, 900_000),
    ),
    max_size=30,
)  # fmt: skip


def change(place: Exchange, word: str, cents: int, count: int, at: int) -> None:
    """Amend or decrease the oldest order that rests, if there is one and it may be."""
    for order in place.account.resting()[:1]:
        body = {"reduce_by": contracts(count)}
        if word == "amend":
            body = {
                "ticker": TICKER, "side": order.side.value, "price": dollars4(cents * CENT),
                "count": contracts(count), "updated_client_order_id": f"n{at}",
            }  # fmt: skip
        do = amending.amend if word == "amend" else amending.decrease
        try:
            do(place, order.placed.order_id, json.dumps(body).encode(), at)
        except Refused:
            continue


@given(moves)
def test_cash_is_never_negative_and_the_fold_is_repeatable(sent: list[tuple]) -> None:
    place = exchange()
    place.book(GroupMade("group", 500_000, 0, 0))
    journal = place.drain()[0]
    for at, (word, side, cents, count) in enumerate(sent, 1):
        if word == "mine":
            place.create(new(side, cents, count, group="group"), at)
        elif word == "rest":
            place.public_rest(TICKER, Lot(f"p{at}", False, side, cents * CENT, count))
        elif word == "take":
            place.public_take(TICKER, side, cents * CENT, count, at)
        elif word == "cancel":
            place.cancel_all(at)
        else:
            change(place, word, cents, count, at)
        journal += place.drain()[0]
        assert place.account.available() >= 0
        assert place.account.cash >= 0
        book = place.markets[TICKER].book
        ours = {lot.order_id: (lot.price, lot.remaining) for lot in book.lots() if lot.ours}
        assert ours == {
            order.placed.order_id: (order.placed.price, order.remaining)
            for order in place.account.resting()
        }
        assert list(place.account.groups["group"].orders) == [
            order.placed.order_id for order in place.account.resting()
        ]
    written = msgspec.json.encode(Happened(journal))
    again, copied = Account(), place.account.copied()
    for entry in msgspec.json.decode(written, type=Happened).entries:
        again.apply(entry)
    queue = [lot.order_id for side in Side for lot, _ in place.markets[TICKER].book.queue(side)]
    back = Exchange([Market(TICKER, "A", Book(), 0)], again, random.Random(1))
    book = back.markets[TICKER].book
    ours = [lot.order_id for side in Side for lot, _ in book.queue(side)]
    assert ours == [order_id for order_id in queue if order_id in again.orders]
    for other in (again, copied):
        assert (other.cash, other.orders, other.positions, other.available()) == (
            place.account.cash,
            place.account.orders,
            place.account.positions,
            place.account.available(),
        )
        group, same = place.account.groups["group"], other.groups["group"]
        assert (same.orders, same.triggered) == (group.orders, group.triggered)
        assert same.matched(len(sent)) == group.matched(len(sent))


def test_a_journal_of_a_former_version_is_read() -> None:
    line = (
        b'{"type":"happened","entries":[{"type":"placed","order_id":"o","client_order_id":"c",'
        b'"ticker":"KXA-1","side":"bid","price":400000,"count":100,"on_self":"maker","at":5},'
        b'{"type":"gone","order_id":"o","reason":"","at":6}]}'
    )
    found = msgspec.json.decode(line, type=Line)
    assert isinstance(found, Happened)
    account = Account()
    for entry in found.entries:
        assert not isinstance(entry, LifeEntry)
        account.apply(entry)
    (order,) = account.orders.values()
    assert (order.status, order.placed.order_group_id, order.placed.expires) == ("canceled", "", 0)
