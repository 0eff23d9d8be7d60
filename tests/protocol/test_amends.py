"""Amends in the fold: both terms may hold until the outcome is known, and the larger counts."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.account import Account
from protocol.facts import (
    AmendIntended,
    AmendOutcome,
    AnyFact,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderIntended,
    OrderSeen,
    natural_id,
)
from protocol.messages import Amend, Entry, Order
from protocol.units import DOLLAR, Count, Money, Price

T = "KXA-1"
CENT = 10_000
MS = 1_000  # microseconds


def rests(side: Any = "bid", cents: int = 50, whole: int = 1_000) -> Account:
    """An account with one order that rests."""
    account = Account()
    terms = OrderIntended(
        "c1", T, side, Price(cents * CENT), Count(whole), "good_till_canceled", "hash"
    )
    return fold(account, terms, OrderAccepted("c1", "o1", Count(0), Count(whole), 1 * MS))


def fold(account: Account, *facts: AnyFact) -> Account:
    for fact in facts:
        account.apply(Entry(account.n + 1, natural_id(fact), 1, "test", fact))
    return account


def asked(cents: int, whole: int, id: str = "a1") -> AmendIntended:
    return AmendIntended("c1", id, Price(cents * CENT), Count(whole))


def outcome(word: Any, at: int = 0, id: str = "a1") -> AmendOutcome:
    return AmendOutcome("c1", id, word, "", at * MS)


def seen(cents: int, whole: int, filled: int, at: int, side: Any = "bid") -> OrderSeen:
    status: Any = "resting" if filled < whole else "executed"
    return OrderSeen(
        "o1", "c1", T, side, Price(cents * CENT), status, Count(whole), Count(filled),
        Count(whole - filled), at, terms=True,
    )  # fmt: skip


def fill(size: int, number: int = 1, cents: int = 50, side: Any = "bid") -> Fill:
    return Fill(
        "o1", f"t{number}", T, side, Price(cents * CENT), Count(size), Money(0), True, 0, "c1"
    )


def order(account: Account) -> Order:
    found = account.order("c1")
    assert found is not None
    return found


def terms(account: Account) -> tuple[int, int, int]:
    """Cents, the whole count, and what is left."""
    found = order(account)
    return found.price // CENT, int(found.count), int(found.remaining)


def dollars(account: Account) -> float:
    return account.exposure(T) / DOLLAR


@pytest.mark.parametrize(
    ("side", "cents", "whole", "worst"),
    [
        ("bid", 60, 1_000, 6.0), ("bid", 40, 1_000, 5.0), ("bid", 50, 2_000, 10.0),
        ("bid", 40, 2_000, 10.0), ("bid", 60, 500, 6.0),
        ("ask", 40, 1_000, 6.0), ("ask", 60, 1_000, 5.0), ("ask", 60, 2_000, 10.0),
    ],
)  # fmt: skip
def test_a_pending_amend_counts_as_the_larger_of_old_and_new(
    side: Any, cents: int, whole: int, worst: float
) -> None:
    account = fold(rests(side), asked(cents, whole))
    assert dollars(account) == worst
    assert terms(account) == (50, 1_000, 1_000), "its own terms are the former ones until then"
    assert dollars(fold(account, outcome("unknown"))) == worst
    assert Account(account.state()).exposure(T) == account.exposure(T)


def test_done_it_has_the_new_terms() -> None:
    account = fold(rests(), fill(300), asked(60, 1_500), outcome("done", 9))
    assert terms(account) == (60, 1_500, 1_200)
    assert order(account).amend == Amend("a1", Price(60 * CENT), Count(1_500), "done")


@pytest.mark.parametrize("word", ["rejected", "denied", "withdrawn", "absent"])
def test_refused_it_keeps_its_own(word: Any) -> None:
    account = fold(rests(), asked(60, 1_500), outcome(word))
    assert terms(account) == (50, 1_000, 1_000)
    assert dollars(account) == 5.0
    account = fold(account, asked(70, 1_000, "a2"))
    assert dollars(account) == 7.0, "and another one may come"


def test_what_was_filled_of_the_larger_one_is_no_end() -> None:
    account = fold(rests(), asked(50, 1_500), outcome("unknown"), fill(1_000))
    assert order(account).state == "resting"
    assert dollars(account) == 5.0 + 2.5, "five more may fill"
    account = fold(account, seen(50, 1_500, 1_000, 9))
    assert (terms(account), order(account).amend.state) == ((50, 1_500, 500), "done")  # type: ignore[union-attr]


def test_filled_up_under_its_own_terms_it_ends_once_the_amend_is_refused() -> None:
    account = fold(rests(), asked(50, 1_500), fill(1_000), outcome("rejected"))
    assert order(account).state == "executed"


def test_amended_down_to_what_is_filled_it_has_ended() -> None:
    account = fold(rests(), fill(400), asked(50, 600), fill(200, 2), outcome("done", 9))
    assert order(account).state == "executed"


def test_the_new_terms_in_a_sighting_settle_it() -> None:
    account = fold(rests(), asked(60, 1_000), outcome("unknown"), seen(50, 1_000, 0, 5))
    assert dollars(account) == 6.0, "the old ones prove nothing: it may still land"
    account = fold(account, seen(60, 1_000, 0, 7))
    assert (terms(account), dollars(account)) == ((60, 1_000, 1_000), 6.0)
    assert order(account).amend == Amend("a1", Price(60 * CENT), Count(1_000), "done")


def test_it_may_land_in_the_millisecond_of_what_was_seen_before() -> None:
    account = fold(rests(), seen(50, 1_000, 300, 5), asked(60, 1_500), outcome("unknown"))
    account = fold(account, seen(60, 1_500, 300, 5))
    assert terms(account) == (60, 1_500, 1_200)


def test_a_sighting_of_before_the_amend_comes_too_late() -> None:
    account = fold(rests(), asked(60, 1_500), outcome("done", 9), seen(50, 1_000, 0, 8))
    assert terms(account) == (60, 1_500, 1_500)
    assert terms(fold(account, seen(40, 1_500, 0, 10))) == (40, 1_500, 1_500)


def test_a_sighting_of_after_the_amend_was_faster_than_its_answer() -> None:
    account = fold(rests(), asked(60, 1_500), seen(40, 1_200, 0, 10), outcome("done", 9))
    assert terms(account) == (40, 1_200, 1_200), "somebody amended it once more meanwhile"


def test_one_amend_at_a_time() -> None:
    account = fold(rests(), asked(60, 1_000), asked(90, 9_000, "a2"))
    assert dollars(account) == 6.0
    assert order(account).amend == Amend("a1", Price(60 * CENT), Count(1_000), "intended")
    account = fold(account, outcome("done", 9, "a2"))
    assert terms(account) == (50, 1_000, 1_000), "what never left has no outcome"


def test_an_intent_that_comes_after_its_withdrawal_never_counts() -> None:
    account = fold(rests(), outcome("withdrawn"), asked(60, 1_000))
    assert dollars(account) == 5.0
    assert fold(account, asked(70, 1_000, "a2")).exposure(T) == 7 * DOLLAR


def test_an_order_that_has_ended_is_not_amended() -> None:
    account = fold(rests(), OrderCanceled("o1", "c1", Count(1_000), 5), asked(60, 2_000))
    assert (order(account).state, order(account).amend, dollars(account)) == ("canceled", None, 0)


def test_a_cancel_of_an_order_whose_count_is_in_doubt_promises_no_fills() -> None:
    account = fold(rests(), asked(50, 500), outcome("unknown"))
    account = fold(account, OrderCanceled("o1", "c1", Count(500), 9))
    assert (order(account).state, dollars(account)) == ("canceled", 0)


def test_an_order_that_somebody_amended_is_no_end_because_a_fill_was_told_first() -> None:
    """500 of 1,000 are filled; it is amended to 1,500 elsewhere; 500 more fill, and are told before
    the amend is."""
    account = fold(rests(), fill(500), fill(500, 2))
    assert order(account).state == "executed", "by all that is known"
    account = fold(account, seen(50, 1_500, 500, 7), seen(50, 1_500, 1_000, 8))
    assert (order(account).state, terms(account)) == ("resting", (50, 1_500, 500))
    assert dollars(account) == 5.0 + 2.5
    account = fold(account, seen(50, 1_500, 900, 6))
    assert order(account).state == "resting", "an older sighting changes nothing"


def test_and_it_may_be_canceled_by_the_time_it_is_seen() -> None:
    account = fold(rests(), fill(1_000))
    gone = replace(seen(50, 1_500, 1_000, 7), status="canceled", remaining=Count(0))
    assert order(fold(account, gone)).state == "canceled"


def test_what_was_executed_stays_so_whatever_an_old_listing_shows() -> None:
    account = fold(rests(), seen(50, 1_000, 1_000, 9), seen(50, 1_000, 400, 5))
    assert order(account).state == "executed"
    assert order(fold(account, seen(50, 1_000, 400, 12))).state == "executed", "it is no larger"


class Venue:
    """One order at the exchange, and what is told of it."""

    def __init__(self, side: Any) -> None:
        self.side = side
        self.cents, self.whole, self.filled, self.at = 50, 1_000, 0, 2
        self.told: list[AnyFact] = []  # on its way to the ledger, in any order

    def amend(self, cents: int, whole: int) -> None:
        if self.filled < min(whole, self.whole):
            self.cents, self.whole = cents, whole
            self._changed()

    def fill(self, size: int, number: int) -> None:
        size = min(size, self.whole - self.filled)
        if size > 0:
            self.filled += size
            self.told.append(fill(size, number, self.cents, self.side))
            self._changed()

    def _changed(self) -> None:
        self.at += 1
        self.told.append(seen(self.cents, self.whole, self.filled, self.at, self.side))

    @property
    def could_cost(self) -> int:
        paid = self.cents if self.side == "bid" else 100 - self.cents
        return paid * CENT * (self.whole - self.filled) // 100


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["amend", "fill", "tell", "tell", "lost"]),
        st.integers(0, 3), st.integers(1, 99), st.integers(1, 30).map(lambda n: n * 100),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["bid", "ask"]), STEPS, st.data())
def test_whatever_lands_and_whenever_it_is_told_never_more_than_what_counts(
    side: Any, steps: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    """Amends are told before they leave, and land, are refused, or are never answered; sightings,
    fills and answers come in any order, some never."""
    venue, account = Venue(side), rests(side)
    for number, (what, which, cents, size) in enumerate(steps):
        now = order(account)
        pending = now.amend is not None and now.amend.pending
        if what == "amend" and now.state == "resting" and not pending and size > now.filled:
            id = f"a{number}"
            fold(account, asked(cents, size, id))
            before = (venue.cents, venue.whole, venue.at)
            if which:
                venue.amend(cents, size)
            landed = (venue.cents, venue.whole, venue.at) != before
            word = "done" if landed else "rejected"
            venue.told.append(outcome("unknown" if which == 2 else word, venue.at, id))
        if what == "fill":
            venue.fill(size, number)
        if what in ("tell", "lost") and venue.told:
            chosen = data.draw(st.integers(0, len(venue.told) - 1))
            if what == "tell" or not isinstance(venue.told[chosen], OrderSeen):
                fold(account, venue.told.pop(chosen))
            else:
                del venue.told[chosen]
        assert account.exposure(T) >= venue.could_cost
        assert Account(account.state()).state() == account.state()
    for fact in venue.told:
        fold(account, fact)
    fold(account, seen(venue.cents, venue.whole, venue.filled, venue.at + 1, side))
    if order(account).state == "resting":
        assert terms(account) == (venue.cents, venue.whole, venue.whole - venue.filled)
    else:
        assert venue.filled == venue.whole
