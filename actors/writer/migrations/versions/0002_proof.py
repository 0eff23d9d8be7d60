"""Every column of an entry goes into the chain, every derived row into its entry, every number
has its range; snapshots say whose they are; what was set aside is named once.

The entries are chained anew, after their old chain has been checked, and the derived tables are
made from them. Old snapshots are dropped: the next one is made at the end of the next start.
"""

import hashlib
import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

from actors.writer.booking import meta_row, poison_row, write_entries
from actors.writer.tables import TRIGGERS, Statements
from protocol.account import Account
from protocol.audit import Damage, read_entry
from protocol.facts import essence, is_money
from protocol.ledger import GENESIS, row_of

revision = "0002"
down_revision = "0001"

PAGE = 1_000
OLD = ("entries", "orders", "fills", "positions", "balances", "snapshots", "poison", "meta")
Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNT_MAX = 10**13
MONEY_MAX = 10**15


def _column(name: str, kind: Any, check: str = "", primary: bool = False) -> Any:
    checks = [sa.CheckConstraint(check)] if check else []
    return sa.Column(name, kind, *checks, primary_key=primary, autoincrement=False, nullable=False)


def _text(name: str, primary: bool = False) -> Any:
    return _column(name, sa.Text(), primary=primary)


def _digest(name: str) -> Any:
    return _column(name, sa.LargeBinary(), f"length({name}) = 32")


def _range(name: str, low: int, high: int) -> Any:
    return _column(name, Integer, f"{name} BETWEEN {low} AND {high}")


def upgrade() -> None:
    """Make the new tables from the entries of the old ones."""
    op.execute("DROP TRIGGER entries_stay")
    op.execute("DROP TRIGGER entries_remain")
    for table in OLD:
        op.rename_table(table, f"{table}_0001")
    _make_tables()
    connection = op.get_bind()
    statements = Statements(connection.dialect)
    _copy_entries(connection, statements)
    _copy_poison(connection, statements)
    first = connection.exec_driver_sql("SELECT hash FROM entries WHERE n = 1").scalar()
    name = secrets.token_hex(16) if first is None else first.hex()[:32]  # the same at each try
    connection.exec_driver_sql(statements.meta, meta_row("ledger", name))
    for table in OLD:
        op.drop_table(f"{table}_0001")
    for trigger in TRIGGERS:
        op.execute(trigger)
    op.execute("PRAGMA user_version = 2")


def _make_tables() -> None:
    id = _column("id", sa.Text(), "length(id) BETWEEN 1 AND 400")
    id.unique = True
    _make(
        "entries", _column("n", Integer, "n > 0", primary=True), id, _text("kind"),
        _column("at", Integer), _text("source"),
        _column("body", sa.Text(), "length(body) <= 65536"), _digest("essence"),
        _column("derived", sa.LargeBinary(), "length(derived) % 16 = 0"), _digest("hash"),
    )  # fmt: skip
    _make(
        "orders", _text("key", primary=True), _text("client_order_id"), _text("order_id"),
        _text("ticker"), _column("side", sa.Text(), "side IN ('bid', 'ask')"),
        _range("price", 0, 1_000_000), _range("count", 0, COUNT_MAX), _text("time_in_force"),
        _text("state"), _range("filled", 0, COUNT_MAX), _range("remaining", 0, COUNT_MAX),
        _text("reason"), _text("body_hash"), _column("created_at", Integer),
        _column("updated_at", Integer), _column("n", Integer),
    )  # fmt: skip
    _make(
        "fills", _text("order_id", primary=True), _text("trade_id", primary=True),
        _text("client_order_id"), _text("ticker"),
        _column("side", sa.Text(), "side IN ('bid', 'ask')"), _range("price", 0, 1_000_000),
        _range("count", 1, COUNT_MAX), _range("fee", -MONEY_MAX, MONEY_MAX),
        _range("is_taker", 0, 1), _column("exchange_at", Integer),
        _range("position", -COUNT_MAX, COUNT_MAX), _column("n", Integer),
    )  # fmt: skip
    _make(
        "positions", _text("ticker", primary=True), _range("position", -COUNT_MAX, COUNT_MAX),
        _range("cost", -MONEY_MAX, MONEY_MAX), _range("realized", -MONEY_MAX, MONEY_MAX),
        _range("fees", -MONEY_MAX, MONEY_MAX), _column("n", Integer),
    )  # fmt: skip
    _make(
        "balances", _column("shard", Integer, primary=True),
        _range("balance", -MONEY_MAX, MONEY_MAX), _column("seen_at", Integer),
        _column("n", Integer),
    )  # fmt: skip
    _make(
        "snapshots", _column("n", Integer, primary=True), _column("format", Integer),
        _text("account"), _digest("entry_hash"), _text("body"), _digest("digest"),
    )  # fmt: skip
    _make(
        "poison", _column("k", Integer, "k > 0", primary=True), _text("id"), _digest("essence"),
        _text("body"), _text("reason"), _column("at", Integer), _range("money", 0, 1),
        _digest("digest"), sa.UniqueConstraint("id", "essence"),
    )  # fmt: skip
    _make("meta", _text("key", primary=True), _text("value"), _digest("digest"))


def _make(name: str, *columns: Any) -> None:
    op.create_table(name, *columns, sqlite_strict=True)


def _copy_entries(connection: Any, statements: Statements) -> None:
    account, old_hash, new_hash = Account(), "0" * 64, GENESIS
    while rows := connection.exec_driver_sql(
        "SELECT n, id, kind, at, source, body, hash FROM entries_0001 WHERE n > ? ORDER BY n"
        " LIMIT ?",
        (account.n, PAGE),
    ).fetchall():
        ready = []
        for n, id, kind, at, source, body, digest in rows:
            old_hash = hashlib.sha256(f"{old_hash}\n{n}\n{id}\n{body}".encode()).hexdigest()
            if n != account.n + 1 or digest != old_hash:
                raise Damage(f"entry {account.n + 1} is not what was written")
            entry = read_entry((n, id, kind, at, source, body))
            derived = tuple(row_of(meaning) for meaning in account.apply(entry))
            ready.append((n, id, kind, at, source, body, essence(entry.fact), derived))
        new_hash = write_entries(connection, statements, new_hash, ready)


def _copy_poison(connection: Any, statements: Statements) -> None:
    known = set()
    for id, body, reason, at in connection.exec_driver_sql(
        "SELECT id, body, reason, at FROM poison_0001 ORDER BY k"
    ).fetchall():
        fact = read_entry((0, id, "", at, "", body)).fact
        if (id, essence(fact)) not in known:
            known.add((id, essence(fact)))
            row = poison_row(len(known), id, essence(fact), body, reason, at, is_money(fact))
            connection.exec_driver_sql(statements.poison, row)
