"""The difference of two clocks, guessed from delays: no lateness, and no cover for it."""

from hypothesis import given
from hypothesis import strategies as st

from actors.stream.freshness import Freshness, HostClock, Verdict
from protocol.limits import SECOND

NOON = 1_782_900_000_000_000  # microseconds


@given(
    offset=st.integers(-4_600_000, 4_600_000),
    delays=st.lists(st.integers(0, 400_000), min_size=1, max_size=200),
    gaps=st.lists(st.integers(0, 90 * SECOND), min_size=200, max_size=200),
    dated=st.booleans(),
    part=st.integers(0, 999_999),
)
def test_no_constant_difference_of_clocks_is_ever_taken_for_lateness(
    offset: int, delays: list[int], gaps: list[int], dated: bool, part: int
) -> None:
    """`offset`: our clock less the exchange's; `part` of a second that its date leaves out."""
    clock = HostClock()
    fresh = Freshness(clock, True)
    now = SECOND
    clock.look(now, NOON + now // 1_000)
    date = NOON + now // 1_000 - offset
    date -= date % 1_000_000 if part else 0
    fresh.opened(now, NOON + now // 1_000, date if dated else 0, 0)
    for delay, gap in zip(delays, gaps, strict=False):
        now += gap
        at = NOON + now // 1_000
        fresh.turn(now)
        fresh.delayed(now, at, offset + delay, 1)
        assert fresh.verdict is None
        assert not offset + delay > fresh.above


@given(
    offset=st.integers(-4_600_000, 4_600_000),
    calm=st.lists(st.integers(0, 400_000), min_size=1, max_size=20),
    late=st.integers(1_400_001, 60_000_000),
)
def test_what_is_late_by_more_than_the_bound_and_the_usual_delay_is_always_flagged(
    offset: int, calm: list[int], late: int
) -> None:
    clock = HostClock()
    fresh = Freshness(clock, True)
    fresh.opened(SECOND, NOON, 0, 0)
    for delay in calm:
        fresh.delayed(SECOND, NOON, offset + delay, 1)
    assert offset + late > fresh.above
    assert fresh.delayed(SECOND, NOON, offset + late, 1)
    assert fresh.verdict is Verdict.LATE
