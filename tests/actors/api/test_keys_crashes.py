"""Any order of repeats, other bodies, crashes and failures of the disk: one effect, one answer.

The promises that `Promises` checks are those of docs/API.md; each has a planted mistake that it
has to catch.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from actors.api import keys
from actors.api.keyed import Begin, Begun, Keep, Known
from actors.api.keys import Keys
from actors.api.replies import Reply, refuse
from protocol.limits import REQUEST_MAX
from protocol.machine import Cause
from protocol.messages import Resume
from tests.actors.api.keyed_world import AT, Disk, Wish, World, failed, number_of

NO_ANSWER = {"key_in_flight", "key_reused", "keys_unavailable", "answer_not_kept", "no_answer"}
ASKED = st.sampled_from(
    ("order", "other", "batch", "group", "group", "reset", "halt", "resume", "resume", "confirm",
     "follow")
)  # fmt: skip
KEYS = st.sampled_from(("k1", "k2"))
LATCH = ("halt", "resume")  # done as often as asked, where the disk is slow or no good


class Promises(RuleBasedStateMachine):
    """Programs ask with two keys, for whatever comes to their mind."""

    disk_of = Disk
    fails = True

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.disk_of())
        self.final: dict[str, tuple[str, Reply]] = {}  # what it was for, and the answer
        self.seen: set[int] = set()
        self.failed = False  # the disk has, so "unknown" may be said before the answer is

    @rule(key=KEYS, what=ASKED)
    def ask(self, key: str, what: str) -> None:
        self.world.ask(key, what)

    @rule()
    def disk(self) -> None:
        self.world.disk_works()

    @rule()
    def gateway(self) -> None:
        self.world.gateway_works()

    @rule()
    def answer(self) -> None:
        self.world.answer_comes()

    @rule(key=KEYS, what=ASKED)
    def at_once(self, key: str, what: str) -> None:
        self.world.ask(key, what)
        self.world.settle()

    @rule(key=KEYS, what=ASKED)
    def has_begun(self, key: str, what: str) -> None:
        self.world.ask(key, what)
        self.world.disk_works()
        self.world.gateway_works()

    @rule(key=KEYS, what=ASKED, done=st.booleans())
    def begins_badly(self, key: str, what: str, done: bool) -> None:
        self.world.ask(key, what)
        self.disk_fails(done)

    @rule(key=KEYS)
    def again(self, key: str) -> None:
        """The first thing that was asked with this key, once more."""
        for said, what in self.world.asked.values():
            if said == key:
                self.world.ask(key, what)
                self.world.settle()
                return

    @rule(done=st.integers(0, 3))
    def crash(self, done: int) -> None:
        self.world.crash(done)

    @rule(refuses=st.booleans())
    def gateway_refuses(self, refuses: bool) -> None:
        self.world.gateway.refuses = refuses

    @rule(done=st.booleans())
    def disk_fails(self, done: bool) -> None:
        if self.fails and self.world.wishes:
            self.failed = True
            self.world.disk_fails(done)

    @rule()
    def waits(self) -> None:
        self.failed = self.failed or bool(self.world.wishes)
        self.world.passes(REQUEST_MAX)

    @invariant()
    def one_answer(self) -> None:
        """Whatever is an answer stays the answer; another body has none."""
        for number, reply in self.world.replies.items():
            if number in self.seen:
                continue
            self.seen.add(number)
            _, told = self.world.told(number)
            if reply.status >= 500 or told.get("code") in NO_ANSWER:
                continue
            key, what = self.world.asked[number]
            unknown = reply.status == 202 or b'"unknown"' in reply.body
            if self.failed and (unknown or what == "halt"):
                continue  # the disk did not have it
            was = self.final.setdefault(key, (what, reply))
            assert was[0] == what, f"{key}: another body was answered"
            same = (was[1].status, was[1].body, was[1].location)
            assert (reply.status, reply.body, reply.location) == same, f"{key}: another answer"

    @invariant()
    def one_effect(self) -> None:
        """However often a key is said, one thing is done: one order, one batch, one group."""
        gateway, asked = self.world.gateway, self.world.asked
        done = [asked[number] for number in gateway.did if asked[number][1] not in LATCH]
        keys = [key for key, _ in done]
        assert len(keys) == len(set(keys)), f"done twice: {done}"

    @invariant()
    def one_time(self) -> None:
        """A resume is as old as its key, so that it lifts nothing that was halted later."""
        told = [one for one in self.world.letters_told if isinstance(one.body, Resume)]
        times = {(self.world.asked[number_of(one)][0], one.at) for one in told}
        assert len(times) == len({key for key, _ in times}), f"young again: {times}"

    @invariant()
    def interrupted_only_what_was_begun(self) -> None:
        """That something may have been done is said of what a former life began, or the engine has
        heard of, and never of what was refused because of the disk."""
        world = self.world
        heard = {world.asked[number_of(one)][0] for one in world.letters_told}
        for number in world.replies:
            key, _ = world.asked[number]
            if world.told(number)[1].get("code") != "interrupted" or key in heard:
                continue
            lives = {world.lives[n] for n, (said, _) in world.asked.items() if said == key}
            assert min(lives) < world.lives[number], f"{key}: nobody has done anything"


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
PLANTED = settings(
    SETTINGS, max_examples=500, derandomize=True, database=None, phases=[Phase.generate]
)
TestPromises = Promises.TestCase
TestPromises.settings = SETTINGS


class _Sound(Promises):
    """A disk that does not fail: then not even "unknown" may be said twice in two ways."""

    fails = False


TestSound = _Sound.TestCase
TestSound.settings = SETTINGS


class _Forgetful(Disk):
    """It says that something has begun, and does not keep it."""

    def do(self, wish: Wish) -> Cause:
        if isinstance(wish, Begin) and wish.keyed.name not in self.rows:
            return Begun(AT, wish.id)
        if isinstance(wish, Keep):
            self.rows.setdefault(wish.keyed.name, Known(wish.keyed.digest, AT))
        return super().do(wish)


def _caught(machine: type[Promises]) -> str:
    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(machine, settings=PLANTED)
    return str(caught.value)


def test_a_beginning_that_is_not_kept_is_caught() -> None:
    class Planted(_Sound):
        disk_of = _Forgetful

    _caught(Planted)


def test_an_answer_that_is_sent_before_it_is_kept_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Keys._held

    def hasty(self: Keys, now: int, reply: Reply) -> object:
        flight = self._flight(reply.id)
        if flight is not None and flight.stage is keys.Stage.ASKED and not reply.unsure:
            self._end(flight, reply)
            return reply
        return held(self, now, reply)

    monkeypatch.setattr(Keys, "_held", hasty)
    assert "another answer" in _caught(_Sound)


def test_a_group_that_is_made_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "repeatable", lambda ask: True)
    _caught(_Sound)


def test_a_resume_that_is_young_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Keys.begun

    def young(self: Keys, now: int, cause: Begun) -> object:
        steps = begun(self, now, cause)
        return [s._replace(at=cause.at) if isinstance(s, keys.Go) else s for s in steps]

    class Late(Disk):
        def do(self, wish: Wish) -> Cause:
            found = super().do(wish)
            return Begun(wish.at, found.id, found.known) if isinstance(wish, Begin) else found

    class Planted(_Sound):
        disk_of = Late

    def interrupted(machine: Promises) -> None:
        """Too rare a day to wait for: a resume has begun, the front dies, and it is said again."""
        machine.has_begun("k1", "resume")
        machine.crash(0)
        machine.again("k1")
        machine.one_time()

    interrupted(_Sound())
    monkeypatch.setattr(Keys, "begun", young)
    with pytest.raises(AssertionError, match="young again"):
        interrupted(Planted())


def test_what_the_disk_took_too_late_and_keeps_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(self: Keys, flight: keys._Flight, reply: Reply) -> list[keys.Step]:
        return [self._end(flight, reply)]

    monkeypatch.setattr(Keys, "_undo", hasty)
    assert "nobody has done anything" in _caught(_Sound)


def test_a_beginning_that_failed_and_is_let_be_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    undo = Keys._undo

    def only_slow(self: Keys, flight: keys._Flight, reply: Reply) -> list[keys.Step]:
        if reply.body == refuse(0, keys.SLOW).body:
            return undo(self, flight, reply)
        return [self._end(flight, reply)]

    monkeypatch.setattr(Keys, "_undo", only_slow)
    assert "nobody has done anything" in _caught(Promises)


def test_a_body_that_is_not_compared_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(Disk):
        def do(self, wish: Wish) -> Cause:
            found = super().do(wish)
            if isinstance(found, Begun) and found.known is not None:
                known = found.known
                alike = Known(wish.keyed.digest, known.at, known.status, known.body, known.location)
                return Begun(AT, found.id, alike)
            return found

    class Planted(_Sound):
        disk_of = Careless

    assert "another body" in _caught(Planted)


def test_what_failed_is_said_of_each_wish() -> None:
    world = World()
    world.ask("k1", "order")
    found = failed(world.wishes[0])
    assert isinstance(found, Begun)
    assert found.trouble == "broken"
