"""What a batch of appends becomes: a verdict for each, and the entries that are new."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from protocol.account import Account, Meaning
from protocol.facts import AnyFact, essence, natural_id
from protocol.messages import Entry


class Wanted(Struct, frozen=True):
    """A fact that somebody wants to append."""

    fact: AnyFact
    source: str


class Known(Struct, frozen=True):
    """What the ledger has under an id."""

    n: int
    essence: str


class Result(Struct, frozen=True):
    """What became of one append; `n` is the entry's number where there is one."""

    verdict: Literal["NEW", "REPEAT", "CONFLICT", "REFUSED"]
    n: int = 0
    reason: str = ""


class Booked(Struct, frozen=True):
    """One new entry, what it meant, and the essence it is known by."""

    entry: Entry
    essence: str
    meanings: tuple[Meaning, ...]


class Plan(Struct, frozen=True):
    """A result for each append in order, and the new entries in the order of their numbers."""

    results: tuple[Result, ...]
    booked: tuple[Booked, ...]


def plan(wanted: Sequence[Wanted], known: Mapping[str, Known], account: Account, at: int) -> Plan:
    """Judge each append and fold the new ones into the account.

    The account moves on: if the commit fails, the caller has to restore it. Raises
    RemoteProtocolError for a fact that the fold can't take.
    """
    results: list[Result] = []
    booked: list[Booked] = []
    seen = dict(known)
    for want in wanted:
        id, body = natural_id(want.fact), essence(want.fact)
        before = seen.get(id)
        if before is not None:
            same = before.essence == body
            results.append(
                Result("REPEAT", before.n)
                if same
                else Result("CONFLICT", before.n, f"{id} is on record with another body")
            )
            continue
        entry = Entry(account.n + 1, id, at, want.source, want.fact)
        booked.append(Booked(entry, body, tuple(account.apply(entry))))
        seen[id] = Known(entry.n, body)
        results.append(Result("NEW", entry.n))
    return Plan(tuple(results), tuple(booked))
