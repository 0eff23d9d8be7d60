"""Profit: what was won, and what closing would bring, against cash that is counted by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.account import Account
from protocol.messages import BookAnswer, Position
from protocol.profit import Marked, mark, unrealized
from protocol.units import CONTRACT, Count, Money, Price
from tests.protocol.test_holdings import T, fill, take

CENT = 10_000
AS_OF = 1_782_873_388_379_000


def book(state: Any = "live", reason: str = "", **sides: Any) -> BookAnswer:
    levels = {side: tuple((Price(p), Count(c)) for p, c in rows) for side, rows in sides.items()}
    return BookAnswer(T, state, 1, 1, reason=reason, as_of=AS_OF, **levels)


def held(count: int, cost: int = 0) -> Position:
    return Position(T, Count(count), Money(cost), Money(0), Money(0))


BIDS = {"yes": [(540_000, 100), (550_000, 700)], "no": [(430_000, 200), (440_000, 100)]}


@pytest.mark.parametrize(
    ("position", "found", "want"),
    [
        (held(1_000), book(**BIDS), Marked(Price(550_000), "", AS_OF)),
        (held(-1_000), book(**BIDS), Marked(Price(440_000), "", AS_OF)),
        (held(1_000), book(no=BIDS["no"]), Marked(None, "nobody bids for YES")),
        (held(-1_000), book(yes=BIDS["yes"]), Marked(None, "nobody bids for NO")),
        (held(1_000), book("lost", "a gap", **BIDS), Marked(None, "the book is lost: a gap")),
        (held(1_000), book("stale", "late", **BIDS), Marked(None, "the book is stale: late")),
        (held(1_000), book("not followed"), Marked(None, "the book is not followed")),
    ],
)
def test_a_position_is_marked_by_the_best_bid_of_its_side_or_not_at_all(
    position: Position, found: BookAnswer, want: Marked
) -> None:
    assert mark(position, found) == want


def test_a_moment_of_the_last_change_will_do_where_no_other_is_known() -> None:
    quiet = BookAnswer(T, "live", 1, 1, ((Price(550_000), Count(1)),), (), received_at=7)
    assert mark(held(1), quiet).as_of == 7


def test_what_closing_brings_less_what_it_cost() -> None:
    assert unrealized(held(1_000, 5_600_000), Price(550_000)) == Money(-100_000)
    assert unrealized(held(-1_000, 4_000_000), Price(450_000)) == Money(500_000)
    assert unrealized(held(0), Price(450_000)) == Money(0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["bid", "ask"]), st.integers(1, 99), st.integers(1, 60)),
        max_size=12,
    ),
    st.integers(1, 99),
)
def test_won_and_to_be_won_make_the_cash_that_there_would_be(
    trades: list[tuple[str, int, int]], cents: int
) -> None:
    """By hand: each hundredth of a contract is paid for when it comes and paid out when it goes."""
    account, cash, hands = Account(), 0, 0
    for number, (side, price, count) in enumerate(trades):
        take(account, fill(f"t{number}", count, side, price * CENT))
        for _ in range(count):
            if side == "bid":
                cash += (100 - price) if hands < 0 else -price
                hands += 1
            else:
                cash += price if hands > 0 else price - 100
                hands -= 1
    position = account.position(T)
    assert position.position == hands
    found = position.realized + unrealized(position, Price(cents * CENT))
    assert found == (cash + cents * abs(hands)) * CENT // CONTRACT
