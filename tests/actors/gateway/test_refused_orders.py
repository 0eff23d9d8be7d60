"""Orders that make sense, and are refused for the state that they meet: one row for each reason
that there is, with the one error that it gets over HTTP, before the exchange sees a byte and before
anything is recorded."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from protocol.arming import Live
from protocol.brakes import NUMBERS
from protocol.facts import LedgerRestored, OrderAccepted, OrderUnknown
from protocol.limits import LANE_QUEUE_MAX, SECOND
from protocol.machine import Heard, Stopping
from protocol.messages import BookDelta, BookLost, BookStale, Panic, Resume, System
from protocol.units import Count, Money, Price
from tests.actors.gateway.braking import (
    BANDED,
    FRESH,
    Booked,
    accepted,
    fill,
    intent,
    limits,
    placed,
    ready,
    with_balances,
)
from tests.actors.gateway.braking import order as right
from tests.actors.gateway.scene import BLIND, MARKET, Scene
from tests.actors.gateway.test_orders import live
from tests.actors.gateway.wrong import ID, Refusal, body, intents, over_http, writes


def market(**row: Any) -> Scene:
    """The market is as this says."""
    scene = Scene()
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, **row}}
    return scene.ready()


class NoMarket(Scene):
    """The exchange answers 404 for a market, or what it is told to."""

    def __init__(self, status: int = 404, answer: Any = None) -> None:
        super().__init__()
        self.instead["/markets/KXA-1"] = None
        self.status, self.answer = status, answer or {"error": {"code": "not_found"}}
        self.ready()

    def pass_time(self, duration: int) -> Scene:
        while self.calls and self.calls[0].call.path == "/markets/KXA-1":
            self.reply(self.status, self.answer)
        return super().pass_time(duration)


def rests(id: str, side: Any, price: str, count: str = "10") -> tuple[Any, Any]:
    booked = intent(id, "KXA-1", side, price, count)
    return booked, OrderAccepted(id, f"x-{id}", Count(0), booked.count)


def before(scene: Scene, *ids: str, **terms: Any) -> Scene:
    """Orders have passed and rest."""
    for id in ids:
        assert placed(scene, right(id, **terms)) is None
        accepted(scene)
    return scene


def cash(shard: int, *balances: tuple[int, str]) -> Scene:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, "exchange_index": shard}}
    scene.instead["/portfolio/balance"] = with_balances(*balances)
    return scene.ready()


def book(said: Any = None, banded: bool = False, **levels: str) -> Scene:
    """A followed book, and what the stream said of it last."""
    scene = Booked(BANDED if banded else FRESH, **levels).settled_book()
    if said is not None:
        scene.say(said)
    return scene


class Unfollowed(Booked):
    """The stream does not follow the book."""

    def pass_time(self, duration: int) -> Scene:
        self.answer_books("not followed")
        return super().pass_time(duration)


def silent() -> Scene:
    """Nothing has been heard of the book for some seconds."""
    scene = book()
    for _ in range(4):
        scene.pass_time(SECOND).beat()
    return scene


def gate(word: str) -> Scene:
    scene = Scene().ready()
    return scene.beat(word)


def paused() -> Scene:
    scene = Scene()
    scene.instead["/exchange/status"] = {"exchange_active": True, "trading_active": False}
    return scene.ready()


def restored() -> Scene:
    """From a backup: ids may have been used in what it forgot."""
    scene = Scene()
    scene.restore(LedgerRestored("r1", 0, 5)).pass_time(3 * SECOND).beat()
    return scene.settle()


def held() -> Scene:
    """Somebody has pressed panic, and resumed."""
    scene = Scene().ready()
    scene.ask(Panic("fire"))
    live(scene, SECOND)
    scene.ask(Resume("false alarm"))
    scene.save()
    return scene


def behind() -> Scene:
    """The supervisor says that all is well, and of the ledger nothing is heard."""
    scene = Scene().ready()
    for _ in range(10):
        scene.pass_time(SECOND)
        system = System(True, "open", 10_000, ("test",), {}, {})
        scene.feed(Heard(scene.at, scene.supervisor.seal("system", system, scene.at)))
    return scene


def unread_limits() -> Scene:
    """The exchange has not said what the account may ask of it."""
    scene = Scene()
    scene.hush = True
    return scene.restore().pass_time(3 * SECOND).beat()


def stopping() -> Scene:
    scene = on_its_way()
    scene.feed(Stopping(scene.at))
    return scene


def unread_balance() -> Scene:
    """The balance is too old to refuse by, and the exchange does not answer."""
    scene = before(cash(0, (0, "1.0000")), "a", price="0.01", count="1")
    scene.beat().pass_time(6 * SECOND).beat()
    scene.hush = True
    return scene


def crowded() -> Scene:
    """As many orders as there is room for wait for a market that can't be read."""
    scene = Scene()
    scene.instead["/markets/KXA-1"] = None
    scene.ready()
    for i in range(LANE_QUEUE_MAX):
        scene.ask(right(f"n{i}"))
    return scene


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
        lambda: on_its_way(), {"price": "0.4900"}, (409, "order_id_taken", ID),
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


def on_its_way() -> Scene:
    """An order of this id waits for the writer."""
    scene = Scene().ready()
    scene.ask(right("wrong"))
    return scene


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
