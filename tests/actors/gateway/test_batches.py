"""Batches of orders: one call, each member by itself, matched by name and never by place."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.gateway.desk import CallFailed, MakeCall
from protocol.brakes import UNSAID, Brakes, Limits
from protocol.facts import (
    OrderIntended,
)
from protocol.kalshi import answers
from protocol.kalshi.answers import LimitsBody
from protocol.limits import (
    BATCH_MAX,
    BATCHES_MAX,
    INTENT_ACK_MAX,
    MARKET_LOOK_MAX,
    MS,
    QUEUED_MAX,
    SECOND,
)
from protocol.messages import (
    BatchAnswer,
    CancelAnswer,
    CancelOrder,
    Halt,
    OrderAnswer,
    PlaceBatch,
    TightenBrakes,
)
from protocol.units import Count, Price, parse_count
from tests.actors.gateway.scene import BLIND, LIMITS, MARKET, Scene, order

PATH = "/portfolio/events/orders/batched"
REFUSED = {"code": "insufficient_balance", "message": "insufficient balance"}
SMALL = {name: {"refill_rate": 100, "bucket_capacity": 300} for name in ("read", "write")}


def batch(*ids: str, **terms: Any) -> PlaceBatch:
    return PlaceBatch(tuple(order(id, **terms) for id in ids))


def ready(limits: Limits = BLIND, **instead: Any) -> Scene:
    scene = Scene(limits=limits)
    for ticker in ("KXA-2", "KXB-1"):
        scene.instead[f"/markets/{ticker}"] = {"market": {**MARKET, "ticker": ticker}}
    scene.instead |= instead
    scene.restore().pass_time(3 * SECOND).beat()
    return scene.settle()


def sent(scene: Scene) -> list[list[str]]:
    """The ids in each create that left, a batch or not."""
    found = []
    for made in scene.made:
        if made.call.method == "POST":
            body = json.loads(made.call.body)
            found.append([row["client_order_id"] for row in body.get("orders", [body])])
    return found


def row(id: str, count: str = "10.00", **other: Any) -> dict[str, Any]:
    """What the exchange says of an order that rests."""
    return {
        "order_id": f"o-{id}", "client_order_id": id, "fill_count": "0.00",
        "remaining_count": count, "ts_ms": 5,
    } | other  # fmt: skip


def failed(id: str, **error: Any) -> dict[str, Any]:
    nothing = {"fill_count": None, "remaining_count": None, "ts_ms": None}
    return {"client_order_id": id, **nothing, "error": REFUSED | error}


def said(scene: Scene) -> dict[str, str]:
    """What the last batch was told of each of its orders."""
    found = scene.answers[-1]
    assert isinstance(found, BatchAnswer), found
    assert not found.code, found
    return {a.client_order_id: a.outcome for a in found.answers}


def states(scene: Scene) -> dict[str, str]:
    """By the ledger."""
    account: Any = scene.core.ledger.account  # type: ignore[attr-defined]
    return {o.client_order_id: o.state for o in account.orders()}


def on_the_wire(*ids: str) -> Scene:
    scene = ready()
    scene.ask(batch(*ids))
    scene.settle()
    assert sent(scene) == [list(ids)]
    return scene


def answered(scene: Scene, *rows: Any, status: int = 201) -> Scene:
    scene.reply(status, {"orders": list(rows)})
    return scene.settle()


# The way out


def test_each_is_recorded_and_all_leave_in_one_call() -> None:
    scene = ready()
    scene.ask(batch("a", "b", "c"))
    assert sent(scene) == []
    facts = [letter.body.fact for letter in scene.appends]
    assert [type(fact) for fact in facts] == [OrderIntended] * 3
    scene.acknowledge()
    [made] = [m for m in scene.made if m.call.method == "POST"]
    assert (made.call.path, made.call.items) == (PATH, 3)
    assert made.passed is not None
    assert made.passed.covers(made.call)
    assert scene.answers == []
    answered(scene, row("a"), row("b"), row("c"))
    assert said(scene) == {"a": "accepted", "b": "accepted", "c": "accepted"}
    assert states(scene) == {"a": "resting", "b": "resting", "c": "resting"}


def test_it_leaves_once_the_last_one_is_recorded() -> None:
    scene = ready()
    scene.ask(batch("a", "b"))
    first, second = scene.appends
    scene.appends = [first]
    scene.acknowledge()
    scene.pass_time(SECOND)
    assert sent(scene) == []
    scene.appends = [second]
    scene.acknowledge()
    assert sent(scene) == [["a", "b"]]


def test_one_whose_intent_is_not_recorded_in_time_is_withdrawn_and_the_others_leave() -> None:
    scene = ready()
    scene.ask(batch("a", "b"))
    scene.appends = [a for a in scene.appends if a.id == "intent:a"]
    scene.acknowledge()
    scene.pass_time(INTENT_ACK_MAX).settle()
    assert sent(scene) == [["a"]]
    answered(scene, row("a"))
    assert said(scene) == {"a": "accepted", "b": "unavailable"}


def test_one_that_waits_for_its_market_holds_up_the_others_for_a_bounded_time() -> None:
    scene = ready()
    del scene.instead["/markets/KXB-1"]
    scene.ask(PlaceBatch((order("a"), replace(order("b"), ticker="KXB-1"))))
    scene.settle()
    for _ in range(MARKET_LOOK_MAX // SECOND):
        assert sent(scene) == []
        scene.pass_time(SECOND).beat()
    scene.settle()
    assert sent(scene) == [["a"]]
    made = next(m for m in scene.calls if m.call.method == "POST")
    scene.calls.remove(made)
    scene.calls.insert(0, made)
    answered(scene, row("a"))
    assert said(scene) == {"a": "accepted", "b": "denied"}


def test_a_bad_one_changes_none_of_the_others() -> None:
    scene = ready()
    wanted = PlaceBatch(
        (
            order("a"),
            order("b", price=Price(565_001)),
            replace(order("c"), ticker="no market"),
            order("d"),
            order(""),
        )
    )
    scene.ask(wanted)
    scene.settle()
    assert sent(scene) == [["a", "d"]]
    answered(scene, row("a"), row("d"))
    answer = scene.answers[-1]
    assert isinstance(answer, BatchAnswer)
    assert [(a.outcome, a.code, a.field) for a in answer.answers] == [
        ("accepted", "", ""),
        ("denied", "off_grid_price", "price"),
        ("denied", "invalid_order", "ticker"),
        ("accepted", "", ""),
        ("denied", "invalid_order", "client_order_id"),
    ]
    assert set(states(scene)) == {"a", "d"}


def test_one_alone_is_a_batch_too_and_nobody_is_none() -> None:
    scene = ready()
    scene.ask(batch("a"))
    scene.settle()
    assert sent(scene) == [["a"]]
    answered(scene, row("a"))
    assert said(scene) == {"a": "accepted"}
    scene.ask(batch("b", "c", price=Price(565_001)))
    assert said(scene) == {"b": "denied", "c": "denied"}
    assert len(sent(scene)) == 1


def test_each_keeps_its_own_shard_and_all_pay_from_one_budget() -> None:
    scene = ready()
    row_2 = {**MARKET, "ticker": "KXB-1", "exchange_index": 2}
    scene.instead["/markets/KXB-1"] = {"market": row_2}
    budgets = scene.core._desk.lanes.allowance.budgets
    before = [budgets[key].bucket.level(scene.now) for key in (0, 2)]
    scene.ask(PlaceBatch((order("a"), replace(order("b"), ticker="KXB-1"))))
    scene.settle()
    [made] = [m for m in scene.made if m.call.method == "POST"]
    bodies = json.loads(made.call.body)["orders"]
    assert [body.get("exchange_index") for body in bodies] == [None, 2]
    spent = [b - budgets[k].bucket.level(scene.now) for b, k in zip(before, (0, 2), strict=True)]
    assert spent == [20, 0]


# What comes back


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ([row("c"), row("a"), row("b")], ["accepted"] * 3),
        ([row("b"), row("c")], ["unknown", "accepted", "accepted"]),
        ([row("a"), row("a"), row("b"), row("c")], ["accepted"] * 3),
        ([row("a"), row("a", order_id="x"), row("b"), row("c")],
         ["unknown", "accepted", "accepted"]),
        ([row("a"), failed("b"), row("c")], ["accepted", "rejected", "accepted"]),
        ([failed("a", code="exchange_unavailable"), row("b"), row("c")],
         ["unknown", "accepted", "accepted"]),
        ([row("stranger"), row("a"), row("b"), row("c")], ["accepted"] * 3),
        ([row("stranger"), row("b"), row("c")], ["unknown", "accepted", "accepted"]),
        ([], ["unknown"] * 3),
        ([7, {"order_id": "o-a"}, row("b"), row("c")], ["unknown", "accepted", "accepted"]),
    ],
    ids=["shuffled", "dropped", "doubled", "contradicted", "refused", "unsure", "stranger added",
         "stranger instead", "empty", "garbage"],
)  # fmt: skip
def test_members_are_known_by_their_names(rows: list[Any], want: list[str]) -> None:
    scene = answered(on_the_wire("a", "b", "c"), *rows)
    assert list(said(scene).values()) == want
    become = {"accepted": "resting"}
    assert states(scene) == {id: become.get(w, w) for id, w in zip("abc", want, strict=True)}
    assert any("stranger" in text for text in scene.logged) == ("stranger" in str(rows))


def test_a_stranger_is_shouted_about_and_not_booked() -> None:
    scene = answered(on_the_wire("a"), row("a"), row("stranger"))
    text = "the answer to a batch of orders names what nobody asked for: stranger"
    assert scene.logged[-1] == text
    assert set(states(scene)) == {"a"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
def test_a_refusal_of_the_whole_is_one_of_each(status: int) -> None:
    scene = on_the_wire("a", "b")
    scene.reply(status, {"error": REFUSED})
    scene.settle()
    assert said(scene) == {"a": "rejected", "b": "rejected"}
    assert states(scene) == {"a": "rejected", "b": "rejected"}


@pytest.mark.parametrize("status", [200, 202, 307, 409, 500, 502, 503, 504])
def test_what_settles_nothing_leaves_all_unknown(status: int) -> None:
    scene = on_the_wire("a", "b")
    scene.reply(status, {"error": REFUSED} if status != 200 else {"orders": [row("a"), row("b")]})
    scene.settle()
    assert said(scene) == {"a": "unknown", "b": "unknown"}
    assert states(scene) == {"a": "unknown", "b": "unknown"}
    scene.pass_time(SECOND)
    assert sent(scene) == [["a", "b"]], "never sent again"


@pytest.mark.parametrize("raw", [b"", b"<html>", b'{"orders": [', b"[]", b'{"order_id": "x"}'])
def test_a_body_that_cannot_be_read_leaves_all_unknown(raw: bytes) -> None:
    scene = on_the_wire("a", "b")
    scene.reply(201, raw)
    scene.settle()
    assert said(scene) == {"a": "unknown", "b": "unknown"}


@pytest.mark.parametrize(("left", "want"), [(True, "unknown"), (False, "denied")])
def test_without_an_answer_it_depends_on_whether_a_byte_has_left(left: bool, want: str) -> None:
    scene = on_the_wire("a", "b")
    scene.fail(sent=left)
    scene.settle()
    assert said(scene) == {"a": want, "b": want}
    assert states(scene) == {"a": want, "b": want}


def test_the_latch_that_keeps_a_batch_back_at_the_wire_denies_each() -> None:
    scene = on_the_wire("a", "b")
    kept = CallFailed(scene.at, scene.calls.pop(0).id, "halted: by hand", False)
    scene.feed(kept)
    scene.settle()
    answer = scene.answers[-1]
    assert isinstance(answer, BatchAnswer)
    assert [(a.outcome, a.code, a.text) for a in answer.answers] == [
        ("denied", "halted", "by hand")
    ] * 2
    assert states(scene) == {"a": "denied", "b": "denied"}


def test_an_outcome_that_is_recorded_late_is_told_all_the_same() -> None:
    scene = on_the_wire("a", "b")
    scene.reply(201, {"orders": [row("a"), row("b")]})
    scene.appends = scene.appends[:1]
    scene.acknowledge()
    scene.pass_time(SECOND)
    assert said(scene) == {"a": "accepted", "b": "accepted"}


# Not all of them leave


def test_a_cancel_takes_one_out_before_it_has_left() -> None:
    scene = ready()
    scene.ask(batch("a", "b"))
    second = scene.appends.pop()
    scene.acknowledge()
    scene.ask(CancelOrder("a"))
    assert scene.answers[-1] == CancelAnswer("a", "gone", text="canceled before it was sent")
    scene.appends.append(second)
    scene.settle()
    assert sent(scene) == [["b"]]
    answered(scene, row("b"))
    assert said(scene) == {"a": "denied", "b": "accepted"}
    assert states(scene) == {"a": "denied", "b": "resting"}


def crowded(*ids: str) -> Scene:
    """A batch that waits for a place on the wire."""
    scene = ready()
    for ticker in ("KXA-1", "KXA-2"):  # refused: but its market has been read
        scene.ask(replace(order("off", price=Price(565_001)), ticker=ticker))
    scene.answers.clear()
    for i in range(6):
        scene.ask(replace(order(f"x{i}", count=Count(100)), ticker="KXB-1"))
        scene.settle()
    assert len(sent(scene)) == 6
    scene.ask(batch(*ids))
    scene.settle()
    assert len(sent(scene)) == 6
    return scene


def freed(scene: Scene) -> Scene:
    """A place on the wire is free."""
    scene.fail(sent=False)
    return scene.settle()


def test_a_cancel_takes_one_out_while_the_batch_waits() -> None:
    scene = crowded("a", "b", "c")
    scene.ask(CancelOrder("b"))
    scene.settle()
    freed(scene)
    assert sent(scene)[-1] == ["a", "c"]
    made = scene.made[-1]
    assert made.passed is not None
    assert made.passed.covers(made.call)
    assert made.call.items == 2


def test_one_of_which_nobody_is_left_takes_no_place() -> None:
    scene = crowded("a", "b")
    for id in ("a", "b"):
        scene.ask(CancelOrder(id))
    scene.settle()
    assert said_last_batch(scene) == {"a": "denied", "b": "denied"}
    freed(scene)
    assert len(sent(scene)) == 6
    assert not scene.core._desk.lanes._waiting["order"]


def said_last_batch(scene: Scene) -> dict[str, str]:
    [found] = [a for a in scene.answers if isinstance(a, BatchAnswer)]
    return {a.client_order_id: a.outcome for a in found.answers}


def test_a_halt_denies_all_that_wait() -> None:
    scene = crowded("a", "b")
    scene.ask(Halt("stop"))
    scene.settle()
    assert said_last_batch(scene) == {"a": "denied", "b": "denied"}
    scene.save()
    freed(scene)
    assert len(sent(scene)) == 6
    assert {states(scene)[id] for id in "ab"} == {"denied"}


def test_a_halt_between_the_first_intent_and_the_last_keeps_all_back() -> None:
    scene = ready()
    scene.ask(batch("a", "b"))
    second = scene.appends.pop()
    scene.acknowledge()
    scene.ask(Halt("stop"))
    scene.save()
    scene.appends.append(second)
    scene.settle()
    assert sent(scene) == []
    assert said_last_batch(scene) == {"a": "denied", "b": "denied"}


def test_one_that_waits_too_long_for_tokens_is_denied() -> None:
    scene = crowded("a", "b")
    scene.pass_time(QUEUED_MAX - MS)
    assert not any(isinstance(a, BatchAnswer) for a in scene.answers)
    scene.pass_time(2 * MS).settle()
    assert said_last_batch(scene) == {"a": "denied", "b": "denied"}
    freed(scene)
    assert len(sent(scene)) == 6


def test_a_brake_that_stops_one_at_the_door_stops_no_other() -> None:
    scene = ready(replace(BLIND, open_orders=2))
    scene.ask(batch("a", "b", "c"))
    scene.settle()
    assert sent(scene) == [["a", "b"]]
    answered(scene, row("a"), row("b"))
    answer = scene.answers[-1]
    assert isinstance(answer, BatchAnswer)
    last = answer.answers[2]
    assert (last.outcome, last.code, last.limit, last.value) == ("denied", "open_orders", "2", "3")
    assert set(states(scene)) == {"a", "b"}


def test_a_brake_that_stops_the_third_at_the_last_look_is_an_entry() -> None:
    scene = crowded("a", "b")
    large = replace(order("c", count=Count(2_000)), ticker="KXA-2")
    scene.ask(PlaceBatch((order("d"), large, order("e"))))
    scene.settle()
    scene.ask(TightenBrakes(order_count_at_most("10.00")))
    freed(scene)
    freed(scene)
    assert sent(scene)[-2:] == [["a", "b"], ["d", "e"]]
    assert scene.made[-1].call.items == 2
    assert states(scene)["c"] == "denied"
    [entry] = [n for n in scene.numbers if n == "denied:c"]
    assert entry
    while scene.calls[0].call.path != PATH:
        freed(scene)
    scene.calls.pop(0)
    answered(scene, row("e"), row("d"))
    assert said(scene) == {"d": "accepted", "c": "denied", "e": "accepted"}


def order_count_at_most(count: str) -> Brakes:
    return replace(UNSAID, order_count=parse_count(count))


def test_where_all_are_stopped_at_the_last_look_nothing_leaves() -> None:
    scene = crowded("a", "b")
    scene.ask(TightenBrakes(order_count_at_most("1.00")))
    freed(scene)
    assert len(sent(scene)) == 6
    assert said_last_batch(scene) == {"a": "denied", "b": "denied"}


# The batch as a whole


@pytest.mark.parametrize(
    ("wanted", "field", "text"),
    [
        (PlaceBatch(()), "orders", f"orders: 1 to {BATCH_MAX} in one batch, not 0"),
        (
            batch(*map(str, range(BATCH_MAX + 1))),
            "orders",
            f"orders: 1 to {BATCH_MAX} in one batch, not {BATCH_MAX + 1}",
        ),
        (
            batch("a", "b", "a"),
            "orders[2].client_order_id",
            "a is named twice in one batch",
        ),
    ],
    ids=["empty", "long", "twice"],
)
def test_what_is_wrong_with_the_whole_is_one_error(
    wanted: PlaceBatch, field: str, text: str
) -> None:
    scene = ready()
    scene.ask(wanted)
    assert scene.answers == [BatchAnswer((), "invalid_batch", text, 0, field)]
    assert scene.appends == []


def test_a_full_batch_is_taken() -> None:
    ids = [f"n{i}" for i in range(BATCH_MAX)]
    scene = ready()
    scene.ask(batch(*ids))
    scene.settle()
    assert sent(scene) == [ids]
    answered(scene, *map(row, ids))
    assert list(said(scene)) == ids


def small() -> Scene:
    scene = ready(**{"/account/limits": SMALL})
    holds = scene.core._desk.lanes.allowance.budgets[0].bucket.holds
    keep = scene.core._desk.lanes.allowance.keep("order", 0)
    assert (holds - keep) // 10 == 6, (holds, keep)
    return scene.pass_time(2 * SECOND).beat()


def test_what_could_never_leave_at_once_is_refused_before_anything_is_recorded() -> None:
    scene = small()
    scene.ask(batch(*"abcdefg"), "l1")
    refused = BatchAnswer(
        (), "batch_too_large", "7 orders cost 70 tokens; at most 6 orders fit into one batch",
        0, "orders", "6", "7",
    )  # fmt: skip
    assert scene.answers == [refused]
    assert scene.appends == []
    scene.instead["/account/limits"] = LIMITS
    scene.pass_time(70 * SECOND).beat()
    scene.ask(batch(*"abcdefg"), "l1")
    assert scene.answers == [refused, refused], "the same letter is the same wish"
    scene.ask(batch(*"abcdefg"), "l2")
    scene.settle()
    assert sent(scene) == [list("abcdefg")]


def test_while_the_budget_is_not_known_for_sure_it_is_worth_another_try() -> None:
    scene = ready(**{"/account/limits": SMALL})
    shrink(scene, LIMITS)  # read once: the smaller of both counts
    scene.ask(batch(*"abcdefg"))
    refused = scene.answers[-1]
    assert isinstance(refused, BatchAnswer)
    assert (refused.code, refused.limit, refused.retry_after_ms) == ("batch_too_large", "6", 2_000)
    shrink(scene, LIMITS)
    scene.ask(batch(*"abcdefg"))
    scene.settle()
    scene.pass_time(SECOND)
    assert sent(scene) == [list("abcdefg")]


def test_as_many_as_fit_are_taken() -> None:
    scene = small()
    scene.ask(batch(*"abcdef"))
    scene.settle()
    assert sent(scene) == [list("abcdef")]


def test_a_batch_that_was_sent_is_not_called_too_large_later_on() -> None:
    scene = ready()
    scene.ask(batch(*"abcdef"))
    scene.settle()
    answered(scene, *map(row, "abcdef"))
    scene.instead["/account/limits"] = SMALL
    scene.pass_time(70 * SECOND).beat()
    scene.ask(batch(*"abcdefg"))
    assert said(scene) == dict.fromkeys("abcdef", "accepted") | {"g": "denied"}
    assert scene.answers[-1].answers[-1].code == "batch_too_large"  # type: ignore[union-attr]


def test_a_batch_that_waits_while_its_budget_shrinks_below_it_is_denied() -> None:
    scene = crowded(*"abcdefg")
    scene.instead["/account/limits"] = SMALL
    shrink(scene)
    scene.pass_time(10 * MS)
    scene.settle()
    assert set(said_last_batch(scene).values()) == {"denied"}
    freed(scene)
    assert len(sent(scene)) == 6


def shrink(scene: Scene, limits: Any = SMALL) -> None:
    """The exchange tells of a lower tier, or another one."""
    body = answers.read(json.dumps(limits).encode(), LimitsBody)
    scene.core._desk.lanes.learn_limits(scene.now, scene.at, body)


def test_more_batches_than_may_wait_are_refused_and_stay_so() -> None:
    scene = ready()
    for i in range(BATCHES_MAX):
        scene.ask(batch(f"c{i}"), f"l{i}")
    scene.ask(batch("more"), "last")
    assert scene.answers == [BatchAnswer((), "busy", "too many batches are under way")]
    scene.settle()
    for made in [m for m in scene.calls if m.call.path == PATH]:
        scene.calls.remove(made)
        scene.calls.insert(0, made)
        scene.fail(sent=False)
    scene.settle()
    scene.ask(batch("more"), "last")
    assert scene.answers[-1] == BatchAnswer((), "busy", "too many batches are under way")
    assert "more" not in states(scene)


# Asked again


def test_the_same_letter_again_is_the_same_batch() -> None:
    scene = ready()
    wanted = batch("a", "b", "c")
    for _ in range(2):
        scene.ask(wanted, "l1")
    scene.settle()
    scene.ask(wanted, "l1")
    assert scene.answers == []
    answered(scene, row("a"), failed("b"))
    first = said(scene)
    scene.ask(wanted, "l1")
    assert said(scene) == first == {"a": "accepted", "b": "rejected", "c": "unknown"}
    assert sent(scene) == [["a", "b", "c"]]


def test_another_letter_with_the_same_orders_waits_for_the_first() -> None:
    scene = ready()
    scene.ask(batch("a", "b"))
    scene.ask(batch("b", "c"))
    scene.settle()
    assert sorted(sent(scene)) == [["a", "b"], ["c"]]
    answered(scene, row("a"), row("b"))
    answered(scene, row("c"))
    batches = [a for a in scene.answers if isinstance(a, BatchAnswer)]
    assert [[(a.client_order_id, a.outcome) for a in b.answers] for b in batches] == [
        [("a", "accepted"), ("b", "accepted")],
        [("b", "accepted"), ("c", "accepted")],
    ]


def test_one_of_a_batch_may_be_asked_for_by_itself_and_the_other_way_round() -> None:
    scene = ready()
    scene.ask(order("a"))
    scene.ask(batch("a", "b"))
    scene.ask(order("b"))
    scene.ask(replace(order("b"), count=Count(1)))
    scene.settle()
    assert sent(scene) == [["a"], ["b"]]
    scene.reply(201, row("a"))
    answered(scene, row("b"))
    kinds = Counter(type(a).__name__ for a in scene.answers)
    assert kinds == {"OrderAnswer": 3, "BatchAnswer": 1}
    outcomes = [a.outcome for a in scene.answers if isinstance(a, OrderAnswer)]
    assert sorted(outcomes) == ["accepted", "accepted", "conflict"]


def test_after_a_restart_in_between_nothing_is_sent_again() -> None:
    """A former life has recorded the first; whether it has sent it nobody knows."""
    o = order("a")
    scene = ready()
    scene.ask(batch("a", "b"))
    hash_of_a = scene.appends[0].body.fact.body_hash
    intent = OrderIntended("a", o.ticker, o.side, o.price, o.count, o.time_in_force, hash_of_a)
    life = Scene(limits=BLIND)
    life.restore(intent).pass_time(3 * SECOND).beat()
    life.ask(PlaceBatch((o, replace(order("b"), ticker="KXA-1", side="ask", price=Price(990_000)))))
    life.settle()
    assert all("a" not in ids for ids in sent(life))
    assert said(life)["a"] == "unknown"


def test_a_repeat_from_the_writer_is_not_sent() -> None:
    """The former life's intent is on disk, and this one's copy of the account lags behind."""
    scene = ready()
    scene.n += 1
    scene.numbers["intent:a"] = scene.n
    scene.ask(batch("a", "b"))
    scene.settle()
    assert sent(scene) == [["b"]]
    answered(scene, row("b"))
    assert said(scene) == {"a": "unknown", "b": "accepted"}


# Whatever the exchange says


MEMBERS = ("a", "b", "c", "d")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_shuffled_dropped_or_doubled_each_order_ends_right(data: st.DataObject) -> None:
    """By what the answer says of each name, and by nothing else."""
    truth = {id: data.draw(st.sampled_from(["made", "refused", "unsure"])) for id in MEMBERS}
    rows = {
        id: row(id) if what == "made" else failed(id)
        if what == "refused" else failed(id, code="exchange_unavailable")
        for id, what in truth.items()
    }  # fmt: skip
    shown = data.draw(st.lists(st.sampled_from([*MEMBERS, "stranger"]), max_size=8))
    members = [rows.get(id, row(id)) for id in shown]
    scene = answered(on_the_wire(*MEMBERS), *members)
    become = {"made": "resting", "refused": "rejected", "unsure": "unknown"}
    want = {id: become[what] if id in shown else "unknown" for id, what in truth.items()}
    assert states(scene) == want
    facts = Counter(n.partition(":")[0] for n in scene.numbers)
    assert facts["intent"] == len(MEMBERS)
    assert sent(scene) == [list(MEMBERS)]


def test_no_member_is_ever_in_two_calls() -> None:
    scene = ready()
    for i in range(5):
        scene.ask(batch(*(f"{i}-{j}" for j in range(4))))
        scene.ask(order(f"{i}-1"))
    scene.settle()
    while any(made.call.path == PATH for made in scene.calls):
        scene.fail(sent=True)
        scene.settle()
    ids = [id for ids in sent(scene) for id in ids]
    assert len(ids) == len(set(ids)) == 20
    assert isinstance(scene.made[-1], MakeCall)
