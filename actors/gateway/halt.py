"""Halt, resume, panic, and the hold after a cancel-all: why no order may leave.

The latch's file is the truth: a halt counts from the moment it is asked for, is answered once it
is on disk, and ends by a resume alone. A panic is a halt that also sweeps the exchange
(`sweep.py`); while it is not done the latch says so, and the next life goes on with it.
"""

import collections
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from actors.gateway.desk import Asker, CallAnswered, CallFailed, Desk, Ended
from actors.gateway.orders import Stage, Ticket
from actors.gateway.sweep import Sweep, may_have_worked
from protocol.account import UNSETTLED
from protocol.kalshi import answers, calls
from protocol.kalshi.calls import Call
from protocol.latch import NO_LATCH, Latch, unfit_reason
from protocol.limits import (
    ABSENCE_AFTER,
    HALT_ASKERS_MAX,
    HOLD_AFTER_CANCEL_ALL,
    MS,
    PANIC_ANSWER,
    PANIC_FRESH,
    PANIC_RETRY,
    US,
)
from protocol.machine import Cause, Effect, Report
from protocol.messages import Halt, HaltAnswer, Panic, PanicAnswer, Refused, Resume

KEY = "panic"
STOPPED = "halted: "  # how a call begins its reason that the latch kept from leaving

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


class _Wish(Struct, frozen=True):
    """A save under way, and who waits for it."""

    kind: Literal["halt", "resume", "panic", "keep"]
    latch: Latch
    reason: str = ""
    asker: tuple[Asker, int] | None = None  # with the epoch of the asker's life


