"""The weekly pause, against the host's zone files."""

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.kalshi import hours


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("moment", "pauses"),
    [
        ("2026-07-02T06:59:59", False),  # Thursday, summer time: 03:00 is 07:00 UTC
        ("2026-07-02T07:00:00", True),
        ("2026-07-02T08:59:59", True),
        ("2026-07-02T09:00:00", False),
        ("2026-07-03T07:30:00", False),  # Friday
        ("2026-01-15T07:59:59", False),  # winter time: 03:00 is 08:00 UTC
        ("2026-01-15T08:00:00", True),
        ("2026-01-15T09:59:59", True),
        ("2026-01-15T10:00:00", False),
    ],
)
def test_thursday_from_three_to_five_in_new_york(moment: str, pauses: bool) -> None:
    at = micros(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert hours.maintenance(at) is pauses


def test_around_both_changes_of_the_clock_of_each_year() -> None:
    zone = new_york()
    for year in range(2007, 2100, 6):
        for month in (3, 11):
            moment = datetime(year, month, 1, tzinfo=UTC)
            while moment.month == month:
                local = moment.astimezone(zone).replace(tzinfo=None)
                assert hours.new_york(micros(moment)) == local
                moment += timedelta(minutes=30)


@given(st.datetimes(datetime(2007, 1, 1), datetime(2090, 1, 1)))
def test_at_any_moment(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    local = moment.astimezone(new_york()).replace(tzinfo=None)
    assert hours.new_york(micros(moment)) == local


def new_york() -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("this host has no zone files to compare with")
