"""Who goes next, who waits for whom, and what the lanes do when the exchange says no."""

from typing import Any

import pytest

from actors.gateway.allowance import READ, WRITE
from actors.gateway.budget import HOLD_MAX, HOLD_MIN
from actors.gateway.lanes import CANCEL_SLOTS, SLOW_SLOTS, Lanes, Place, Waiting
from protocol.errors import RemoteProtocolError
from protocol.kalshi import calls
from protocol.kalshi.answers import BucketLimits, CostsBody, EndpointCost, Grant, LimitsBody
from protocol.kalshi.calls import Call
from protocol.limits import (
    CALLERS_MAX,
    CALLS_IN_FLIGHT_MAX,
    JITTER,
    LANE_QUEUE_MAX,
    MS,
    SECOND,
    TOKENS_VALID,
)
from protocol.units import Count
from tests.actors.gateway.scene import order

ORDERS = "/trade-api/v2/portfolio/events/orders"
TABLE = CostsBody(
    10,
    (
        EndpointCost("DELETE", f"{ORDERS}/:order_id", 2),
        EndpointCost("DELETE", f"{ORDERS}/batched", 2),
        EndpointCost("GET", "/trade-api/v2/portfolio/orders/:order_id", 2),
        EndpointCost("GET", "/trade-api/v2/cfbenchmarks/*endpoint", 150),
    ),
)
LOOK_UP = calls.list_orders("cancel", status="resting")
CANCEL = calls.cancel("o1", "KXA-1")
DECREASE = calls.decrease("o1", "KXA-1", Count(300))
READ_CALL = calls.list_markets({})
NOW = 10 * SECOND


def limits(read: int, write: int, *grants: Grant, seconds: int = 2) -> LimitsBody:
    return LimitsBody(
        BucketLimits(read, read * seconds), BucketLimits(write, write * seconds), "x", grants
    )


def create(id: str = "c", shard: int = 0, items: int = 1) -> Call:
    made = calls.create(order(id), shard)
    return Call("create", "POST", made.path, "order", (), made.body, shard, items)


def lanes_at(now: int = NOW, told: LimitsBody | None = None, table: Any = TABLE) -> Lanes:
    """Lanes that have been up for long, and know costs and limits for sure."""
    lanes = Lanes(0)
    for _ in range(2):
        if table is not None:
            lanes.learn_costs(table)
        if told is not None:
            lanes.learn_limits(1, 0, told)
    assert lanes.go(now) == []
    return lanes


def keys(lanes: Lanes, now: int = NOW) -> list[str]:
    """What leaves now; the answers come at once."""
    gone: list[str] = []
    while leaving := lanes.go(now):
        gone += [waiting.key for id, waiting in leaving if lanes.back(id)]
    return gone


def empty(lanes: Lanes, budget: int, now: int = NOW) -> None:
    lanes.allowance.budgets[budget].bucket.drain(now)


# Order


def test_the_lanes_are_strictly_ordered() -> None:
    lanes = lanes_at()
    lanes.submit("audit", Call("a", "GET", "/x", "audit"))
    lanes.submit("read", READ_CALL)
    lanes.submit("order:1", create())
    lanes.submit("reconcile", calls.BALANCE)
    lanes.submit("decrease:1", DECREASE)
    lanes.submit("cancel:1", CANCEL)
    assert keys(lanes) == ["cancel:1", "decrease:1", "reconcile", "order:1", "read", "audit"]


def test_a_cancel_waits_behind_no_look_up() -> None:
    """The look-up of another cancel came first, and there is nothing to read with."""
    lanes = lanes_at()
    empty(lanes, READ)
    lanes.submit("cancel:unknown", LOOK_UP)
    lanes.submit("cancel:known", CANCEL)
    assert keys(lanes) == ["cancel:known"]


