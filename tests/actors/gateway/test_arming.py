"""The gateway on the real exchange: without an arming no order, and everything else as ever."""

from actors.gateway.arming import ArmingSeen
from actors.gateway.desk import CallFailed
from actors.gateway.halt import DISARMED
from protocol.arming import Live
from protocol.facts import OrderDenied
from protocol.messages import (
    AcquireTokens,
    CancelOrder,
    Halt,
    Heartbeat,
    Panic,
    TokensAnswer,
)
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_orders import MADE

WHY = "not armed: run `sidecar arm`"
UNARMED = Live(WHY)
ARMED = Live("", 1_795_000_000_000_000)


def creates(scene: Scene) -> list[str]:
    return [m.call.path for m in scene.made if m.call.method == "POST"]


def counters(scene: Scene) -> dict[str, int]:
    beat = scene.beats[-1]
    assert isinstance(beat, Heartbeat)
    return beat.counters


def test_a_new_order_is_refused_at_the_door_and_told_what_to_run() -> None:
    scene = Scene(live=UNARMED).ready()
    assert scene.logged[0] == f"disarmed: {WHY}"
    scene.ask(order())
    assert (scene.told.outcome, scene.told.code, scene.told.text) == ("denied", "disarmed", WHY)
    assert creates(scene) == []
    assert scene.appends == [], "nothing is on record: the id may be used again"
    assert counters(scene)["armed_until"] == 0
    scene.feed(ArmingSeen(scene.at, ARMED))
    scene.ask(order())
    scene.acknowledge()
    assert len(creates(scene)) == 1


def test_an_arming_that_outlived_the_last_life_of_the_gateway_is_said() -> None:
    scene = Scene(live=ARMED).ready()
    assert scene.logged[0] == (
        "armed until 2026-11-18 11:06:40Z: orders leave for the real exchange"
    )
    assert counters(scene)["armed_until"] == 1_795_000_000
    scene.feed(ArmingSeen(scene.at, ARMED))
    scene.feed(ArmingSeen(scene.at, UNARMED))
    assert [r for r in scene.logged if "armed" in r][1:] == [f"disarmed: {WHY}"]


def test_other_exchanges_say_nothing_of_it() -> None:
    scene = Scene().ready()
    assert not [line for line in scene.logged if "armed" in line]
    assert "armed_until" not in counters(scene)


def test_cancels_panics_and_reads_need_no_arming() -> None:
    scene = Scene(live=ARMED).ready()
    scene.ask(order())
    scene.acknowledge()
    scene.reply(201, MADE)
    scene.acknowledge()
    scene.feed(ArmingSeen(scene.at, UNARMED))
    scene.ask(CancelOrder("c1"))
    assert scene.calls[-1].call.method == "DELETE"
    scene.ask(Panic("stop"))
    scene.pass_time(1_000_000_000)
    paths = [m.call.path for m in scene.made if m.call.method == "DELETE"]
    assert paths[-1] == "/portfolio/events/orders", "cancel all"


def test_programs_get_no_tokens_for_writes_of_their_own() -> None:
    scene = Scene(live=UNARMED).ready()
    scene.ask(AcquireTokens("write", 10))
    answer = scene.answers[-1]
    assert isinstance(answer, TokensAnswer), answer
    assert answer.reason == f"disarmed: {WHY}"


def test_a_disarm_refuses_what_waits_for_tokens() -> None:
    scene = Scene(live=ARMED).ready()
    ids = [f"c{n}" for n in range(300)]  # 2000 tokens are enough for 200 at most
    for id in ids:
        scene.ask(order(id), id)
    scene.acknowledge()
    left = len(creates(scene))
    assert 0 < left < 300
    scene.feed(ArmingSeen(scene.at, UNARMED))
    facts = scene.acknowledge()
    assert len(facts) == 300 - left
    assert {fact.reason for fact in facts} == {f"disarmed: {WHY}"}
    assert (scene.told.outcome, scene.told.code) == ("denied", "disarmed")
    scene.feed(ArmingSeen(scene.at, ARMED))
    scene.pass_time(1_000_000_000)
    assert len(creates(scene)) == left


def test_an_order_that_the_wire_kept_back_was_not_sent() -> None:
    scene = Scene(live=ARMED).ready()
    scene.ask(order())
    scene.acknowledge()
    [made] = scene.calls
    scene.feed(CallFailed(scene.at, made.id, f"{DISARMED}{WHY}", sent=False))
    assert scene.acknowledge() == [OrderDenied("c1", f"disarmed: {WHY}")]
    assert (scene.told.outcome, scene.told.code, scene.told.text) == ("denied", "disarmed", WHY)


def test_a_halt_is_said_first() -> None:
    scene = Scene(live=UNARMED).ready()
    scene.ask(Halt("lunch"))
    scene.ask(order())
    assert scene.told.code == "halted"
