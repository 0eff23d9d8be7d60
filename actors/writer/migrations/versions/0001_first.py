"""The first schema: entries chained by hash, and the tables that follow from them."""

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = (
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
    "PRAGMA user_version = 1",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in SCHEMA:
        op.execute(statement)
