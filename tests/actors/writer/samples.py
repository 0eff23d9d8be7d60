"""Facts for the stories of the ledger."""

from actors.writer.batch import Wanted
from protocol.facts import (
    AnyFact,
    BalanceSeen,
    CashDiffers,
    Fill,
    MoneyMoved,
    OrderAccepted,
    OrderIntended,
    OrderSeen,
    PositionDiffers,
    Settled,
)
from protocol.units import Count, Money, Price

TICKER = "KXA-1"
PRICE_REFUSED = Price(2_000_000)  # two dollars: parsed, folded, and refused by the table


def intended(id: str = "c1", count: int = 1_000) -> OrderIntended:
    return OrderIntended(
        id, TICKER, "bid", Price(560_000), Count(count), "good_till_canceled", "hash"
    )


def accepted(id: str = "c1", order_id: str = "o1") -> OrderAccepted:
    return OrderAccepted(id, order_id, Count(0), Count(1_000))


def seen(
    order_id: str = "o1", client_order_id: str = "", updated_at: int = 1, price: int = 560_000
) -> OrderSeen:
    return OrderSeen(
        order_id, client_order_id, TICKER, "bid", Price(price), "resting", Count(1_000),
        Count(0), Count(1_000), updated_at,
    )  # fmt: skip


def fill(
    trade_id: str = "t1", count: int = 100, price: int = 560_000, order_id: str = "o1"
) -> Fill:
    return Fill(order_id, trade_id, TICKER, "bid", Price(price), Count(count), Money(100), True)


def balance(seen_at: int = 1, amount: int = 5_000_000) -> BalanceSeen:
    return BalanceSeen(0, Money(amount), seen_at)


def settled(revenue: int = 1_000_000, settled_at: int = 1) -> Settled:
    paid = Money(revenue)
    return Settled(TICKER, 0, "yes", Count(100), Count(0), paid, Money(0), settled_at)


def deposit(amount: int = 1_000_000) -> MoneyMoved:
    return MoneyMoved("deposit", "d1", Money(amount), 1)


def differs(cause: str = "unexplained") -> PositionDiffers:
    return PositionDiffers(
        TICKER, Count(0), Count(100), Money(560_000), cause, 1, 1
    )  # type: ignore[arg-type]  # fmt: skip


def cash_differs(cause: str = "opened", balance: int = 5_000_000) -> CashDiffers:
    return CashDiffers(Money(balance), Money(0), cause, 1, 1)  # type: ignore[arg-type]


def wanted(*facts: AnyFact) -> list[Wanted]:
    return [Wanted(fact, "test") for fact in facts]
