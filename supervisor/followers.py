"""Programs that say how they follow: the last word of each, for a while.

They are known by the name that they chose. What they say is shown, and decides nothing.
"""

from typing import Final

from msgspec import Struct

from protocol.limits import (
    FOLLOWER_FORGOTTEN,
    FOLLOWER_NAME_CHARS_MAX,
    FOLLOWER_SLOW,
    FOLLOWERS_MAX,
    MS,
)
from protocol.messages import FollowerHealth, FollowerReport

NUMBER_MAX: Final = 2**53 - 1  # exact in every JSON reader


class _Heard(Struct):
    report: FollowerReport
    heard_at: int


class Followers:
    """The last report of each program."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def hear(self, now: int, report: FollowerReport) -> str:
        """Take a report. Returns why it is refused, "" if it is not."""
        wrong = _flaw(report)
        if wrong:
            return f"FollowerReport.{wrong}"
        self._forget(now)
        if report.name not in self._heard and len(self._heard) >= FOLLOWERS_MAX:
            return f"{FOLLOWERS_MAX} programs say already how they follow"
        self._heard[report.name] = _Heard(report, now)
        return ""

    def health(self, now: int) -> dict[str, FollowerHealth]:
        """What is known of each, by name."""
        self._forget(now)
        return {
            name: FollowerHealth(
                heard.report.followed,
                heard.report.lost,
                heard.report.gaps,
                heard.report.lag_ms,
                (now - heard.heard_at) // MS,
            )
            for name, heard in sorted(self._heard.items())
        }

    def _forget(self, now: int) -> None:
        silent = [n for n, h in self._heard.items() if now - h.heard_at >= FOLLOWER_FORGOTTEN]
        for name in silent:
            del self._heard[name]


def trouble(lost: int, lag_ms: int) -> str:
    """What is wrong with a follower, in a word; "" if nothing is."""
    if lost > 0:
        return "lost"
    return "slow" if lag_ms > FOLLOWER_SLOW // MS else ""


def _flaw(report: FollowerReport) -> str:
    """Which field is wrong, and what it must be; "" if none is."""
    name = report.name
    if not 1 <= len(name) <= FOLLOWER_NAME_CHARS_MAX or not name.isprintable() or name.isspace():
        return f"name: expected 1 to {FOLLOWER_NAME_CHARS_MAX} printable characters"
    for field, number in (
        ("followed", report.followed),
        ("lost", report.lost),
        ("gaps", report.gaps),
        ("lag_ms", report.lag_ms),
    ):
        if not 0 <= number <= NUMBER_MAX:
            return f"{field}: expected 0 to {NUMBER_MAX}"
    if report.lost > report.followed:
        return f"lost: {report.lost} of {report.followed} that are followed"
    return ""
