"""A ledger as the first program wrote it, schema 0001, made without any of our code of today."""

import hashlib
import importlib
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing

import msgspec

from protocol.account import Account, key_of
from protocol.facts import AnyFact, natural_id
from protocol.messages import BookedFill, Entry, Order
from protocol.units import encode_unit

GENESIS = "0" * 64
SCHEMA: Sequence[str] = importlib.import_module(
    "actors.writer.migrations.versions.0001_first"
).SCHEMA

_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode


def chain(before: str, n: int, id: str, body: str) -> str:
    return hashlib.sha256(f"{before}\n{n}\n{id}\n{body}".encode()).hexdigest()


def write_former(path: str, facts: Iterable[AnyFact], poison: Iterable[AnyFact] = ()) -> None:
    """Make it, with every table filled as it was then."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = wal")
        with database:
            for statement in SCHEMA:
                database.execute(statement)
        with database:
            state = _write_entries(database, facts)
            for k, fact in enumerate(poison, 1):
                row = (k, natural_id(fact), _encode(fact).decode(), "CHECK failed", 77)
                database.execute("INSERT INTO poison VALUES (?, ?, ?, ?, ?)", row)
            body = _encode(state).decode()
            digest = hashlib.sha256(body.encode()).hexdigest()
            row = (1, body, digest)
            database.execute("INSERT INTO snapshots VALUES (?, ?, ?)", row)
            database.execute("INSERT INTO meta VALUES ('something', 1)")


def _write_entries(database: sqlite3.Connection, facts: Iterable[AnyFact]) -> object:
    account, before, state = Account(), GENESIS, Account().state()
    for n, fact in enumerate(facts, 1):
        id, body, at, source = (
            natural_id(fact),
            _encode(fact).decode(),
            1_000 - n,
            f"source {n % 3}",
        )
        before = chain(before, n, id, body)
        row = (n, id, type(fact).__name__, at, source, body, "essence", before)
        database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for meaning in account.apply(Entry(n, id, at, source, fact)):
            if isinstance(meaning, Order):
                _write_order(database, meaning)
            elif isinstance(meaning, BookedFill):
                f = meaning
                values = (f.order_id, f.trade_id, f.client_order_id, f.ticker, f.side, f.price,
                          f.count, f.fee, f.is_taker, f.exchange_at, f.position, f.n)  # fmt: skip
                database.execute(f"INSERT INTO fills VALUES ({', '.join('?' * 12)})", values)
        state = state if n > 1 else account.state()
    for p in account.positions():
        values = (p.ticker, p.position, p.cost, p.realized, p.fees, p.n)
        database.execute("INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?)", values)
    for b in account.balances():
        values = (b.shard, b.balance, b.seen_at, b.n)
        database.execute("INSERT INTO balances VALUES (?, ?, ?, ?)", values)
    return state


def _write_order(database: sqlite3.Connection, o: Order) -> None:
    values = (key_of(o), o.client_order_id, o.order_id, o.ticker, o.side, o.price, o.count,
              o.state, o.filled, o.remaining, o.reason, o.n)  # fmt: skip
    database.execute(f"INSERT OR REPLACE INTO orders VALUES ({', '.join('?' * 12)})", values)
    if o.client_order_id and o.order_id:
        forget = "DELETE FROM orders WHERE key = ? AND client_order_id = ''"
        database.execute(forget, (o.order_id,))


def chain_again(path: str) -> None:
    """As somebody would who changes an entry and means nobody to see it."""
    with closing(sqlite3.connect(path)) as database, database:
        before = GENESIS
        for n, id, body in database.execute(
            "SELECT n, id, body FROM entries ORDER BY n"
        ).fetchall():
            before = chain(before, n, id, body)
            database.execute("UPDATE entries SET hash = ? WHERE n = ?", (before, n))
