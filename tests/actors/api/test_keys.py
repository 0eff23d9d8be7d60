"""Idempotency keys, decided: what is on disk before what, and what a second request hears."""

import json

import pytest

from actors.api.asks import Place, Problem
from actors.api.keyed import HEADER, Begin, Drop, Keep, Keyed, said
from actors.api.keys import FLIGHTS_MAX
from actors.api.rooms import ROOM
from protocol.envelope import Letter
from protocol.limits import (
    IDEMPOTENCY_ANSWER_BYTES_MAX,
    IDEMPOTENCY_HALT_WAIT,
    IDEMPOTENCY_WAIT,
    REQUEST_MAX,
    SECOND,
)
from protocol.machine import Answered
from protocol.messages import PlaceOrder, Refused
from tests.actors.api.keyed_world import ASKED, AT, World
from tests.actors.api.reading import read

SAFE = sorted(set(ASKED) - {"group", "reset", "confirm", "follow", "halt"})


def test_each_step_is_on_disk_before_the_next() -> None:
    world = World()
    asked = world.ask("k1", "order")
    assert [type(wish) for wish in world.wishes] == [Begin]
    assert not world.letters, "the engine hears of it once it is on disk that it has begun"
    world.disk_works()
    [letter] = world.letters
    assert isinstance(letter.body, PlaceOrder)
    world.gateway_works()
    world.answer_comes()
    assert [type(wish) for wish in world.wishes] == [Keep]
    assert world.replies == {}, "its client hears of it once its answer is on disk"
    world.disk_works()
    assert world.told(asked)[0] == 201


def test_asked_again_it_is_answered_with_the_very_same_bytes() -> None:
    world = World()
    first = world.ask("k1", "order")
    world.settle()
    world.crash()
    again = world.ask("k1", "order")
    world.settle()
    was, now = world.replies[first], world.replies[again]
    assert (was.status, was.body, was.location) == (now.status, now.body, now.location)
    assert len(world.letters_told) == 1


def test_while_the_first_is_in_flight_the_second_hears_409_and_another_body_422() -> None:
    world = World()
    world.ask("k1", "order")
    twin, other = world.ask("k1", "order"), world.ask("k1", "other")
    assert world.told(twin)[1]["code"] == "key_in_flight"
    assert world.told(twin)[1]["retry_after_ms"] == 250
    assert world.told(other)[0] == 422
    assert world.told(other)[1]["code"] == "key_reused"
    world.settle()
    late = world.ask("k1", "other")
    world.settle()
    assert world.told(late)[1]["code"] == "key_reused"
    assert len(world.gateway.orders) == 1


def test_another_path_is_another_request_and_another_caller_another_key() -> None:
    world = World()
    world.ask("k1", "halt")
    world.settle()
    elsewhere, stranger = world.ask("k1", "resume"), world.ask("k1", "order", "t2")
    world.settle()
    assert world.told(elsewhere)[1]["code"] == "key_reused"
    assert world.told(stranger)[0] == 201


def test_ids_that_the_body_does_not_name_follow_from_token_and_key() -> None:
    world = World()
    for caller, key in (("t1", "k1"), ("t1", "k2"), ("t2", "k1")):
        world.ask(key, "order", caller)
    world.ask("k3", "batch")
    world.settle()
    orders = world.gateway.orders
    assert len(orders) == 5
    assert not any(order.minted for order in orders.values()), "after a restore it may be known"
    again = World()
    again.ask("k1", "order")
    again.settle()
    assert set(again.gateway.orders) < set(orders)
    [first, second] = list(orders)[3:]
    assert (first[-2:], second[-2:]) == ("-0", "-1")
    assert first[:-2] == second[:-2]


@pytest.mark.parametrize("what", SAFE)
@pytest.mark.parametrize("gone", [False, True], ids=["before", "behind"])
def test_what_a_crash_cut_off_is_done_again_under_the_same_ids(what: str, gone: bool) -> None:
    world = World()
    world.ask("k1", what)
    world.disk_works()
    if gone:
        world.gateway_works()
    world.letters.clear()
    world.crash()
    world.passes(3 * SECOND)
    again = world.ask("k1", what)
    world.settle()
    assert world.told(again)[0] in (200, 201)
    assert len({letter.at for letter in world.letters_told}) == 1, "it is as old as it is"
    assert len(world.gateway.orders) == {"order": 1, "other": 1, "batch": 2}.get(what, 0)


