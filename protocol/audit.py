"""Proves a ledger: folds its entries again and holds the result against what is on record.

Works by pages and with bounded memory, so that it may run beside a living writer. Whoever reads
the database hands over what it read; nothing here does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.facts import AnyFact
from protocol.ledger import GENESIS, Key, Row, chain, derived_of, made_by, renamed, row_of
from protocol.messages import Entry
from protocol.units import decode_unit

MISSING_MAX: Final = 10_000  # missing rows that a later entry must explain; more aren't noted

Live = Mapping[tuple[str, Key], tuple[Any, ...]]  # rows of the derived tables as they are now
Stored = Sequence[Any]  # one row of `entries`, in the order of ENTRY_COLUMNS

_decode_fact: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact, dec_hook=decode_unit)


class Damage(Exception):
    """The ledger is not what was written; the text says where."""


def read_entry(row: Stored) -> Entry:
    """The entry in a row. Raises Damage if its body can't be read."""
    try:
        return Entry(row[0], row[1], row[3], row[4], _decode_fact.decode(row[5]))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, TypeError) as e:
        raise Damage(f"entry {row[0]} can't be read: {e}") from e


def check_link(before: bytes, number: int, row: Stored) -> bytes:
    """The hash of an entry that must be `number` and follow `before`. Raises Damage."""
    n, id, kind, at, source, body, essence, derived, found = row
    if n != number:
        raise Damage(f"entry {number} is missing: entry {n} stands in its place")
    try:
        wanted = chain(before, n, id, kind, at, source, body, essence, derived)
    except (TypeError, UnicodeEncodeError) as e:
        raise Damage(f"entry {n} can't be read: {e}") from e
    if wanted != found:
        raise Damage(f"entry {n} is not what was written, or does not follow entry {n - 1}")
    return wanted


class Audit:
    """The fold of all entries so far, from genesis or from a state that is already proved."""

    def __init__(self, account: Account | None = None, before: bytes = GENESIS) -> None:
        self.account = account or Account()
        self.hash = before
        self._missing: dict[Key, int] = {}

    def take(self, rows: Iterable[Stored]) -> list[Row]:
        """Fold the next entries. Returns the rows they make, in order. Raises Damage."""
        return [made for row in rows for made in self.fold(row)]

    def fold(self, row: Stored) -> tuple[Row, ...]:
        """Fold the next entry. Returns the rows it makes. Raises Damage."""
        self.hash = check_link(self.hash, self.account.n + 1, row)
        try:
            made = tuple([row_of(meaning) for meaning in self.account.apply(read_entry(row))])
            same = derived_of(made) == row[7]
        except (RemoteProtocolError, OverflowError, UnicodeEncodeError) as e:
            raise Damage(f"entry {row[0]} can't be folded: {e}") from e
        if not same:
            raise Damage(f"entry {row[0]} folds into other rows than when it was written")
        return made

    def compare(self, made: Iterable[Row], live: Live) -> None:
        """Hold the rows that entries made against the tables. Raises Damage.

        `live` is read together with the entries, or later: a row may be ahead, never behind.
        """
        for row in made:
            table, key, values = row
            found = live.get((table, key))
            n = values[-1]
            if found is None:
                if table != "orders" or values[1]:
                    raise Damage(f"{table} {key}: missing, entry {n} made it")
                if len(self._missing) < MISSING_MAX:
                    self._missing[key] = n
            elif found[-1] < n:
                raise Damage(f"{table} {key}: as of entry {found[-1]}, but entry {n} changed it")
            elif found[-1] == n and found != values:
                raise Damage(f"{table} {key}: not what entry {n} made it")
            former = renamed(row)
            if former:
                self._missing.pop((former,), None)
                left = live.get((table, (former,)))
                if left is not None and not left[1] and left[-1] < n:
                    raise Damage(f"{table} {(former,)}: still there, entry {n} replaced it")

    def end(self) -> None:
        """All entries were taken and compared. Raises Damage for rows that nothing explains."""
        for key, n in self._missing.items():
            raise Damage(f"orders {key}: missing, entry {n} made it")


def check_row(table: str, values: tuple[Any, ...], derived: bytes | None) -> None:
    """Hold a row of a table against what its entry remembers. Raises Damage.

    `derived` is that of the entry whose number the row carries, None if there is no such entry.
    """
    n = values[-1]
    if derived is None:
        raise Damage(f"{table} {values[0]!r}: says entry {n}, which does not exist")
    try:
        if made_by(derived, table, values):
            return
    except (OverflowError, UnicodeEncodeError, TypeError) as e:
        raise Damage(f"{table} {values[0]!r}: can't be read: {e}") from e
    raise Damage(f"{table} {values[0]!r}: not what entry {n} made it")
