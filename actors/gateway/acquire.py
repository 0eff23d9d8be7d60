"""Tokens for programs that call the exchange themselves: they share the account's one budget.

A grant is a loan: what it covers counts as spent, and until it ends the bucket holds so much
less, because nobody here sees when the program's calls leave. Programs come behind all that the
engine wants for trading, and never get what is kept for cancels. Reads work while trading is
halted; tokens for writes do not, because a write may be new risk (cancels go through the engine).
"""

import re
from typing import Final

from msgspec import Struct

from actors.gateway.allowance import READ, WISH_LANE
from actors.gateway.desk import Asker, Desk
from protocol.envelope import Letter
from protocol.limits import (
    ACQUIRES_MAX,
    GRANTS_KEPT,
    HEARTBEAT_INTERVAL,
    MS,
    REQUEST_MAX,
    SHARDS_MAX,
    TOKENS_VALID,
)
from protocol.machine import Effect
from protocol.messages import AcquireTokens, AnyMessage, Refused, TokensAnswer

WAIT_MS_MAX: Final = REQUEST_MAX // MS
REMEMBERED: Final = TOKENS_VALID + REQUEST_MAX  # a letter that comes again is known so long
NAME = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)
KIND: Final = "tokens"  # of the keys in the lanes
NO_TOKENS: Final = "no tokens in time"  # the one reason whose end can be computed

Name = tuple[tuple[bytes, ...], str, int, str]  # of a letter: sender, source, epoch, id


class Acquire(Struct):
    """One letter that asked for tokens."""

    asker: Asker
    wanted: AcquireTokens
    key: str
    budget: int
    gives_up_at: int
    granted_until: int | None = None
    forgotten_at: int = 0


class Acquires:
    """Letters that wait for tokens, and those that got them a moment ago."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: dict[Name, Acquire] = {}
        self._granted: dict[Name, Acquire] = {}  # in the order in which they are forgotten
        self._names: dict[str, Name] = {}  # of those that wait, by their key in the lanes
        self._number = 0

    def ask(
        self, now: int, at: int, asker: Asker, letter: Letter, why_not: tuple[str, str]
    ) -> list[Effect]:
        """Take a letter. `why_not` says why there are none now, of reads and of writes; "" if
        there are."""
        wanted = letter.body
        assert isinstance(wanted, AcquireTokens)
        name = (asker[0], letter.source, letter.epoch, letter.id)
        known = self._waiting.get(name) or self._granted.get(name)
        if known is not None:
            return self._again(now, at, known, wanted)
        wrong = _flaw(wanted)
        if wrong:
            return self._say(at, asker, Refused(f"AcquireTokens.{wrong}"))
        budget = READ if wanted.budget == "read" else wanted.shard
        reason = why_not[wanted.budget == "write"]
        if not reason and len(self._waiting) >= ACQUIRES_MAX:
            reason = "too many programs are waiting"
        allowance = self._desk.lanes.allowance
        if not reason and not allowance.fits(WISH_LANE, budget, wanted.tokens):
            kept = allowance.keep(WISH_LANE, budget)
            most = allowance.budgets[budget].bucket.holds - kept
            text = f"at most {max(most, 0)} at once ({kept} more are kept for the engine)"
            return self._say(at, asker, TokensAnswer("never", reason=text))
        self._number += 1
        key = f"{KIND}:{self._number}"
        gives_up_at = now + wanted.wait_ms * MS
        acquire = Acquire(asker, wanted, key, budget, gives_up_at)
        if reason:
            return [self._later(now, at, acquire, reason)]
        self._waiting[name], self._names[key] = acquire, name
        self._desk.lanes.wish(key, caller_of(letter.source), budget, wanted.tokens)
        return []

    def _again(self, now: int, at: int, known: Acquire, wanted: AcquireTokens) -> list[Effect]:
        """The same letter once more is one wish, and one grant."""
        if known.wanted != wanted:
            text = "AcquireTokens: another letter under this id is known: each needs one of its own"
            return self._say(at, known.asker, Refused(text))
        if known.granted_until is None:
            return []  # it is answered when it has its tokens, or its time is over
        left = (known.granted_until - now) // MS
        if left <= 0:
            reason = "granted under this id, and over: ask again under a new one"
            return [self._later(now, at, known, reason)]
        return self._say(at, known.asker, TokensAnswer("granted", valid_ms=left))

    def close(self, now: int, at: int, why_not: tuple[str, str]) -> list[Effect]:
        """Before tokens are given out: those that may have none any more are told so."""
        if not self._waiting or not any(why_not):
            return []
        effects: list[Effect] = []
        for acquire in list(self._waiting.values()):
            reason = why_not[acquire.budget != READ]
            if reason:
                effects.append(self._give_up(now, at, acquire, reason))
        return effects

    def due(self, now: int, at: int) -> list[Effect]:
        """After tokens were given out: who got some, and who waited long enough."""
        effects: list[Effect] = []
        for key, duration in self._desk.lanes.take_lent():
            name = self._names.pop(key)
            acquire = self._waiting.pop(name)
            acquire.granted_until, acquire.forgotten_at = now + duration, now + REMEMBERED
            self._granted[name] = acquire
            granted = TokensAnswer("granted", valid_ms=duration // MS)
            effects += self._say(at, acquire.asker, granted)
        for acquire in [a for a in self._waiting.values() if a.gives_up_at <= now]:
            effects.append(self._give_up(now, at, acquire, NO_TOKENS))
        while self._granted:
            oldest = next(iter(self._granted))
            if self._granted[oldest].forgotten_at > now and len(self._granted) <= GRANTS_KEPT:
                break
            del self._granted[oldest]
        return effects

    def deadline(self) -> int | None:
        return min((a.gives_up_at for a in self._waiting.values()), default=None)

    def _give_up(self, now: int, at: int, acquire: Acquire, reason: str) -> Effect:
        del self._waiting[self._names.pop(acquire.key)]
        self._desk.lanes.withdraw(acquire.key)
        return self._later(now, at, acquire, reason)

    def _later(self, now: int, at: int, acquire: Acquire, reason: str) -> Effect:
        wait = self._desk.lanes.wait_ms(now, WISH_LANE, acquire.budget, acquire.wanted.tokens)
        if reason != NO_TOKENS:
            wait = max(wait, HEARTBEAT_INTERVAL // MS)  # nobody knows when: look again then
        [effect] = self._say(at, acquire.asker, TokensAnswer("later", wait, 0, reason))
        return effect

    def _say(self, at: int, asker: Asker, body: AnyMessage) -> list[Effect]:
        return self._desk.answer([asker], body, at)


def caller_of(source: str) -> str:
    """Under which name a program's spending is counted."""
    return f"program:{source if NAME.fullmatch(source) else '?'}"


def _flaw(wanted: AcquireTokens) -> str:
    """Which field is wrong, and what it must be; "" if none is."""
    if wanted.tokens < 1:
        return f"tokens: {wanted.tokens} is not at least 1"
    if not 0 <= wanted.shard <= SHARDS_MAX:
        return f"shard: {wanted.shard} is not 0 to {SHARDS_MAX}"
    if wanted.shard and wanted.budget == "read":
        return "shard: only the write budget has shards"
    if not 0 <= wanted.wait_ms <= WAIT_MS_MAX:
        return f"wait_ms: {wanted.wait_ms} is not 0 to {WAIT_MS_MAX}"
    return ""
