"""The same order asked for again, at each step of its way: what is told never goes back."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway.terms import hash_of
from protocol.envelope import Letter
from protocol.facts import AnyFact, OrderAccepted, OrderDenied, OrderIntended
from protocol.limits import INTENT_ACK_MAX, ORDERS_KEPT, OUTCOME_ACK_MAX, RECALL_MAX
from protocol.machine import Answered
from protocol.messages import Entry, EvidenceAnswer
from protocol.units import Count, Price
from tests.actors.gateway.scene import Scene, order
from tests.actors.gateway.test_orders import MADE, sent

TERMS = (Price(560_000), Count(1_000))


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


def long_ago(scene: Scene) -> tuple[Entry, ...]:
    """The entries of an order that was filled, and that the account keeps no longer."""
    o = order()
    intent = OrderIntended(
        "c1", o.ticker, o.side, o.price, o.count, o.time_in_force, hash_of(o), o.post_only
    )
    filled: AnyFact = OrderAccepted("c1", "o1", Count(1_000), Count(0), 5_000)
    scene.n = 40
    scene.numbers["intent:c1"] = 2
    return Entry(2, "intent:c1", 5, "gateway", intent), Entry(
        7, "accepted:c1", 6, "gateway", filled
    )


def tell(scene: Scene, answer: Any) -> None:
    [asked] = scene.recalls
    scene.feed(Answered(0, "rehydrator", Letter("rehydrator", 2, asked.id, 0, answer)))


def asked_long_after() -> tuple[Scene, tuple[Entry, ...]]:
    facts = [OrderAccepted(f"x{n}", f"y{n}", Count(0), Count(0), 5) for n in range(40)]
    scene = Scene().restore(*facts)
    scene.pass_time(3_000_000_000).beat().settle()
    entries = long_ago(scene)
    scene.ask(order(), "q1")
    scene.acknowledge()
    return scene, entries


def test_of_one_that_ended_long_ago_the_ledger_s_entries_are_read() -> None:
    scene, entries = asked_long_after()
    assert scene.answers == []
    scene.ask(order(), "q2")
    tell(scene, EvidenceAnswer(entries, 40))
    assert outcomes(scene) == [("accepted", "")] * 2
    assert scene.told.order is not None
    assert (scene.told.order.state, scene.told.order.order_id) == ("executed", "o1")
    assert sent(scene) == []


@pytest.mark.parametrize("complete", [True, False])
def test_what_can_not_be_recalled_stays_unknown_and_is_not_withdrawn(complete: bool) -> None:
    scene, entries = asked_long_after()
    if complete:
        scene.pass_time(RECALL_MAX)
    else:
        tell(scene, EvidenceAnswer(entries[:1], 40, False))
    assert outcomes(scene) == [("unknown", "repeat")]
    scene.pass_time(INTENT_ACK_MAX)
    assert [a.body.fact for a in scene.appends if "c1" in a.id] == []  # type: ignore[union-attr]
    assert sent(scene) == []


def crowded() -> Scene:
    """So many orders have ended that the oldest ones are in the ledger alone; trading is halted."""
    facts: list[AnyFact] = []
    for n in range(ORDERS_KEPT):
        intent = OrderIntended(f"x{n}", "KXA-1", "bid", *TERMS, "good_till_canceled", "hash")
        facts += [intent, OrderDenied(f"x{n}", "long ago")]
    scene = Scene(halt="lunch").restore(*facts)
    scene.pass_time(3_000_000_000).beat().settle()
    return scene


def test_before_an_id_is_refused_that_may_be_forgotten_the_ledger_is_asked() -> None:
    scene = crowded()
    entries = long_ago(scene)
    scene.ask(order(), "q1")
    assert scene.answers == [], "it may have been sent: no word is sure yet"
    tell(scene, EvidenceAnswer(entries, 40))
    assert outcomes(scene) == [("accepted", "")]
    scene.ask(order(price=Price(570_000)), "q2")
    scene.recalls.pop(0)
    tell(scene, EvidenceAnswer(entries, 40))
    assert outcomes(scene)[-1] == ("conflict", "order_id_taken")


def test_an_id_that_the_ledger_never_heard_of_is_refused_as_it_should_be() -> None:
    scene = crowded()
    scene.ask(order(), "q1")
    tell(scene, EvidenceAnswer((), 40))
    assert outcomes(scene) == [("denied", "halted")]
    scene.ask(order(), "q1")
    assert outcomes(scene) == [("denied", "halted")] * 2, "a copy of the letter is answered alike"
    minted = replace(order("c9"), minted=True)
    scene.ask(minted, "q3")
    assert outcomes(scene)[-1] == ("denied", "halted"), "nobody can have used it: nobody is asked"
