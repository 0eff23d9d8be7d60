"""Batches of cancels: each is a cancel of its own; what is confirmed is known by its order id."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.facts import OrderAccepted, OrderCanceled, OrderIntended, OrderSeen
from protocol.kalshi import answers
from protocol.kalshi.answers import LimitsBody
from protocol.limits import (
    BATCH_MAX,
    CANCEL_OPEN_MAX,
    CANCEL_RETRY_MIN,
    CANCEL_TOLD_AFTER,
    MS,
    SECOND,
)
from protocol.messages import (
    CancelAnswer,
    CancelBatch,
    CancelBatchAnswer,
    CancelOpen,
    CancelOpenAnswer,
    CancelOrder,
)
from protocol.units import Count, Price
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_batches import batch

PATH = "/portfolio/events/orders/batched"
NOT_FOUND = {"code": "not_found", "message": "not found"}


def shown(id: str, status: str = "resting") -> dict[str, Any]:
    """An order as the exchange shows it."""
    left = "10.00" if status == "resting" else "0.00"
    return {
        "order_id": f"o-{id}", "client_order_id": id, "ticker": "KXA-1", "status": status,
        "book_side": "bid", "yes_price_dollars": "0.5600", "initial_count_fp": "10.00",
        "fill_count_fp": "0.00", "remaining_count_fp": left,
        "created_time": "1970-01-01T00:00:01Z",
    }  # fmt: skip


def resting(*ids: str) -> Scene:
    """These rest, and the account knows their order ids."""
    facts: list[Any] = []
    for id in ids:
        o = order(id)
        facts.append(OrderIntended(id, o.ticker, o.side, o.price, o.count, o.time_in_force, "hash"))
        facts.append(OrderAccepted(id, f"o-{id}", Count(0), Count(1_000), 5))
    scene = Scene(listing=[shown(id) for id in ids]).restore(*facts)
    return scene.pass_time(3 * SECOND).beat().settle()


def deletes(scene: Scene) -> list[list[str]]:
    """The order ids in each cancel that left, a batch or not."""
    found = []
    for made in scene.made:
        if made.call.method == "DELETE":
            rows = json.loads(made.call.body)["orders"] if made.call.body else []
            found.append([r["order_id"] for r in rows] or [made.call.path.rpartition("/")[2]])
    return found


def gone(id: str, reduced_by: str = "10.00", **other: Any) -> dict[str, Any]:
    return {
        "order_id": f"o-{id}",
        "client_order_id": id,
        "reduced_by": reduced_by,
        "ts_ms": 5,
    } | other


def told(scene: Scene) -> dict[str, str]:
    found = scene.answers[-1]
    assert isinstance(found, CancelBatchAnswer), found
    return {a.client_order_id: a.outcome for a in found.answers}


def states(scene: Scene) -> dict[str, str]:
    account: Any = scene.core.ledger.account  # type: ignore[attr-defined]
    return {o.client_order_id: o.state for o in account.orders()}


def test_those_that_rest_leave_in_one_call() -> None:
    scene = resting("a", "b", "c")
    scene.ask(CancelBatch(("c", "a", "b")))
    [made] = scene.calls
    assert (made.call.method, made.call.path, made.call.items) == ("DELETE", PATH, 3)
    assert json.loads(made.call.body) == {
        "orders": [{"order_id": f"o-{id}", "market_ticker": "KXA-1"} for id in "cab"]
    }
    scene.reply(200, {"orders": [gone("b"), gone("c"), gone("a")]})
    assert told(scene) == {"c": "canceled", "a": "canceled", "b": "canceled"}
    facts = [letter.body.fact for letter in scene.appends]
    assert facts == [OrderCanceled(f"o-{id}", id, Count(1_000), 5_000) for id in "cab"]
    scene.settle()
    assert states(scene) == dict.fromkeys("abc", "canceled")


def test_whoever_is_not_confirmed_is_looked_at() -> None:
    scene = resting(*"abcdef")
    scene.instead |= {
        f"/portfolio/orders/o-{id}": {"order": shown(id, "canceled")} for id in "bcdf"
    } | {"/portfolio/orders/o-e": {"order": shown("e")}}
    scene.ask(CancelBatch(tuple("abcdef")))
    rows = [
        gone("f", error=NOT_FOUND), gone("a"), gone("b", "0.00", error=NOT_FOUND),
        gone("c", "0.00"), gone("d"), gone("d"), gone("stranger"),
    ]  # fmt: skip
    scene.reply(200, {"orders": rows})
    assert not any(isinstance(a, CancelBatchAnswer) for a in scene.answers)
    assert any("nobody asked for: o-stranger" in text for text in scene.logged)
    scene.pass_time(CANCEL_RETRY_MIN)
    assert deletes(scene) == [[f"o-{id}" for id in "abcdef"], ["o-e"]]
    scene.reply(200, gone("e"))
    assert told(scene) == {"a": "canceled", "e": "canceled"} | dict.fromkeys("bcdf", "gone")
    scene.settle()
    assert states(scene) == dict.fromkeys("abcdef", "canceled")


@pytest.mark.parametrize(
    ("status", "raw"),
    [(400, {"error": NOT_FOUND}), (404, {}), (429, {"error": "too many requests"}), (500, {}),
     (503, b"<html>"), (200, b"{"), (200, {})],
)  # fmt: skip
def test_where_the_call_says_nothing_each_goes_on_by_itself(status: int, raw: Any) -> None:
    scene = resting("a", "b")
    scene.ask(CancelBatch(("a", "b")))
    scene.reply(status, raw)
    scene.pass_time(2 * SECOND).beat()
    assert deletes(scene) == [["o-a", "o-b"], ["o-a"], ["o-b"]]
    scene.reply(200, gone("a"))
    scene.reply(200, gone("b"))
    assert told(scene) == {"a": "canceled", "b": "canceled"}


@pytest.mark.parametrize("left", [True, False])
def test_without_an_answer_each_goes_on_by_itself(left: bool) -> None:
    scene = resting("a", "b")
    scene.ask(CancelBatch(("a", "b")))
    scene.fail(sent=left)
    scene.pass_time(CANCEL_RETRY_MIN)
    assert deletes(scene) == [["o-a", "o-b"], ["o-a"], ["o-b"]]


def test_those_that_are_not_known_yet_go_on_as_they_do_alone() -> None:
    scene = resting("a", "b")
    scene.ask(CancelBatch(("nobody", "a", "b", "no such id\n")))
    assert deletes(scene) == [["o-a", "o-b"]]
    scene.reply(200, {"orders": [gone("a"), gone("b")]})
    assert told(scene) == {
        "nobody": "not_found", "a": "canceled", "b": "canceled", "no such id\n": "not_found",
    }  # fmt: skip


def test_one_alone_takes_the_usual_call() -> None:
    scene = resting("a")
    scene.ask(CancelBatch(("a",)))
    assert deletes(scene) == [["o-a"]]
    assert scene.calls[0].call.path != PATH
    scene.reply(200, gone("a"))
    assert told(scene) == {"a": "canceled"}


def test_a_cancel_that_runs_already_is_one_cancel() -> None:
    scene = resting("a", "b", "c")
    scene.ask(CancelOrder("a"))
    scene.ask(CancelBatch(("a", "b", "c")))
    scene.ask(CancelOrder("b"))
    scene.ask(CancelBatch(("b", "c")))
    assert deletes(scene) == [["o-a"], ["o-b", "o-c"]]
    scene.reply(200, gone("a"))
    scene.reply(200, {"orders": [gone("c"), gone("b")]})
    kinds = [a for a in scene.answers if isinstance(a, CancelBatchAnswer)]
    assert [[a.outcome for a in k.answers] for k in kinds] == [["canceled"] * 3, ["canceled"] * 2]
    alone = [a.client_order_id for a in scene.answers if isinstance(a, CancelAnswer)]
    assert alone == ["a", "b"]


def test_orders_that_have_not_left_yet_never_do() -> None:
    scene = resting("a", "b")
    scene.ask(batch("n1", "n2"))
    scene.ask(CancelBatch(("n1", "a", "b", "n2")))
    scene.settle()
    assert not any(made.call.method == "POST" for made in scene.made)
    scene.reply(200, {"orders": [gone("a"), gone("b")]})
    assert told(scene) == {"n1": "gone", "a": "canceled", "b": "canceled", "n2": "gone"}


def test_without_evidence_each_is_told_so_in_time() -> None:
    scene = resting("a", "b")
    scene.ask(CancelBatch(("a", "b")))
    scene.pass_time(CANCEL_TOLD_AFTER - MS)
    assert scene.answers == []
    scene.pass_time(2 * MS)
    assert told(scene) == {"a": "unknown", "b": "unknown"}
    scene.reply(200, {"orders": [gone("a"), gone("b")]})
    scene.settle()
    assert states(scene) == {"a": "canceled", "b": "canceled"}


def test_one_that_ended_meanwhile_waits_for_the_call_s_own_word() -> None:
    scene = resting("a", "b")
    scene.ask(CancelBatch(("a", "b")))
    scene.told_by_stream(OrderCanceled("o-a", "a", Count(1_000), 5_000))
    assert scene.answers == []
    scene.reply(200, {"orders": [gone("b"), gone("a")]})
    assert told(scene) == {"a": "canceled", "b": "canceled"}


def test_a_batch_that_the_budget_can_not_hold_goes_one_by_one() -> None:
    ids = [f"n{i}" for i in range(8)]
    scene = resting(*ids)
    shrink(scene, 100)  # 74 fit, ten a cancel
    scene.ask(CancelBatch(tuple(ids)))
    scene.pass_time(100 * MS)
    found = deletes(scene)
    assert found
    assert all(len(one) == 1 for one in found)


def test_a_batch_that_waits_while_the_budget_shrinks_below_it_goes_one_by_one() -> None:
    ids = [f"n{i}" for i in range(9)]
    scene = resting(*ids)
    scene.core._desk.lanes.allowance.budgets[0].bucket.drain(scene.now)
    scene.ask(CancelBatch(tuple(ids)))
    assert deletes(scene) == []
    shrink(scene, 100)
    scene.pass_time(2 * SECOND)
    found = deletes(scene)
    assert found
    assert all(len(one) == 1 for one in found)


def shrink(scene: Scene, capacity: int) -> None:
    """The exchange tells of a lower tier."""
    limits = {"refill_rate": 100, "bucket_capacity": capacity}
    raw = json.dumps({"read": limits, "write": limits}).encode()
    scene.core._desk.lanes.learn_limits(scene.now, scene.at, answers.read(raw, LimitsBody))


@pytest.mark.parametrize(
    ("ids", "field", "text"),
    [
        ((), "client_order_ids", f"client_order_ids: 1 to {BATCH_MAX} in one batch, not 0"),
        (
            tuple(map(str, range(BATCH_MAX + 1))),
            "client_order_ids",
            f"client_order_ids: 1 to {BATCH_MAX} in one batch, not {BATCH_MAX + 1}",
        ),
        (("a", "b", "b"), "client_order_ids[2]", "b is named twice in one batch"),
    ],
    ids=["empty", "long", "twice"],
)
def test_what_is_wrong_with_the_whole_is_one_error(
    ids: tuple[str, ...], field: str, text: str
) -> None:
    scene = resting("a", "b")
    scene.ask(CancelBatch(ids))
    assert scene.answers == [CancelBatchAnswer((), "invalid_batch", text, field)]
    assert deletes(scene) == []


def test_the_same_letter_again_is_the_same_batch() -> None:
    scene = resting("a", "b")
    for _ in range(2):
        scene.ask(CancelBatch(("a", "b")), "l1")
    assert deletes(scene) == [["o-a", "o-b"]]
    scene.reply(200, {"orders": [gone("a"), gone("b")]})
    scene.settle()
    assert len(scene.answers) == 1
    scene.ask(CancelBatch(("a", "b")), "l1")
    assert told(scene) == {"a": "gone", "b": "gone"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*"abcd", "stranger"]), max_size=8), st.data())
def test_whatever_is_shuffled_dropped_or_doubled_only_what_is_confirmed_is_canceled(
    named: list[str], data: st.DataObject
) -> None:
    done = {id: data.draw(st.booleans()) for id in "abcd"}
    scene = resting(*"abcd")
    scene.ask(CancelBatch(tuple("abcd")))
    rows = [gone(id) if done.get(id) else gone(id, "0.00", error=NOT_FOUND) for id in named]
    scene.reply(200, {"orders": rows})
    scene.settle()
    sure = {id for id, really in done.items() if really and named.count(id) == 1}
    want = {id: "canceled" if id in sure else "resting" for id in "abcd"}
    assert states(scene) == want


# All that is open


def answered_all(scene: Scene) -> CancelOpenAnswer:
    [found] = [a for a in scene.answers if isinstance(a, CancelOpenAnswer)]
    return found


def test_all_that_is_open_is_canceled_together_and_trading_goes_on() -> None:
    scene = resting("a", "b", "c")
    scene.ask(CancelOpen())
    assert deletes(scene) == [["o-a", "o-b", "o-c"]]
    scene.reply(200, {"orders": [gone("a"), gone("b"), gone("c")]})
    found = answered_all(scene)
    assert [(one.client_order_id, one.outcome) for one in found.answers] == [
        ("a", "canceled"), ("b", "canceled"), ("c", "canceled"),
    ]  # fmt: skip
    assert (found.left, found.external, found.code) == (0, 0, "")


def test_of_another_market_nothing_is_open() -> None:
    scene = resting("a", "b")
    scene.ask(CancelOpen("KXB-2"))
    assert deletes(scene) == []
    assert answered_all(scene) == CancelOpenAnswer()


def test_what_is_not_ours_is_counted_and_left() -> None:
    scene = resting("a")
    counts = (Count(100), Count(0), Count(100))
    theirs = OrderSeen("x-1", "", "KXA-1", "bid", Price(10_000), "resting", *counts, 5)
    scene.told_by_stream(theirs)
    scene.ask(CancelOpen())
    assert deletes(scene) == [["o-a"]]
    scene.reply(200, gone("a"))
    assert (answered_all(scene).external, answered_all(scene).left) == (1, 0)


def test_an_order_on_its_way_never_leaves() -> None:
    scene = resting("a")
    scene.ask(order("late"))
    assert len(scene.appends) == 1, "its intent is being recorded"
    scene.ask(CancelOpen(), "all")
    scene.reply(200, gone("a"))
    scene.settle()
    found = {one.client_order_id: one.outcome for one in answered_all(scene).answers}
    assert found == {"a": "canceled", "late": "gone"}
    assert not [made for made in scene.made if made.call.method == "POST"]


def test_more_than_a_bound_are_left_for_the_next_time() -> None:
    scene = resting(*(f"m{number:03d}" for number in range(CANCEL_OPEN_MAX + 3)))
    scene.ask(CancelOpen())
    scene.pass_time(CANCEL_TOLD_AFTER)
    found = answered_all(scene)
    assert (len(found.answers), found.left) == (CANCEL_OPEN_MAX, 3)


def test_without_an_account_nobody_knows_what_is_open() -> None:
    scene = Scene()
    scene.ask(CancelOpen())
    assert answered_all(scene).code == "not_restored"