@pytest.mark.parametrize("what", ["group", "reset", "confirm", "follow"])
def test_what_can_not_be_done_twice_is_unknown_from_then_on(what: str) -> None:
    world = World()
    world.ask("k1", what)
    world.disk_works()
    world.gateway_works()
    world.crash()
    again, third = world.ask("k1", what), 0
    world.settle()
    assert world.told(again)[0] == 202
    assert world.told(again)[1]["code"] == "interrupted"
    assert ("GET /v1/follow" in world.told(again)[1]["text"]) == (what == "follow")
    third = world.ask("k1", what)
    world.settle()
    assert world.replies[third].body == world.replies[again].body
    assert len(world.letters_told) == 1


def test_a_resume_that_is_done_again_lifts_no_halt_that_came_between() -> None:
    world = World()
    world.ask("k1", "resume")
    world.disk_works()
    world.letters.clear()
    world.crash()
    world.ask("k2", "halt")
    world.settle()
    again = world.ask("k1", "resume")
    world.settle()
    assert world.told(again) == (409, world.told(again)[1])
    assert world.gateway.halted_at


def test_a_resume_that_was_not_answered_keeps_its_time() -> None:
    world = World()
    first = world.ask("k1", "resume")
    world.disk_works()
    world.letters.clear()
    world.passes(REQUEST_MAX)
    assert world.told(first)[1]["code"] == "no_answer"
    assert not world.wishes, "it may have been done: begun it stays"
    world.letters.clear()
    world.ask("k2", "halt")
    world.settle()
    again = world.ask("k1", "resume")
    world.settle()
    assert world.told(again)[0] == 409


@pytest.mark.parametrize("what", ["order", "group"])
def test_a_refusal_of_the_moment_is_no_answer(what: str) -> None:
    world = World()
    world.gateway.refuses = True
    first = world.ask("k1", what)
    world.disk_works()
    world.gateway_works()
    world.answer_comes()
    assert [type(wish) for wish in world.wishes] == [Drop]
    world.disk_works()
    assert world.told(first)[0] == 503
    world.gateway.refuses = False
    again = world.ask("k1", what)
    world.settle()
    assert world.told(again)[0] == 201


def test_what_is_answered_is_told_before_the_front_is_ready_again() -> None:
    world = World()
    world.ask("k1", "order")
    world.settle()
    world.ready = False
    world.crash()
    again, fresh = world.ask("k1", "order"), world.ask("k2", "order")
    world.settle()
    assert world.told(again)[0] == 201
    assert world.told(fresh)[1]["code"] == "not_ready"
    assert len(world.disk.rows) == 1


@pytest.mark.parametrize("done", [False, True])
def test_a_disk_that_is_no_good_takes_no_key_and_says_so_once(done: bool) -> None:
    world = World()
    first, second = world.ask("k1", "group"), world.ask("k2", "group")
    world.disk_fails(done)
    world.disk_fails(done)
    for number in (first, second):
        assert world.told(number)[0] == 503
        assert world.told(number)[1]["code"] == "keys_unavailable"
    assert world.gateway.groups == 0
    assert len(world.reports) == 1
    world.ask("k3", "order")
    world.settle()
    assert world.reports[1:] == [f"{HEADER}: the answers are kept again"]


def test_an_answer_that_can_not_be_kept_is_none() -> None:
    world = World()
    numbers = {what: world.ask(what, what) for what in ("order", "batch", "group", "resume")}
    for _ in numbers:
        world.disk_works()
        world.gateway_works()
        world.answer_comes()
    for _ in numbers:
        world.disk_fails()
    said = {what: world.told(number) for what, number in numbers.items()}
    assert (said["order"][0], said["order"][1]["outcome"]) == (202, "unknown")
    assert [row["outcome"] for row in said["batch"][1]["orders"]] == ["unknown", "unknown"]
    assert (said["group"][0], said["group"][1]["state"]) == (202, "unknown")
    assert said["resume"][1]["code"] == "answer_not_kept"
    again = world.ask("order", "order")
    world.settle()
    assert world.told(again)[0] == 201
    assert len(world.gateway.orders) == 3


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_a_halt_does_not_wait_for_the_disk(how: str) -> None:
    world = World()
    asked = world.ask("k1", "halt")
    assert not world.letters
    if how == "fails":
        world.disk_fails()
    else:
        world.passes(IDEMPOTENCY_HALT_WAIT)
    assert len(world.letters) == 1
    world.gateway_works()
    world.answer_comes()
    world.passes(IDEMPOTENCY_WAIT)
    assert world.told(asked)[0] == 200


