"""Order groups: what is done to them, each once, and orders that name theirs."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway.allowance import WRITE
from protocol.envelope import Letter
from protocol.facts import OrderIntended
from protocol.limits import GROUP_ANSWERS_KEPT, GROUP_CALLS_MAX, QUEUED_MAX, SECOND
from protocol.machine import Asked
from protocol.messages import GroupAnswer, Halt, ManageGroup
from protocol.units import Count
from tests.actors.gateway.scene import Scene, order

GROUPED = replace(order(), order_group_id="g-1")
FIFTY = Count(5_000)
CREATE = ManageGroup("create", contracts_limit=FIFTY)
RESET = ManageGroup("reset", "g-1")
LIMIT = ManageGroup("limit", "g-1", FIFTY)
TRIGGER = ManageGroup("trigger", "g-1")
DELETE = ManageGroup("delete", "g-1")
ALL = (CREATE, RESET, LIMIT, TRIGGER, DELETE)
GROUPS = "/portfolio/order_groups"
NOT_FOUND = {"error": {"code": "not_found", "message": "not found"}}


def last(scene: Scene) -> GroupAnswer:
    found = scene.answers[-1]
    assert isinstance(found, GroupAnswer)
    return found


def dry(scene: Scene) -> Scene:
    """No tokens for writes for a long time."""
    bucket = scene.core._desk.lanes.allowance.budgets[WRITE].bucket
    bucket.resize(scene.now, 2_000, 1)
    bucket.drain(scene.now)
    return scene


@pytest.mark.parametrize(
    ("wanted", "method", "path", "query", "body"),
    [
        (CREATE, "POST", "/create", (), {"contracts_limit_fp": "50.00"}),
        (RESET, "PUT", "/g-1/reset", (), None),
        (LIMIT, "PUT", "/g-1/limit", (), {"contracts_limit_fp": "50.00"}),
        (TRIGGER, "PUT", "/g-1/trigger", (), None),
        (DELETE, "DELETE", "/g-1", (), None),
        (
            replace(CREATE, exchange_index=2), "POST", "/create", (),
            {"contracts_limit_fp": "50.00", "exchange_index": 2},
        ),
        (replace(RESET, exchange_index=2), "PUT", "/g-1/reset", (("exchange_index", "2"),), None),
        (
            replace(LIMIT, exchange_index=2), "PUT", "/g-1/limit", (("exchange_index", "2"),),
            {"contracts_limit_fp": "50.00"},
        ),
        (replace(DELETE, exchange_index=2), "DELETE", "/g-1", (("exchange_index", "2"),), None),
    ],
)  # fmt: skip
def test_what_goes_out(wanted: ManageGroup, method: str, path: str, query: Any, body: Any) -> None:
    scene = Scene().ready()
    scene.ask(wanted)
    [call] = [made.call for made in scene.calls]
    assert (call.method, call.path, call.query) == (method, GROUPS + path, query)
    assert (json.loads(call.body) if call.body else None) == body
    assert call.shard == 0, "groups draw on the budget of all"


def test_a_group_is_made_and_its_id_is_told() -> None:
    scene = Scene().ready()
    scene.ask(CREATE)
    scene.reply(201, {"order_group_id": "g-9", "subaccount": 0, "exchange_index": 0})
    assert last(scene) == GroupAnswer("done", "g-9")


@pytest.mark.parametrize("wanted", ALL[1:], ids=lambda wanted: wanted.action)
def test_the_others_are_done_by_a_200(wanted: ManageGroup) -> None:
    scene = Scene().ready()
    scene.ask(wanted)
    scene.reply(200, {})
    assert last(scene) == GroupAnswer("done", "g-1")


@pytest.mark.parametrize("wanted", ALL, ids=lambda wanted: wanted.action)
@pytest.mark.parametrize("answer", [None, b"", b"<html>", b"[]", NOT_FOUND], ids=str)
def test_without_a_usable_answer_it_is_unknown_and_not_sent_again(
    wanted: ManageGroup, answer: Any
) -> None:
    scene = Scene().ready()
    scene.ask(wanted, "one")
    if answer is None:
        scene.fail(sent=True)
    else:
        scene.reply(201 if wanted is CREATE else 200, answer)
    assert (last(scene).state, last(scene).code) == ("unknown", "no_answer")
    assert ("list the groups" in last(scene).text) == (wanted is CREATE)
    scene.ask(wanted, "one")
    scene.pass_time(10 * SECOND)
    assert scene.answers[-1] == scene.answers[-2]
    assert scene.calls == []


def test_the_same_letter_is_done_once() -> None:
    scene = Scene().ready()
    scene.ask(CREATE, "one")
    scene.ask(CREATE, "one")
    assert len(scene.calls) == 1
    scene.reply(201, {"order_group_id": "g-9"})
    scene.ask(CREATE, "one")
    assert [a.order_group_id for a in scene.answers if isinstance(a, GroupAnswer)] == ["g-9"] * 2
    assert scene.calls == []
    scene.ask(CREATE, "another")
    assert len(scene.calls) == 1


def test_what_a_former_life_was_asked_may_have_been_done() -> None:
    scene = Scene().ready()
    old = Letter("api", 1, "old", SECOND // 2_000, CREATE)
    scene.feed(Asked(scene.at, (b"api",), old))
    assert (last(scene).state, last(scene).code) == ("unknown", "repeat")
    assert scene.calls == []


def test_what_the_exchange_refuses_is_its_word() -> None:
    scene = Scene().ready()
    scene.ask(RESET)
    scene.reply(404, NOT_FOUND)
    assert last(scene) == GroupAnswer("rejected", "g-1", "not_found", "not found")
    scene.ask(CREATE)
    scene.reply(429, {"error": "too many requests"})
    assert (last(scene).state, last(scene).code) == ("rejected", "too_many_requests")
    assert last(scene).retry_after_ms > 0


@pytest.mark.parametrize("wanted", ALL, ids=lambda wanted: wanted.action)
def test_halted_only_what_cancels_goes(wanted: ManageGroup) -> None:
    scene = Scene("lunch").ready()
    scene.ask(wanted)
    cancels = wanted in (TRIGGER, DELETE)
    assert len(scene.calls) == cancels
    if not cancels:
        assert (last(scene).state, last(scene).code, last(scene).text) == (
            "refused",
            "halted",
            "lunch",
        )


def test_a_halt_calls_back_what_waits_for_tokens() -> None:
    scene = dry(Scene().ready())
    for wanted in ALL:
        scene.ask(wanted, wanted.action)
    scene.ask(Halt("lunch"), "halt")
    told = [a for a in scene.answers if isinstance(a, GroupAnswer)]
    assert [(a.state, a.code) for a in told] == [("refused", "halted")] * 3
    scene.pass_time(SECOND)
    assert scene.calls == []


def test_before_the_gate_is_open_all_of_it_goes() -> None:
    scene = Scene().restore().pass_time(3 * SECOND).beat("closed").settle()
    for wanted in ALL:
        scene.ask(wanted)
    assert len(scene.calls) == len(ALL)
    assert all(made.passed is None for made in scene.calls)


def test_what_finds_no_tokens_in_time_is_not_asked() -> None:
    scene = dry(Scene().ready())
    scene.ask(CREATE)
    scene.pass_time(QUEUED_MAX)
    assert (last(scene).state, last(scene).code) == ("refused", "busy")
    assert last(scene).retry_after_ms > 0
    scene.pass_time(60 * SECOND)
    assert scene.calls == []


def test_what_never_left_is_refused() -> None:
    scene = Scene().ready()
    scene.ask(CREATE)
    scene.fail(sent=False)
    assert (last(scene).state, last(scene).code) == ("refused", "unreachable")


def test_a_trigger_goes_before_orders_that_wait() -> None:
    scene = dry(Scene().ready())
    scene.ask(order())
    scene.acknowledge()
    scene.ask(RESET)
    scene.ask(TRIGGER)
    bucket = scene.core._desk.lanes.allowance.budgets[WRITE].bucket
    bucket.resize(scene.now, 2_000, 1_000)
    scene.pass_time(SECOND)
    assert [made.call.name for made in scene.calls] == ["trigger group", "create", "reset group"]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (replace(CREATE, order_group_id="g-1"), "order_group_id"),
        (replace(RESET, order_group_id=""), "order_group_id"),
        (replace(DELETE, order_group_id="a/b"), "order_group_id"),
        (replace(TRIGGER, order_group_id="g" * 65), "order_group_id"),
        (replace(CREATE, contracts_limit=None), "contracts_limit"),
        (replace(CREATE, contracts_limit=Count(0)), "contracts_limit"),
        (replace(LIMIT, contracts_limit=Count(-1)), "contracts_limit"),
        (replace(LIMIT, contracts_limit=Count(100_000_001)), "contracts_limit"),
        (replace(RESET, contracts_limit=FIFTY), "contracts_limit"),
        (replace(CREATE, exchange_index=-1), "exchange_index"),
        (replace(DELETE, exchange_index=10_001), "exchange_index"),
    ],
    ids=str,
)
def test_what_makes_no_sense_names_the_field(wanted: ManageGroup, field: str) -> None:
    scene = Scene().ready()
    scene.ask(wanted)
    told = last(scene)
    assert (told.state, told.code, told.field) == ("refused", f"invalid_{field}", field)
    assert scene.calls == []


def test_there_is_a_bound_on_those_under_way_and_on_what_is_remembered() -> None:
    scene = dry(Scene().ready())
    for _ in range(GROUP_CALLS_MAX):
        scene.ask(RESET)
    assert scene.answers == []
    scene.ask(RESET)
    assert (last(scene).state, last(scene).code) == ("refused", "busy")
    for _ in range(GROUP_ANSWERS_KEPT + 10):
        scene.ask(RESET)
    assert len(scene.core.trading.groups._told) == GROUP_ANSWERS_KEPT


def test_an_order_goes_out_with_its_group_and_the_intent_names_it() -> None:
    scene = Scene().ready()
    scene.ask(GROUPED)
    [intent] = scene.acknowledge()
    assert isinstance(intent, OrderIntended)
    assert intent.order_group_id == "g-1"
    [create] = scene.calls
    assert json.loads(create.call.body)["order_group_id"] == "g-1"


def test_the_same_id_in_another_group_is_another_order() -> None:
    scene = Scene().ready()
    scene.ask(GROUPED)
    scene.ask(order())
    assert (scene.told.outcome, scene.told.code) == ("conflict", "order_id_taken")


@pytest.mark.parametrize("code", ["exceeded_order_group_risk_limit", "order_group_not_found"])
def test_an_order_that_its_group_does_not_take_is_rejected(code: str) -> None:
    scene = Scene().ready()
    scene.ask(GROUPED)
    scene.acknowledge()
    scene.reply(400, {"error": {"code": code, "message": code}})
    scene.acknowledge()
    assert (scene.told.outcome, scene.told.code) == ("rejected", code)


@pytest.mark.parametrize("id", ["a b", "a/b", "g" * 65, "ä"])
def test_what_can_t_be_a_group_s_id_is_refused_at_the_door(id: str) -> None:
    scene = Scene().ready()
    scene.ask(replace(order(), order_group_id=id))
    assert (scene.told.code, scene.told.field) == ("invalid_order", "order_group_id")
    assert scene.appends == []
