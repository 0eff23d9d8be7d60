"""Limits that are tightened while the engine runs: at once, for good, and never the other way."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.gateway.tightening import LimitsSaved, SaveLimits
from protocol.brakes import UNSAID, Brakes, tightest
from protocol.errors import ConfigError
from protocol.limits import MS, SECOND, TIGHTENINGS_MAX
from protocol.machine import Effect
from protocol.messages import BrakesAnswer, Refused, TightenBrakes
from protocol.runtime.limits import LimitsFile
from protocol.units import Count, Money, parse_count
from tests.actors.gateway.scene import BLIND, Scene, order


class Kept(Scene):
    """A scene that writes down what is to be put on disk."""

    def __init__(self) -> None:
        self.saves_of_limits: list[SaveLimits] = []
        super().__init__(limits=BLIND)
        self.ready()

    def _take(self, effect: Effect) -> None:
        super()._take(effect)
        if isinstance(effect, SaveLimits):
            self.saves_of_limits.append(effect)

    def saved(self, problem: str = "") -> BrakesAnswer:
        wanted = self.saves_of_limits.pop(0)
        self.feed(LimitsSaved(self.at, wanted.number, problem))
        answer = self.answers[-1]
        assert isinstance(answer, BrakesAnswer)
        return answer


FIVE = Brakes(order_count=Count(500))


def test_a_tighter_limit_holds_at_once_and_is_answered_once_it_is_on_disk() -> None:
    scene = Kept()
    scene.ask(TightenBrakes(FIVE))
    assert scene.answers == []
    scene.ask(order())
    assert (scene.told.code, scene.told.limit, scene.told.value) == ("order_count", "5.00", "10.00")
    assert [save.limits for save in scene.saves_of_limits] == [FIVE]
    answer = scene.saved()
    assert (answer.limits, answer.tightened) == (
        replace(BLIND, order_count=Count(500)), ("order_count",),
    )  # fmt: skip
    assert (answer.saved, answer.reason) == (True, "")


def test_an_order_that_waits_for_tokens_meets_the_tighter_limit_before_it_is_signed() -> None:
    scene = Kept()
    for i in range(8):  # six find a place in flight
        scene.ask(order(f"c{i}"))
    scene.settle()
    scene.pass_time(10 * MS)
    assert len(scene.calls) == 6
    scene.ask(TightenBrakes(FIVE))
    scene.fail(sent=False)
    scene.settle()
    denied = [a for a in scene.answers if getattr(a, "code", "") == "order_count"]
    assert len(denied) >= 1
    assert len([m for m in scene.made if m.call.name == "create"]) == 6


def test_nothing_is_loosened_and_nothing_that_can_not_be_is_taken() -> None:
    scene = Kept()
    for wanted, text in (
        (Brakes(open_orders=5_001), "open_orders is 5000, 5001 would loosen it"),
        (Brakes(self_cross=False), "self_cross is on, to turn it off would loosen it"),
        (Brakes(order_count=Count(-1)), "brakes.order_count is -0.01, expected 0 to"),
        (Brakes(open_orders=1, order_cost=Money(10**15)), "order_cost is 10000.0000"),
    ):
        scene.ask(TightenBrakes(wanted))
        answer = scene.answers[-1]
        assert isinstance(answer, BrakesAnswer)
        assert text in answer.reason
        assert answer.limits == BLIND, "all of it or nothing"
    assert scene.saves_of_limits == []


def test_whoever_asks_hears_what_the_limits_are_held_against() -> None:
    scene = Kept()
    scene.ask(order())
    scene.settle()
    scene.ask(TightenBrakes())
    answer = scene.answers[-1]
    assert isinstance(answer, BrakesAnswer)
    assert (answer.exposure, answer.open_orders) == (Money(5_600_000), 1)
    assert answer.tightened == ()


def test_a_disk_that_does_not_take_it_is_said_and_the_limit_holds() -> None:
    scene = Kept()
    scene.ask(TightenBrakes(FIVE))
    answer = scene.saved("var/brakes.json: No space left on device")
    assert (answer.saved, answer.limits.order_count) == (False, Count(500))
    scene.ask(TightenBrakes(Brakes(open_orders=3)))
    assert scene.saves_of_limits[0].limits == replace(FIVE, open_orders=3), "both are tried again"


def test_so_many_wait_for_the_disk_and_no_more() -> None:
    scene = Kept()
    for i in range(TIGHTENINGS_MAX):
        scene.ask(TightenBrakes(Brakes(open_orders=1_000 - i)))
    scene.ask(TightenBrakes(Brakes(open_orders=1)))
    assert scene.answers[-1] == Refused("too many changes wait for the disk")
    for _ in range(TIGHTENINGS_MAX):
        assert scene.saved().limits.open_orders == 1_000 - TIGHTENINGS_MAX + 1
    scene.pass_time(SECOND)


def test_what_was_tightened_is_read_back_and_the_tighter_of_both_holds(tmp_path: Path) -> None:
    file = LimitsFile(str(tmp_path))
    assert file.read() == UNSAID
    kept = Brakes(order_count=parse_count("5"), self_cross=True, same_order_ms=500)
    assert file.write(kept) == ""
    assert file.read() == kept
    settings = replace(BLIND, order_count=Count(300), self_cross=False)
    wanted = replace(settings, self_cross=True, same_order_ms=500)
    assert tightest(settings, file.read()) == wanted, "3 contracts are less than 5"


@pytest.mark.parametrize("content", ["{", '{"order_count":5}', '{"open_orders":-1}', '{"x":1}', ""])
def test_a_damaged_file_lets_nothing_start(tmp_path: Path, content: str) -> None:
    file = LimitsFile(str(tmp_path))
    Path(file.path).write_text(content)
    with pytest.raises(ConfigError, match=r"brakes.json: .*: remove it, and the settings alone"):
        file.read()


def test_a_disk_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    assert LimitsFile(str(tmp_path / "nowhere")).write(FIVE).endswith("No such file or directory")
