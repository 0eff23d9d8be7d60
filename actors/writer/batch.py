"""What a batch of appends becomes: a verdict for each, and the entries that are new."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from protocol.account import Account, Meaning
from protocol.facts import INTENTS, AmendIntended, AnyFact, OrderIntended, essence, is_money
from protocol.ledger import Row, row_of
from protocol.messages import Entry, Order
from protocol.units import encode_unit


class Wanted(Struct, frozen=True, gc=False):
    """A fact that somebody wants to append."""

    fact: AnyFact
    source: str


class Known(Struct, frozen=True, gc=False):
    """What the ledger has under an id."""

    n: int
    essence: bytes


class Result(Struct, frozen=True, gc=False):
    """What became of one append; `n` is the entry's number where there is one.

    `aside` is the number under which a fact was set aside that could not be booked, 0 if none.
    """

    verdict: Literal["NEW", "REPEAT", "CONFLICT", "REFUSED"]
    n: int = 0
    reason: str = ""
    aside: int = 0


class Booked(Struct, frozen=True, gc=False):
    """One new entry, what it meant, and how it is written."""

    entry: Entry
    meanings: tuple[Meaning, ...]
    essence: bytes
    body: str
    rows: tuple[Row, ...]


class Plan(Struct, frozen=True, gc=False):
    """A result for each append in order, and the new entries in the order of their numbers."""

    results: tuple[Result, ...]
    booked: tuple[Booked, ...]


Aside = Mapping[tuple[str, bytes], Result]  # by id and essence: facts that were set aside before

encode_fact = msgspec.json.Encoder(enc_hook=encode_unit).encode


def plan(
    wanted: Sequence[tuple[str, Wanted]],
    known: Mapping[str, Known],
    aside: Aside,
    account: Account,
    at: int,
) -> Plan:
    """Judge each append, given with its natural id, and fold the new ones into the account.

    The account moves on: if the commit fails, the caller has to restore it. Raises
    RemoteProtocolError for a fact that the fold can't take, and UnicodeEncodeError for one that
    has no JSON.
    """
    results: list[Result] = []
    booked: list[Booked] = []
    seen = dict(known)
    for id, want in wanted:
        fact = want.fact
        body = encode_fact(fact)
        core = essence(fact, body)
        before = seen.get(id)
        if before is not None:
            same = before.essence == core
            conflict = aside.get((id, core)) or Result(
                "CONFLICT", before.n, f"{id} is on record with another body"
            )
            results.append(Result("REPEAT", before.n) if same else conflict)
            continue
        if (id, core) in aside:
            results.append(aside[id, core])
            continue
        entry = Entry(account.n + 1, id, at, want.source, fact)
        meanings = tuple(account.apply(entry))
        rows = tuple([row_of(meaning) for meaning in meanings])
        booked.append(Booked(entry, meanings, core, body.decode(), rows))
        seen[id] = Known(entry.n, core)
        results.append(Result("NEW" if _is_news(fact, meanings) else "REPEAT", entry.n))
    return Plan(tuple(results), tuple(booked))


def _is_news(fact: AnyFact, meanings: Sequence[Meaning]) -> bool:
    """Whether the teller may act on it: NEW lets an order go.

    An intent of an order that is on record already is none: it was withdrawn, or the exchange
    has shown it. Nor is an amend of an order that is not open, or has another one pending.
    """
    if isinstance(fact, AmendIntended):
        return bool(meanings)
    if not isinstance(fact, OrderIntended):
        return True
    return all(isinstance(found, Order) and found.state == "intended" for found in meanings)


def stops_trading(fact: AnyFact, result: Result) -> bool:
    """Whether money could not be booked as it was told.

    An intent that is not taken is never sent: that is the client's mistake, not the ledger's.
    """
    refused = result.verdict in ("CONFLICT", "REFUSED")
    return refused and is_money(fact) and not isinstance(fact, INTENTS)
