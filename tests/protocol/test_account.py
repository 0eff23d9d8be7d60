"""The account as a fold: whatever order the facts come in, it ends in the same place."""

import itertools
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.facts import (
    AnyFact,
    BalanceSeen,
    Fill,
    LedgerRestored,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderIntended,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
    Reconciled,
    RestoreConfirmed,
    essence,
    is_money,
    natural_id,
)
from protocol.limits import ABSENCE_AFTER, US
from protocol.messages import Entry, Restored
from protocol.units import Count, Money, Price

T = "KXA-1"


def intended(id: str = "c1", count: int = 1_000) -> OrderIntended:
    return OrderIntended(id, T, "bid", Price(560_000), Count(count), "good_till_canceled", "hash")


def fill(trade: str, count: int, order_id: str = "o1", side: str = "bid", price: int = 560_000):
    return Fill(order_id, trade, T, side, Price(price), Count(count), Money(100), True)


def seen(status: str, filled: int, remaining: int, updated_at: int) -> OrderSeen:
    return OrderSeen(
        "o1", "c1", T, "bid", Price(560_000), status, Count(1_000), Count(filled),
        Count(remaining), updated_at,
    )  # fmt: skip


def fold(*facts: AnyFact) -> Account:
    account = Account()
    for n, fact in enumerate(facts, 1):
        account.apply(Entry(n, natural_id(fact), 1_000 + n, "test", fact))
    return account


def state(account: Account, id: str = "c1") -> tuple[str, int, int]:
    order = account.order(id)
    assert order is not None
    return order.state, order.filled, order.remaining


def test_an_order_from_intent_to_fill() -> None:
    account = fold(intended(), OrderAccepted("c1", "o1", Count(0), Count(1_000)), fill("t1", 400))
    assert state(account) == ("resting", 400, 600)
    [booked] = account.fills()
    assert (booked.client_order_id, booked.position) == ("c1", 400)
    account = fold(*[intended(), OrderAccepted("c1", "o1", Count(0), Count(1_000))])
    assert state(account) == ("resting", 0, 1_000)


def test_an_intent_alone_is_not_yet_anything() -> None:
    assert state(fold(intended())) == ("intended", 0, 1_000)
    assert state(fold(intended(), OrderUnknown("c1", "no answer"))) == ("unknown", 0, 1_000)


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        (OrderRejected("c1", 400, "invalid_price"), "rejected"),
        (OrderWithdrawn("c1", "no acknowledgement"), "withdrawn"),
        (OrderAbsent("c1", "two listings"), "absent"),
    ],
)
def test_an_order_that_never_was(verdict: AnyFact, word: str) -> None:
    assert state(fold(intended(), verdict)) == (word, 0, 0)


def test_what_the_exchange_shows_outweighs_what_we_concluded() -> None:
    account = fold(intended(), OrderAbsent("c1", "two listings"), seen("resting", 0, 1_000, 5))
    assert state(account) == ("resting", 0, 1_000)
    account = fold(intended(), seen("resting", 0, 1_000, 5), OrderAbsent("c1", "two listings"))
    assert state(account) == ("resting", 0, 1_000)


def test_a_stale_listing_does_not_wake_a_canceled_order() -> None:
    account = fold(
        intended(),
        OrderAccepted("c1", "o1", Count(0), Count(1_000)),
        OrderCanceled("o1", "c1", Count(1_000)),
        seen("resting", 0, 1_000, 5),
    )
    assert state(account) == ("canceled", 0, 0)


def test_a_late_fill_of_a_canceled_order_is_booked() -> None:
    account = fold(
        intended(),
        OrderAccepted("c1", "o1", Count(0), Count(1_000)),
        fill("t1", 300),
        OrderCanceled("o1", "c1", Count(700)),
        fill("t2", 200),
    )
    assert state(account) == ("canceled", 500, 0)
    assert account.positions()[0].position == 500


LIFE: list[AnyFact] = [
    OrderAccepted("c1", "o1", Count(0), Count(1_000)),
    fill("t1", 400),
    fill("t2", 600),
    seen("resting", 400, 600, 5),
    seen("executed", 1_000, 0, 6),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(LIFE)))))
