"""The brake that looks at cash: by shard, and never by a balance that is old."""

from msgspec.structs import replace

from protocol.limits import SECOND
from tests.actors.gateway.braking import order, placed, refused, with_balances
from tests.actors.gateway.scene import BLIND, MARKET, Scene


def test_cash_is_of_the_shard_that_the_market_is_on() -> None:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, "exchange_index": 2}}
    scene.instead["/portfolio/balance"] = with_balances((0, "90.0000"), (2, "5.0000"))
    scene.ready()
    assert placed(scene, order("a", "0.50")) is None, "5 dollars, to the last cent"
    assert refused(placed(scene, order("b", "0.51"))) == ("wrong_shard", "5.0000", "5.1000")
    assert scene.told.text == (
        "enough cash, wrong shard: KXA-1 trades on shard 2, which has 5.0000; "
        "the order needs 5.1000, all shards have 95.0000"
    )
    assert refused(placed(scene, order("c", "0.50", "1000")))[0] == "not_enough_cash"


def test_a_balance_that_is_old_refuses_nothing_before_it_was_read_anew() -> None:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/portfolio/balance"] = with_balances((0, "5.0000"))
    scene.ready().pass_time(6 * SECOND).beat()
    scene.instead["/portfolio/balance"] = with_balances((0, "50.0000"))
    assert placed(scene, order("a", "0.60")) is None
    scene.hush = True
    scene.pass_time(6 * SECOND).beat()
    scene.answers.clear()
    scene.ask(order("b", "0.90", "100"))
    assert scene.answers == [], "it is asked for"
    scene.beat().pass_time(2 * SECOND).beat().pass_time(2 * SECOND)
    assert scene.told.code == "balance_not_read"
