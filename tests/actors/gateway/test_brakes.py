"""Each brake: it stops what goes beyond its limit, lets pass what reaches it, and says so."""

from msgspec.structs import replace

from actors.gateway.books import Books
from actors.gateway.brakes import Brakes
from actors.gateway.cash import Cash
from actors.gateway.desk import Desk
from actors.gateway.exposures import Exposures
from actors.gateway.markets import Markets
from actors.gateway.passes import digest_of
from protocol.brakes import WIDE
from protocol.envelope import Outbox
from protocol.facts import OrderAccepted, OrderCanceled, OrderUnknown
from protocol.limits import MS, SECOND
from protocol.messages import OrderAnswer, PlaceOrder
from protocol.units import Count, Money, Price, parse_money
from tests.actors.gateway.braking import (
    CENT,
    accepted,
    fill,
    intent,
    limits,
    order,
    placed,
    ready,
    refused,
)


def test_the_size_of_an_order() -> None:
    scene = ready(limits(order_count=Count(1_000)))
    assert refused(placed(scene, order("a", count="10.01"))) == ("order_count", "10.00", "10.01")
    assert scene.told.text == "order_count: the order 10.01, limit 10.00"
    assert scene.told.field == "count"
    assert placed(scene, order("b", count="10.00")) is None


def test_what_an_order_costs_on_either_side() -> None:
    scene = ready(limits(order_cost=Money(6_000_000)))
    code = ("order_cost", "6.0000")
    assert refused(placed(scene, order("a", "0.61"))) == (*code, "6.1000")
    assert refused(placed(scene, order("b", "0.39", side="ask"))) == (*code, "6.1000")
    assert placed(scene, order("c", "0.60")) is None
    accepted(scene)
    assert placed(scene, order("d", "0.61", side="ask")) is None, "it costs 3.90"


def test_what_a_market_can_lose_counts_what_is_held_rests_and_is_unknown() -> None:
    held = fill("KXA-1", "bid", "0.40", "10")  # 4 dollars
    rests = [
        intent("r", "KXA-1", "bid", "0.30", "10"),
        OrderAccepted("r", "x", Count(0), Count(1_000)),
    ]
    scene = ready(limits(market_exposure=Money(12_000_000)), held, *rests)
    assert refused(placed(scene, order("a", "0.51"))) == ("market_exposure", "12.0000", "12.1000")
    assert placed(scene, order("b", "0.50")) is None, "7 + 5 dollars"
    assert refused(placed(scene, order("c", "0.01", "1"))) == (
        "market_exposure", "12.0000", "12.0100",
    )  # fmt: skip
    assert placed(scene, order("d", "0.80", side="ask")) is None, "it can only make less of it"


def test_what_the_answer_says_is_filled_counts_before_the_fill_is_booked() -> None:
    filled = [
        intent("r", "KXA-2", "bid", "0.90", "10"),
        OrderAccepted("r", "x", Count(1_000), Count(0)),
    ]
    scene = ready(limits(account_exposure=Money(12_000_000)), *filled)
    assert refused(placed(scene, order("a", "0.31"))) == ("account_exposure", "12.0000", "12.1000")
    booked = fill("KXA-2", "bid", "0.90", "10")
    scene.told_by_stream(replace(booked, order_id="x", client_order_id="r"))
    assert refused(placed(scene, order("b", "0.31")))[2] == "12.1000", "no more than before"
    assert placed(scene, order("c", "0.30")) is None


def test_what_a_cancel_shows_to_be_filled_counts_before_the_fill_is_booked() -> None:
    rests = [
        intent("r", "KXA-2", "bid", "0.90", "10"),
        OrderAccepted("r", "x", Count(0), Count(1_000)),
    ]
    scene = ready(limits(account_exposure=Money(12_000_000)), *rests)
    scene.told_by_stream(OrderCanceled("x", "r", Count(400)))
    assert refused(placed(scene, order("a", "0.67"))) == ("account_exposure", "12.0000", "12.1000")


def test_what_is_unknown_counts_as_if_it_filled() -> None:
    lost = [intent("u", "KXA-2", "bid", "0.90", "10"), OrderUnknown("u", "silence")]
    scene = ready(limits(account_exposure=Money(12_000_000)), *lost)
    assert refused(placed(scene, order("a", "0.31"))) == ("account_exposure", "12.0000", "12.1000")
    assert placed(scene, order("b", "0.30")) is None


def test_what_an_event_can_lose_and_what_the_account_can() -> None:
    held = fill("KXA-2", "ask", "0.40", "10"), fill("KXB-1", "bid", "0.40", "10")  # 6 and 4
    both = limits(event_exposure=Money(11_000_000), account_exposure=Money(20_000_000))
    scene = ready(both, *held)
    assert refused(placed(scene, order("a", "0.51"))) == ("event_exposure", "11.0000", "11.1000")
    other = PlaceOrder("b", "KXB-1", "bid", Price(50 * CENT), Count(1_000), "good_till_canceled")
    assert placed(scene, other) is None, "another event: 9 dollars there, 15 in all"
    accepted(scene)
    assert placed(scene, order("c", "0.50")) is None, "11 dollars in its event, 20 in all"
    accepted(scene)
    more = replace(other, client_order_id="d", price=Price(CENT), count=Count(100))
    assert refused(placed(scene, more)) == ("account_exposure", "20.0000", "20.0100")


def test_an_order_that_makes_nothing_worse_passes_where_the_limit_is_overdrawn() -> None:
    scene = ready(limits(market_exposure=Money(1_000_000)), fill("KXA-1", "bid", "0.40", "10"))
    assert refused(placed(scene, order("a", "0.01", "1")))[0] == "market_exposure"
    assert placed(scene, order("b", "0.30", "10", side="ask")) is None