def test_an_executed_order_ends_so_in_any_order_of_its_facts(order: tuple[int, ...]) -> None:
    account = fold(intended(), *(LIFE[i] for i in order))
    assert state(account) == ("executed", 1_000, 0)
    assert [o.client_order_id for o in account.orders()] == ["c1"]
    assert {f.client_order_id for f in account.fills()} == {"c1"}
    assert account.positions()[0].position == 1_000


def test_an_order_of_somebody_else_goes_by_the_exchange_s_id() -> None:
    other = OrderSeen("o9", "", T, "ask", Price(1), "resting", Count(5), Count(0), Count(5), 1)
    account = fold(other, fill("t1", 5, "o9", "ask"))
    [order] = account.orders()
    assert (order.client_order_id, order.order_id, order.state) == ("", "o9", "executed")


def test_a_fill_before_its_order_is_counted_once_both_are_known() -> None:
    account = fold(intended(), fill("t1", 400), seen("resting", 0, 1_000, 5))
    assert state(account) == ("resting", 400, 600)


def test_money_of_a_position_closed_at_a_profit() -> None:
    account = fold(fill("t1", 1_000, price=400_000), fill("t2", 400, side="ask", price=500_000))
    [position] = account.positions()
    assert (position.position, position.cost, position.realized) == (600, 2_400_000, 400_000)


def test_a_sale_through_zero_opens_the_other_side() -> None:
    account = fold(fill("t1", 100, price=400_000), fill("t2", 300, side="ask", price=500_000))
    [position] = account.positions()
    assert (position.position, position.cost, position.realized) == (-200, 1_000_000, 100_000)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 500), st.integers(0, 100)), max_size=30))
def test_cash_and_position_agree_with_the_plain_sum(
    trades: list[tuple[bool, int, int]],
) -> None:
    """What was paid, less what was realised, is what the open contracts cost: to the micro."""
    facts = [
        fill(f"t{i}", count, side="bid" if buys else "ask", price=cents * 10_000)
        for i, (buys, count, cents) in enumerate(trades)
    ]
    account = fold(*facts)
    held = sum(c if b else -c for b, c, _ in trades)
    spent = sum((c if b else -c) * p * 100 for b, c, p in trades)
    for position in account.positions():
        assert position.position == held
        collateral = max(0, -held) * 10_000
        assert position.cost - position.realized == spent + collateral


def test_a_snapshot_is_the_account() -> None:
    dice = random.Random(1)
    facts = [intended(f"c{i}") for i in range(20)] + LIFE[1:3] + [BalanceSeen(0, Money(5), 9)]
    dice.shuffle(facts)
    account = fold(*facts)
    again = Account(account.state())
    assert again.state() == account.state()
    rest = [OrderRejected(f"c{i}", 400, "x") for i in range(5, 9)]
    for n, fact in enumerate(rest, account.n + 1):
        entry = Entry(n, natural_id(fact), 1, "test", fact)
        assert account.apply(entry) == again.apply(entry)
    assert again.state() == account.state()


def test_a_hole_in_the_numbers_is_refused() -> None:
    account = fold(intended())
    with pytest.raises(RemoteProtocolError, match="entry 3 does not follow 1"):
        account.apply(Entry(3, "x", 0, "test", OrderUnknown("c1", "")))


def test_an_old_balance_does_not_replace_a_newer_one() -> None:
    account = fold(BalanceSeen(0, Money(7), 20), BalanceSeen(0, Money(5), 10))
    assert [b.balance for b in account.balances()] == [7]


def test_the_same_fill_from_the_stream_and_from_rest_is_one_fact() -> None:
    stream = Fill("o1", "t1", T, "bid", Price(5), Count(1), Money(1), True, 1_000, "c1")
    rest = Fill("o1", "t1", T, "bid", Price(5), Count(1), Money(1), True, 1_234)
    assert (natural_id(stream), essence(stream)) == (natural_id(rest), essence(rest))
    other = Fill("o1", "t1", T, "bid", Price(6), Count(1), Money(1), True, 1_234)
    assert natural_id(other) == natural_id(rest)
    assert essence(other) != essence(rest)


def test_an_order_seen_first_without_our_id_is_tied_to_it_later() -> None:
    nameless = seen("resting", 0, 1_000, 5)
    nameless = msgspec.structs.replace(nameless, client_order_id="")
    account = fold(intended(), OrderUnknown("c1", "?"), nameless, seen("resting", 0, 1_000, 6))
    assert state(account) == ("resting", 0, 1_000)
    assert len(account.orders()) == 1


