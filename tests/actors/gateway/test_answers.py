"""What the ledger answers, early, late, or not as hoped: no order is in doubt without a reason."""

from typing import Any

from protocol.envelope import Letter
from protocol.facts import OrderIntended, OrderSeen, OrderUnknown, Reconciled
from protocol.limits import SECOND
from protocol.machine import Answered
from protocol.messages import Append, Appended, Reconcile, ReconcileAnswer
from protocol.units import Count, Price
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_orders import MADE, ROW, sent

SEEN = OrderSeen(
    "o1", "c1", "KXA-1", "bid", Price(560_000), "resting", Count(1_000), Count(0), Count(1_000), 5
)


def answer(scene: Scene, letter: Letter, said: Appended) -> None:
    """The writer answers one letter; the entry itself does not come yet."""
    scene.feed(Answered(scene.at, "writer", Letter("writer", 3, letter.id, 0, said)))


def facts(scene: Scene) -> list[Any]:
    return [told.body.fact for told in scene.appends if isinstance(told.body, Append)]


def test_an_order_settled_by_an_entry_that_is_not_heard_yet_is_in_no_doubt() -> None:
    scene = Scene().ready()
    scene.ask(order())
    scene.acknowledge()
    scene.reply(201, MADE)
    [letter], scene.appends = scene.appends, []
    answer(scene, letter, Appended("NEW", scene.n + 1))
    assert scene.told.outcome == "accepted"
    scene.pass_time(SECOND // 2)
    assert not [fact for fact in facts(scene) if isinstance(fact, OrderUnknown)]


def test_what_the_writer_set_aside_holds_up_no_round() -> None:
    """Trading is halted for it. If the round were never done, the gate could not open again."""
    for aside, done in ((3, True), (0, False)):
        scene = Scene(listing=[ROW]).ready()
        scene.ask(Reconcile("boot"), "boot")
        scene.pass_time(SECOND // 4).beat()
        letters, scene.appends = scene.appends, []
        assert [type(told.body.fact) for told in letters if isinstance(told.body, Append)] == [
            OrderSeen
        ]
        answer(scene, letters[0], Appended("REFUSED", 0, "CHECK failed", aside))
        scene.pass_time(SECOND // 4).beat()
        assert any(isinstance(fact, Reconciled) for fact in scene.acknowledge()) is done
        assert any(isinstance(a, ReconcileAnswer) for a in scene.answers) is done


def test_an_order_known_from_the_exchange_only_is_answered_if_its_terms_are_the_same() -> None:
    scene = Scene()
    scene.restore(SEEN).pass_time(3 * SECOND).beat()
    scene.ask(order())
    assert (scene.told.outcome, scene.told.order and scene.told.order.order_id) == (
        "accepted",
        "o1",
    )
    scene.ask(order(count=Count(2_000)))
    assert scene.told.outcome == "conflict"
    assert sent(scene) == [] and not [f for f in facts(scene) if isinstance(f, OrderIntended)]
