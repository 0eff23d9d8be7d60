"""Halt, resume, panic, and the hold after a cancel-all: why no order may leave.

The latch's file is the truth: a halt counts from the moment it is asked for, is answered once it
is on disk, and ends by a resume alone. A panic is a halt that also sweeps the exchange
(`sweep.py`); while it is not done the latch says so, and the next life goes on with it.
"""

import collections
from typing import Literal

import msgspec
from msgspec import Struct

from actors.gateway.desk import Asker, CallFailed, Desk, Ended
from actors.gateway.sweeper import Sweeper
from actors.gateway.tickets import Tickets
from protocol.kalshi.calls import CANCEL_ALL, Call
from protocol.latch import NO_LATCH, REASON_CHARS_MAX, Latch, joined, unfit_reason
from protocol.limits import (
    HALT_ASKERS_MAX,
    HOLD_AFTER_CANCEL_ALL,
    MS,
    PANIC_ANSWER,
    PANIC_FRESH,
    PANIC_RETRY,
    SECOND,
    US,
)
from protocol.machine import Cause, Effect, Report
from protocol.messages import Halt, HaltAnswer, Panic, PanicAnswer, Refused, Resume

STOPPED = "halted: "  # how a call begins its reason that the latch kept from leaving
DISARMED = "disarmed: "  # or that nobody has armed

Closed = tuple[str, str, int]  # code, text, and after how many ms it is worth another try


class HaltSaved(Cause, frozen=True):
    """The latch was saved as asked, or `problem` says why not. `latch` is on disk now."""

    latch: Latch
    problem: str = ""


class LatchSeen(Cause, frozen=True):
    """The latch's file has changed, and not by us."""

    latch: Latch


class SaveHalt(Effect, frozen=True):
    """Make the latch last. `over` is what its file is thought to hold."""

    latch: Latch
    over: Latch


_Who = tuple[Asker, str]  # and what was asked: one id may have been used for two wishes


class _Wish(Struct, frozen=True):
    """A save under way, and who waits for it."""

    kind: Literal["halt", "resume", "panic", "keep"]
    latch: Latch
    reason: str = ""
    who: _Who | None = None


