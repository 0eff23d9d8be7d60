"""Halt, resume, panic and the hold, as the gateway's core takes them."""

from typing import Any

import pytest

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.halt import STOPPED, HaltSaved, LatchSeen
from protocol.envelope import Letter
from protocol.facts import OrderDenied, OrderIntended
from protocol.latch import NO_LATCH, Latch
from protocol.limits import (
    ABSENCE_AFTER,
    CLOCK_SKEW_MAX,
    HOLD_AFTER_CANCEL_ALL,
    MS,
    PANIC_ANSWER,
    PANIC_FRESH,
    PANIC_RETRY,
    RESOLVE_INTERVAL,
    SECOND,
    US,
)
from protocol.machine import Asked
from protocol.messages import CancelOrder, Halt, HaltAnswer, Panic, PanicAnswer, Refused, Resume
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_orders import ROW, sent

HOLD_US = HOLD_AFTER_CANCEL_ALL // US


def halts(scene: Scene) -> list[HaltAnswer]:
    return [a for a in scene.answers if isinstance(a, HaltAnswer)]


def panics(scene: Scene) -> list[PanicAnswer]:
    return [a for a in scene.answers if isinstance(a, PanicAnswer)]


def cancel_alls(scene: Scene) -> int:
    return sum(c.call.name == "cancel all" for c in scene.made)


