"""Idempotency keys: the same key and the same body get the same answer, whatever dies in between.

That a request has begun is on disk before the engine hears of it, and its answer before its client
does. So whoever asks again gets the answer that is kept; and where a life of the front has ended
without one, the same is done again under the same ids, or is unknown if that would not be safe.

What is kept under which key is the store's (`answers.py`); what that means is decided here.
"""

import enum
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from actors.api.asks import Ask
from actors.api.bodies import BUSY, Problem
from actors.api.keyed import HEADER, Begin, Begun, Drop, Keep, Kept, Keyed, Known
from actors.api.repeats import interrupted, repeatable, stops, timed
from actors.api.replies import Reply, as_json, refuse
from actors.api.rooms import ROOM
from protocol.limits import (
    IDEMPOTENCY_ANSWER_BYTES_MAX,
    IDEMPOTENCY_HALT_WAIT,
    IDEMPOTENCY_WAIT,
)
from protocol.machine import Effect, Report

FLIGHTS_MAX: Final = ROOM["trade"] + ROOM["cancel"]  # as much as all tokens may have waiting
TOO_LARGE: Final = "done; the whole answer is too large to be kept: GET shows how it is now"
WITHOUT: Final = "no request with a key can be taken; without one it goes on"
REUSED: Final = Problem(422, "key_reused", "this key was used to ask for something else", HEADER)
IN_FLIGHT: Final = Problem(
    409, "key_in_flight", "the first request with this key is not answered yet", HEADER, 250
)
FULL: Final = Problem(503, "busy", "", HEADER, 60_000)
UNAVAILABLE: Final = Problem(503, "keys_unavailable", "", HEADER, 5_000)
SLOW: Final = replace(UNAVAILABLE, detail=f"the disk is too slow: {WITHOUT}")
UNDOING: Final = replace(
    UNAVAILABLE, detail="that nothing was done the last time with this key is not on disk yet"
)
UNKEPT: Final = Problem(
    503, "answer_not_kept",
    "it may have been done, but its answer could not be kept: ask again with the same key",
    HEADER, 1_000,
)  # fmt: skip


class Go(NamedTuple):
    """On to the engine, as if asked at `at`."""

    id: int
    ask: Ask
    at: int


class Unkept(NamedTuple):
    """It may have been done, and its answer could not be kept."""

    id: int
    ask: Ask


class Stage(enum.Enum):
    """Where a request with a key is."""

    LOOKING = enum.auto()  # the disk has not said what it knows; the engine has not heard of it
    GONE = enum.auto()  # the same, but what stops does not wait for the disk
    ASKED = enum.auto()  # begun, on disk; the engine has it
    BARE = enum.auto()  # what stops: the engine has it, and nothing of it is to be kept
    KEEPING = enum.auto()  # its answer is on its way to the disk
    UNDOING = enum.auto()  # it was told that nothing was done; the disk has not forgotten it yet


class _Flight(Struct):
    """One request with a key that has no answer yet, or one that the disk does not know."""

    id: int
    ask: Ask
    keyed: Keyed
    at: int
    stage: Stage
    deadline: int | None  # of what the disk has to do
    reply: Reply | None = None
    dropped: bool = False  # the reply says that nothing was done
    again: bool = False  # it had begun before
    instead: Reply | None = None  # a halt was done again before the disk knew its answer

    @property
    def stops(self) -> bool:
        return stops(self.ask)


Step = Effect | Go | Unkept


