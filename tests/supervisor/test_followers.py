"""Programs that say how they follow: heard from anybody, shown for a while, deciding nothing."""

from typing import Any

import pytest

from protocol.envelope import Outbox
from protocol.limits import (
    FOLLOWER_FORGOTTEN,
    FOLLOWER_NAME_CHARS_MAX,
    FOLLOWER_SLOW,
    FOLLOWERS_MAX,
    MS,
    SECOND,
)
from protocol.machine import Asked
from protocol.messages import FollowerHealth, FollowerReport, Noted, Refused
from supervisor.cli import _table
from supervisor.page import render
from tests.supervisor.test_core import Scene, all_well


def say(scene: Scene, name: str = "my-bot", *numbers: int, source: str = "stranger") -> Any:
    """A report, and what it is answered with."""
    report = FollowerReport(name, *(numbers or (12, 0, 1, 3)))
    scene.feed(Asked(0, (b"x",), Outbox(source, 1).letter("r", report, 0)))
    return next(m for m in reversed(scene.said) if isinstance(m, Noted | Refused))


def beat(scene: Scene) -> None:
    for name in scene.outboxes:
        scene.beat(name)


def test_a_report_of_anybody_is_noted_and_shown_with_its_age() -> None:
    scene = all_well()
    assert say(scene) == Noted()
    assert say(scene, "other", 2, 1, 0, 7, source="api") == Noted()
    scene.pass_time(400 * MS)
    assert say(scene, "other", 2, 0, 1, 8) == Noted()
    scene.pass_time(600 * MS)
    assert scene.system.followers == {
        "my-bot": FollowerHealth(12, 0, 1, 3, 1_000),
        "other": FollowerHealth(2, 0, 1, 8, 600),
    }
    assert scene.system.healthy, "it decides nothing"


def test_a_silent_one_is_forgotten() -> None:
    scene = all_well()
    say(scene, "silent")
    scene.pass_time(SECOND)
    say(scene, "later")
    scene.pass_time(FOLLOWER_FORGOTTEN - SECOND)
    assert list(scene.system.followers) == ["later"]


@pytest.mark.parametrize(
    ("name", "numbers", "says"),
    [
        ("", (1, 0, 0, 0), "name: expected 1 to 40 printable characters"),
        ("  ", (1, 0, 0, 0), "name: expected 1 to 40 printable characters"),
        ("a\nb", (1, 0, 0, 0), "name: expected 1 to 40 printable characters"),
        ("a\x1b[2J", (1, 0, 0, 0), "name: expected 1 to 40 printable characters"),
        ("b" * (FOLLOWER_NAME_CHARS_MAX + 1), (1, 0, 0, 0), "name: expected 1 to 40 printable"),
        ("bot", (-1, 0, 0, 0), "followed: expected 0 to "),
        ("bot", (1, 0, 0, 2**53), "lag_ms: expected 0 to 9007199254740991"),
        ("bot", (1, 0, 10**400, 0), "gaps: expected 0 to "),
        ("bot", (1, 2, 0, 0), "lost: 2 of 1 that are followed"),
    ],
    ids=str,
)
def test_a_wrong_report_names_the_field(name: str, numbers: Any, says: str) -> None:
    scene = all_well()
    answer = say(scene, name, *numbers)
    assert isinstance(answer, Refused)
    assert answer.reason.startswith(f"FollowerReport.{says}")
    scene.pass_time(SECOND)
    assert scene.system.followers == {}


def test_there_are_only_so_many_until_one_is_forgotten() -> None:
    scene = all_well()
    for number in range(FOLLOWERS_MAX):
        assert say(scene, f"bot-{number}") == Noted()
    assert say(scene, "one more") == Refused(
        f"{FOLLOWERS_MAX} programs say already how they follow"
    )
    assert say(scene, "bot-0") == Noted(), "those that are known are heard"
    scene.pass_time(FOLLOWER_FORGOTTEN)
    assert say(scene, "one more") == Noted()


SLOW = FOLLOWER_SLOW // MS


@pytest.mark.parametrize(
    ("lost", "lag_ms", "word"),
    [(0, 3, "keeps up"), (0, SLOW, "keeps up"), (0, SLOW + 1, "slow"), (1, 3, "lost")],
)
def test_the_page_marks_who_does_not_keep_up(lost: int, lag_ms: int, word: str) -> None:
    follower = {"followed": 12, "lost": lost, "gaps": 4, "lag_ms": lag_ms, "age_ms": 420}
    status: dict[str, Any] = {
        "healthy": True, "gate": "open", "reasons": [], "flags": {}, "profile": "paper",
        "as_of": "now", "processes": {}, "followers": {"<b>bot</b>": follower},
    }  # fmt: skip
    page = render(status, "http://127.0.0.1:7601")
    kind = "good" if word == "keeps up" else "bad"
    assert "<h2>Followers</h2>" in page
    assert f'<td>&lt;b&gt;bot&lt;/b&gt;</td><td class="{kind}">{word}</td>' in page
    assert "<b>" not in page
    row = _table(status)[-1].split()
    assert row == ["<b>bot</b>", *("fine" if word == "keeps up" else word).split(), "12",
                   str(lost), "4", str(lag_ms), "420"]  # fmt: skip
    assert "Followers" not in render({**status, "followers": {}}, "")