def test_a_withdrawal_wins_over_the_intent_that_comes_late() -> None:
    account = fold(OrderWithdrawn("c1", "no acknowledgement"), intended())
    assert state(account) == ("withdrawn", 0, 0)
    early = fold(OrderWithdrawn("c1", "no acknowledgement"))
    assert Account(early.state()).state() == early.state()


READ = Reconciled(7, 1, 50 + ABSENCE_AFTER // US, 0, 0)
READ_EARLY = Reconciled(7, 0, 8 + ABSENCE_AFTER // US, 0, 0)  # a lost order may still land
SETTLES = 9 + ABSENCE_AFTER // US


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        ([], None),
        ([LedgerRestored("r1", 0, 9)], Restored("r1", 1, 0, False, SETTLES)),
        ([LedgerRestored("r1", 0, 9), READ_EARLY], Restored("r1", 1, 0, False, SETTLES)),
        ([READ, LedgerRestored("r1", 1, 9)], Restored("r1", 2, 1, False, SETTLES)),
        ([LedgerRestored("r1", 0, 9), READ], Restored("r1", 1, 0, True, SETTLES)),
        ([LedgerRestored("r1", 0, 9), READ, RestoreConfirmed("r0", "alice")],)
        + (Restored("r1", 1, 0, True, SETTLES),),
        ([LedgerRestored("r1", 0, 9), READ, RestoreConfirmed("r1", "alice")], None),
        (
            [LedgerRestored("r1", 0, 9), READ, LedgerRestored("r2", 2, 9)],
            Restored("r2", 3, 2, False, SETTLES),
        ),
        ([RestoreConfirmed("r1", "alice"), READ], None),
    ],
)
def test_a_restore_waits_for_reconciliation_and_for_its_own_confirmation(
    facts: list[AnyFact], waits: Restored | None
) -> None:
    account = fold(*facts)
    assert account.restored == waits
    again = Account(account.state())
    assert (again.restored, again.state()) == (waits, account.state())


def test_a_restore_means_nothing_for_orders_and_money() -> None:
    account = Account()
    facts: list[AnyFact] = [LedgerRestored("r1", 0, 9), RestoreConfirmed("r1", "alice")]
    for n, fact in enumerate(facts, 1):
        assert account.apply(Entry(n, natural_id(fact), 1, "test", fact)) == []
        assert not is_money(fact)
    assert [natural_id(fact) for fact in facts] == ["restored:r1", "restore-confirmed:r1"]


def test_whoever_confirms_a_restore_it_is_one_confirmation() -> None:
    assert essence(RestoreConfirmed("r1", "alice")) == essence(RestoreConfirmed("r1", "bob"))
    assert essence(LedgerRestored("r1", 1, 9)) != essence(LedgerRestored("r1", 2, 9))


def shown(price: int, filled: int, remaining: int, updated_at: int) -> OrderSeen:
    return OrderSeen(
        "o1", "c1", T, "bid", Price(price), "resting", Count(1_000), Count(filled),
        Count(remaining), updated_at, True,
    )  # fmt: skip


def test_an_order_that_somebody_amended_has_the_price_and_the_size_that_it_is_shown_with() -> None:
    before = (intended(), OrderAccepted("c1", "o1", Count(0), Count(1_000)))
    account = fold(*before, shown(600_000, 0, 1_500, 5))
    order = account.order("c1")
    assert order is not None
    assert (order.price, order.count, order.remaining) == (600_000, 1_500, 1_500)
    assert account.exposure(T) == 9_000_000
    late = fold(*before, shown(600_000, 0, 1_500, 5), shown(560_000, 0, 1_000, 4))
    assert late.order("c1") == replace(order, n=4), "an older sighting changes nothing"


def test_an_order_that_was_decreased_is_executed_by_what_is_left_of_it() -> None:
    account = fold(
        intended(), OrderAccepted("c1", "o1", Count(0), Count(1_000)),
        fill("t1", 300), shown(560_000, 300, 100, 5), fill("t2", 100),
    )  # fmt: skip
    order = account.order("c1")
    assert order is not None
    assert (order.state, order.count, order.filled, order.remaining) == ("executed", 400, 400, 0)
