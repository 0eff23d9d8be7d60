"""Money: whatever comes and goes, what the ledger expects is the cash there really is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.facts import (
    AnyFact,
    CashDiffers,
    Fill,
    MoneyMoved,
    PositionDiffers,
    Settled,
    is_money,
    natural_id,
)
from protocol.limits import (
    COUNT_MAX,
    MONEY_MAX,
    POSITIONS_DIFFER_MAX,
    SETTLEMENTS_KEPT,
)
from protocol.messages import AccountState, CashBase, Entry, Position
from protocol.units import CONTRACT, DOLLAR, Count, Money, Price

T = "KXA-1"


def take(account: Account, *facts: AnyFact) -> list[Any]:
    """Fold them. Returns what they meant."""
    return [
        meaning
        for fact in facts
        for meaning in account.apply(Entry(account.n + 1, natural_id(fact), 1, "test", fact))
    ]


def fill(trade: str, count: int, side: Any = "bid", price: int = 560_000, fee: int = 100) -> Fill:
    return Fill("o1", trade, T, side, Price(price), Count(count), Money(fee), True)


def settled(revenue: int, at: int = 1, fee: int = 0, ticker: str = T) -> Settled:
    return Settled(ticker, 0, "yes", Count(0), Count(0), Money(revenue), Money(fee), at)


def moved(amount: int, id: str = "d1") -> MoneyMoved:
    return MoneyMoved("deposit" if amount > 0 else "withdrawal", id, Money(amount), 1)


def differs(
    cause: Any, theirs: int, cost: int = 0, ticker: str = T, round: int = 1, ours: int = 0
) -> AnyFact:
    return PositionDiffers(ticker, Count(ours), Count(theirs), Money(cost), cause, 1, round)


def cash(cause: Any, balance: int, round: int = 1, expected: int = 0) -> CashDiffers:
    return CashDiffers(Money(balance), Money(expected), cause, 1, round)


# Settlements


def test_a_settled_market_paid_and_nothing_is_held_of_it_any_more() -> None:
    account = Account()
    take(account, fill("t1", 1_000))
    held = account.flows()
    [position] = take(account, settled(10 * DOLLAR, fee=30))
    assert position == Position(T, Count(0), Money(0), Money(4_400_000), Money(100), 2)
    assert account.flows() - held == 10 * DOLLAR, "its fees were paid with the fills"
    assert account.positions() == (position,)


def test_an_amended_settlement_pays_the_difference() -> None:
    account = Account()
    take(account, fill("t1", 1_000), settled(10 * DOLLAR, at=5, fee=30))
    paid = account.flows()
    [position] = take(account, settled(4 * DOLLAR, at=6, fee=10))
    assert (position.realized, position.fees) == (4 * DOLLAR - 5_600_000, 100)
    assert account.flows() - paid == -6 * DOLLAR


def test_whichever_settlement_is_told_first_the_last_one_counts() -> None:
    accounts = [Account(), Account()]
    both = [settled(10 * DOLLAR, at=5), settled(4 * DOLLAR, at=6)]
    take(accounts[0], fill("t1", 1_000), *both)
    take(accounts[1], fill("t1", 1_000), *reversed(both))
    assert take(accounts[1], settled(DOLLAR, at=4)) == []
    assert accounts[0].flows() == accounts[1].flows() == 4 * DOLLAR - 5_600_000 - 100


def test_a_fill_after_its_settlement_opens_a_position_for_somebody_to_find() -> None:
    account = Account()
    take(account, settled(10 * DOLLAR), fill("t1", 1_000))
    assert account.position(T).position == 1_000
    assert account.flows() == 10 * DOLLAR - 5_600_000 - 100, "and the money is right"


def test_settlements_are_kept_up_to_a_bound() -> None:
    account = Account()
    for i in range(SETTLEMENTS_KEPT + 1):
        take(account, settled(i, ticker=f"KXA-{i}"))
    assert len(account.state().settled) == SETTLEMENTS_KEPT * 9 // 10 + 1
    assert f"KXA-{SETTLEMENTS_KEPT}" in account.state().settled


# The base, and what is expected


def test_nothing_is_expected_before_there_is_a_base() -> None:
    account = Account()
    take(account, fill("t1", 1_000), moved(5), cash("unexplained", 7))
    assert (account.cash, account.expected_cash(), account.cash_differs) == (None, None, 7)


def test_the_first_balances_are_the_base_and_the_next_follow_from_it() -> None:
    account = Account()
    opened = cash("opened", 100 * DOLLAR, expected=-10 * 560_000 - 100 + 50)
    assert take(account, fill("t1", 1_000), moved(50), opened)[2:] == []
    assert account.cash == CashBase(Money(100 * DOLLAR), account.flows(), Money(50), 3)
    assert account.expected_cash() == 100 * DOLLAR
    take(account, moved(-20, "w1"), fill("t2", 500, "ask", 600_000))
    assert account.moved == 30
    assert account.expected_cash() == 103 * DOLLAR - 20 - 100
    take(account, settled(5 * DOLLAR, fee=10))
    assert account.expected_cash() == 108 * DOLLAR - 120


def test_unexplained_cash_is_remembered_until_somebody_accepts_it() -> None:
    account = Account()
    take(account, cash("opened", 100), cash("unexplained", 90, 2, expected=100))
    assert (account.expected_cash(), account.cash_differs) == (100, -10)
    take(account, cash("accepted", 91, 3, expected=100))
    assert (account.expected_cash(), account.cash_differs) == (91, None)


def test_what_is_booked_between_a_comparison_and_its_entry_counts_once() -> None:
    account = Account()
    opened = cash("opened", 100 * DOLLAR)  # compared before the fill that is booked first
    take(account, fill("t1", 1_000), opened)
    assert account.expected_cash() == 100 * DOLLAR - 10 * 560_000 - 100
    take(account, fill("t2", 300), differs("accepted", 400, DOLLAR, ours=1_000))
    assert account.position(T).position == 700
    take(account, fill("t3", 100, "bid", 300_000))
    rounded = cash("rounded", 93 * DOLLAR, 2, int(account.expected_cash() or 0) + 300_100)
    take(account, rounded)
    assert account.expected_cash() == 93 * DOLLAR - 300_100


def test_what_is_so_no_more_is_forgotten() -> None:
    account = Account()
    take(account, cash("opened", 100), cash("unexplained", 90, 2, expected=100))
    take(account, differs("unexplained", 400), cash("resolved", 100, 3, expected=100))
    assert (account.expected_cash(), account.cash_differs) == (100, None)
    assert take(account, differs("resolved", 0, round=2)) == []
    assert (account.differs, account.position(T).position) == ({}, 0)


@pytest.mark.parametrize("cause", ["opened", "accepted"])
def test_a_position_that_is_taken_over_moves_no_cash(cause: Any) -> None:
    account = Account()
    opened = cash("opened", 100 * DOLLAR, expected=-10 * 560_000 - 100)
    take(account, fill("t1", 1_000), opened)
    before = account.position(T)
    [position] = take(account, differs(cause, -400, 2 * DOLLAR, ours=1_000))
    assert position == Position(T, Count(-400), Money(2 * DOLLAR), before.realized, before.fees, 3)
    assert account.expected_cash() == 100 * DOLLAR
    take(account, fill("t2", 400, "bid", 300_000))
    assert account.expected_cash() == 100 * DOLLAR + 4 * 700_000 - 100


def test_an_unexplained_position_changes_nothing_and_is_remembered() -> None:
    account = Account()
    take(account, fill("t1", 1_000))
    before = account.position(T)
    assert take(account, differs("unexplained", 400, 9), differs("unexplained", 5, 9, "KXB")) == []
    assert account.position(T) == before
    assert account.differs == {T: (0, 400), "KXB": (0, 5)}
    take(account, fill("t2", 100), settled(5))
    assert T in account.differs, "no fact but somebody's word settles it"
    take(account, differs("accepted", 500, 9, round=2, ours=0))
    assert account.differs == {"KXB": (0, 5)}


def test_positions_that_differ_have_a_bound() -> None:
    account = Account(AccountState(0, differs=dict.fromkeys(map(str, range(POSITIONS_DIFFER_MAX)),
                                                            (Count(1), Count(2)))))  # fmt: skip
    take(account, differs("unexplained", 7, ticker="5"))
    with pytest.raises(RemoteProtocolError, match="more than 10000 positions differ"):
        take(account, differs("unexplained", 7))


@pytest.mark.parametrize(
    "fact",
    [
        moved(MONEY_MAX + 1), settled(-MONEY_MAX - 1), settled(0, fee=MONEY_MAX + 1),
        Settled(T, 0, "yes", Count(0), Count(COUNT_MAX + 1), Money(0), Money(0), 1),
        differs("unexplained", COUNT_MAX + 1), differs("opened", 0, MONEY_MAX + 1),
        cash("opened", MONEY_MAX + 1),
        CashDiffers(Money(0), Money(-MONEY_MAX - 1), "unexplained", 1, 1),
    ],
)  # fmt: skip
def test_an_amount_that_no_account_has_is_refused(fact: AnyFact) -> None:
    assert is_money(fact)
    with pytest.raises(RemoteProtocolError, match="beyond what the ledger takes"):
        take(Account(), fact)


# Against the plainest model of cash


class Purse(Struct):
    """Cash, and contracts of either side by market. A pair of them is worth a dollar at once."""

    cash: int = 0
    yes: dict[str, int] = {}
    no: dict[str, int] = {}
    paid: dict[str, tuple[int, int, int]] = {}  # at, revenue, fee: the last settlement

    def buy(self, ticker: str, side: str, price: int, count: int, fee: int) -> None:
        self.cash -= (price if side == "bid" else DOLLAR - price) * count // CONTRACT + fee
        of = self.yes if side == "bid" else self.no
        of[ticker] = of.get(ticker, 0) + count
        pairs = min(self.yes.get(ticker, 0), self.no.get(ticker, 0))
        if pairs:
            self.yes[ticker] -= pairs
            self.no[ticker] -= pairs
            self.cash += pairs * DOLLAR // CONTRACT

    def settle(self, ticker: str, at: int, revenue: int, fee: int) -> None:
        last = self.paid.get(ticker, (0, 0, 0))
        if at < last[0]:
            return
        self.yes[ticker] = self.no[ticker] = 0
        self.cash += revenue - last[1]  # the fees were paid with the fills
        self.paid[ticker] = (at, revenue, fee)


TICKERS = st.sampled_from([T, "KXB-2", "KXC-3"])
PRICES = st.integers(0, 10_000).map(lambda ticks: ticks * 100)
DEEDS = st.one_of(
    st.tuples(
        st.just("buy"), TICKERS, st.sampled_from(["bid", "ask"]), PRICES, st.integers(1, 5_000),
        st.integers(0, 10_000),
    ),
    st.tuples(
        st.just("settle"), TICKERS, st.integers(1, 4), st.integers(0, 10**8), st.integers(0, 99)
    ),
    st.tuples(st.just("move"), st.integers(-(10**8), 10**8)),
    st.tuples(st.just("take over"), TICKERS, st.integers(-500, 500), st.integers(0, 10**8)),
    st.tuples(st.just("base")),
    st.tuples(st.just("again")),
)  # fmt: skip


@given(st.lists(DEEDS, max_size=40))
def test_what_is_expected_is_the_cash_there_is(deeds: list[tuple[Any, ...]]) -> None:
    account, purse = Account(), Purse(10**12, yes={}, no={}, paid={})
    flows = based = 0
    for i, deed in enumerate(deeds):
        before = purse.cash
        match deed:
            case ("buy", ticker, side, price, count, fee):
                purse.buy(ticker, side, price, count, fee)
                trade = Fill(
                    "o", f"t{i}", ticker, side, Price(price), Count(count), Money(fee), True
                )
                take(account, trade)
                flows += purse.cash - before
            case ("settle", ticker, at, revenue, fee):
                if purse.paid.get(ticker, (0, 0, 0))[0] != at:  # else it is no new fact
                    purse.settle(ticker, at, revenue, fee)
                    take(account, settled(revenue, at, fee, ticker))
                    flows += purse.cash - before
            case ("move", amount):
                purse.cash += amount
                take(account, moved(amount, f"d{i}"))
            case ("take over", ticker, theirs, cost):
                cost = cost if theirs else 0
                flows -= cost - account.position(ticker).cost  # counted as paid; cash is as it was
                purse.yes[ticker], purse.no[ticker] = max(theirs, 0), max(-theirs, 0)
                ours = account.position(ticker).position
                take(account, differs("accepted", theirs, cost, ticker, i, ours))
            case ("base",):
                expected = account.expected_cash()
                booked = account.flows() + account.moved if expected is None else expected
                take(account, cash("opened", purse.cash, i, booked))
                based = 1
            case ("again",):
                account = Account(account.state())
        assert account.flows() == flows
        assert account.expected_cash() == (purse.cash if based else None)
        for ticker in (T, "KXB-2", "KXC-3"):
            held = purse.yes.get(ticker, 0) - purse.no.get(ticker, 0)
            assert account.position(ticker).position == held
    assert Account(account.state()).state() == account.state()