class Keys:
    """The requests with a key that are in flight."""

    def __init__(self) -> None:
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._late_at = 0  # none of them is late before this moment
        self._trouble = ""

    def take(self, now: int, at: int, id: int, ask: Ask, keyed: Keyed) -> list[Effect]:
        """A request with a key: first it is looked for on disk, and put there."""
        under_way = self._flights.get(keyed.name)
        if under_way is not None:
            if under_way.keyed.digest != keyed.digest:
                return [refuse(id, REUSED)]
            if under_way.stage is Stage.UNDOING:
                return [refuse(id, UNDOING)]
            return [refuse(id, IN_FLIGHT)]
        at_once = stops(ask)
        if len(self._flights) >= FLIGHTS_MAX + (ROOM["kill"] if at_once else 0):
            return [refuse(id, BUSY)]
        wait = IDEMPOTENCY_HALT_WAIT if at_once else IDEMPOTENCY_WAIT
        flight = _Flight(id, ask, keyed, at, Stage.LOOKING, None)
        self._flights[keyed.name] = flight
        self._names[id] = keyed.name
        self._wait(flight, Stage.LOOKING, now + wait)
        return [Begin(id, keyed, at)]

    def begun(self, now: int, cause: Begun) -> list[Step]:
        """The disk has said what it knows under a key."""
        flight = self._flight(cause.id)
        noted = self._note(cause.text if cause.trouble == "broken" else "")
        if flight is None or flight.stage not in (Stage.LOOKING, Stage.GONE):
            return noted  # it was told meanwhile that the disk takes too long
        if cause.trouble:
            return [*noted, *self._unrecorded(flight, cause)]
        known = cause.known
        gone = flight.stage is Stage.GONE
        told = None if known is None else _told_before(flight, known)
        if told is not None and gone and flight.reply is None:
            flight.instead = told
            self._wait(flight, Stage.BARE, None)
            return noted
        if told is not None:
            return [*noted, self._end(flight, told)]
        if known is not None:
            flight.at, flight.again = known.at, True
        self._wait(flight, Stage.ASKED, None)
        if flight.reply is not None:
            return [*noted, self._keep(now, flight, flight.reply)]
        if gone:
            return noted
        if known is not None and not repeatable(flight.ask):
            return [*noted, self._keep(now, flight, interrupted(flight.id, flight.ask))]
        return [*noted, Go(flight.id, flight.ask, flight.at)]

    def _undo(self, flight: _Flight, reply: Reply) -> list[Step]:
        """Say that nothing was done, and hold the key until the disk does not say otherwise: it
        may take the beginning late, or have taken it although it said that it can't. A resume stays
        begun, and as old as it is."""
        if timed(flight.ask):
            return [self._end(flight, reply)]
        self._wait(flight, Stage.UNDOING, None)
        return [reply, Drop(flight.id, flight.keyed, flight.at)]

    def _unrecorded(self, flight: _Flight, cause: Begun) -> list[Step]:
        """The disk has not taken it: then nothing goes on but what stops."""
        if flight.stops:
            gone = flight.stage is Stage.GONE
            self._wait(flight, Stage.BARE, None)
            if flight.reply is not None:
                return [self._end(flight, flight.reply)]
            return [] if gone else [Go(flight.id, flight.ask, flight.at)]
        if cause.trouble == "full":
            return [self._end(flight, refuse(flight.id, replace(FULL, detail=cause.text)))]
        detail = f"{cause.text}: {WITHOUT}"
        return self._undo(flight, refuse(flight.id, replace(UNAVAILABLE, detail=detail)))

    def hold(self, now: int, effects: list[Effect]) -> list[Effect]:
        """What a step leads to; answers to requests with a key are kept before they are sent."""
        return [self._held(now, e) if isinstance(e, Reply) else e for e in effects]

    def _held(self, now: int, reply: Reply) -> Effect:
        flight = self._flight(reply.id)
        if flight is None or flight.stage in (Stage.KEEPING, Stage.UNDOING):
            return reply
        if flight.stage is Stage.BARE:
            return self._end(flight, flight.instead or reply)
        if flight.stage is Stage.GONE:
            flight.reply = reply
            self._wait(flight, Stage.GONE, now + IDEMPOTENCY_WAIT)
            return Report(f"{HEADER}: the disk is slow, and something that stops went before it")
        return self._keep(now, flight, reply)

    def _keep(self, now: int, flight: _Flight, reply: Reply) -> Effect:
        """The answer, or that there is none, on its way to the disk."""
        refused = reply.status >= 500 or reply.status == 429
        if reply.unsure or (refused and (flight.again or timed(flight.ask))):
            return self._end(flight, reply)  # begun it stays, and since when
        if len(reply.body) > IDEMPOTENCY_ANSWER_BYTES_MAX:
            reply = replace(reply, body=as_json({"code": "answer_too_large", "text": TOO_LARGE}))
        flight.reply, flight.dropped = reply, refused
        self._wait(flight, Stage.KEEPING, now + IDEMPOTENCY_WAIT)
        drop = Drop(flight.id, flight.keyed, flight.at)
        return drop if refused else Keep(reply, flight.keyed)

    def kept(self, now: int, cause: Kept) -> list[Step]:
        """The disk has an answer, or can't have it; or has forgotten what was not done."""
        noted = self._note(cause.problem)
        flight = self._flight(cause.id)
        if flight is None or flight.stage not in (Stage.KEEPING, Stage.UNDOING):
            return noted  # it was told meanwhile that the disk takes too long
        keeping = flight.stage is Stage.KEEPING
        told = [self._told(flight, bool(cause.problem))] if keeping else []
        if flight.stage is Stage.UNDOING:
            if cause.problem:
                self._wait(flight, Stage.UNDOING, now + IDEMPOTENCY_WAIT)
            else:
                self._forget(flight)
        return [*noted, *told]

    def _told(self, flight: _Flight, lost: bool) -> Step:
        """An answer that is not on disk is none: only what stops, or was not done, is said."""
        assert flight.reply is not None
        if lost and flight.dropped and not flight.stops:
            self._wait(flight, Stage.UNDOING, None)
            return flight.reply
        if lost and not flight.stops:
            self._forget(flight)
            return Unkept(flight.id, flight.ask)
        return self._end(flight, flight.reply)

    def due(self, now: int) -> list[Step]:
        """What the disk has taken too long for."""
        if not self._flights or now < self._late_at:
            return []
        steps: list[Step] = []
        for flight in [f for f in self._flights.values() if f.deadline and f.deadline <= now]:
            if flight.stage is Stage.UNDOING:
                self._wait(flight, Stage.UNDOING, None)
                steps.append(Drop(flight.id, flight.keyed, flight.at))
            elif flight.stage is Stage.KEEPING:
                steps.append(self._told(flight, True))
            elif flight.reply is not None:
                steps.append(self._end(flight, flight.reply))
            elif flight.stops:
                self._wait(flight, Stage.GONE, None)
                steps.append(Go(flight.id, flight.ask, flight.at))
            else:
                steps += self._undo(flight, refuse(flight.id, SLOW))
        found = (f.deadline for f in self._flights.values() if f.deadline is not None)
        self._late_at = min(found, default=now + IDEMPOTENCY_WAIT)
        return steps

    def deadline(self) -> int | None:
        return self._late_at if self._flights else None

    def _flight(self, id: int) -> _Flight | None:
        name = self._names.get(id)
        return None if name is None else self._flights[name]

    def _wait(self, flight: _Flight, stage: Stage, deadline: int | None) -> None:
        flight.stage, flight.deadline = stage, deadline
        if deadline is not None:
            earlier = len(self._flights) > 1 and self._late_at < deadline
            self._late_at = self._late_at if earlier else deadline

    def _end(self, flight: _Flight, reply: Reply) -> Reply:
        self._forget(flight)
        return reply

    def _forget(self, flight: _Flight) -> None:
        del self._flights[flight.keyed.name]
        del self._names[flight.id]

    def _note(self, trouble: str) -> list[Step]:
        """Say once what is wrong with the disk, and once that it is over."""
        known, self._trouble = self._trouble, trouble
        if bool(known) == bool(trouble):
            return []
        if not trouble:
            return [Report(f"{HEADER}: the answers are kept again")]
        return [Report(f"{HEADER}: {trouble}; requests with one are refused", grave=True)]


def _told_before(flight: _Flight, known: Known) -> Reply | None:
    """What is said to a repeat without doing anything; None if there is no answer yet."""
    if known.digest != flight.keyed.digest:
        return refuse(flight.id, REUSED)
    if known.status:
        return Reply(flight.id, known.status, known.body, known.location)
    return None
