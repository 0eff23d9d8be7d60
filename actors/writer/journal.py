"""The open ledger: its account, the end of its chain, and the commits that move both on."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError

from actors.writer.batch import (
    Booked,
    Known,
    Plan,
    Result,
    Wanted,
    encode_fact,
    plan,
    stops_trading,
)
from actors.writer.booking import meta_row, poison_row, write_entries, write_snapshot
from actors.writer.database import Failed, writing
from actors.writer.tables import Statements
from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.facts import essence, is_money, natural_id
from protocol.ledger import GENESIS, take_snapshot
from protocol.limits import SNAPSHOT_EVERY, SNAPSHOTS_KEPT
from protocol.runtime.ledger import restore

UNBOOKABLE: Final = (
    IntegrityError, DataError, OverflowError, RemoteProtocolError, UnicodeEncodeError,
)  # fmt: skip


class Journal:
    """A ledger whose database is open and sound, and the account as of its last entry."""

    def __init__(self, connection: Connection, path: str, owner: str, asides: int) -> None:
        """`asides` is how many facts have been set aside so far."""
        self._connection = connection
        self._statements = Statements(connection.dialect)
        self._path = path
        self._owner = owner
        self._asides = asides
        self._life = ""
        self._snapshot_n = 0
        self.account = Account()
        self.hash = GENESIS
        self.stale = True  # the account may be ahead of what is committed

    def restore(self) -> str:
        """Have the account as of the last entry. Returns how. Raises Damage, DBAPIError."""
        found = restore(self._connection, self._owner)
        self.account, self.hash = found.account, found.hash
        self._snapshot_n, self.stale = found.snapshot_n, False
        return found.how

    def begin(self, life: int, owner_is_new: bool) -> None:
        """The trial commit. Its number is looked at in every later one, so that a second writer
        that got in somehow stops the first."""
        with writing(self._connection):
            self._remember("lives", str(life))
            if owner_is_new:
                self._remember("account", self._owner)
        self._life = str(life)

    def commit(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Append in one transaction. What the ledger can't take is set aside, the rest goes on.

        Raises Failed if another writer got in, Damage, DBAPIError.
        """
        if self.stale:
            self.restore()
        try:
            return self._transact(lambda: self._book(wanted, at))
        except UNBOOKABLE:
            self.restore()
            return self._transact(lambda: self._book_by_halves(wanted, at))

    def remember(self, key: str, value: str) -> None:
        """Put something on record about the ledger itself. Raises as `commit` does."""
        with writing(self._connection):
            self._check_life()
            self._remember(key, value)

    def save_snapshot(self, entries: int = 0) -> None:
        """Save one if more than so many entries came after the last. Raises as `commit` does."""
        if self.account.n > self._snapshot_n + entries:
            with writing(self._connection):
                self._check_life()
                self._snapshot()

    def _check_life(self) -> None:
        if self._life:
            lives = self._connection.exec_driver_sql("SELECT value FROM meta WHERE key = 'lives'")
            if lives.scalar_one() != self._life:
                raise Failed(f"{self._path}: another writer has opened it")

    def _remember(self, key: str, value: str) -> None:
        self._connection.exec_driver_sql(self._statements.meta, meta_row(key, value))

    def _transact(self, book: Callable[[], Plan]) -> Plan:
        before = self.hash, self._asides
        try:
            with writing(self._connection):
                self._check_life()
                self.stale = True
                done = book()
                if self.account.n - self._snapshot_n >= SNAPSHOT_EVERY:
                    self._snapshot()
        except BaseException:
            self.hash, self._asides = before
            raise
        self.stale = False
        return done

    def _book(self, wanted: Sequence[Wanted], at: int) -> Plan:
        ids = [natural_id(want.fact) for want in wanted]
        named = list(zip(ids, wanted, strict=True))
        done = plan(named, self._known(ids), self._aside(ids), self.account, at)
        self._write(done.booked)
        results = list(done.results)
        for i, result in enumerate(results):
            fact = wanted[i].fact
            if not result.aside and stops_trading(fact, result):
                results[i] = self._set_aside(wanted[i], result, at)
        return Plan(tuple(results), done.booked)

    def _book_by_halves(self, wanted: Sequence[Wanted], at: int) -> Plan:
        """Book what can be booked and set aside the rest, still all in one transaction.

        In several it would not do: a retry after half a batch would find that half on record and
        never publish it.
        """
        committed = self.account.state()
        booked: list[Booked] = []
        results: list[Result] = []

        def attempt(part: Sequence[Wanted]) -> None:
            before = self.hash, self._asides
            self._connection.exec_driver_sql("SAVEPOINT part")
            try:
                done = self._book(part, at)
            except UNBOOKABLE as e:
                self._connection.exec_driver_sql("ROLLBACK TO part")
                self._connection.exec_driver_sql("RELEASE part")
                self.hash, self._asides = before
                self.account = Account(committed)
                for one in booked:
                    self.account.apply(one.entry)
                if len(part) > 1:
                    attempt(part[: len(part) // 2])
                    attempt(part[len(part) // 2 :])
                    return
                refused = Result("REFUSED", reason=str(getattr(e, "orig", e)))
                results.append(self._set_aside(part[0], refused, at))
                return
            self._connection.exec_driver_sql("RELEASE part")
            booked.extend(done.booked)
            results.extend(done.results)

        attempt(wanted)
        return Plan(tuple(results), tuple(booked))

    def _known(self, ids: Sequence[str]) -> dict[str, Known]:
        marks = ",".join("?" * len(ids))
        found = self._connection.exec_driver_sql(
            f"SELECT id, n, essence FROM entries WHERE id IN ({marks})", tuple(ids)
        )
        return {id: Known(n, core) for id, n, core in found}

    def _aside(self, ids: Sequence[str]) -> dict[tuple[str, bytes], Result]:
        if not self._asides:
            return {}
        names = [printable(id) for id in ids]
        marks = ",".join("?" * len(names))
        found = self._connection.exec_driver_sql(
            f"SELECT id, essence, reason, k FROM poison WHERE id IN ({marks})", tuple(names)
        )
        return {(id, core): Result("REFUSED", 0, reason, k) for id, core, reason, k in found}

    def _write(self, booked: Sequence[Booked]) -> None:
        self.hash = write_entries(
            self._connection,
            self._statements,
            self.hash,
            [
                (one.entry.n, one.entry.id, type(one.entry.fact).__name__, one.entry.at,
                 one.entry.source, one.body, one.essence, one.rows)
                for one in booked
            ],
        )  # fmt: skip

    def _snapshot(self) -> None:
        snapshot = take_snapshot(self.account.state(), self._owner, self.hash)
        write_snapshot(self._connection, self._statements, snapshot, SNAPSHOTS_KEPT)
        self._snapshot_n = self.account.n

    def _set_aside(self, want: Wanted, result: Result, at: int) -> Result:
        id = printable(natural_id(want.fact))
        try:
            body = encode_fact(want.fact).decode()
        except (UnicodeEncodeError, OverflowError):
            body = ascii(want.fact)
            core = hashlib.sha256(body.encode()).digest()
        else:
            core = essence(want.fact)
        known = self._aside([id]).get((id, core))
        if known is not None:
            return Result(result.verdict, result.n, result.reason, known.aside)
        reason, money = result.reason, is_money(want.fact)
        row = poison_row(self._asides + 1, id, core, body, reason, at, money)
        self._connection.exec_driver_sql(self._statements.poison, row)
        self._asides += 1
        return Result(result.verdict, result.n, result.reason, self._asides)


def printable(text: str) -> str:
    """The text as a database takes it: what has no UTF-8 is written with backslashes."""
    return text.encode("utf-8", "backslashreplace").decode()
