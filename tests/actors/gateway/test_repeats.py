"""Letters that come twice, late, or under an id that was used before; and what must not starve."""

import json
from typing import Any

from actors.gateway.desk import CallAnswered
from protocol.envelope import Letter
from protocol.facts import OrderSeen
from protocol.kalshi.calls import ORDERS_PATH
from protocol.limits import (
    GATE_LEASE,
    MARKET_LOOK_MAX,
    RECONCILE_INTERVAL,
    RESOLVE_INTERVAL,
    SEARCH_INTERVAL,
    SECOND,
    SHARDS_MAX,
)
from protocol.machine import Asked, Elapsed, Heard
from protocol.messages import (
    CancelAnswer,
    CancelOrder,
    Halt,
    HaltAnswer,
    PlaceOrder,
    Resume,
    System,
)
from protocol.units import Count, Price
from tests.actors.gateway.scene import MARKET, Scene, order
from tests.actors.gateway.test_doubts import cancels, deletes
from tests.actors.gateway.test_orders import MADE, ROW, live, sent


def elsewhere(n: int) -> PlaceOrder:
    """An order in a market of its own."""
    return PlaceOrder(f"c{n}", f"KXM-{n}", "bid", Price(560_000), Count(100), "good_till_canceled")


def test_the_repeat_of_a_letter_that_was_refused_sends_nothing() -> None:
    scene = Scene().ready()
    scene.instead["/markets/KXA-1"] = None
    scene.ask(order(), "place")
    live(scene, MARKET_LOOK_MAX)
    assert scene.told.code == "market_not_read"
    scene.instead["/markets/KXA-1"] = {"market": MARKET}
    scene.fail(sent=True)  # the reading that nobody waits for any more
    scene.ask(order(), "place")
    scene.settle()
    assert sent(scene) == [], "its asker was told that nothing was sent"
    assert [a.code for a in scene.answers if hasattr(a, "code")] == ["market_not_read"] * 2
    scene.ask(order(), "another letter")
    scene.settle()
    assert sent(scene) == ["create"]


def test_the_same_id_from_another_life_is_another_letter() -> None:
    scene = Scene()
    scene.restore().pass_time(3 * SECOND).settle()
    scene.ask(order(), "place:c1:1")
    assert scene.told.code == "gate_closed"
    scene.beat()
    scene.feed(Asked(scene.at, (b"api",), Letter("api", 2, "place:c1:1", 0, order())))
    scene.settle()
    assert sent(scene) == ["create"]


def test_a_cancel_of_no_name_cancels_nobodys_order() -> None:
    scene = Scene(listing=[{**ROW, "client_order_id": ""}]).ready()
    for id in ("", " ", "a b", "c" * 65, "ö"):
        scene.ask(CancelOrder(id))
    assert [outcome for outcome, _ in cancels(scene)] == ["not_found"] * 5
    live(scene, SECOND)
    assert deletes(scene) == 0


def test_two_wishes_under_one_id_are_two_wishes() -> None:
    scene = Scene(halt="yesterday").ready()
    scene.ask(Resume("go"), "1")
    scene.save()
    scene.ask(Halt("stop"), "1")
    scene.save()
    told = [a.halted for a in scene.answers if isinstance(a, HaltAnswer)]
    assert told == [False, True]


def test_a_word_of_the_supervisor_that_lay_about_opens_no_gate() -> None:
    scene = Scene().ready()
    system = System(True, "open", 10_000, (), {}, {})
    said = scene.supervisor.seal("system", system, scene.at)
    scene.pass_time(2 * GATE_LEASE)
    scene.feed(Heard(scene.at, said))
    live_writer(scene)
    scene.ask(order())
    assert scene.told.code == "gate_closed"


def live_writer(scene: Scene) -> None:
    for envelope in scene.writer.marks(scene.now, scene.at, scene.n):
        scene.feed(Heard(scene.at, envelope))


def test_what_waited_while_the_host_slept_is_not_sent() -> None:
    scene = Scene().ready()
    for i in range(8):  # more than may be on the wire at once
        scene.ask(order(f"c{i}"))
    scene.acknowledge()
    before = len(sent(scene))
    scene.feed(Elapsed(scene.at + 3_600_000_000))  # the monotonic clock stood still
    while scene.calls:
        scene.reply(400, {"error": {"code": "late"}})
    scene.settle()
    assert len(sent(scene)) == before
    assert {a.code for a in scene.answers if hasattr(a, "code")} == {"late", "gate_closed"}


