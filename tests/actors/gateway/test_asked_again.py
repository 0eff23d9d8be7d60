"""The same order asked for again, at each step of its way: what is told never goes back."""

from protocol.limits import INTENT_ACK_MAX, OUTCOME_ACK_MAX
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_orders import MADE, sent


def outcomes(scene: Scene) -> list[tuple[str, str]]:
    return [(a.outcome, a.code) for a in scene.answers]  # type: ignore[union-attr]


def test_while_its_outcome_is_being_recorded() -> None:
    scene = Scene().ready()
    scene.ask(order(), "q1")
    scene.acknowledge()
    scene.reply(201, MADE)
    scene.ask(order(), "q1")
    scene.ask(order(), "q2")
    assert scene.answers == [], "accepted, but not on record yet: an intent is not the last word"
    scene.acknowledge()
    assert outcomes(scene) == [("accepted", "")] * 2
    assert sent(scene) == ["create"]


def test_after_an_outcome_that_is_recorded_late() -> None:
    scene = Scene().ready()
    scene.ask(order(), "q1")
    scene.acknowledge()
    scene.reply(201, MADE)
    scene.pass_time(OUTCOME_ACK_MAX)
    scene.ask(order(), "q2")
    assert outcomes(scene) == [("accepted", "")] * 2, "as it was told"
    scene.acknowledge()
    scene.ask(order(), "q3")
    assert outcomes(scene) == [("accepted", "")] * 3


def test_while_an_intent_that_came_too_late_is_withdrawn() -> None:
    scene = Scene().ready()
    scene.ask(order(), "q1")
    scene.pass_time(INTENT_ACK_MAX)
    intent, withdrawal = scene.appends
    scene.appends = [intent]
    scene.acknowledge()
    scene.ask(order(), "q2")
    assert outcomes(scene) == [("unavailable", "not_recorded")] * 2
    scene.appends.append(withdrawal)
    scene.settle()
    scene.ask(order(), "q3")
    assert scene.told.outcome == "unavailable"
    assert sent(scene) == []
