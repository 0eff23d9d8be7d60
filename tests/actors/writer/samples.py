"""Facts for the stories of the ledger."""

from actors.writer.batch import Wanted
from protocol.facts import AnyFact, BalanceSeen, Fill, OrderAccepted, OrderIntended, OrderSeen
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


def wanted(*facts: AnyFact) -> list[Wanted]:
    return [Wanted(fact, "test") for fact in facts]
