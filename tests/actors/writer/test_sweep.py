"""A kill or a failing disk at any single syscall: what was acknowledged is there, once."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.actors.writer.scenarios import SCENARIOS
from tests.actors.writer.sweep import UNTRACEABLE

ROOT = Path(__file__).parents[3]
LANES = 2
SCENARIO_BOUNDARIES_MIN = 50  # fewer: the faults did not reach what they were meant for


def sweep(name: str, how: str) -> dict[str, Any]:
    """What a sweep found, in a process of its own."""
    command = [sys.executable, "-m", "tests.actors.writer.sweep", name, how]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode == UNTRACEABLE:
        pytest.skip(f"no process can be traced here: {done.stdout}")
    assert done.returncode == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("how", ["kill", "fail"])
def test_a_fault_at_any_syscall_loses_nothing_and_doubles_nothing(how: str) -> None:
    with ThreadPoolExecutor(LANES) as lanes:
        found = list(lanes.map(lambda name: sweep(name, how), SCENARIOS))
    assert {name: swept["wrong"] for name, swept in zip(SCENARIOS, found, strict=True)} == {
        name: [] for name in SCENARIOS
    }
    for swept in found:
        assert sum(swept["boundaries"].values()) > SCENARIO_BOUNDARIES_MIN


def test_the_sweep_finds_an_entry_that_was_acknowledged_before_its_commit() -> None:
    wrong = sweep("hasty", "kill")["wrong"]
    assert any("was acknowledged as 5 and is lost" in what for what in wrong)
