"""Whether the exchange pauses, by its own word: a fresh one, or an honest "not known"."""

from typing import Any

from protocol.limits import MS, PAUSE_ANSWER, PAUSE_ASKERS_MAX, PAUSE_LOOK, SECOND
from protocol.messages import AnyMessage, ExchangeAnswer, ExchangeRequest
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_orders import live

STATUS = "/exchange/status"
OPEN = {"exchange_active": True, "trading_active": True}
PAUSED = {
    "exchange_active": True,
    "trading_active": False,
    "exchange_estimated_resume_time": "2026-11-26T10:00:00Z",
}
WHY = "trading pauses, it hopes until 2026-11-26 10:00:00Z"


def told(scene: Scene) -> list[AnyMessage]:
    found, scene.answers = scene.answers, []
    return [a for a in found if isinstance(a, ExchangeAnswer)]


def looks(scene: Scene) -> int:
    return sum(m.call.path == STATUS for m in scene.made)


def aged(**instead: Any) -> Scene:
    """Its last word is older than one that is passed on."""
    scene = Scene().ready()
    live(scene, PAUSE_LOOK + 5 * SECOND)
    scene.instead.update(instead)
    scene.answers.clear()
    return scene


def test_a_fresh_word_is_passed_on_at_once() -> None:
    scene = Scene().ready()
    before = looks(scene)
    scene.ask(ExchangeRequest())
    assert told(scene) == [ExchangeAnswer("")]
    assert looks(scene) == before


def test_an_old_word_is_worth_another_look() -> None:
    scene = aged()
    scene.instead[STATUS] = PAUSED
    before = looks(scene)
    scene.ask(ExchangeRequest())
    scene.ask(ExchangeRequest())
    assert told(scene) == [ExchangeAnswer(WHY), ExchangeAnswer(WHY)]
    assert looks(scene) == before + 1
    scene.ask(order())
    assert scene.told.code == "exchange_paused", "orders learn it, too"


def test_nothing_read_is_nothing_known() -> None:
    scene = Scene()
    scene.hush = True
    scene.ask(ExchangeRequest(), "e1")
    scene.ask(ExchangeRequest(), "e1")
    scene.pass_time(PAUSE_ANSWER - MS)
    assert told(scene) == []
    scene.pass_time(2 * MS)
    assert told(scene) == [ExchangeAnswer("", known=False)]


def test_a_look_that_fails_is_not_waited_for_and_looks_do_not_follow_questions() -> None:
    scene = aged()
    scene.instead[STATUS] = None
    before = looks(scene)
    scene.ask(ExchangeRequest())
    assert told(scene) == []
    scene.fail(sent=True)
    assert told(scene) == [ExchangeAnswer("", known=False)]
    for _ in range(20):
        scene.ask(ExchangeRequest())
    assert looks(scene) == before + 1, "one a second, however many ask"
    scene.pass_time(SECOND + MS)
    assert looks(scene) == before + 2
    [call] = scene.calls
    assert call.call.path == STATUS
    scene.reply(200, OPEN)
    assert told(scene)[-1] == ExchangeAnswer("")


def test_a_pause_is_read_from_an_error_as_well() -> None:
    scene = aged()
    scene.instead[STATUS] = None
    scene.ask(ExchangeRequest())
    scene.reply(503, {"exchange_active": False, "trading_active": False})
    assert told(scene) == [ExchangeAnswer("the exchange pauses")]
    live(scene, 2 * SECOND)
    scene.reply(504, OPEN)
    scene.ask(ExchangeRequest())
    assert told(scene) == [ExchangeAnswer("the exchange pauses")], "an error opens nothing"
    live(scene, 2 * SECOND)
    scene.reply(503, b"<html>")
    live(scene, 2 * SECOND)
    scene.reply(200, OPEN)
    scene.ask(ExchangeRequest())
    assert told(scene) == [ExchangeAnswer("")]


def test_a_pause_that_can_not_be_looked_at_any_more_is_its_last_word() -> None:
    scene = aged()
    scene.instead[STATUS] = PAUSED
    scene.ask(ExchangeRequest())
    scene.instead[STATUS] = None
    live(scene, PAUSE_LOOK + SECOND)
    told(scene)
    scene.ask(ExchangeRequest())
    scene.fail(sent=False)
    assert told(scene) == [ExchangeAnswer(WHY, known=False)]


def test_more_askers_than_may_wait_are_told_what_is_known() -> None:
    scene = aged()
    scene.instead[STATUS] = None
    for _ in range(PAUSE_ASKERS_MAX + 1):
        scene.ask(ExchangeRequest())
    assert told(scene) == [ExchangeAnswer("", known=False)]
    scene.reply(200, OPEN)
    assert told(scene) == [ExchangeAnswer("")] * PAUSE_ASKERS_MAX