class Halts:
    """Whether trading is halted, creates are held, and how far a panic is."""

    def __init__(self, desk: Desk, now: int, latch: Latch) -> None:
        self._desk = desk
        self._latch = latch  # in force
        self._file = latch  # what is on disk once all wishes are saved
        self._wishes: collections.deque[_Wish] = collections.deque()
        self._told: collections.deque[_Who] = collections.deque(maxlen=HALT_ASKERS_MAX)
        self._problem = ""  # why the last save failed
        self._unsaved = False  # the hold or the panic has changed
        self._save_at = now
        self._hold_until = now
        self._sweeper = Sweeper(desk, now)
        self._askers: dict[_Who, int] = {}  # of the panic; when they hear "running"

    @property
    def halted(self) -> bool:
        return self._latch.halted

    def closed(self, now: int) -> Closed | None:
        """Why no order may leave now; None if neither a halt nor a hold keeps it."""
        if self._latch.halted:
            return "halted", self._latch.reason, 0
        left = self._hold_until - now
        if left <= 0:
            return None
        text = (
            f"creates are held for {-(-left // SECOND)} s more: a cancel-all may take orders of "
            "the next minute, too"
        )
        return "cancel_all_hold", text, -(-left // MS)

    def stopped(self, now: int) -> Closed | None:
        """That trading is halted, and why; None if it is not. A hold is no halt."""
        return self.closed(now) if self.halted else None

    def started(self, now: int, at: int) -> list[Effect]:
        """What a former life, or the command line, left on disk comes into force."""
        latch, self._latch = self._latch, msgspec.structs.replace(self._latch, hold_until=0)
        return self._adopt(now, at, latch)

    # Letters

    def asked(self, now: int, at: int, asker: Asker, body: Halt | Resume | Panic) -> list[Effect]:
        """Take a letter. The same letter again is the same wish, answered or not."""
        who = (asker, f"{type(body).__name__}:{body.reason}")
        if any(wish.who == who for wish in self._wishes) or who in self._askers:
            return []
        panic = isinstance(body, Panic)
        if panic and self._sweeper.running and len(self._askers) < HALT_ASKERS_MAX:
            self._askers[who] = now + PANIC_ANSWER  # told "running" before: it waits once more
            return []
        if who in self._told:
            state = self._panic_state(now) if panic else self._state(now, self._problem)
            return self._desk.answer([asker], state, at)
        match body:
            case Halt(reason=reason):
                self._halt(at, reason)
                return self._save(_Wish("halt", self._latch, self._latch.reason, who))
            case Panic(reason=reason):
                return self._panic(now, at, who, reason)
            case Resume(reason=reason):
                wrong = unfit_reason(reason)
                if wrong:
                    return self._desk.answer([asker], Refused(f"resume: {wrong}"), at)
                hold = self._latch.hold_until if self._hold_until > now else 0
                lifted = Latch(False, reason, at, hold) if hold else NO_LATCH
                return self._save(_Wish("resume", lifted, reason, who))

    def _halt(self, at: int, reason: str) -> None:
        """At once: the disk may take its time."""
        halted = self._latch.halted
        said = joined(self._latch.reason if halted else "", _fit(reason) or "halted")
        since = self._latch.at if halted else at
        self._latch = msgspec.structs.replace(self._latch, halted=True, reason=said, at=since)

    def alarm(self, at: int, reason: str) -> list[Effect]:
        """Halt without being asked."""
        self._halt(at, reason)
        return self._save(_Wish("halt", self._latch, self._latch.reason))

    def _save(self, wish: _Wish) -> list[Effect]:
        over, self._file = self._file, wish.latch
        self._wishes.append(wish)
        return [SaveHalt(wish.latch, over)]

    def saved(self, now: int, at: int, cause: HaltSaved) -> list[Effect]:
        """A save has ended: in the order in which they were asked for."""
        wish = self._wishes.popleft()
        if not self._wishes:
            self._file = cause.latch
        effects = self._report(wish, cause.problem)
        if wish.latch.halted and cause.problem:
            self._unsaved, self._save_at = True, now + PANIC_RETRY  # a full disk has room again
        again = any(later.latch.halted for later in self._wishes)  # somebody has halted meanwhile
        if wish.kind == "resume" and not cause.problem and not again:
            effects += self._resumed(now, at, cause.latch)
        if not self._wishes:
            found = cause.latch
            if cause.problem:  # what we could not save of a panic is no panic of others
                found = msgspec.structs.replace(found, panic=False)
            effects += self._adopt(now, at, found)
        if wish.who is not None:
            self._told.append(wish.who)
            effects += self._desk.answer([wish.who[0]], self._state(now, cause.problem), at)
        return effects

    def _report(self, wish: _Wish, problem: str) -> list[Effect]:
        known, self._problem = self._problem, problem
        if problem:
            return [] if problem == known else [Report(f"halt latch: {problem}", grave=True)]
        if wish.kind == "keep":
            return [Report("the halt latch is on disk again")] if known else []
        word = "resumed" if wish.kind == "resume" else "halted"
        return [Report(f"{word}: {wish.reason}")]

    def _state(self, now: int, problem: str) -> HaltAnswer:
        held = self.closed(now)
        reason = problem or ("" if held is None else held[1])
        return HaltAnswer(self.halted, reason, not problem)

    def _resumed(self, now: int, at: int, latch: Latch) -> list[Effect]:
        """The latch is off the disk. A panic that is not done is given up."""
        hold = max(latch.hold_until, self._latch.hold_until)
        self._latch = msgspec.structs.replace(latch, hold_until=hold)
        if not self._sweeper.running:
            return []
        text = "given up: somebody has resumed trading"
        self._sweeper.give_up(now, text)
        return [Report(f"panic: {text}", grave=True)]

    def seen(self, now: int, at: int, latch: Latch) -> list[Effect]:
        """Another process, or a hand, has changed the file."""
        if self._wishes:
            return []  # our own save comes after it, and takes over what it must
        self._file = latch
        if not self.halted or latch.halted:
            said = [Report(f"another process wrote the halt latch: {latch.reason or 'resumed'}")]
            return [*said, *self._adopt(now, at, latch)]
        note = " (its latch was removed by hand: only a resume lifts it)"
        reason = self._latch.reason.removesuffix(note) + note
        self._latch = msgspec.structs.replace(self._latch, reason=reason)
        self._unsaved, self._save_at = True, now
        return [Report(f"still halted: {reason}", grave=True)]

    def _adopt(self, now: int, at: int, found: Latch) -> list[Effect]:
        """Take over what the file says beyond what is in force."""
        effects: list[Effect] = []
        if found.halted and not self.halted:
            self._latch = msgspec.structs.replace(
                self._latch, halted=True, reason=found.reason, at=found.at
            )
            effects.append(Report(f"halted, by its latch: {found.reason}", grave=True))
        if found.hold_until not in (0, self._latch.hold_until):
            self._latch = msgspec.structs.replace(self._latch, hold_until=found.hold_until)
            left = min(max(found.hold_until - at, 0) * US, HOLD_AFTER_CANCEL_ALL)
            self._hold_until = max(self._hold_until, now + left)
        if found.panic and found.halted and not self._sweeper.running:
            self._begin(now, at)
            effects.append(Report("a panic is not done yet: it goes on", grave=True))
        return effects

    # The panic

    def _panic(self, now: int, at: int, who: _Who, reason: str) -> list[Effect]:
        last, fresh = self._sweeper.last, now < self._sweeper.last_at + PANIC_FRESH
        if last is not None and last.state == "done" and self.halted and fresh:
            self._told.append(who)
            return self._desk.answer([who[0]], self._panic_state(now), at)
        if len(self._askers) >= HALT_ASKERS_MAX:
            return self._desk.answer([who[0]], self._panic_state(now), at)
        self._askers[who] = now + PANIC_ANSWER
        if self._sweeper.running:
            return []
        self._halt(at, reason or "panic")
        self._begin(now, at)
        self._unsaved = False
        return self._save(_Wish("panic", self._latch, self._latch.reason))

    def _begin(self, now: int, at: int) -> None:
        self._sweeper.begin(now)
        self._latch = msgspec.structs.replace(self._latch, panic=True)
        self._hold(now, at)

    def _hold(self, now: int, at: int) -> None:
        self._hold_until = now + HOLD_AFTER_CANCEL_ALL
        hold_until = at + HOLD_AFTER_CANCEL_ALL // US
        self._latch = msgspec.structs.replace(self._latch, hold_until=hold_until)
        self._unsaved = True

    def due(self, now: int, at: int, tickets: Tickets) -> list[Effect]:
        """The panic's next call, its answers, and the save of what has changed."""
        self._sweeper.look_at_orders(tickets)
        waits = any(wish.kind == "resume" for wish in self._wishes)
        if not waits and self._sweeper.due(now):
            self._hold(now, at)
        effects = self._answer(now, at)
        if self._unsaved and not self._wishes and now >= self._save_at:
            self._unsaved = False
            effects += self._save(_Wish("keep", self._latch))
        return effects

    def left(self, now: int, at: int, call: Call) -> None:
        """A call of a panic leaves, perhaps long after it was wanted: the hold begins now."""
        if call == CANCEL_ALL:
            self._hold(now, at)

    def ended(self, now: int, at: int, number: str, ended: Ended) -> list[Effect]:
        """A call of a panic has ended."""
        ran = self._sweeper.running
        effects, canceled = self._sweeper.ended(now, at, number, ended)
        if canceled:
            self._hold(now, at)
        if ran and not self._sweeper.running:
            self._latch = msgspec.structs.replace(self._latch, panic=False)
            self._unsaved, self._save_at = True, now
        return effects

    def order_ended(self, now: int, ended: Ended) -> Closed | None:
        """An order's call has ended. Why it was not sent, if the latch or the arming kept it."""
        if isinstance(ended, CallFailed) and not ended.sent:
            return kept_back(ended)
        self._sweeper.order_ended(now, ended)
        return None

    def _answer(self, now: int, at: int) -> list[Effect]:
        """Tell whoever asked: at the end and once the latch is on disk, or that it is running."""
        if not self._askers:
            return []
        over = not self._sweeper.running and not self._saving
        due = [who for who, late in self._askers.items() if over or now >= late]
        for who in due:
            del self._askers[who]
        self._told.extend(due)
        return self._desk.answer([asker for asker, _ in due], self._panic_state(now), at)

    def _panic_state(self, now: int) -> PanicAnswer:
        hold = max(self._hold_until - now, 0) // MS
        saved = not self._problem and not self._saving
        return msgspec.structs.replace(self._sweeper.state(), hold_ms=hold, saved=saved)

    @property
    def _saving(self) -> bool:
        """Whether the disk has not answered yet that it has the panic's latch."""
        return any(wish.kind == "panic" for wish in self._wishes)

    # What is told of it

    def deadline(self) -> int | None:
        found = [*self._askers.values()]
        sweeping = self._sweeper.deadline()
        if sweeping is not None:
            found.append(sweeping)
        if self._unsaved and not self._wishes:  # else first the disk: what it answers is a cause
            found.append(self._save_at)
        return min(found, default=None)

    def vitals(self) -> list[str]:
        """What keeps the gateway from being ready."""
        return [f"panic: {self._sweeper.trouble}"] if self._sweeper.running else []

    def counters(self, now: int) -> dict[str, int]:
        """For the heartbeat. `panic_resting` is -1 before the first complete listing."""
        known = self._sweeper.running or self._sweeper.last is not None
        state = self._sweeper.state() if known else PanicAnswer("done", 0)
        return {
            "panic_running": int(self._sweeper.running),
            "panic_resting": state.resting,
            "cancel_alls": state.cancel_alls,
            "hold_ms": max(self._hold_until - now, 0) // MS,
        }


def kept_back(ended: Ended) -> Closed | None:
    """Why a call was not sent, if the latch or the arming kept it at the wire."""
    if isinstance(ended, CallFailed) and not ended.sent:
        for kept in (STOPPED, DISARMED):
            if ended.reason.startswith(kept):
                return kept.removesuffix(": "), ended.reason.removeprefix(kept), 0
    return None


def _fit(reason: str) -> str:
    """A reason from a program, fit for the latch's file and one line of the log."""
    return "".join(c if c.isprintable() else "?" for c in reason[:REASON_CHARS_MAX])
