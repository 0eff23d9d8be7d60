"""Stories of the other private channels: positions, groups, and what is refused of them."""

import pytest

from actors.stream.core import CloseSocket
from protocol.limits import LIST_INTERVAL, TELL_RETRY
from protocol.messages import Append, GroupChanged, PositionReported, Reconcile
from protocol.units import Count, Money
from tests.actors.stream.scene import Scene, published, sent
from tests.actors.stream.test_private import FILL, fill


def test_positions_and_groups_are_published_as_the_exchange_says_them() -> None:
    scene = Scene()
    scene.go_private()
    position = {"market_ticker": "KXA-1", "position_fp": "-3.00", "realized_pnl_dollars": "-1.50"}
    position |= {"position_cost_dollars": "2.1000", "fees_paid_dollars": "0.0700"}
    got = published(scene.frame({"type": "market_position", "sid": 3, "msg": position}, "private"))
    money = (Money(2_100_000), Money(-1_500_000), Money(70_000))
    assert got == [PositionReported("KXA-1", Count(-300), *money, Count(0), scene.at)]
    group = {"event_type": "triggered", "order_group_id": "g1", "contracts_limit_fp": "10.00"}
    frame = {"type": "order_group_updates", "sid": 4, "seq": 1, "msg": group | {"ts_ms": 7}}
    got = published(scene.frame(frame, "private"))
    assert got == [GroupChanged("g1", "triggered", Count(1_000), 7_000, scene.at)]
    assert scene.letters(Append) == []


def test_a_gap_of_the_group_updates_has_the_account_read() -> None:
    scene = Scene()
    scene.go_private()
    scene.reconciled()
    group = {"event_type": "reset", "order_group_id": "g1"}
    frame = {"type": "order_group_updates", "sid": 4, "msg": group}
    scene.frame({**frame, "seq": 10}, "private")
    scene.take()
    effects = scene.frame({**frame, "seq": 12}, "private")
    (letter,) = scene.letters(Reconcile)
    assert letter.body == Reconcile("private sequence: gap")
    assert [type(body) for body in published(effects)] == [GroupChanged]
    assert CloseSocket("private") not in effects
    scene.reconciled()
    scene.take()
    scene.wait(2 * TELL_RETRY)
    assert scene.letters(Reconcile) == []


@pytest.mark.parametrize("code", [8, 9, 11])
def test_a_report_that_is_refused_costs_no_fill(code: int) -> None:
    scene = Scene()
    scene.hear_writer()
    facts, *reports = sent(scene.open("private"), "private")
    for command in reports:
        body = {"code": code, "msg": "not for you"}
        frame = {"type": "error", "id": command["id"], "msg": body}
        assert CloseSocket("private") not in scene.frame(frame, "private")
    for sid, channel in enumerate(facts["params"]["channels"], start=1):
        msg = {"channel": channel, "sid": sid}
        scene.frame({"type": "subscribed", "id": facts["id"], "msg": msg}, "private")
    scene.reconciled()
    assert scene.core.private.ready
    fill(scene)
    assert len(scene.letters(Append)) == 1


def test_a_list_of_subscriptions_that_is_refused_costs_no_fill() -> None:
    scene = Scene()
    scene.go_private()
    scene.reconciled()
    scene.wait(LIST_INTERVAL)
    (command,) = [c for c in sent(scene.take(), "private") if c["cmd"] == "list_subscriptions"]
    frame = {"type": "error", "id": command["id"], "msg": {"code": 5, "msg": "unknown command"}}
    assert CloseSocket("private") not in scene.frame(frame, "private")


@pytest.mark.parametrize("code", [8, 9, 11])
def test_fills_that_are_refused_mean_a_new_connection(code: int) -> None:
    scene = Scene()
    scene.hear_writer()
    scene.open("private")
    frame = {"type": "error", "id": 1, "msg": {"code": code, "msg": "not for you"}}
    assert CloseSocket("private") in scene.frame(frame, "private")


def test_a_dead_subscription_of_facts_means_a_new_connection_one_of_reports_a_new_one() -> None:
    for code in (10, 25):
        for sid, channel in ((1, "fill"), (2, "user_orders")):
            scene = Scene()
            scene.go_private()
            body = {"code": code, "msg": "overflow"}
            effects = scene.frame({"type": "error", "sid": sid, "msg": body}, "private")
            assert CloseSocket("private") in effects, channel
        for sid, channel in ((3, "market_positions"), (4, "order_group_updates")):
            scene = Scene()
            scene.go_private()
            scene.take()
            effects = scene.frame({"type": "error", "sid": sid, "msg": body}, "private")
            assert CloseSocket("private") not in effects
            (subscribe,) = sent(effects, "private")
            assert subscribe["params"]["channels"] == [channel]
            assert [type(letter.body) for letter in scene.letters(Reconcile)] == [Reconcile]


def test_private_data_that_is_late_is_said() -> None:
    scene = Scene(ahead=1_782_900_000_000_000)
    scene.go_private()
    scene.reconciled()
    scene.silent = {"private"}
    sent_ms = scene.at // 1_000
    frame = {"type": "fill", "sid": 1, "msg": FILL}
    scene.frame(frame | {"sending_ts_ms": sent_ms}, "private")
    scene.frame(frame | {"sending_ts_ms": sent_ms - 3_000}, "private")
    assert scene.core.private.why_not() == "private: data is late: 3.0 s"
    assert len(scene.letters(Append)) == 1  # a fact is a fact, however old
