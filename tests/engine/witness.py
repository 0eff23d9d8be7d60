"""What the exchange itself knows: asked with the account's key, past our own engine."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import requests

from protocol.units import parse_count
from tests.engine.running import Engine
from tests.engine.test_orders import signed

ORDERS = "/portfolio/events/orders"
CHANGES = ("/amend", "/decrease")  # they name an order that is there
RESTS = {"price": "0.0100", "time_in_force": "good_till_canceled"}  # nobody sells at one cent


def tickers(engine: Engine) -> list[str]:
    """All markets that trade, the least busy first: there nothing disturbs."""
    found = requests.get(f"{engine.exchange}/trade-api/v2/markets?limit=100", timeout=5).json()
    return sorted(m["ticker"] for m in found["markets"] if m["status"] == "active")


def rows(engine: Engine, what: str, path: str) -> Iterator[Any]:
    """All rows of a listing, page by page."""
    cursor = ""
    while True:
        page = signed(engine, f"{path}?limit=200{f'&cursor={cursor}' if cursor else ''}")
        yield from page[what] or ()
        cursor = page.get("cursor") or ""
        if not cursor:
            return


def orders(engine: Engine) -> dict[str, Any]:
    """The account's orders, by client_order_id; those without one by order_id."""
    found = rows(engine, "orders", "/portfolio/orders")
    return {row.get("client_order_id") or row["order_id"]: row for row in found}


def positions(engine: Engine) -> dict[str, int]:
    """What is held of each market, in hundredths: + YES, - NO."""
    held = rows(engine, "market_positions", "/portfolio/positions")
    found = {row["ticker"]: int(parse_count(row["position_fp"])) for row in held}
    return {ticker: position for ticker, position in found.items() if position}


def sent_twice(engine: Engine) -> list[str]:
    """Ids under which more than one create has reached the exchange, alone or in a batch."""
    posted: Counter[str] = Counter()
    for request in engine.wire():
        if request["method"] == "POST" and not request["path"].endswith(CHANGES):
            alone = request["client_order_id"]
            posted.update([alone] if alone else request["client_order_ids"] or [])
    return sorted(id for id, times in posted.items() if times > 1)


def arm(engine: Engine, **fault: Any) -> None:
    """Let the next create go wrong; what was armed before is taken back."""
    engine.faults(calls=[{"method": "POST", "path": ORDERS, **fault}])


def state(engine: Engine, id: str) -> str:
    """An order's state in the ledger, as the front shows it; "" if it is not there."""
    answer = engine.get(f"/v1/orders/{id}")
    return str(answer.json()["order"]["state"]) if answer.status_code == 200 else ""
