"""Who talks to the gateway and is no process of the engine: an operator, and a program that makes
calls of its own and shares the account's budget."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from protocol.envelope import Letter
from protocol.latch import Latch
from protocol.limits import HOLD_AFTER_CANCEL_ALL, MS, SECOND, US
from protocol.messages import (
    AcquireTokens,
    AnyMessage,
    Halt,
    HaltAnswer,
    Panic,
    PanicAnswer,
    Resume,
    TokensAnswer,
)
from tests.simulation import latch

if TYPE_CHECKING:
    from tests.simulation.world import World

TOLD_AGAIN = 1 * SECOND


class Outsider(Protocol):
    def told(self, letter: Letter) -> None:
        """An answer of the gateway has come."""


class Operator:
    """Halts, panics and resumes, one thing after the other: each is told until it is answered."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._wishes: list[AnyMessage] = []
        self._asked = ""  # the letter that waits for its answer
        self._numbers = itertools.count(1)
        self.panics = 0

    def ask(self, body: Halt | Panic | Resume) -> None:
        """Once what was asked before is answered."""
        self._wishes.append(body)
        self._next()

    def write_latch(self, panic: bool) -> None:
        """Halt with a hand of one's own: from then on no order leaves."""
        self._world.happened["the latch was written by another hand"] += 1
        self._world.log("halting")
        hold = self._world.wall + HOLD_AFTER_CANCEL_ALL // US if panic else 0
        reason = "operator: by hand"
        latch.write(self._world, Latch(True, reason, self._world.wall, hold, panic))
        self._world.log("halted", id="latch")
        self.panics += panic

    @property
    def idle(self) -> bool:
        return not self._wishes

    def _next(self) -> None:
        if self._wishes and not self._asked:
            self._asked = f"{type(self._wishes[0]).__name__}:{next(self._numbers)}"
            self._world.log("resuming" if isinstance(self._wishes[0], Resume) else "halting")
            wish = self._wishes[0]
            self._tell(Letter("operator", 1, self._asked, self._world.wall, wish))

    def _tell(self, letter: Letter) -> None:
        """Always the same letter, with the time at which it was written."""
        world = self._world
        if letter.id != self._asked:
            return
        world.bus.send("operator", (b"operator", b"1"), "gateway", letter)
        world.at(world.now + TOLD_AGAIN, lambda: self._tell(letter))

    def told(self, letter: Letter) -> None:
        if letter.id != self._asked:
            return
        wish, answer = self._wishes[0], letter.body
        again = False
        match wish, answer:
            case Halt(), HaltAnswer(halted=True, saved=saved):
                if saved:
                    self._world.log("halted")
                again = not saved
            case Panic(), PanicAnswer(state=state, reason=reason, saved=saved):
                if saved and not reason.startswith("given up"):
                    self._world.log("halted")
                if state == "done":
                    self._world.happened["a panic was done"] += 1
                    self._world.log("panicked")
                again = state == "running" and not reason.startswith("given up")
                again = again and len(self._wishes) == 1
            case Resume(), HaltAnswer(halted=halted, saved=saved):
                again = halted or not saved
        assert isinstance(answer, HaltAnswer | PanicAnswer), answer
        self._asked = ""
        if not again:
            self._wishes.pop(0)
        self._world.at(self._world.now + 100 * MS, self._next)


class Program:
    """Borrows tokens and spends them on calls that the engine does not see."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._numbers = itertools.count(1)
        self._asked: dict[str, tuple[int, AcquireTokens]] = {}

    def ask(self, wanted: AcquireTokens) -> None:
        id = f"tokens:{next(self._numbers)}"
        self._asked[id] = self._world.now, wanted
        letter = Letter("program", 1, id, self._world.wall, wanted)
        self._world.bus.send("program", (b"program", b"1"), "gateway", letter)

    def told(self, letter: Letter) -> None:
        """Tokens count from when they were asked for: nobody knows when they were granted."""
        world = self._world
        asked_at, wanted = self._asked.pop(letter.id, (0, None))
        answer = letter.body
        if wanted is None or not isinstance(answer, TokensAnswer) or answer.state != "granted":
            return
        left = asked_at + answer.valid_ms * MS - world.now
        if left < 0:
            return
        world.happened["a program spent its tokens"] += 1
        leaves = world.now + world.dice.choice((0, world.dice.randint(0, left)))
        arrives = leaves + world.dice.randint(1, world.faults.call_delay_max)
        world.at(leaves, self._leave(wanted))
        world.at(arrives, lambda: self._arrive(wanted))

    def _budget(self, wanted: AcquireTokens) -> str:
        return wanted.budget if wanted.budget == "read" else f"write {wanted.shard}"

    def _leave(self, wanted: AcquireTokens) -> Callable[[], None]:
        budget = self._budget(wanted)
        return lambda: self._world.log("left", call="program", budget=budget, cost=wanted.tokens)

    def _arrive(self, wanted: AcquireTokens) -> None:
        self._world.exchange.rates.draw(self._budget(wanted), wanted.tokens)