def test_one_shard_s_empty_budget_holds_up_no_other() -> None:
    lanes = lanes_at()
    empty(lanes, 1)
    lanes.submit("order:1", create("1", shard=1))
    lanes.submit("order:2", create("2", shard=2))
    lanes.submit("order:3", create("3"))
    assert keys(lanes) == ["order:2", "order:3"]
    lanes.submit("cancel:1", calls.cancel("o", "KXA-1", shard=1))
    assert keys(lanes, NOW + 21 * MS) == ["cancel:1"], "before the order that waits there"


def test_batches_draw_on_the_budget_of_all() -> None:
    lanes = lanes_at(told=limits(300, 300))
    empty(lanes, WRITE)
    lanes.submit("order:batch", create(shard=1, items=3))
    assert keys(lanes) == []


def test_who_waits_for_tokens_holds_up_those_behind() -> None:
    """A dear call would starve if cheap ones of the same budget passed it."""
    lanes = lanes_at(told=limits(300, 300))
    empty(lanes, READ)
    lanes.submit("reconcile", calls.BALANCE)
    lanes.submit("read", calls.get_order("o1", "read"))
    lanes.submit("order:1", create())
    assert keys(lanes, NOW + 10 * MS) == ["order:1"], "another budget"
    assert keys(lanes, NOW + 34 * MS) == ["reconcile"]


# Room


@pytest.mark.parametrize("call", [create(), DECREASE], ids=lambda call: call.name)
def test_neither_orders_nor_decreases_spend_what_is_kept_for_cancels(call: Call) -> None:
    lanes = lanes_at()
    for i in range(30):
        lanes.submit(f"{call.lane}:{i}", call)
    assert len(keys(lanes)) == 2, "74 tokens fit, 50 are kept"
    for i in range(20):
        lanes.submit(f"cancel:{i}", CANCEL)
    lanes.submit("cancel all", calls.CANCEL_ALL)
    assert len(keys(lanes)) == 21
    lanes.submit("cancel:1", CANCEL)
    assert keys(lanes) == ["cancel:1"], "what was left beside"
    assert lanes.allowance.counters(NOW)["reserve_lacks"] == 0


def test_the_reserve_follows_the_table() -> None:
    allowance = lanes_at(told=limits(300, 300)).allowance
    assert allowance.reserve == 10 + 20 * 2, "cancel-all is not listed: it costs the default"
    listed = CostsBody(10, (*TABLE.endpoint_costs, EndpointCost("DELETE", ORDERS, 2)))
    assert lanes_at(told=limits(300, 300), table=listed).allowance.reserve == 42


def test_a_small_bucket_keeps_what_leaves_room_for_an_order_and_says_so() -> None:
    lanes = lanes_at(table=None)  # before the table is read each cancel counts as 10
    counters = lanes.allowance.counters(NOW)
    assert counters["reserve_tokens"] + counters["reserve_lacks"] == 210
    assert counters["reserve_tokens"] == 64
    lanes.submit("order:1", create())
    assert keys(lanes) == ["order:1"]


def test_a_batch_is_admitted_whole_or_waits_whole() -> None:
    lanes = lanes_at(told=limits(300, 300))
    empty(lanes, WRITE)
    lanes.submit("order:batch", create(items=40))
    ready_at = lanes.deadline(NOW)
    assert ready_at is not None
    assert keys(lanes, ready_at - 1) == []
    assert keys(lanes, ready_at) == ["order:batch"]


def test_what_can_never_fit_is_refused_at_once() -> None:
    lanes = lanes_at()
    assert lanes.submit("order:1", create(items=3)) is Place.NEVER
    assert lanes.submit("order:1", create(items=2)) is Place.TAKEN
    assert lanes.submit("order:2", create(shard=65)) is Place.NEVER
    assert not Place.NEVER and not Place.FULL and Place.TAKEN


def test_each_lane_is_bounded() -> None:
    lanes = lanes_at()
    for i in range(LANE_QUEUE_MAX):
        assert lanes.submit(f"order:{i}", create()) is Place.TAKEN
    assert lanes.submit("order:x", create(shard=2)) is Place.FULL
    assert lanes.submit("cancel:x", CANCEL) is Place.TAKEN
    assert lanes.withdraw("order:7") and not lanes.withdraw("order:7")
    assert lanes.submit("order:x", create(shard=2)) is Place.TAKEN