def test_a_halt_that_went_before_a_slow_disk_is_kept_all_the_same() -> None:
    world = World()
    asked = world.ask("k1", "halt")
    world.passes(IDEMPOTENCY_HALT_WAIT)
    world.gateway_works()
    world.answer_comes()
    assert asked not in world.replies
    world.settle()
    assert world.told(asked)[0] == 200
    again = world.ask("k1", "halt")
    world.settle()
    assert world.replies[again].body == world.replies[asked].body
    assert len(world.letters_told) == 1


@pytest.mark.parametrize("what", ["halt", "resume"])
def test_a_halt_that_a_slow_disk_knows_already_has_the_answer_that_is_kept(what: str) -> None:
    world = World()
    first = world.ask("k1", what)
    world.settle()
    again = world.ask("k1", "halt")
    world.passes(IDEMPOTENCY_HALT_WAIT)
    assert len(world.letters) == 1, "it halts once more: that is on the safe side"
    world.disk_works()
    assert again not in world.replies
    world.settle()
    if what == "halt":
        assert world.replies[again].body == world.replies[first].body
    else:
        assert world.told(again)[1]["code"] == "key_reused"


def test_what_does_not_halt_is_refused_by_a_disk_that_hangs() -> None:
    world = World()
    before = world.ask("k1", "order")
    world.passes(IDEMPOTENCY_WAIT)
    assert world.told(before)[1]["code"] == "keys_unavailable"
    world.settle()
    assert not world.gateway.orders
    behind = world.ask("k2", "order")
    world.disk_works()
    world.gateway_works()
    world.answer_comes()
    world.passes(IDEMPOTENCY_WAIT)
    assert world.told(behind)[1]["outcome"] == "unknown"
    world.settle()
    again = world.ask("k2", "order")
    world.settle()
    assert world.told(again)[0] == 201


@pytest.mark.parametrize("what", ["group", "confirm", "follow", "order"])
def test_what_a_slow_disk_takes_after_its_refusal_is_forgotten_and_really_new(what: str) -> None:
    world = World()
    first = world.ask("k1", what)
    world.passes(IDEMPOTENCY_WAIT)
    assert world.told(first)[1]["code"] == "keys_unavailable"
    early = world.ask("k1", what)
    assert world.told(early)[1]["code"] == "keys_unavailable", "not begun behind the first"
    world.settle()
    assert not world.disk.rows
    assert not world.letters_told
    again = world.ask("k1", what)
    world.settle()
    assert world.told(again)[0] in (200, 201)
    assert [letter.at for letter in world.letters_told] == [world.at], "as young as it is"


def test_a_resume_that_a_slow_disk_refused_keeps_its_time() -> None:
    world = World()
    first = world.ask("k1", "resume")
    world.passes(IDEMPOTENCY_WAIT)
    assert world.told(first)[1]["code"] == "keys_unavailable"
    world.settle()
    world.ask("k2", "halt")
    world.settle()
    again = world.ask("k1", "resume")
    world.settle()
    assert world.told(again)[0] == 409
    assert world.gateway.halted_at


def test_what_a_former_life_began_is_not_forgotten_by_a_slow_disk() -> None:
    world = World()
    world.ask("k1", "group")
    world.disk_works()
    world.gateway_works()
    world.crash()
    world.ask("k1", "group")
    world.passes(IDEMPOTENCY_WAIT)
    world.settle()
    again = world.ask("k1", "group")
    world.settle()
    assert world.told(again)[1]["code"] == "interrupted"
    assert world.gateway.groups == 1