class Halts:
    """Whether trading is halted, creates are held, and how far a panic is."""

    def __init__(self, desk: Desk, now: int, latch: Latch) -> None:
        self._desk = desk
        self._booted = now
        self._latch = latch  # in force
        self._file = latch  # what is on disk once all wishes are saved
        self._wishes: collections.deque[_Wish] = collections.deque()
        self._told: collections.deque[tuple[Asker, int]] = collections.deque(maxlen=HALT_ASKERS_MAX)
        self._problem = ""  # why the last save failed
        self._unsaved = False  # the hold or the panic has changed
        self._save_at = now
        self._hold_until = now
        self._sweep: Sweep | None = None
        self._sweeps = 0
        self._calls: dict[str, Call] = {}  # of sweeps, by their key in the lanes
        self._askers: dict[tuple[Asker, int], int] = {}  # of the panic; when they hear "running"
        self._last: PanicAnswer | None = None  # how the last panic ended
        self._last_at = now
        self._said = ""
        self._lands_until = now
        self._former: tuple[int, bool] = (-1, True)

    @property
    def halted(self) -> bool:
        return self._latch.halted

    @property
    def panicking(self) -> bool:
        return self._sweep is not None

    def closed(self, now: int) -> Closed | None:
        """Why no order may leave now; None if neither a halt nor a hold keeps it."""
        if self._latch.halted:
            return "halted", self._latch.reason, 0
        left = self._hold_until - now
        if left <= 0:
            return None
        text = "everything was canceled: that may take orders of the next minute, too"
        return "cancel_all_hold", text, -(-left // MS)

    def started(self, now: int, at: int) -> list[Effect]:
        """What a former life, or the command line, left on disk comes into force."""
        latch, self._latch = self._latch, msgspec.structs.replace(self._latch, hold_until=0)
        return self._adopt(now, at, latch)

    # Letters

    def asked(
        self, now: int, at: int, asker: Asker, epoch: int, body: Halt | Resume | Panic
    ) -> list[Effect]:
        """Take a letter. The same letter again is the same wish, answered or not."""
        who = (asker, epoch)
        if any(wish.asker == who for wish in self._wishes) or who in self._askers:
            return []
        if who in self._told:
            panic = isinstance(body, Panic)
            state = self._panic_state(now) if panic else self._state(self._problem)
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
        since = self._latch.at if self._latch.halted else at
        self._latch = msgspec.structs.replace(
            self._latch, halted=True, reason=reason or "halted", at=since
        )

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
        if wish.asker is not None:
            self._told.append(wish.asker)
            effects += self._desk.answer([wish.asker[0]], self._state(cause.problem), at)
        return effects

    def _report(self, wish: _Wish, problem: str) -> list[Effect]:
        known, self._problem = self._problem, problem
        if problem:
            return [] if problem == known else [Report(f"halt latch: {problem}", grave=True)]
        if wish.kind == "keep":
            return [Report("the halt latch is on disk again")] if known else []
        word = "resumed" if wish.kind == "resume" else "halted"
        return [Report(f"{word}: {wish.reason}")]

    def _state(self, problem: str) -> HaltAnswer:
        reason = problem or (self._latch.reason if self.halted else "")
        return HaltAnswer(self.halted, reason, not problem)

    def _resumed(self, now: int, at: int, latch: Latch) -> list[Effect]:
        """The latch is off the disk. A panic that is not done is given up."""
        hold = max(latch.hold_until, self._latch.hold_until)
        self._latch = msgspec.structs.replace(latch, hold_until=hold)
        if self._sweep is None:
            return []
        key = f"{KEY}:{self._sweeps}"
        if self._desk.lanes.withdraw(key):
            del self._calls[key]
        text = "given up: somebody has resumed trading"
        self._last = msgspec.structs.replace(self._panic_state(now), reason=text)
        self._sweep, self._said = None, ""
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
        if found.hold_until > self._latch.hold_until:
            self._latch = msgspec.structs.replace(self._latch, hold_until=found.hold_until)
            left = min(max(found.hold_until - at, 0) * US, HOLD_AFTER_CANCEL_ALL)
            self._hold_until = max(self._hold_until, now + left)
        if found.panic and self._sweep is None and found.halted:
            self._begin(now, at)
            effects.append(Report("a panic is not done yet: it goes on", grave=True))
        return effects

    # The panic

    def _panic(self, now: int, at: int, who: tuple[Asker, int], reason: str) -> list[Effect]:
        ended = self._last is not None and self._last.state == "done"
        if ended and self.halted and now < self._last_at + PANIC_FRESH:
            self._told.append(who)
            return self._desk.answer([who[0]], self._panic_state(now), at)
        if len(self._askers) >= HALT_ASKERS_MAX:
            return self._desk.answer([who[0]], self._panic_state(now), at)
        self._askers[who] = now + PANIC_ANSWER
        if self._sweep is not None:
            return []
        self._halt(at, reason or "panic")
        self._begin(now, at)
        self._unsaved = False
        return self._save(_Wish("panic", self._latch, self._latch.reason))

    def _begin(self, now: int, at: int) -> None:
        self._sweeps += 1
        self._sweep, self._last = Sweep(now), None
        self._latch = msgspec.structs.replace(self._latch, panic=True)
        self._hold(now, at)

    def _hold(self, now: int, at: int) -> None:
        self._hold_until = now + HOLD_AFTER_CANCEL_ALL
        hold_until = at + HOLD_AFTER_CANCEL_ALL // US
        self._latch = msgspec.structs.replace(self._latch, hold_until=hold_until)
        self._unsaved = True

    def due(self, now: int, at: int, tickets: Mapping[str, Ticket]) -> list[Effect]:
        """The panic's next call, its answers, and the save of what has changed."""
        effects: list[Effect] = []
        sweep = self._sweep
        if sweep is not None:
            self._look_at_orders(sweep, tickets)
            if not any(wish.kind in ("panic", "resume") for wish in self._wishes):
                self._call(now, at, sweep)
            if sweep.done:
                effects += self._finish(now, at)
        effects += self._answer(now, at)
        if self._unsaved and not self._wishes and now >= self._save_at:
            self._unsaved = False
            effects += self._save(_Wish("keep", self._latch))
        return effects

    def _call(self, now: int, at: int, sweep: Sweep) -> None:
        call = sweep.next(now)
        if call is None:
            return
        key = f"{KEY}:{self._sweeps}"
        if not self._desk.lanes.submit(key, call, first=True):
            sweep.unsent(now)
            return
        self._calls[key] = call
        if call is calls.CANCEL_ALL:
            self._hold(now, at)

    def ended(self, now: int, at: int, number: str, ended: Ended) -> list[Effect]:
        """A call of a panic has ended, perhaps of one that was given up."""
        call = self._calls.pop(f"{KEY}:{number}")
        if call is calls.CANCEL_ALL and may_have_worked(ended):
            self._hold(now, at)
        if self._sweep is None or number != str(self._sweeps):
            return []
        said = self._sweep.ended(now, at, ended)
        if not said or said == self._said:
            return []
        self._said = said
        return [Report(f"panic: {said}", grave=not self._sweep.done)]

    def order_ended(self, now: int, ended: Ended) -> Closed | None:
        """An order's call has ended. Why it was not sent, if the latch kept it."""
        if isinstance(ended, CallFailed) and not ended.sent:
            if not ended.reason.startswith(STOPPED):
                return None
            return "halted", ended.reason.removeprefix(STOPPED), 0
        known = isinstance(ended, CallAnswered) and (
            ended.status == 201 or ended.status in answers.REJECTIONS
        )
        if not known:
            self._lands_until = now + ABSENCE_AFTER
        if self._sweep is not None:
            self._sweep.moved(now)
        return None

    def _look_at_orders(self, sweep: Sweep, tickets: Mapping[str, Ticket]) -> None:
        sweep.in_flight = any(t.stage is Stage.SENT for t in tickets.values())
        sweep.lands_until = self._lands_until
        if self._left_open(tickets):
            sweep.lands_until = max(self._lands_until, self._booted + ABSENCE_AFTER)

    def _left_open(self, tickets: Iterable[str]) -> bool:
        """Whether a former life may have sent an order that nobody has seen since."""
        account = self._desk.ledger.account
        if account is None:
            return True
        n, found = self._former
        if n != account.n:
            found = any(
                order.state in UNSETTLED and order.client_order_id not in tickets
                for order in account.orders()
            )
            self._former = (account.n, found)
        return found

    def _finish(self, now: int, at: int) -> list[Effect]:
        assert self._sweep is not None
        self._last, self._last_at = self._panic_state(now), now
        self._sweep = None
        self._latch = msgspec.structs.replace(self._latch, panic=False)
        self._unsaved, self._save_at, self._said = True, now, ""
        return [Report("panic: done: nothing rests")]

    def _answer(self, now: int, at: int) -> list[Effect]:
        """Tell whoever asked: at the end, or that it is running; once the latch is on disk."""
        if not self._askers or any(wish.kind == "panic" for wish in self._wishes):
            return []
        over = self._sweep is None
        due = [who for who, late in self._askers.items() if over or now >= late]
        for who in due:
            del self._askers[who]
        self._told.extend(due)
        return self._desk.answer([asker for asker, _ in due], self._panic_state(now), at)

    def _panic_state(self, now: int) -> PanicAnswer:
        hold, saved = max(self._hold_until - now, 0) // MS, not self._problem
        sweep = self._sweep
        if sweep is None:
            assert self._last is not None
            return msgspec.structs.replace(self._last, hold_ms=hold, saved=saved)
        state: Literal["done", "running"] = "done" if sweep.done else "running"
        why = "" if sweep.done else sweep.trouble
        return PanicAnswer(state, sweep.resting, sweep.cancel_alls, hold, why, saved)

    # What is told of it

    def deadline(self) -> int | None:
        found = [*self._askers.values()]
        if self._sweep is not None and not self._wishes:
            sweeping = self._sweep.deadline()
            found += [] if sweeping is None else [sweeping]
        if self._unsaved and not self._wishes:
            found.append(self._save_at)
        return min(found, default=None)

    def vitals(self) -> list[str]:
        """What keeps the gateway from being ready."""
        return [] if self._sweep is None else [f"panic: {self._sweep.trouble}"]

    def counters(self, now: int) -> dict[str, int]:
        """For the heartbeat. `panic_resting` is -1 before the first complete listing."""
        running = self._sweep is not None
        last = self._panic_state(now) if running or self._last is not None else None
        return {
            "panic_running": int(running),
            "panic_resting": 0 if last is None else last.resting,
            "cancel_alls": 0 if last is None else last.cancel_alls,
            "hold_ms": max(self._hold_until - now, 0) // MS,
        }