def test_slow_reads_take_no_places_of_orders_and_orders_none_of_cancels() -> None:
    lanes = lanes_at(told=limits(4_800, 4_800))
    for _ in range(20):
        lanes.submit("read", READ_CALL)
        lanes.submit("reconcile", calls.BALANCE)
    assert len(lanes.go(NOW)) == SLOW_SLOTS
    for i in range(20):
        lanes.submit(f"order:{i}", create())
    assert len(lanes.go(NOW)) == CALLS_IN_FLIGHT_MAX - CANCEL_SLOTS - SLOW_SLOTS
    for _ in range(3):
        lanes.submit("cancel:unknown", LOOK_UP)
        lanes.submit("cancel:known", CANCEL)
    assert [w.key for _, w in lanes.go(NOW)] == ["cancel:unknown", "cancel:known"]
    assert lanes.deadline(NOW) is None, "only an answer makes room"


def test_reads_leave_a_place_to_reconciliation() -> None:
    lanes = lanes_at(told=limits(4_800, 4_800))
    for _ in range(20):
        lanes.submit("read", READ_CALL)
    assert len(lanes.go(NOW)) == SLOW_SLOTS - 1
    lanes.submit("reconcile", calls.BALANCE)
    assert [w.key for _, w in lanes.go(NOW)] == ["reconcile"]


