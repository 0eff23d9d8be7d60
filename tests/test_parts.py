"""The tests' own runner: what failed is named last, short, and not endlessly."""

from pathlib import Path

import pytest

from tests import parts
from tests.parts import LANES, NAME_CHARS_MAX, NAMED_MAX, PARTS, Done, named

STORY = """
import logging
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no such thing" * 100)

def test_fine():
    pass

def test_wrong():
    logging.error("ERROR in what it logs")
    assert "one" == "two\\n" * 300

def test_never(broken):
    pass
"""


def test_what_failed_is_known_from_what_pytest_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test_story.py"
    path.write_text(STORY)
    monkeypatch.setitem(parts.PARTS, "odd", [str(path)])
    monkeypatch.setenv("CI", "true")  # pytest cuts nothing then
    done = parts.run("odd", ["-p", "no:cacheprovider", "--rootdir", str(tmp_path)])
    assert done.code == 1
    said = named(done)
    assert all(len(line) <= NAME_CHARS_MAX + len("odd    | ") for line in said)
    assert [line.split("::")[1].split(" ")[0] for line in said[:-1]] == ["test_wrong", "test_never"]
    assert said[-1] == "odd    | exit code 1"


def test_a_failure_comes_before_what_follows_from_it_and_the_rest_is_counted() -> None:
    errors = [f"ERROR tests/test_a.py::test_{n} - no engine" for n in range(NAMED_MAX + 8)]
    said = named(Done("engine", 1, [*errors, "FAILED tests/test_b.py::test_first - assert 1 == 2"]))
    assert said[0] == "engine | FAILED tests/test_b.py::test_first - assert 1 == 2"
    assert said[-2:] == ["engine | and 9 more", "engine | exit code 1"]
    assert len(said) == NAMED_MAX + 2


def test_of_a_part_that_is_green_nothing_is_said() -> None:
    assert named(Done("rest", 0, [])) == []


def test_every_part_is_in_one_lane() -> None:
    assert sorted(name for lane in LANES for name in lane) == sorted(PARTS)
