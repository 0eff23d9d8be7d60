"""What is wrong with a ledger on disk, in words, given what was acknowledged. No words: sound."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from actors.writer.store import Failed, Store
from protocol.account import Account, key_of
from protocol.messages import BookedFill, Entry

ENTRIES_MAX = 1_000_000  # more than any story writes
Acknowledged = Mapping[str, int]  # the number that was answered, by natural id
Audit = Callable[[str, Acknowledged], list[str]]


def audit(path: str, acknowledged: Acknowledged) -> list[str]:
    """Open it as the next life would, and hold it against what was answered."""
    store = Store(path)
    try:
        store.open()
        entries = store.entries(0, ENTRIES_MAX)
        store.close()
    except Failed as e:
        return [f"it does not open: {e}"]
    faults = []
    if [e.n for e in entries] != list(range(1, len(entries) + 1)):
        faults.append("the numbers are not contiguous from 1")
    found = {e.id: e.n for e in entries}
    if len(found) != len(entries):
        faults.append("an id is there twice")
    faults += [
        f"{id} was acknowledged as {n} and is {found.get(id, 'lost')}"
        for id, n in acknowledged.items()
        if found.get(id) != n
    ]
    with closing(sqlite3.connect(path)) as database:
        [(verdict,)] = database.execute("PRAGMA integrity_check").fetchall()
        if verdict != "ok":
            faults.append(f"integrity: {verdict}")
        return faults + _unlike_the_fold(database, entries)


def _unlike_the_fold(database: sqlite3.Connection, entries: tuple[Entry, ...]) -> list[str]:
    account = Account()
    meanings = [meaning for entry in entries for meaning in account.apply(entry)]
    folded: dict[str, list[tuple[Any, ...]]] = {
        "SELECT n, trade_id, count, position FROM fills": [
            (f.n, f.trade_id, int(f.count), int(f.position))
            for f in meanings
            if isinstance(f, BookedFill)
        ],
        "SELECT key, state, filled, remaining FROM orders": [
            (key_of(o), o.state, int(o.filled), int(o.remaining)) for o in account.orders()
        ],
        "SELECT ticker, position, cost, realized, fees, n FROM positions": [
            (p.ticker, int(p.position), int(p.cost), int(p.realized), int(p.fees), p.n)
            for p in account.positions()
        ],
        "SELECT shard, balance, seen_at FROM balances": [
            (b.shard, int(b.balance), b.seen_at) for b in account.balances()
        ],
    }
    return [
        f"{query} is not the fold of the entries"
        for query, rows in folded.items()
        if sorted(database.execute(query).fetchall()) != sorted(rows)
    ]
