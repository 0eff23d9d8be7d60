"""The tables of the ledger, and the rows that entries and their meanings become in them.

Entries can't be changed or deleted: triggers refuse it, and each is chained to the one before by
its hash. The other tables follow from the entries and are written in the same transaction.
"""

import hashlib
from typing import Any, Final

from protocol.account import key_of
from protocol.messages import Balance, BookedFill, Order, Position

SCHEMA_VERSION: Final = 1
GENESIS: Final = "0" * 64

SCHEMA: Final = (
    """CREATE TABLE entries (n INTEGER PRIMARY KEY CHECK (n > 0), id TEXT NOT NULL UNIQUE,
       kind TEXT NOT NULL, at INTEGER NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL,
       essence TEXT NOT NULL, hash TEXT NOT NULL) STRICT""",
    """CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
       BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END""",
    """CREATE TRIGGER entries_remain BEFORE DELETE ON entries
       BEGIN SELECT RAISE(ABORT, 'ledger entries are never deleted'); END""",
    """CREATE TABLE orders (key TEXT PRIMARY KEY, client_order_id TEXT NOT NULL,
       order_id TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL, price INTEGER NOT NULL,
       count INTEGER NOT NULL, state TEXT NOT NULL, filled INTEGER NOT NULL CHECK (filled >= 0),
       remaining INTEGER NOT NULL CHECK (remaining >= 0), reason TEXT NOT NULL,
       n INTEGER NOT NULL) STRICT""",
    """CREATE TABLE fills (order_id TEXT NOT NULL, trade_id TEXT NOT NULL,
       client_order_id TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL,
       price INTEGER NOT NULL CHECK (price BETWEEN 0 AND 1000000),
       count INTEGER NOT NULL CHECK (count > 0), fee INTEGER NOT NULL, is_taker INTEGER NOT NULL,
       exchange_at INTEGER NOT NULL, position INTEGER NOT NULL, n INTEGER NOT NULL,
       PRIMARY KEY (order_id, trade_id)) STRICT""",
    """CREATE TABLE positions (ticker TEXT PRIMARY KEY, position INTEGER NOT NULL,
       cost INTEGER NOT NULL, realized INTEGER NOT NULL, fees INTEGER NOT NULL,
       n INTEGER NOT NULL) STRICT""",
    """CREATE TABLE balances (shard INTEGER PRIMARY KEY, balance INTEGER NOT NULL,
       seen_at INTEGER NOT NULL, n INTEGER NOT NULL) STRICT""",
    """CREATE TABLE snapshots (n INTEGER PRIMARY KEY, body TEXT NOT NULL, sha256 TEXT NOT NULL)
       STRICT""",
    """CREATE TABLE poison (k INTEGER PRIMARY KEY, id TEXT NOT NULL, body TEXT NOT NULL,
       reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT""",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
)

UPSERTS: Final[dict[type, str]] = {
    Order: "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    BookedFill: "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    Position: "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
    Balance: "INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?)",
}


def row_of(meaning: Order | BookedFill | Position | Balance) -> tuple[Any, tuple[Any, ...]]:
    """The key and the row of a derived table that a meaning becomes."""
    match meaning:
        case Order() as o:
            key = key_of(o)
            terms = (o.ticker, o.side, int(o.price), int(o.count), o.state)
            progress = (int(o.filled), int(o.remaining), o.reason, o.n)
            return key, (key, o.client_order_id, o.order_id, *terms, *progress)
        case BookedFill() as f:
            who = (f.order_id, f.trade_id, f.client_order_id, f.ticker, f.side)
            what = (int(f.price), int(f.count), int(f.fee), int(f.is_taker), f.exchange_at)
            return (f.order_id, f.trade_id), (*who, *what, int(f.position), f.n)
        case Position() as p:
            money = (int(p.cost), int(p.realized), int(p.fees))
            return p.ticker, (p.ticker, int(p.position), *money, p.n)
        case Balance() as b:
            return b.shard, (b.shard, int(b.balance), b.seen_at, b.n)


def chain(before: str, n: int, id: str, body: str) -> str:
    """The hash of an entry over the one before it: a changed or missing row breaks the chain."""
    return hashlib.sha256(f"{before}\n{n}\n{id}\n{body}".encode()).hexdigest()