@pytest.mark.parametrize("how", ["fails", "is slow"])
def test_what_was_refused_is_forgotten_even_if_the_disk_is_late_to(how: str) -> None:
    world = World()
    world.gateway.refuses = True
    first = world.ask("k1", "group")
    world.disk_works()
    world.gateway_works()
    world.answer_comes()
    assert [type(wish) for wish in world.wishes] == [Drop]
    if how == "fails":
        world.disk_fails()
        assert not world.wishes, "it is not tried again at once"
        world.passes(IDEMPOTENCY_WAIT)
    else:
        world.passes(IDEMPOTENCY_WAIT)
    assert world.told(first)[0] == 503
    assert [type(wish) for wish in world.wishes] == [Drop]
    world.gateway.refuses = False
    world.settle()
    again = world.ask("k1", "group")
    world.settle()
    assert world.told(again)[0] == 201


def test_a_beginning_that_failed_and_is_on_disk_all_the_same_is_forgotten() -> None:
    world = World()
    world.ask("k1", "group")
    world.disk_fails(done=True)
    assert len(world.disk.rows) == 1
    world.settle()
    again = world.ask("k1", "group")
    world.settle()
    assert world.told(again)[0] == 201


def test_a_halt_waits_for_nothing_that_is_to_be_forgotten() -> None:
    world = World()
    first = world.ask("k1", "halt")
    world.disk_works()
    [letter] = world.letters
    world.letters.clear()
    refused = Letter("gateway", 1, letter.id, AT, Refused("no disk"))
    world.feed(Answered(AT, "gateway", refused))
    assert [type(wish) for wish in world.wishes] == [Drop]
    world.disk_fails()
    assert world.told(first)[0] >= 500
    again = world.ask("k1", "halt")
    world.settle()
    assert world.told(again)[0] == 200


def test_an_answer_that_is_too_large_is_a_short_one_from_the_first_time_on() -> None:
    world = World()
    world.gateway.wishes = IDEMPOTENCY_ANSWER_BYTES_MAX // 10
    first = world.ask("k1", "follow")
    world.settle()
    assert world.told(first)[0] == 200
    assert world.told(first)[1]["code"] == "answer_too_large"
    again = world.ask("k1", "follow")
    world.settle()
    assert world.replies[again].body == world.replies[first].body


def test_a_flood_of_keys_is_refused_but_no_halt() -> None:
    world = World()
    for number in range(FLIGHTS_MAX):
        world.ask(f"k{number}", "order")
    more = world.ask("more", "order")
    assert world.told(more)[1]["code"] == "busy"
    halts = [world.ask(f"halt{number}", "halt") for number in range(ROOM["kill"])]
    assert not set(halts) & set(world.replies), "as many as all tokens may have waiting"
    assert len(world.wishes) == FLIGHTS_MAX + ROOM["kill"]


def test_a_front_that_waits_for_the_disk_is_not_woken_for_nothing() -> None:
    world = World()
    world.ask("k1", "order")
    world.disk_works()
    for _ in range(100):
        deadline = world.core.deadline()
        assert deadline is not None
        assert deadline > world.now
        world.passes(deadline - world.now)


@pytest.mark.parametrize("key", ["", "a b", "k" * 65, "k\u00e9y", "k/1", '"k1"', "k1,k2"])
def test_a_key_that_is_none_is_named(key: str) -> None:
    found = said("t1", [key], "POST", "/v1/orders?", b"{}")
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (422, "invalid_idempotency_key", HEADER)


def test_a_key_is_said_once_and_only_by_a_post() -> None:
    assert isinstance(said("t1", ["k1", "k1"], "POST", "/v1/orders?", b"{}"), Problem)
    assert isinstance(said("t1", ["k" * 64], "POST", "/v1/orders?", b"{}"), Keyed)
    assert said("t1", [], "POST", "/v1/orders?", b"{}") is None
    assert said("t1", ["k1"], "DELETE", "/v1/orders/c1?", b"") is None
    assert said("t1", ["k1"], "GET", "/v1/orders?", b"") is None


def test_no_two_callers_and_keys_make_the_same_id() -> None:
    pairs = [("t", "1k"), ("t1", "k"), ("t1k", ""), ("", "t1k")]
    assert len({Keyed(caller, key, b"").fresh_id for caller, key in pairs}) == len(pairs)


def test_an_id_that_is_made_of_a_key_is_one_that_the_engine_takes() -> None:
    fresh = Keyed("t1", "k1", b"").fresh_id
    found = read("POST", "/v1/orders", {}, json.dumps(ASKED["order"][1]).encode(), fresh)
    assert not isinstance(found, Problem)
    assert isinstance(found[1], Place)
    assert found[1].order.client_order_id == fresh
