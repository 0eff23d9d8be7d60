"""What one reading shows is not believed: neither what it says of time while the wall clock is
set, nor a balance that another reading does not show as well."""

import copy

import pytest

from actors.gateway.differences import Differences
from actors.gateway.reading import Reading
from protocol.account import Account
from protocol.facts import CashDiffers
from protocol.limits import CLOCK_SKEW_MAX, DIFFER_AGAIN, RECONCILE_RETRY, SECOND, US
from protocol.messages import Entry, Reconcile
from tests.actors.gateway.test_orders import live
from tests.actors.gateway.test_rounds import BOUGHT, FILL, HELD, House, of, rounds

HOUR = 3_600_000_000  # microseconds
SKEW = CLOCK_SKEW_MAX // US
NO_FILLS = {"fills": [], "cursor": ""}


class Clock(House):
    """The host's wall clock may be set."""

    set_by = 0  # microseconds

    @property
    def at(self) -> int:
        return self.now // US + self.set_by


def half_read() -> Clock:
    """A round that waits for a page of fills."""
    scene = Clock()
    scene.open()
    scene.instead["/portfolio/fills"] = None
    scene.ask(Reconcile("now"))
    assert rounds(live(scene, SECOND)) == []
    assert len(scene.calls) == 1
    return scene


@pytest.mark.parametrize("set_by", [-HOUR, -SKEW - 1, SKEW + 1, HOUR])
def test_a_wall_clock_that_is_set_during_a_round_ends_it(set_by: int) -> None:
    scene = half_read()
    scene.set_by = set_by
    del scene.instead["/portfolio/fills"]
    scene.reply(200, NO_FILLS)
    assert rounds(live(scene, RECONCILE_RETRY // 2)) == [], "nothing of it counts"
    assert scene.core._reconciler.trouble == "the wall clock was set meanwhile"
    assert rounds(live(scene, RECONCILE_RETRY)) == ["asked"], "the next one does, for who asked"
    assert scene.core._reconciler.trouble == ""


@pytest.mark.parametrize("set_by", [-SKEW, SKEW])
def test_a_wall_clock_that_is_a_little_off_does_not(set_by: int) -> None:
    scene = half_read()
    scene.set_by = set_by
    scene.reply(200, NO_FILLS)
    assert rounds(live(scene, RECONCILE_RETRY // 2)) == ["asked"]


def test_rounding_counts_once_two_readings_have_shown_it() -> None:
    scene = House().open()
    scene.shows([HELD], "94.8200", fills=[FILL])
    scene.ask(Reconcile("now"))
    first = live(scene, DIFFER_AGAIN - SECOND)
    assert rounds(first) == ["asked"]
    assert of(CashDiffers, first) == [], "it may be a balance that lags behind the fill"
    second = live(scene, 2 * SECOND)
    assert [f.cause for f in of(CashDiffers, second)] == ["rounded"]


def test_what_only_one_reading_shows_is_no_rounding() -> None:
    scene = House().open()
    scene.shows([HELD], "94.8200", fills=[FILL])
    scene.ask(Reconcile("now"))
    assert of(CashDiffers, live(scene, DIFFER_AGAIN - SECOND)) == []
    scene.shows([HELD], "94.8250", fills=[FILL])
    assert of(CashDiffers, live(scene, 5 * DIFFER_AGAIN)) == []
    assert scene.halts == []


FIRST = Reading(1, "", 13 * SECOND, 13 * SECOND // US, 0, [], [])
SECOND_LOOK = Reading(2, "", 24 * SECOND, 24 * SECOND // US, 0, [], [])


@pytest.mark.parametrize(("as_of", "counts"), [(20, False), (24, True), (0, False)])
def test_a_fill_that_came_during_the_first_reading_may_be_missing_in_the_second(
    as_of: int, counts: bool
) -> None:
    """It is on record by the time at which the first is compared, and neither shows it yet: so
    the second has to be of data that is younger than that comparison."""
    account = Account()
    account.apply(Entry(1, "fill:o9:t9", 0, "stream", BOUGHT))
    differences = Differences(1)
    first = copy.copy(FIRST)
    first.compared, first.user_data_at = 23 * SECOND, 3_000_000
    assert differences.compare(account, first, False).facts == []
    second = copy.copy(SECOND_LOOK)
    second.compared, second.user_data_at = 29 * SECOND, as_of * 1_000_000
    assert bool(differences.compare(account, second, False).facts) is counts
