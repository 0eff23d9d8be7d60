"""An order is held against its market's rules before anything is recorded."""

from typing import Any

import pytest

from protocol.facts import OrderIntended
from protocol.limits import MARKET_FRESH, MARKET_KEPT, MARKET_LOOK_MAX, SECOND
from protocol.units import Price
from tests.actors.gateway.scene import MARKET, Scene, order
from tests.actors.gateway.test_orders import live, sent

TAPERED = [
    {"start": "0.0000", "end": "0.1000", "step": "0.0010"},
    {"start": "0.1000", "end": "0.9000", "step": "0.0100"},
    {"start": "0.9000", "end": "1.0000", "step": "0.0010"},
]
GONE = {"error": {"code": "not_found", "message": "not found"}}


def market(scene: Scene, **changed: Any) -> None:
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, **changed}}


def looked(scene: Scene) -> int:
    return sum(made.call.path == "/markets/KXA-1" for made in scene.made)


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"status": "closed"}, "market_not_open", "ticker"),
        ({"status": "inactive"}, "market_not_open", "ticker"),
        ({"close_time": "1970-01-01T00:00:01Z"}, "market_closed", "ticker"),
        ({"price_ranges": TAPERED}, "off_grid_price", "price"),
    ],
)
def test_a_wrong_order_leaves_no_trace(changed: Any, code: str, field: str) -> None:
    scene = Scene().ready()
    market(scene, **changed)
    scene.ask(order(price=Price(565_000)))
    assert (scene.told.outcome, scene.told.code, scene.told.field) == ("denied", code, field)
    assert (scene.appends, sent(scene)) == ([], [])


@pytest.mark.parametrize(
    ("price", "fits"),
    [(1_000, True), (99_000, True), (99_500, False), (101_000, False), (110_000, True),
     (560_000, True), (565_000, False), (901_000, True), (900_500, False)],
)  # fmt: skip
def test_the_grid_is_the_markets_own(price: int, fits: bool) -> None:
    scene = Scene().ready()
    market(scene, price_ranges=TAPERED)
    scene.ask(order(price=Price(price)))
    assert bool(scene.appends) is fits


def test_a_market_that_does_not_exist() -> None:
    scene = Scene().ready()
    scene.instead["/markets/KXA-1"] = None
    scene.ask(order())
    scene.reply(404, GONE)
    assert (scene.told.code, scene.told.field) == ("market_not_found", "ticker")
    scene.ask(order(), "again")
    assert scene.told.code == "market_not_found"
    assert looked(scene) == 1, "the answer is still fresh"


def test_rules_are_read_once_and_kept_for_a_while() -> None:
    scene = Scene().ready()
    scene.ask(order("c1"))
    scene.ask(order("c2"), "q2")
    assert looked(scene) == 1
    live(scene, MARKET_KEPT + 60 * SECOND)
    scene.ask(order("c3"), "q3")
    assert looked(scene) == 2


def test_a_refusal_rests_on_fresh_rules() -> None:
    """The grid has changed since it was read: what is off the old one may be on the new one."""
    scene = Scene().ready()
    scene.ask(order("c1"))
    live(scene, MARKET_FRESH + SECOND)
    market(scene, price_ranges=[{"start": "0.0000", "end": "1.0000", "step": "0.0050"}])
    scene.ask(order("c2", price=Price(565_000)), "q2")
    facts = [a.body.fact for a in scene.appends]  # type: ignore[union-attr]
    assert [f.client_order_id for f in facts if isinstance(f, OrderIntended)] == ["c2"]
    assert looked(scene) == 2


def test_a_market_that_can_not_be_read_in_time() -> None:
    scene = Scene().ready()
    scene.instead["/markets/KXA-1"] = None
    scene.ask(order())
    live(scene, MARKET_LOOK_MAX)
    assert (scene.told.outcome, scene.told.code) == ("denied", "market_not_read")
    scene.instead.clear()
    scene.fail(sent=True)
    scene.ask(order(), "again")
    assert sent(scene) == [], "nothing was recorded before: the id is as new"
    scene.acknowledge()
    assert sent(scene) == ["create"]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"market":{"ticker":"KXA-1"}}'])
def test_a_market_that_makes_no_sense_is_no_market(body: bytes) -> None:
    scene = Scene().ready()
    scene.instead["/markets/KXA-1"] = None
    scene.ask(order())
    scene.reply(200, body)
    assert (scene.told.outcome, scene.told.code) == ("denied", "market_not_read")


def test_an_order_names_its_shard() -> None:
    scene = Scene().ready()
    market(scene, exchange_index=2)
    scene.ask(order())
    scene.acknowledge()
    [create] = [made.call for made in scene.made if made.call.method == "POST"]
    assert create.shard == 2
    assert b'"exchange_index":2' in create.body