def test_orders_on_their_way_count_before_the_writer_knows_them() -> None:
    scene = ready(limits(market_exposure=Money(5_000_000)))
    scene.ask(order("a", "0.30"))
    scene.ask(order("b", "0.30"))
    assert refused(scene.told) == ("market_exposure", "5.0000", "6.0000")
    scene.settle()
    scene.pass_time(10 * MS)
    scene.reply(400, {"error": {"code": "invalid_order", "message": "no"}})
    scene.settle()
    assert placed(scene, order("c", "0.50")) is None, "what was refused counts no more"


def test_open_orders() -> None:
    rests = [
        intent("r", "KXB-1", "bid", "0.30", "1"),
        OrderAccepted("r", "x", Count(0), Count(100)),
    ]
    scene = ready(limits(open_orders=2), *rests)
    assert placed(scene, order("a")) is None
    assert refused(placed(scene, order("b"))) == ("open_orders", "2", "3")


def test_orders_a_second_counts_what_passed_not_what_was_refused() -> None:
    scene = ready(limits(orders_a_second=2, order_count=Count(1_000)))
    assert refused(placed(scene, order("big", count="11")))[0] == "order_count"
    assert placed(scene, order("a")) is None
    assert placed(scene, order("b")) is None
    assert refused(placed(scene, order("c"))) == ("orders_a_second", "2", "3")
    assert 0 < scene.told.retry_after_ms < 1_000
    scene.pass_time(scene.told.retry_after_ms * MS)
    assert placed(scene, order("d")) is None


def test_an_order_that_would_trade_with_one_of_ours() -> None:
    rests = [
        intent("r", "KXA-1", "ask", "0.60", "1"),
        OrderAccepted("r", "x", Count(0), Count(100)),
    ]
    scene = ready(limits(), *rests)
    assert refused(placed(scene, order("a", "0.60"))) == ("self_cross", "0.6000", "0.6000")
    assert scene.told.text == (
        "self_cross: a bid at 0.6000 would trade with an order of ours: an ask at 0.6000"
    )
    assert placed(scene, order("b", "0.59")) is None
    assert refused(placed(scene, order("c", "0.59", side="ask")))[0] == "self_cross", "on its way"
    assert placed(ready(limits(self_cross=False), *rests), order("d", "0.60")) is None


def test_the_same_order_again() -> None:
    scene = ready(limits(same_order_ms=2_000))
    assert placed(scene, order("a")) is None
    accepted(scene)
    code, limit, _ = refused(placed(scene, order("b")))
    assert (code, limit) == ("same_order", "2000")
    wait = scene.told.retry_after_ms
    assert 0 < wait <= 2_000
    assert placed(scene, order("c", count="11")) is None, "it is another one"
    scene.pass_time((wait - 100) * MS)
    assert refused(placed(scene, order("d")))[0] == "same_order"
    scene.beat().pass_time(101 * MS)
    assert placed(scene, order("e")) is None


def test_the_same_order_is_remembered_for_the_whole_window_at_any_rate() -> None:
    outbox = Outbox("gateway", 7)
    desk, exposures, now = Desk(outbox, 0), Exposures(), SECOND
    wide = limits(same_order_ms=60_000, orders_a_second=1_000)
    cash = Cash(desk, lambda now: None)
    brakes = Brakes(wide, Markets(desk), exposures, Books(outbox), cash)
    for i in range(30_000):
        now += MS
        other = replace(order(f"n{i}"), count=Count(100 + i))
        assert brakes.reserve(now, other) is None
        exposures.release(other.client_order_id)
    again = brakes.reserve(now + MS, replace(order("again"), count=Count(100)))
    assert again is not None, "30 s ago is within 60 s"
    assert (again.code, again.limit, again.value) == ("same_order", "60000", "30000")


# The second look


def test_what_passed_at_the_door_is_looked_at_once_more_before_the_signature() -> None:
    """Eight calls fill all places in flight; meanwhile a fill comes that nobody expected."""
    scene = ready(limits(market_exposure=Money(10_000_000)))
    for i in range(6):
        assert placed(scene, order(f"f{i}", "0.10", "1")) is None
    scene.answers.clear()
    scene.ask(order("late", "0.50"))
    scene.settle()
    scene.pass_time(10 * MS)
    assert [c.call.name for c in scene.calls] == ["create"] * 6, "it has found no place yet"
    scene.told_by_stream(fill("KXA-1", "bid", "0.60", "10"))
    accepted(scene)
    told = [a for a in scene.answers if isinstance(a, OrderAnswer) and a.client_order_id == "late"]
    assert refused(told[-1]) == ("market_exposure", "10.0000", "11.6000")
    booked = scene.core._desk.ledger.account.order("late")  # type: ignore[attr-defined]
    assert (booked.state, booked.reason.partition(":")[0]) == ("denied", "market_exposure")


def test_a_pass_goes_with_the_very_request() -> None:
    scene = ready(limits())
    assert placed(scene, order("a")) is None
    [made] = [m for m in scene.made if m.call.name == "create"]
    assert made.passed is not None
    assert made.passed.digest == digest_of(made.call)
    assert all(m.passed is None for m in scene.made if m.call.name != "create")


def test_the_wide_limits_are_a_trader_on_paper() -> None:
    assert (WIDE.price_band, WIDE.same_order_ms) == (1_000_000, 0)
    assert WIDE.fresh_book
    assert WIDE.account_exposure == parse_money("100000")
