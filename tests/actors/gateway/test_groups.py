"""Order groups: an order that names its group."""

import json

import pytest
from msgspec.structs import replace

from protocol.facts import OrderIntended
from tests.actors.gateway.scene import Scene, order

GROUPED = replace(order(), order_group_id="g-1")


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


@pytest.mark.parametrize("id", ["a b", "g" * 65, "ä"])
def test_what_can_t_be_a_group_s_id_is_refused_at_the_door(id: str) -> None:
    scene = Scene().ready()
    scene.ask(replace(order(), order_group_id=id))
    assert (scene.told.code, scene.told.field) == ("invalid_order", "order_group_id")
    assert scene.appends == []
