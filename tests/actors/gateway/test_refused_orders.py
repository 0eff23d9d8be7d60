"""Orders that make sense, and are refused for the state that they meet: one row for each reason
that there is, with the one error that it gets over HTTP, before the exchange sees a byte and before
anything is recorded."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from protocol.arming import Live
from protocol.brakes import NUMBERS
from protocol.facts import OrderUnknown
from protocol.messages import BookDelta, BookLost, BookStale
from protocol.units import Count, Money, Price
from tests.actors.gateway.braking import (
    FRESH,
    Booked,
    fill,
    intent,
    limits,
    ready,
)
from tests.actors.gateway.scene import Scene
from tests.actors.gateway.troubled import (
    NoMarket,
    Unfollowed,
    before,
    behind,
    book,
    cash,
    crowded,
    gate,
    held,
    market,
    on_its_way,
    paused,
    restored,
    rests,
    silent,
    stopping,
    unread_balance,
    unread_limits,
)  # fmt: skip
from tests.actors.gateway.wrong import ID, Refusal, body, intents, over_http, writes

GATEWAY: Final = Path(__file__).parents[3] / "actors" / "gateway"
DOLLARS: Final = Money(1_000_000)
OVER: Final[dict[str, tuple[Callable[[], Scene], dict[str, Any], Refusal]]] = {
    # The market
    "off the grid": (market, {"price": "0.5050"}, (422, "off_grid_price", "price")),
    "finer than any grid": (market, {"price": "0.500001"}, (422, "off_grid_price", "price")),
    "off a finer grid": (
        lambda: market(price_ranges=[{"start": "0.0000", "end": "1.0000", "step": "0.0050"}]),
        {"price": "0.5010"},
        (422, "off_grid_price", "price"),
    ),
    "settled": (lambda: market(status="finalized"), {}, (422, "market_not_open", "ticker")),
    "paused": (lambda: market(status="inactive"), {}, (422, "market_not_open", "ticker")),
    "a status of tomorrow": (lambda: market(status="new"), {}, (422, "market_not_open", "ticker")),
    "closed": (
        lambda: market(close_time="1970-01-01T00:00:01Z"),
        {},
        (422, "market_closed", "ticker"),
    ),
    "unknown market": (NoMarket, {}, (422, "market_not_found", "ticker")),
    "a market that can't be read": (
        lambda: NoMarket(500, b"<html>"),
        {},
        (503, "market_not_read", "ticker"),
    ),
    "half a market": (
        lambda: NoMarket(200, {"market": {"ticker": "KXA-1"}}),
        {},
        (503, "market_not_read", "ticker"),
    ),
    # Too much
    "size": (
        lambda: ready(limits(order_count=Count(999))), {}, (422, "order_count", "count"),
    ),
    "cost": (
        lambda: ready(limits(order_cost=Money(4_999_999))), {}, (422, "order_cost", "count"),
    ),
    "cost of an ask": (
        lambda: ready(limits(order_cost=Money(5_000_000))),
        {"side": "ask", "price": "0.4900"},
        (422, "order_cost", "count"),
    ),
    "market exposure": (
        lambda: ready(limits(market_exposure=Money(8 * DOLLARS)), *rests("r", "bid", "0.4000")),
        {},
        (422, "market_exposure", "count"),
    ),
    "event exposure": (
        lambda: ready(
            limits(event_exposure=Money(8 * DOLLARS)), fill("KXA-2", "bid", "0.40", "10")
        ),
        {},
        (422, "event_exposure", "count"),
    ),
    "account exposure": (
        lambda: ready(
            limits(account_exposure=Money(8 * DOLLARS)), fill("KXB-1", "bid", "0.40", "10")
        ),
        {},
        (422, "account_exposure", "count"),
    ),
    "open orders": (
        lambda: ready(limits(open_orders=1), *rests("r", "bid", "0.4000")),
        {},
        (422, "open_orders", ""),
    ),
    "no limit left at all": (
        lambda: ready(limits(open_orders=0)), {}, (422, "open_orders", ""),
    ),
    # Too often, twice
    "too often": (
        lambda: before(ready(limits(orders_a_second=2)), "a", "b", price="0.4"),
        {},
        (503, "orders_a_second", ""),
    ),
    "the same terms": (
        lambda: before(ready(limits(same_order_ms=2_000)), "a"), {}, (422, "same_order", ""),
    ),
    **{
        f"the same id, another {field}": (
            lambda: before(ready(limits()), "wrong"), {field: value}, (409, "order_id_taken", ID),
        )
        for field, value in {
            "price": "0.4900", "count": "10.01", "side": "ask", "ticker": "KXA-2",
            "time_in_force": "immediate_or_cancel", "post_only": True,
        }.items()
    },
    "the same id, on its way": (
        on_its_way, {"price": "0.4900"}, (409, "order_id_taken", ID),
    ),
    "an id that may have been used": (restored, {}, (503, "restore_unconfirmed", ID)),
    # Against ourselves, against the book
    "self-crossing bid": (
        lambda: ready(limits(), *rests("r", "ask", "0.5000")), {}, (422, "self_cross", "price"),
    ),
    "self-crossing ask": (
        lambda: ready(limits(), *rests("r", "bid", "0.5000")),
        {"side": "ask"},
        (422, "self_cross", "price"),
    ),
    "stale book": (
        lambda: book(BookStale("KXA-1", "late")), {}, (503, "book_not_live", "ticker"),
    ),
    "lost book": (lambda: book(BookLost("KXA-1", "gap")), {}, (503, "book_not_live", "ticker")),
    "crossed book": (
        lambda: book(BookDelta("KXA-1", "no", Price(500_000), Count(100))),
        {},
        (503, "book_not_live", "ticker"),
    ),
    "silent stream": (silent, {}, (503, "book_not_live", "ticker")),
    "no book": (lambda: Unfollowed(FRESH), {}, (503, "book_not_live", "ticker")),
    "a book that does not come": (lambda: Booked(FRESH), {}, (503, "book_not_live", "ticker")),
    "beyond the band, bid": (
        lambda: book(banded=True), {"price": "0.6100"}, (422, "price_band", "price"),
    ),
    "beyond the band, ask": (
        lambda: book(banded=True),
        {"side": "ask", "price": "0.4400"},
        (422, "price_band", "price"),
    ),
    # Cash
    "too dear": (lambda: cash(0, (0, "4.9999")), {}, (422, "not_enough_cash", "count")),
    "wrong shard": (
        lambda: cash(2, (0, "90.0000"), (2, "4.9999")), {}, (422, "wrong_shard", "ticker"),
    ),
    "a shard without cash": (
        lambda: cash(3, (0, "90.0000")), {}, (422, "wrong_shard", "ticker"),
    ),
    "a balance that can't be read": (unread_balance, {}, (503, "balance_not_read", "")),
    # Not now
    "halted": (lambda: Scene(halt="fire").ready(), {}, (503, "halted", "")),
    "gate closed": (lambda: gate("closed"), {}, (503, "gate_closed", "")),
    "exchange pauses": (paused, {}, (503, "exchange_paused", "")),
    "disarmed": (
        lambda: Scene(live=Live("not armed")).ready(), {}, (503, "disarmed", ""),
    ),
    "held after a cancel-all": (
        held,
        {},
        (503, "cancel_all_hold", ""),
    ),
    "nothing heard of the ledger": (behind, {}, (503, "account_stale", "")),
    "nothing read yet": (unread_limits, {}, (503, "rest_not_ready", "")),
    "stopping": (stopping, {ID: "wrong-2"}, (503, "stopping", "")),
    "beside an unknown order": (
        lambda: ready(
            limits(), intent("u", "KXA-1", "bid", "0.40", "10"), OrderUnknown("u", "silence")
        ),
        {},
        (503, "unresolved_order", "ticker"),
    ),
    "crowded": (crowded, {}, (503, "busy", "")),
}  # fmt: skip


@pytest.mark.parametrize("name", OVER)
def test_what_is_wrong_in_the_state_that_it_meets(name: str) -> None:
    make, change, want = OVER[name]
    scene = make()
    seen, known = writes(scene), intents(scene)
    assert over_http(scene, body(**change)) == want
    assert b'"client_order_id":"wrong' not in b"".join(writes(scene)[len(seen) :])
    assert intents(scene) == known, "it is on record"


def given() -> Iterator[str]:
    """Each code that can be given before an intent is on record."""
    for name in ("door", "brakes", "cash", "markets", "core", "halt", "arming"):
        for node in ast.walk(ast.parse((GATEWAY / f"{name}.py").read_text())):
            first: ast.expr | None = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                first = node.args[0] if node.func.id == "Flaw" and node.args else None
            if isinstance(node, ast.Return) and node.value is not None:
                for part in ast.walk(node.value):  # code, text, and when it is worth another try
                    if isinstance(part, ast.Tuple) and len(part.elts) == 3:
                        first = part.elts[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)
    yield from set(NUMBERS) - {"same_order_ms", "price_band"}


def test_there_is_a_row_for_each_code() -> None:
    assert {code for _, _, (_, code, _) in OVER.values()} == {*given(), "order_id_taken"}
