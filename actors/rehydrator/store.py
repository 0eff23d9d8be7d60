"""Reads the ledger, and never writes it: the newest sound snapshot, then what came after."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.facts import AnyFact
from protocol.messages import AccountState, Entry
from protocol.units import decode_unit

REPLAYED_AT_ONCE: Final = 1_000  # entries in one read

Progress = Callable[[int, int], None]

_decode_fact: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact, dec_hook=decode_unit)
_decode_state = msgspec.json.Decoder(AccountState, dec_hook=decode_unit).decode


class Unreadable(Exception):
    """The ledger can't be restored from; the text says why."""


def load(path: str, tell: Progress) -> tuple[Account, str]:
    """The account as of the last entry, and a sentence about how it was restored.

    A snapshot that is torn, of another length than its hash says, or from the future (beyond the
    last entry) is passed over for an older one, or for a replay of everything. `tell` hears how
    many entries of how many are replayed. Raises Unreadable.
    """
    uri = sqlalchemy.URL.create(
        "sqlite+pysqlite", database=f"file:{quote(path)}", query={"mode": "ro", "uri": "true"}
    )
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            return _load(connection, tell)
    except DBAPIError as e:
        raise Unreadable(f"{path}: {e.orig}") from None
    except (msgspec.DecodeError, RemoteProtocolError) as e:
        raise Unreadable(f"{path}: {e}") from None
    finally:
        engine.dispose()


def _load(connection: Connection, tell: Progress) -> tuple[Account, str]:
    head: int = connection.exec_driver_sql("SELECT coalesce(max(n), 0) FROM entries").scalar_one()
    account, passed_over = _snapshot(connection, head)
    start = account.n
    while rows := _after(connection, account.n):
        for n, id, at, source, body in rows:
            account.apply(Entry(n, id, at, source, _decode_fact.decode(body)))
        tell(account.n - start, max(head, account.n) - start)
    how = f"snapshot at {start}, {account.n - start} entries replayed"
    if passed_over:
        how += f", {passed_over} unsound snapshots passed over"
    return account, how


def _after(connection: Connection, n: int) -> Sequence[Any]:
    """The next entries. Each batch is a read of its own: a long one would hold up the log file."""
    return connection.exec_driver_sql(
        "SELECT n, id, at, source, body FROM entries WHERE n > ? ORDER BY n LIMIT ?",
        (n, REPLAYED_AT_ONCE),
    ).fetchall()


def _snapshot(connection: Connection, head: int) -> tuple[Account, int]:
    passed_over = 0
    rows: Any = connection.exec_driver_sql("SELECT n, body, sha256 FROM snapshots ORDER BY n DESC")
    for n, body, digest in rows.fetchall():
        if n <= head and hashlib.sha256(body.encode()).hexdigest() == digest:
            try:
                state = _decode_state(body)
            except msgspec.DecodeError:
                passed_over += 1
                continue
            if state.n == n:
                return Account(state), passed_over
        passed_over += 1
    return Account(), passed_over
