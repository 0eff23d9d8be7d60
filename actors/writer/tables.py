"""The tables of the ledger, and the statements that write them.

Entries can't be changed or deleted: triggers refuse it, and each is chained to the one before by
its hash. The derived tables follow from the entries and are written in the same transaction.
Migrations make the tables; a test holds them against what stands here.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from protocol.ledger import DERIVED, DIGEST_BYTES
from protocol.limits import COUNT_MAX, ENTRY_ID_CHARS_MAX, FACT_CHARS_MAX, MONEY_MAX
from protocol.units import DOLLAR

metadata: Final = sa.MetaData()
Integer: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _table(name: str, *parts: Any) -> sa.Table:
    return sa.Table(name, metadata, *parts, sqlite_strict=True)


def _column(name: str, kind: Any, check: str = "", primary: bool = False) -> sa.Column[Any]:
    checks = [sa.CheckConstraint(check)] if check else []
    return sa.Column(name, kind, *checks, primary_key=primary, autoincrement=False, nullable=False)


def _text(name: str, primary: bool = False) -> sa.Column[Any]:
    return _column(name, sa.Text(), primary=primary)


def _digest(name: str, size: int = 32) -> sa.Column[Any]:
    return _column(name, sa.LargeBinary(), f"length({name}) = {size}")


def _range(name: str, low: int, high: int) -> sa.Column[Any]:
    return _column(name, Integer, f"{name} BETWEEN {low} AND {high}")


entries: Final = _table(
    "entries",
    _column("n", Integer, "n > 0", primary=True),
    sa.Column(
        "id",
        sa.Text(),
        sa.CheckConstraint(f"length(id) BETWEEN 1 AND {ENTRY_ID_CHARS_MAX}"),
        nullable=False,
        unique=True,
    ),
    _text("kind"),
    _column("at", Integer),
    _text("source"),
    _column("body", sa.Text(), f"length(body) <= {FACT_CHARS_MAX}"),
    _digest("essence"),
    _column("derived", sa.LargeBinary(), f"length(derived) % {DIGEST_BYTES} = 0"),
    _digest("hash"),
)
orders: Final = _table(
    "orders",
    _text("key", primary=True),
    _text("client_order_id"),
    _text("order_id"),
    _text("ticker"),
    _column("side", sa.Text(), "side IN ('bid', 'ask')"),
    _range("price", 0, DOLLAR),
    _range("count", 0, COUNT_MAX),
    _text("time_in_force"),
    _text("state"),
    _range("filled", 0, COUNT_MAX),
    _range("remaining", 0, COUNT_MAX),
    _text("reason"),
    _text("body_hash"),
    _column("created_at", Integer),
    _column("updated_at", Integer),
    _column("n", Integer),
)
fills: Final = _table(
    "fills",
    _text("order_id", primary=True),
    _text("trade_id", primary=True),
    _text("client_order_id"),
    _text("ticker"),
    _column("side", sa.Text(), "side IN ('bid', 'ask')"),
    _range("price", 0, DOLLAR),
    _range("count", 1, COUNT_MAX),
    _range("fee", -MONEY_MAX, MONEY_MAX),
    _range("is_taker", 0, 1),
    _column("exchange_at", Integer),
    _range("position", -COUNT_MAX, COUNT_MAX),
    _column("n", Integer),
)
positions: Final = _table(
    "positions",
    _text("ticker", primary=True),
    _range("position", -COUNT_MAX, COUNT_MAX),
    _range("cost", -MONEY_MAX, MONEY_MAX),
    _range("realized", -MONEY_MAX, MONEY_MAX),
    _range("fees", -MONEY_MAX, MONEY_MAX),
    _column("n", Integer),
)
balances: Final = _table(
    "balances",
    _column("shard", Integer, primary=True),
    _range("balance", -MONEY_MAX, MONEY_MAX),
    _column("seen_at", Integer),
    _column("n", Integer),
)
snapshots: Final = _table(
    "snapshots",
    _column("n", Integer, primary=True),
    _column("format", Integer),
    _text("account"),
    _digest("entry_hash"),
    _text("body"),
    _digest("digest"),
)
poison: Final = _table(
    "poison",
    _column("k", Integer, "k > 0", primary=True),
    _text("id"),
    _digest("essence"),
    _text("body"),
    _text("reason"),
    _column("at", Integer),
    _range("money", 0, 1),
    _digest("digest"),
    sa.UniqueConstraint("id", "essence"),
)
meta: Final = _table("meta", _text("key", primary=True), _text("value"), _digest("digest"))

TRIGGERS: Final = (
    """CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
       BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END""",
    """CREATE TRIGGER entries_remain BEFORE DELETE ON entries
       BEGIN SELECT RAISE(ABORT, 'ledger entries are never deleted'); END""",
)


class Statements:
    """The statements that write rows, made once for a dialect; values in the order of columns."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.entry = self._sql(sa.insert(entries))
        self.poison = self._sql(sa.insert(poison))
        self.meta = self._upsert(meta, ("key",))
        self.snapshot = self._upsert(snapshots, ("n",))
        self.derived = {
            name: self._upsert(metadata.tables[name], shape.key) for name, shape in DERIVED.items()
        }
        self.derived["fills"] = self._sql(sa.insert(fills))  # a second one is never an update
        self.renamed = self._sql(
            sa.delete(orders).where(
                orders.c.key == sa.bindparam("former"), orders.c.client_order_id == ""
            )
        )

    def _upsert(self, table: sa.Table, key: tuple[str, ...]) -> str:
        makers: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
        insert = makers[self._dialect.name](table)
        rest = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in key}
        return self._sql(insert.on_conflict_do_update(index_elements=list(key), set_=rest))

    def _sql(self, statement: Any) -> str:
        return str(statement.compile(dialect=self._dialect))
