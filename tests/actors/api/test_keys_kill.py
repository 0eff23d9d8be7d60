"""The front is killed (SIGKILL) between any two steps: in the store's own statements, too.

The core and the store are the real ones, in a process of their own; the engine is outside of it
and lives on. Whatever the moment, the same request then has one effect and one answer.
"""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from actors.api.answers import Store
from actors.api.replies import Reply
from protocol.machine import Cause
from tests.actors.api.keyed_world import AT, Disk, Gateway, Wish, World

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
STEPS_MAX = 40


class _Real(Disk):
    """The store as a disk; it says each statement before it is run, and waits for a word."""

    def __init__(self, path: str, outside: Connection) -> None:
        super().__init__()
        self._store = Store(path)
        self._store.open(AT)
        assert self._store._database is not None
        self._store._database.set_trace_callback(lambda sql: _wait(outside, "statement", sql))

    def do(self, wish: Wish) -> Cause:
        [cause] = self._store.commit([wish], AT)
        return cause


def _wait(outside: Connection, what: str, more: Any) -> Any:
    outside.send((what, more))
    return outside.recv()


def _live(path: str, outside: Connection, key: str, what: str, at: int) -> None:
    """One life of the front: it asks once, and tells outside of every step before it is taken."""
    world = World(_Real(path, outside), life=at)
    world.at = at
    asked = world.ask(key, what)
    while asked not in world.replies:
        if world.wishes:
            _wait(outside, "disk", type(world.wishes[0]).__name__)
            world.disk_works()
        elif world.letters:
            world.answers.append(_wait(outside, "letter", world.letters.popleft()))
        else:
            world.answer_comes()
    _wait(outside, "reply", world.replies[asked])


class Outside:
    """Whoever asks, the engine, and the one who kills."""

    def __init__(self, path: str, what: str) -> None:
        self.path, self.what = path, what
        self.gateway = Gateway()
        self.lives = 0

    def ask(self, steps: int = STEPS_MAX) -> tuple[Reply | None, list[str]]:
        """Have a front answer, and kill it behind so many steps. What it answered, and the steps
        that it took."""
        self.lives += 1
        here, there = FORK.Pipe()
        at = AT + self.lives * 1_000_000
        process = FORK.Process(target=_live, args=(self.path, there, "k1", self.what, at))
        process.start()
        there.close()
        found, taken = None, []
        for what, more in self._steps(here):
            taken.append(f"{what} {more}" if isinstance(more, str) else what)
            if what == "reply":
                found = more
            if len(taken) > steps or what == "reply":
                break
            here.send(self.gateway.take(at, more) if what == "letter" else None)
        process.kill()
        process.join()
        here.close()
        return found, taken

    def _steps(self, here: Connection) -> Iterator[tuple[str, Any]]:
        while True:
            assert here.poll(20), "the front does not go on"
            yield here.recv()


def _same(one: Reply, other: Reply) -> bool:
    return (one.status, one.body, one.location) == (other.status, other.body, other.location)


@pytest.mark.parametrize("what", ["order", "batch", "group", "resume"])
def test_killed_at_any_step_it_has_one_effect_and_one_answer(tmp_path: Path, what: str) -> None:
    _, whole = Outside(str(tmp_path / "whole.db"), what).ask()
    assert sum(step.startswith("statement COMMIT") for step in whole) == 2
    assert whole[-1] == "reply"
    for steps in range(len(whole)):
        outside = Outside(str(tmp_path / f"{steps}.db"), what)
        first, taken = outside.ask(steps)
        assert len(taken) == steps + 1
        second, _ = outside.ask()
        third, _ = outside.ask()
        assert second is not None
        assert third is not None
        assert _same(second, third), f"killed at {taken[-1]}"
        assert first is None or _same(first, second), f"killed at {taken[-1]}"
        assert len(outside.gateway.orders) == {"order": 1, "batch": 2}.get(what, 0)
        assert outside.gateway.groups <= 1
        unknown = second.status == 202
        assert not unknown or what == "group", f"killed at {taken[-1]}"
        assert outside.gateway.groups == (what == "group") or unknown


@pytest.mark.parametrize("again", range(6))
def test_killed_again_and_again_it_still_has_one(tmp_path: Path, again: int) -> None:
    outside = Outside(str(tmp_path / "answers.db"), "order")
    answers = [outside.ask(steps)[0] for steps in (again, again + 3, 2 * again, 9, 1)]
    final, _ = outside.ask()
    assert final is not None
    assert all(found is None or _same(found, final) for found in answers)
    assert len(outside.gateway.orders) == 1
