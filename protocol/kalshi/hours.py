"""When the exchange is known to pause: Thursday 03:00 to 05:00 in New York (FACTS.md section 9)."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

BEGINS: Final = 3  # o'clock in New York
ENDS: Final = 5
THURSDAY: Final = 3
TEXT: Final = "maintenance, Thursday 03:00 to 05:00 in New York"


def maintenance(at: int) -> bool:
    """Whether the weekly pause is on. `at` is microseconds since the Unix epoch."""
    local = new_york(at)
    return local.weekday() == THURSDAY and BEGINS <= local.hour < ENDS


def new_york(at: int) -> datetime:
    """The wall clock in New York, without a zone.

    By the rule that the United States have had since 2007, so that nothing depends on the host's
    zone files: summer time from the second Sunday of March, 02:00, to the first of November, 02:00.
    """
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    naive = utc.replace(tzinfo=None)
    begins = _sunday(date(naive.year, 3, 8)) + timedelta(hours=7)  # 02:00 EST
    ends = _sunday(date(naive.year, 11, 1)) + timedelta(hours=6)  # 02:00 EDT
    return naive - timedelta(hours=4 if begins <= naive < ends else 5)


def _sunday(first: date) -> datetime:
    """The first Sunday on or after a day, at midnight."""
    day = first + timedelta(days=(6 - first.weekday()) % 7)
    return datetime(day.year, day.month, day.day)
