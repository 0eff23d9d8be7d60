"""Cancels, where the stream and the exchange's answer come in either order."""

import pytest

from protocol.facts import OrderAccepted, OrderCanceled, OrderIntended
from protocol.limits import CANCEL_TOLD_AFTER, SECOND
from protocol.machine import Heard
from protocol.messages import CancelAnswer, CancelOrder, Entry
from protocol.units import Count
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_orders import ROW

CANCELED = OrderCanceled("o1", "c1", Count(1_000), 5_000)


def canceling() -> Scene:
    """One of ours rests, its cancel is on its way, and the stream tells that it is canceled."""
    o = order()
    intent = OrderIntended("c1", o.ticker, o.side, o.price, o.count, o.time_in_force, "hash")
    scene = Scene(listing=[ROW]).restore(
        intent, OrderAccepted("c1", "o1", Count(0), Count(1_000), 5)
    )
    scene.pass_time(3 * SECOND).beat().settle()
    scene.ask(CancelOrder("c1"))
    [delete] = scene.calls
    assert delete.call.method == "DELETE"
    scene.n += 1
    entry = Entry(scene.n, "canceled", scene.at, "stream", CANCELED)
    scene.feed(Heard(scene.at, scene.writer.seal("ledger", entry, 0)))
    return scene


def told(scene: Scene) -> list[str]:
    return [a.outcome for a in scene.answers if isinstance(a, CancelAnswer)]


def test_the_call_s_own_answer_is_waited_for() -> None:
    scene = canceling()
    assert told(scene) == [], "the stream does not say who canceled it"
    scene.reply(200, {"order_id": "o1", "reduced_by": "10.00", "ts_ms": 5})
    assert told(scene) == ["canceled"]


@pytest.mark.parametrize("late", [True, False])
def test_without_one_it_is_gone_all_the_same(late: bool) -> None:
    scene = canceling()
    if late:
        scene.pass_time(CANCEL_TOLD_AFTER)
    else:
        scene.fail(sent=True)
        scene.pass_time(SECOND)
    assert told(scene) == ["gone"]
