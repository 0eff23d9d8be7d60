"""What people see of the account: ours, and what others do on it."""

import json
from typing import Any

from actors.api.asks import GetList, GetOrder, Page
from actors.api.listing import look_up
from actors.api.replies import AsOf
from protocol.account import Account
from protocol.facts import AnyFact, Fill, OrderIntended, OrderSeen
from protocol.messages import Entry
from protocol.units import Count, Money, Price

OURS = OrderIntended(
    "c1", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled", "hash"
)
TEN = (Count(1_000), Count(0), Count(1_000))


def seen(order_id: str, name: str) -> OrderSeen:
    return OrderSeen(order_id, name, "KXA-1", "bid", Price(560_000), "resting", *TEN, 5)


def fill(order_id: str) -> Fill:
    cost = (Price(560_000), Count(100), Money(0), True)
    return Fill(order_id, f"t-{order_id}", "KXA-1", "bid", *cost)


def account(*facts: AnyFact) -> Account:
    made = Account()
    for n, fact in enumerate(facts, 1):
        made.apply(Entry(n, f"e{n}", n, "test", fact))
    return made


def listed(of: Account, what: Any) -> dict[str, bool]:
    body = json.loads(look_up(1, GetList(what, Page()), of, AsOf(0), 0).body)
    return {row["order_id"]: row["external"] for row in body[what]}


def test_what_others_do_on_the_account_is_external() -> None:
    found = account(
        OURS, seen("o1", "c1"), seen("o2", "of another program"), seen("o3", ""),
        fill("o1"), fill("o2"), fill("o4"),
    )  # fmt: skip
    assert listed(found, "orders") == {"o1": False, "o2": True, "o3": True}
    assert listed(found, "fills") == {"o1": False, "o2": True, "o4": True}
    one = json.loads(look_up(1, GetOrder("c1"), found, AsOf(0), 0).body)
    assert one["order"]["external"] is False