def test_retry_after_is_the_moment_at_which_it_would_leave() -> None:
    lanes = lanes_at(told=limits(300, 300))
    empty(lanes, WRITE)
    for i in range(100):
        lanes.submit(f"order:{i}", create())
    wait = lanes.retry_after_ms(NOW, create())
    lanes.submit("order:last", create())
    now, gone = NOW, [""]
    while gone[-1] != "order:last":
        now = max(lanes.deadline(now) or 0, now)
        gone += keys(lanes, now)
    assert abs((now - NOW) // MS - wait) <= 1


# What is known of limits and costs


def test_up_at_the_second_reading_down_at_the_first() -> None:
    lanes = Lanes(0)
    holds = lambda: lanes.allowance.budgets[WRITE].bucket.holds  # noqa: E731
    low = holds()
    lanes.learn_limits(1, 0, limits(4_000, 4_000))
    assert (holds(), lanes.allowance.limits_sure) == (low, False)
    lanes.learn_limits(2, 0, limits(600, 600))
    assert (holds(), lanes.allowance.limits_sure) == (low, False), "another one: not sure"
    lanes.learn_limits(3, 0, limits(600, 600))
    assert (holds(), lanes.allowance.limits_sure) == (1_200 - 150 - 1, True)
    lanes.learn_limits(4, 0, limits(100, 100, seconds=1))
    assert (holds(), lanes.allowance.limits_sure) == (low, False)


def test_a_grant_that_ends_takes_its_tier_along() -> None:
    lanes, second = lanes_at(), 1_000_000
    grant = Grant("event_contract", "premier", 1_000)
    told = limits(1_000, 1_000, grant)
    for at in (100, 102):
        lanes.learn_limits(NOW, at * second, told)
    assert lanes.allowance.budgets[READ].bucket.holds == 1_749
    assert not lanes.expire(NOW, 994 * second)
    assert lanes.expire(NOW, 995 * second), "our clock may be 5 s late"
    assert lanes.allowance.budgets[READ].bucket.holds == 149
    for at in (996, 998, 1_000, 1_004):
        lanes.learn_limits(NOW, at * second, told)
        assert lanes.allowance.budgets[READ].bucket.holds == 149, "it may be over already"
        assert not lanes.expire(NOW, at * second)
    for at in (1_006, 1_008):
        lanes.learn_limits(NOW, at * second, limits(600, 600))
    assert lanes.allowance.budgets[READ].bucket.holds == 1_049


@pytest.mark.parametrize("wrong", [0, -1, 10**10])
def test_limits_that_can_t_be_ones(wrong: int) -> None:
    lanes = lanes_at()
    with pytest.raises(RemoteProtocolError, match="limits: write.refill_rate is"):
        lanes.learn_limits(NOW, 0, limits(1, wrong))


def test_costs_the_dearer_of_old_and_new_until_read_twice() -> None:
    lanes = Lanes(0)
    lanes.learn_costs(TABLE)
    assert (lanes.allowance.cost(CANCEL), lanes.allowance.costs_sure) == (10, False)
    lanes.learn_costs(CostsBody(10, TABLE.endpoint_costs[::-1]))  # the same rows
    assert (lanes.allowance.cost(CANCEL), lanes.allowance.costs_sure) == (2, True)
    lanes.submit("cancel:1", CANCEL)
    lanes.learn_costs(CostsBody(20, ()))
    assert lanes.wait_ms(0, "cancel", WRITE, 0) in range(200, 202), "what waits is priced anew"


def test_the_table_s_patterns() -> None:
    cost = lanes_at().allowance.cost
    assert cost(calls.get_order("0-1", "read")) == 2
    assert cost(calls.list_orders("read")) == 10
    assert cost(calls.CANCEL_ALL) == 10
    assert cost(Call("x", "DELETE", "/portfolio/events/orders/batched", "cancel", items=7)) == 14
    assert cost(Call("x", "GET", "/cfbenchmarks/a/b", "read")) == 150
    assert cost(Call("x", "GET", "/cfbenchmarks", "read")) == 10


@pytest.mark.parametrize(
    ("default", "cost", "named"),
    [(0, 1, "default_cost"), (10, -1, "GET /x"), (10, 10**9, "GET /x")],
)
def test_costs_that_can_t_be_ones(default: int, cost: int, named: str) -> None:
    lanes = lanes_at()
    with pytest.raises(RemoteProtocolError, match=f"costs: {named}"):
        lanes.learn_costs(CostsBody(default, (EndpointCost("GET", "/x", cost),)))
    assert lanes.allowance.cost(CANCEL) == 2


# After a 429


def refuse(lanes: Lanes, key: str, now: int) -> list[str]:
    """All that leaves is refused. Returns their keys."""
    gone = lanes.go(now)
    for id, waiting in gone:
        assert lanes.back(id) is waiting
        lanes.refused(now, waiting)
    return [waiting.key for _, waiting in gone]


def test_a_429_holds_creates_first_and_tries_with_one_alone() -> None:
    lanes = lanes_at(told=limits(300, 300))
    for i in range(20):
        lanes.submit(f"order:{i}", create())
    first = lanes.go(NOW)
    assert len(first) == 6
    told = [lanes.refused(NOW, w) for id, w in first if lanes.back(id)]
    assert told == ["write", "", "", "", "", ""], "one burst is one refusal"
    lanes.submit("cancel:1", CANCEL)
    assert keys(lanes, NOW + 7 * MS) == ["cancel:1"], "cancels go on, from an empty bucket"
    assert lanes.deadline(NOW + 8 * MS) == NOW + HOLD_MIN
    assert keys(lanes, NOW + HOLD_MIN - 1) == []
    [(id, probe)] = lanes.go(NOW + HOLD_MIN)
    assert lanes.go(NOW + HOLD_MIN + SECOND // 2) == []
    assert lanes.deadline(NOW + HOLD_MIN + SECOND // 2) is None, "its answer is waited for"
    lanes.back(id)
    assert lanes.refused(NOW + HOLD_MIN + SECOND // 2, probe) == "write"
    assert lanes.deadline(NOW + 2 * SECOND) == NOW + HOLD_MIN + SECOND // 2 + 2 * HOLD_MIN
    [(id, probe)] = lanes.go(NOW + 4 * SECOND)
    lanes.back(id)
    assert len(lanes.go(NOW + 4 * SECOND)) == 6, "it was not refused: as before"


@pytest.mark.parametrize("foreign", [50, 90, 100])
@pytest.mark.parametrize("rate", [100, 9_600])
def test_foreign_use_brings_less_than_one_429_a_second(foreign: int, rate: int) -> None:
    """Somebody else takes so many percent of the refill; we want all of it."""
    lanes = lanes_at(told=limits(rate, rate, seconds=1))
    refused, wanted, now = 0, 0, NOW
    level, at = rate * SECOND, NOW
    while now < NOW + 60 * SECOND:
        for _ in range(20 - wanted):
            lanes.submit("order:1", create())
        wanted = 20
        level = min(rate * SECOND, level + (now - at) * rate * (100 - foreign) // 100)
        at = now
        answers: list[tuple[int, Waiting, bool]] = []
        for id, waiting in lanes.go(now):
            fits = level >= waiting.cost * SECOND
            level -= waiting.cost * SECOND if fits else 0
            wanted -= 1
            answers.append((id, waiting, fits))
        now += 5 * MS
        for id, waiting, fits in answers:
            lanes.back(id)
            if not fits:
                refused += 1
                lanes.refused(now, waiting)
        if not answers:
            now = max(lanes.deadline(now) or now, now)
    assert 0 < refused <= 60


def test_cancels_are_tried_again_soon_even_when_refused_themselves() -> None:
    lanes = lanes_at()
    now, tries = NOW, 0
    while now < NOW + 10 * SECOND:
        lanes.submit("cancel:1", CANCEL)
        tries += len(refuse(lanes, "cancel:1", now))
        lanes.withdraw("cancel:1")
        now += 10 * MS
    assert 10 <= tries <= 13
    assert HOLD_MAX > SECOND


# Who spent it


def test_who_spent_what_is_counted_by_name_and_bounded() -> None:
    lanes = lanes_at(told=limits(9_600, 9_600))
    lanes.submit("order:1", create())
    lanes.submit("cancel:1", CANCEL)
    lanes.submit("cancel:2", LOOK_UP)
    lanes.submit("poll:limits", calls.LIMITS)
    lanes.wish("tokens:1", "program:bot", READ, 30)
    keys(lanes)
    counters = lanes.allowance.counters(NOW)
    spent = {k: v for k, v in counters.items() if k.startswith(("spent.", "calls."))}
    assert spent == {
        "spent.orders": 10, "calls.orders": 1, "spent.cancels": 12, "calls.cancels": 2,
        "spent.reads": 10, "calls.reads": 1, "spent.program:bot": 30, "calls.program:bot": 1,
    }  # fmt: skip
    for i in range(CALLERS_MAX + 10):
        lanes.wish(f"tokens:{i}", f"program:{i}", READ, 1)
    keys(lanes, NOW + TOKENS_VALID)
    assert len(lanes.allowance.spent) == CALLERS_MAX + 1
    assert lanes.allowance.spent["others"] == [14, 14]


# A former life


def test_what_a_former_life_has_lent_is_not_spent_twice() -> None:
    """All that was lent is spent at the last moment, with all that a new life has by then."""
    basic = LimitsBody(BucketLimits(200, 600), BucketLimits(100, 100), "basic")
    former = lanes_at(told=basic)
    for number in range(60):
        former.wish(f"p{number}", "program:p", READ, 10)
    assert former.go(NOW) == []
    lent = 10 * len(former.take_lent())
    born, end = NOW + 20 * MS, NOW + TOKENS_VALID
    lanes = Lanes(born)
    lanes.learn_costs(TABLE)
    lanes.learn_limits(born, 0, basic)
    for number in range(60):
        lanes.submit(f"r{number}", READ_CALL)
    spent = lent
    for now in range(end, end + JITTER, MS):  # then all of it arrives
        spent += 10 * len(keys(lanes, now))
    assert 500 < lent < spent <= 600


def test_a_start_is_no_slower_for_it() -> None:
    lanes = Lanes(NOW)
    for number in range(20):
        lanes.submit(f"r{number}", READ_CALL)
    gone = [now for now in range(NOW, NOW + SECOND, MS) for _ in keys(lanes, now)]
    assert len(gone) == 19  # of ten tokens each, 200 a second