def live(scene: Scene, duration: int, says: bool = False) -> None:
    """Time passes; disk, writer and supervisor answer; the exchange cancels what it is asked to.

    `says`: it tells how new its reads are.
    """
    until = scene.now + duration
    while scene.now < until:
        scene.pass_time(min(100 * MS, until - scene.now))
        scene.save()
        scene.beat()
        scene.acknowledge()
        names = ("cancel all", "cancel", "user data")
        for made in [c for c in scene.calls if c.call.name in names]:
            scene.calls.remove(made)
            if made.call.name == "cancel":
                scene.feed(CallAnswered(scene.now // US, made.id, 404, b""))
            elif made.call.name == "cancel all":
                scene.feed(CallAnswered(scene.now // US, made.id, 204, b""))
            else:
                seconds = scene.now // SECOND if says else 0
                body = b'{"as_of_time":"1970-01-01T00:%02d:%02dZ"}' % divmod(seconds, 60)
                status = 200 if says else 404
                scene.feed(CallAnswered(scene.now // US, made.id, status, body))


def until_done(scene: Scene, most: int = 120 * SECOND, says: bool = False) -> PanicAnswer:
    """Ask for the panic until it is done."""
    until = scene.now + most
    while not panics(scene) or panics(scene)[-1].state == "running":
        scene.ask(Panic("stop"), f"p{scene.now}")
        live(scene, PANIC_ANSWER, says)
        assert scene.now < until, panics(scene)[-1:]
    return panics(scene)[-1]


# Halt and resume


def test_a_halt_counts_at_once_and_is_answered_once_it_is_on_disk() -> None:
    scene = Scene().ready()
    scene.ask(Halt("lunch"), "h")
    scene.ask(order())
    assert scene.told.code == "halted"
    assert halts(scene) == []
    [wanted] = scene.saves
    assert wanted.latch == Latch(True, "lunch", scene.now // US)
    scene.save()
    assert halts(scene) == [HaltAnswer(True, "lunch", True)]


def test_a_disk_that_does_not_take_the_halt_is_said_and_tried_again() -> None:
    scene = Scene().ready()
    scene.ask(Halt("lunch"), "h")
    scene.save("halt: No space left on device")
    assert halts(scene) == [HaltAnswer(True, "halt: No space left on device", False)]
    scene.ask(order())
    assert scene.told.code == "halted"
    scene.pass_time(PANIC_RETRY)
    assert [s.latch.reason for s in scene.saves] == ["lunch"]


def test_orders_that_wait_for_tokens_are_refused_at_once_and_draw_none() -> None:
    scene = Scene().ready()
    ids = [f"c{n}" for n in range(300)]  # 2000 tokens are enough for 200 at most
    for id in ids:
        scene.ask(order(id), id)
    scene.acknowledge()
    left = len(sent(scene))
    assert 0 < left < 300
    scene.ask(Halt("stop"), "h")
    assert len(scene.acknowledge()) == 300 - left
    scene.save()
    for _ in range(left):
        scene.reply(201, {})
    live(scene, 2 * SECOND)
    assert len(sent(scene)) == left


@pytest.mark.parametrize("reason", ["", "x" * 201, "a\nb"])
def test_a_resume_needs_a_reason(reason: str) -> None:
    scene = Scene(halt="yesterday").ready()
    scene.ask(Resume(reason), "r")
    assert scene.answers[-1] == Refused("resume: reason: 1 to 200 printable characters")
    assert scene.saves == []


def test_a_letter_that_comes_twice_is_one_wish() -> None:
    scene = Scene(halt="yesterday").ready()
    scene.ask(Resume("go"), "r")
    scene.ask(Resume("go"), "r")
    scene.save()
    assert halts(scene) == [HaltAnswer(False)]
    scene.ask(Halt("stop"), "h")
    scene.save()
    scene.ask(Resume("go"), "r")  # told again, because its answer came late
    assert scene.saves == []
    assert halts(scene)[-1] == HaltAnswer(True, "stop")


def test_a_resume_lifts_no_halt_that_came_after_it_was_asked_for() -> None:
    scene = Scene().ready()
    scene.ask(Halt("lunch"), "h")
    scene.save()
    scene.pass_time(SECOND)
    written_at = scene.at
    resume = Letter("api", 1, "r", written_at, Resume("lunch is over"))
    scene.pass_time(SECOND)
    scene.feed(LatchSeen(scene.at, Latch(True, "fire", scene.at)))
    scene.pass_time(SECOND)
    scene.feed(Asked(scene.at, (b"api",), resume))  # it was told again and again meanwhile
    scene.save()
    text = "halted after this resume was asked for: lunch"
    assert halts(scene)[-1] == HaltAnswer(True, text, True)
    scene.feed(Asked(scene.at, (b"api",), Letter("api", 1, "r2", scene.at, Resume("it is out"))))
    scene.save()
    assert halts(scene)[-1] == HaltAnswer(False, "", True)


@pytest.mark.parametrize("ahead", [0, 3_600_000_000, -3_600_000_000])
def test_a_resume_asked_after_a_restart_lifts_the_halt_wherever_the_clock_was_set(
    ahead: int,
) -> None:
    latch = Latch(True, "lunch", SECOND // US + ahead)  # by a clock that was wrong
    scene = Scene(latch=latch).restore().pass_time(3 * SECOND).beat().settle()
    scene.feed(Asked(scene.at, (b"api",), Letter("api", 1, "r", scene.at, Resume("over"))))
    scene.save()
    assert halts(scene)[-1] == HaltAnswer(False, "", True)


def test_a_halt_that_somebody_else_wrote_is_not_lifted_unseen() -> None:
    scene = Scene(halt="yesterday").ready()
    scene.ask(Resume("go"), "r")
    scene.saves.clear()
    scene.feed(HaltSaved(scene.at, Latch(True, "fire"), "another process has halted meanwhile"))
    assert halts(scene) == [HaltAnswer(True, "another process has halted meanwhile", False)]
    scene.ask(Resume("go"), "r2")
    [wanted] = scene.saves
    assert (wanted.latch, wanted.over) == (NO_LATCH, Latch(True, "fire"))


def test_a_latch_that_another_process_wrote_halts() -> None:
    scene = Scene().ready()
    scene.feed(LatchSeen(scene.at, Latch(True, "by hand", 5)))
    scene.ask(order())
    assert (scene.told.code, scene.told.text) == ("halted", "by hand")


def test_a_latch_removed_by_hand_is_no_resume() -> None:
    scene = Scene(halt="yesterday").ready()
    scene.feed(LatchSeen(scene.at, NO_LATCH))
    scene.ask(order())
    assert scene.told.code == "halted"
    assert "removed by hand" in scene.told.text
    [wanted] = scene.saves
    assert (wanted.latch.halted, wanted.over) == (True, NO_LATCH), "and it is written again"


def test_an_order_that_the_latch_stopped_in_the_last_moment_was_not_sent() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    [made] = scene.calls
    scene.feed(CallFailed(scene.at, made.id, f"{STOPPED}by hand", sent=False))
    facts = scene.acknowledge()
    assert facts == [OrderDenied("c1", "halted: by hand")]
    assert (scene.told.outcome, scene.told.code) == ("denied", "halted")


# Panic


def test_a_panic_halts_first_then_cancels_and_looks() -> None:
    scene = Scene().ready()
    scene.ask(order("c1"))
    scene.acknowledge()
    scene.reply(201, {"order_id": "o1", "client_order_id": "c1", "fill_count": "0.00",
                      "remaining_count": "10.00", "ts_ms": 5})  # fmt: skip
    scene.acknowledge()
    scene.listing = [ROW]
    scene.ask(Panic("fire"), "p")
    scene.ask(order("c2"))
    assert scene.told.code == "halted"
    scene.pass_time(SECOND)
    assert cancel_alls(scene) == 1, "the disk may hang: the exchange is told at once"
    assert panics(scene) == [], "but nobody is answered before the latch is on disk"
    [wanted] = scene.saves
    assert (wanted.latch.halted, wanted.latch.reason, wanted.latch.panic) == (True, "fire", True)
    live(scene, PANIC_ANSWER)
    [answer] = panics(scene)
    assert (answer.state, answer.resting, answer.reason) == ("running", 1, "1 order rests")
    assert cancel_alls(scene) > 1
    scene.listing = []
    answer = until_done(scene, says=True)
    assert (answer.resting, answer.saved, answer.reason) == (0, True, "")
    assert HOLD_AFTER_CANCEL_ALL - 30 * SECOND < answer.hold_ms * MS <= HOLD_AFTER_CANCEL_ALL
    assert not scene.saves


def test_creates_are_held_for_a_minute_once_it_is_resumed() -> None:
    scene = Scene().ready()
    until_done(scene)
    scene.ask(Resume("over"), "r")
    [wanted] = scene.saves
    assert not wanted.latch.halted
    assert wanted.latch.hold_until > scene.now // US
    scene.save()
    scene.ask(order("c1"))
    assert scene.told.code == "cancel_all_hold"
    wait = scene.told.retry_after_ms * MS
    assert HOLD_AFTER_CANCEL_ALL - 30 * SECOND < wait < HOLD_AFTER_CANCEL_ALL
    live(scene, wait - SECOND)
    scene.ask(order("c2"))
    assert scene.told.code == "cancel_all_hold"
    live(scene, 2 * SECOND)
    scene.ask(order("c3"))
    assert [type(f) for f in scene.acknowledge()] == [OrderIntended]
    scene.pass_time(MS)
    assert sent(scene) == ["create"]


@pytest.mark.parametrize("jump", [-3_600_000_000, -1, 0, 3_600_000_000])
def test_a_hold_of_a_former_life_lasts_a_minute_at_most(jump: int) -> None:
    scene = Scene(latch=Latch(False, "over", 0, HOLD_US + jump if jump > -2 else 5)).ready()
    scene.ask(order("c1"))
    held = scene.told.code == "cancel_all_hold" if scene.answers else False
    assert held == (jump > -2)
    live(scene, HOLD_AFTER_CANCEL_ALL)
    scene.ask(order("c2"))
    assert OrderIntended in [type(f) for f in scene.acknowledge()]


def test_the_same_panic_is_asked_for_again() -> None:
    scene = Scene().ready()
    scene.ask(Panic("fire"), "p1")
    live(scene, PANIC_ANSWER)
    scene.ask(Panic("fire"), "p2")
    live(scene, 2 * RESOLVE_INTERVAL)
    scene.ask(Panic("fire"), "p1")  # told again, because its answer came late
    assert [a.state for a in panics(scene)] == ["running", "done", "done"]
    assert cancel_alls(scene) == 1
    scene.ask(Panic("fire"), "p3")
    live(scene, PANIC_FRESH)
    assert cancel_alls(scene) == 2, "a new one"


def test_whoever_was_told_running_hears_of_the_end() -> None:
    scene = Scene().ready()
    scene.ask(Panic("fire"), "p1")
    live(scene, RESOLVE_INTERVAL + PANIC_RETRY)
    assert panics(scene)[-1].state == "running"
    live(scene, 2 * SECOND)
    scene.ask(Panic("fire"), "p2")  # over HTTP each asking has a name of its own
    assert panics(scene)[-1].state == "done"
    assert cancel_alls(scene) == 1


def test_an_order_on_its_way_is_waited_for() -> None:
    scene = Scene().ready()
    scene.ask(order("c1"))
    scene.acknowledge()
    [create] = scene.calls
    scene.ask(Panic("fire"), "p")
    live(scene, 4 * RESOLVE_INTERVAL, says=True)
    assert "still on its way" in panics(scene)[-1].reason
    assert cancel_alls(scene) == 1
    body = b'{"order_id":"o1","client_order_id":"c1","fill_count":"0.00","remaining_count":"10.00"}'
    scene.calls.remove(create)
    scene.feed(CallAnswered(scene.now // US, create.id, 201, body))
    live(scene, PANIC_RETRY, says=True)
    assert cancel_alls(scene) == 2
    until_done(scene, says=True)


def test_an_order_without_an_answer_may_arrive_later() -> None:
    scene = Scene().ready()
    scene.ask(order("c1"))
    scene.acknowledge()
    scene.fail(sent=True)
    lost = scene.now
    until_done(scene, says=True)
    assert scene.now > lost + ABSENCE_AFTER + CLOCK_SKEW_MAX


def test_a_panic_that_a_kill_interrupted_goes_on() -> None:
    first = Scene().ready()
    first.ask(Panic("fire"), "p")
    [wanted] = first.saves
    scene = Scene(latch=wanted.latch)
    booted = scene.now
    live(scene, 2 * SECOND)
    assert cancel_alls(scene) == 1, "without an account, without a gate"
    until_done(scene, says=True)
    assert scene.now > booted + ABSENCE_AFTER, "what the former life sent may have arrived later"
    scene.ask(order())
    assert scene.told.code in ("halted", "not_restored")


def test_after_a_restart_orders_that_the_ledger_knows_the_end_of_are_not_waited_for() -> None:
    scene = Scene().ready()
    until_done(scene, says=True)
    assert scene.now < ABSENCE_AFTER


def test_a_resume_gives_a_panic_up() -> None:
    scene = Scene().ready()
    scene.listing = [ROW]
    scene.ask(Panic("fire"), "p")
    live(scene, SECOND)
    scene.ask(Resume("false alarm"), "r")
    scene.save()
    assert panics(scene)[-1].reason == "given up: somebody has resumed trading"
    before = cancel_alls(scene)
    live(scene, 5 * SECOND)
    assert cancel_alls(scene) == before
    scene.ask(order("c9"))
    assert scene.told.code == "cancel_all_hold"


def test_a_panic_during_a_resume_wins() -> None:
    scene = Scene(halt="yesterday").ready()
    scene.ask(Resume("go"), "r")
    scene.ask(Panic("fire"), "p")
    scene.save()
    assert halts(scene) == [HaltAnswer(True, "yesterday; then: fire")]
    live(scene, SECOND)
    assert cancel_alls(scene) == 1


def test_a_full_disk_does_not_keep_a_panic_from_canceling() -> None:
    scene = Scene().ready()
    scene.ask(Panic("fire"), "p")
    scene.save("halt: No space left on device")
    scene.pass_time(100 * MS)
    assert cancel_alls(scene) == 1
    live(scene, PANIC_ANSWER)
    assert panics(scene)[-1].saved, "there is room again"


def test_a_panic_of_the_command_line_is_taken_over() -> None:
    scene = Scene().ready()
    scene.feed(LatchSeen(scene.now // US, Latch(True, "fire", 5, scene.now // US + HOLD_US, True)))
    live(scene, SECOND)
    assert cancel_alls(scene) == 1


def test_what_the_heartbeat_says_of_a_panic() -> None:
    scene = Scene().ready()
    scene.listing = [ROW]
    scene.ask(Panic("fire"), "p")
    live(scene, 2 * SECOND)
    beat: Any = scene.beats[-1]
    assert beat.flags["halted"]
    assert "panic: 1 order rests" in beat.reasons
    found = {k: beat.counters[k] for k in ("panic_running", "panic_resting")}
    assert found == {"panic_running": 1, "panic_resting": 1}
    assert beat.counters["cancel_alls"] > 0


def test_the_hold_begins_when_the_cancel_all_leaves_not_when_it_is_wanted() -> None:
    """All places in flight are taken for two seconds; then it leaves, and no answer comes."""
    scene = Scene().ready()
    for n in range(8):
        scene.ask(order(f"c{n}"))
    scene.settle()
    scene.pass_time(10 * MS)
    assert len(scene.calls) == 6, "two places are kept for cancels"
    for n in range(2):
        scene.reply(
            201,
            {"order_id": f"x{n}", "client_order_id": f"c{n}", "fill_count": "0.00",
             "remaining_count": "10.00", "ts_ms": 1},
        )  # fmt: skip
        scene.settle()
    for n in range(2):
        scene.ask(CancelOrder(f"c{n}"))
    assert [c.call.name for c in scene.calls].count("cancel") == 2
    scene.ask(Panic("fire"), "p")
    scene.save()
    scene.beat().pass_time(SECOND).beat().pass_time(SECOND)
    assert "cancel all" not in [c.call.name for c in scene.made]
    scene.fail(sent=True)
    scene.pass_time(10 * MS)
    [left] = [c for c in scene.calls if c.call.name == "cancel all"]
    left_at = scene.at
    scene.pass_time(10 * MS)
    assert scene.saves[-1].latch.hold_until >= left_at - 10_000 + HOLD_US