def test_a_flood_of_unread_markets_takes_no_place_of_an_order() -> None:
    scene = Scene().ready()
    scene.hush = True
    for n in range(1_200):
        scene.ask(elsewhere(n))
    scene.hush = False
    live(scene, MARKET_LOOK_MAX + SECOND)
    while scene.calls:
        scene.fail(sent=True)
    scene.ask(order("good"))
    scene.settle()
    assert sent(scene)[-1:] == ["create"]


def test_cancels_without_an_id_share_one_listing_and_starve_no_round() -> None:
    scene = Scene(listing=[]).ready()
    for i in range(200):
        scene.ask(CancelOrder(f"x{i}"))
    paths = [m.call for m in scene.made if m.call.path == "/portfolio/orders"]
    searches = [call for call in paths if call.lane == "cancel"]
    assert len(searches) == 1
    assert len(cancels(scene)) == 1, "the others came while it ran"
    live(scene, 2 * SEARCH_INTERVAL)
    assert {outcome for outcome, _ in cancels(scene)} == {"not_found"}
    assert len(cancels(scene)) == 200


def test_a_cancel_that_waited_for_its_order_goes_even_if_the_writer_is_silent() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.ask(CancelOrder("c1"))
    scene.pass_time(6 * SECOND)
    assert [outcome for outcome, _ in cancels(scene)] == ["unknown"]
    scene.reply(201, MADE)
    assert deletes(scene) == 1


def test_a_market_on_a_shard_beyond_all_bounds_is_left_to_the_exchange_to_route() -> None:
    scene = Scene(listing=[{**ROW, "client_order_id": "c1"}]).ready()
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, "exchange_index": SHARDS_MAX + 1}}
    scene.ask(order("c2"))
    scene.settle()
    [create] = [m.call for m in scene.made if m.call.path == ORDERS_PATH]
    assert create.shard == 0
    scene.ask(CancelOrder("c1"))
    assert deletes(scene) == 1


def test_more_missing_orders_than_a_listing_has_pages() -> None:
    """The stream was away, and a close of the market has canceled everything."""
    lost = 1_050
    seen = [
        OrderSeen(
            f"o{n}", f"k{n}", "KXA-1", "bid", Price(560_000), "resting", Count(100), Count(0),
            Count(100), 5,
        )
        for n in range(lost)
    ]  # fmt: skip
    scene = Scene()
    limits = {"refill_rate": 12_000, "bucket_capacity": 12_000}
    scene.instead["/account/limits"] = {"read": limits, "write": limits}
    answering = scene.shown

    def shown(call: Any) -> Any:
        if call.path.startswith("/portfolio/orders/"):
            id = call.path.rpartition("/")[2]
            return {"order": {**ROW, "order_id": id, "client_order_id": f"k{id[1:]}",
                              "status": "canceled", "remaining_count_fp": "0.00",
                              "initial_count_fp": "1.00"}}  # fmt: skip
        return answering(call)

    scene.shown = shown  # type: ignore[method-assign]
    scene.restore(*seen).pass_time(3 * SECOND)
    live(scene, 2 * RECONCILE_INTERVAL)
    account = scene.core.ledger.account  # type: ignore[attr-defined]
    assert not account.open_orders()
    assert account.reconciled_to > 0


def test_an_exchange_that_pauses_takes_no_orders_and_says_so() -> None:
    scene = Scene()
    scene.instead["/exchange/status"] = {"exchange_active": True, "trading_active": False}
    scene.ready()
    scene.ask(order())
    assert (scene.told.outcome, scene.told.code) == ("denied", "exchange_paused")
    assert "trading pauses" in scene.told.text
    scene.ask(CancelOrder("c1"))
    assert isinstance(scene.answers[-1], CancelAnswer), "cancels are looked after all the same"
    del scene.instead["/exchange/status"]
    live(scene, 4 * RESOLVE_INTERVAL)
    scene.ask(order("c2"))
    scene.settle()
    assert sent(scene) == ["create"]


def test_without_an_account_the_gateway_does_not_spin() -> None:
    scene = Scene()
    began, steps = scene.now, 0
    while scene.now < began + 10 * SECOND:
        deadline = scene.core.deadline()
        assert deadline is not None
        scene.now = max(deadline, scene.now)
        scene.feed(Elapsed(scene.at))
        steps += 1
    assert steps < 300


def test_an_answer_for_another_order_proves_nothing() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.reply(201, MADE)
    scene.listing = [ROW]
    live(scene, SECOND)
    scene.ask(CancelOrder("c1"))
    scene.reply(404, {"error": {"code": "not_found"}})
    other = {**ROW, "order_id": "o7", "status": "canceled", "remaining_count_fp": "0.00"}
    raw = json.dumps({"order": other}).encode()
    scene.feed(CallAnswered(scene.at, scene.calls.pop(0).id, 200, raw))
    assert cancels(scene) == []
