"""New York's clock, as far as the exchange's weekly pause needs it (FACTS.md section 9).

By the rule that has held since 2007: summer time from the second Sunday of March to the first of
November, at two in the morning. No table of time zones is read.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

WINTER: Final = timedelta(hours=-5)
SUMMER: Final = timedelta(hours=-4)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
THURSDAY: Final = 3


def next_pause(at: int) -> tuple[int, int]:
    """The weekly pause, Thursday 03:00 to 05:00 ET, that ends next after `at` (µs, both)."""
    today = (EPOCH + timedelta(microseconds=at) + WINTER).date()
    day = today + timedelta((THURSDAY - today.weekday()) % 7)
    ends = _utc(day, 5)
    if ends <= at:
        day += timedelta(7)
        ends = _utc(day, 5)
    return _utc(day, 3), ends


def _utc(day: date, hour: int) -> int:
    # Never in the night to a Sunday, so it is one offset the whole day.
    offset = SUMMER if _sunday(day.year, 3, 2) <= day < _sunday(day.year, 11, 1) else WINTER
    moment = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - offset
    return (moment - EPOCH) // timedelta(microseconds=1)


def _sunday(year: int, month: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta((6 - first.weekday()) % 7 + 7 * (number - 1))
