"""Any fact about a few orders, for the properties of the ledger.

An exchange's id has one owner, as on the exchange; otherwise all may come in any order.
"""

from hypothesis import strategies as st

from protocol.facts import (
    AmendIntended,
    AmendOutcome,
    AnyFact,
    CashDiffers,
    Fill,
    MoneyMoved,
    OrderAbsent,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    OrderWithdrawn,
    PositionDiffers,
    Reconciled,
    Settled,
)
from protocol.units import Count, Money, Price
from tests.actors.writer.samples import TICKER, balance, intended

OWNERS = {"x": "a", "y": "b", "z": "c"}  # whose an order of the exchange is
OURS = st.sampled_from(sorted(OWNERS.values()))
THEIRS = st.sampled_from(sorted(OWNERS))
PRICES = st.integers(1, 9_999).map(lambda ticks: Price(ticks * 100))
FILLED = st.sampled_from([0, 100, 1_000]).map(Count)


def _named(order_id: str, named: bool) -> str:
    return OWNERS[order_id] if named else ""


def _accepted(order_id: str, filled: Count, remaining: int) -> OrderAccepted:
    return OrderAccepted(OWNERS[order_id], order_id, filled, Count(remaining))


def _seen(order_id: str, named: bool, status: str, filled: Count, at: int) -> OrderSeen:
    left = Count(1_000 - filled if status == "resting" else 0)
    return OrderSeen(
        order_id, _named(order_id, named), TICKER, "bid", Price(560_000), status,
        Count(1_000), filled, left, at,
    )  # type: ignore[arg-type]  # fmt: skip


def _canceled(order_id: str, named: bool, at: int) -> OrderCanceled:
    return OrderCanceled(order_id, _named(order_id, named), Count(5), at)


def _fill(
    order_id: str, trade: str, ticker: str, side: str, price: Price, count: int, named: bool
) -> Fill:
    return Fill(
        order_id, trade, ticker, side, price, Count(count), Money(count // 3), named, 0,
        _named(order_id, named),
    )  # type: ignore[arg-type]  # fmt: skip


FILLS = st.builds(
    _fill, THEIRS, st.sampled_from("12345678"), st.sampled_from([TICKER, "KXB-2"]),
    st.sampled_from(["bid", "ask"]), PRICES, st.integers(1, 100_000), st.booleans(),
)  # fmt: skip
TICKERS = st.sampled_from([TICKER, "KXB-2"])
AMOUNTS = st.integers(-(10**9), 10**9).map(Money)
COUNTS = st.integers(-2_000, 2_000).map(Count)
CAUSES = st.sampled_from(["opened", "unexplained", "accepted", "resolved"])
SETTLED = st.builds(
    Settled, TICKERS, st.just(0), st.sampled_from(["yes", "no", "scalar"]), COUNTS, COUNTS,
    AMOUNTS, st.integers(0, 10**6).map(Money), st.integers(1, 3),
)  # fmt: skip
MOVED = st.builds(
    MoneyMoved, st.sampled_from(["deposit", "withdrawal"]), st.sampled_from("12345"), AMOUNTS,
    st.integers(1, 3),
)  # fmt: skip
DIFFERS: st.SearchStrategy[AnyFact] = st.one_of(
    st.builds(
        PositionDiffers, TICKERS, COUNTS, COUNTS, AMOUNTS, CAUSES, st.just(1), st.integers(1, 9)
    ),
    st.builds(CashDiffers, AMOUNTS, AMOUNTS, CAUSES, st.just(1), st.integers(1, 9)),
)
ANY_FACT: st.SearchStrategy[AnyFact] = st.one_of(
    st.builds(intended, OURS, st.sampled_from([1_000, 2_000])),
    st.builds(_accepted, THEIRS, FILLED, st.sampled_from([0, 900])),
    st.builds(
        _seen, THEIRS, st.booleans(), st.sampled_from(["resting", "canceled", "executed"]),
        FILLED, st.integers(1, 3),
    ),
    FILLS,
    st.builds(_canceled, THEIRS, st.booleans(), st.integers(0, 1)),
    st.builds(OrderUnknown, OURS, st.just("no answer")),
    st.builds(OrderAbsent, OURS, st.just("two listings")),
    st.builds(OrderDenied, OURS, st.just("gate")),
    st.builds(OrderWithdrawn, OURS, st.just("late")),
    st.builds(OrderRejected, OURS, st.just(400), st.just("bad")),
    st.builds(
        AmendIntended, OURS, st.sampled_from(["m1", "m2"]), PRICES,
        st.sampled_from([500, 1_500]).map(Count),
    ),
    st.builds(
        AmendOutcome, OURS, st.sampled_from(["m1", "m2"]),
        st.sampled_from(["done", "rejected", "denied", "withdrawn", "unknown", "absent"]),
        st.just(""), st.sampled_from([0, 2_000]),
    ),
    st.builds(balance, st.integers(1, 5), st.integers(-(10**9), 10**9)),
    st.builds(Reconciled, st.just(1), st.integers(1, 3), st.just(5), st.just(0), st.just(0)),
    SETTLED,
    MOVED,
    DIFFERS,
)  # fmt: skip
BATCHES = st.lists(st.lists(ANY_FACT, min_size=1, max_size=8), min_size=1, max_size=5)
