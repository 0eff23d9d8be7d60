"""Finds the entries that speak of one order, by their ids: on the index, a page at a time.

An id begins with what it is about, but ids may contain a colon and begin alike: only an entry
whose fact names exactly that order counts.
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy.engine import Connection

from protocol.audit import read_entry
from protocol.facts import AnyFact, OrderAccepted
from protocol.ledger import ENTRY_COLUMNS
from protocol.limits import (
    EVIDENCE_LOOKED_MAX,
    EVIDENCE_MAX,
    LETTER_BYTES_MAX,
    READ_ENTRIES,
)
from protocol.messages import Entry, EvidenceAnswer
from protocol.runtime.ledger import KEYS_AT_ONCE, head_of, rows

BY_CLIENT: Final = ("intent", "withdrawn", "denied", "rejected", "unknown", "absent")
BY_EXCHANGE: Final = ("order", "canceled", "fill")
BYTES_MAX: Final = LETTER_BYTES_MAX // 4  # of bodies: what is written around them has room, too

_ORDER: Final = "SELECT order_id FROM orders WHERE key = ?"
_RANGE: Final = "SELECT id, n FROM entries WHERE id > ? AND id < ? ORDER BY id LIMIT ?"


class _Search:
    """What begins how, until so many entries were looked at; a quarter of them for one beginning,
    so that ids of others that only begin alike can't hide what is asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._left = EVIDENCE_LOOKED_MAX
        self.complete = True

    def beginning(self, prefix: str) -> list[int]:
        """The numbers of the entries whose ids begin so. Ids are compared byte by byte."""
        last, end = prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)
        most = min(self._left, EVIDENCE_LOOKED_MAX // 4)
        numbers: list[int] = []
        while len(numbers) < most:
            limit = min(READ_ENTRIES, most - len(numbers))
            found = rows(self._connection, _RANGE, last, end, limit)
            numbers += [n for _, n in found]
            if len(found) < limit:
                break
            last = found[-1][0]
        else:
            self.complete = False
        self._left -= len(numbers)
        return numbers


def evidence(connection: Connection, client_order_id: str) -> EvidenceAnswer:
    """The entries that speak of an order, oldest first, as of the ledger's last one.

    An order that is not ours goes by the exchange's id. Each read is a transaction of its own and
    far below two seconds. Raises Damage, DBAPIError.
    """
    head = head_of(connection)
    search = _Search(connection)
    names = [f"{kind}:{client_order_id}" for kind in BY_CLIENT]
    numbers = set(_named(connection, names))
    numbers.update(search.beginning(f"amend:{client_order_id} "))
    accepted = search.beginning(f"accepted:{client_order_id}:")
    order_ids = {id for (id,) in rows(connection, _ORDER, client_order_id) if id}
    for entry in _read(connection, sorted(accepted)):
        fact = entry.fact
        if isinstance(fact, OrderAccepted) and fact.client_order_id == client_order_id:
            numbers.add(entry.n)
            order_ids.add(fact.order_id)
    for order_id in sorted(order_ids):
        for kind in BY_EXCHANGE:
            numbers.update(search.beginning(f"{kind}:{order_id}:"))
    found: list[Entry] = []
    room = BYTES_MAX
    for entry in _read(connection, sorted(n for n in numbers if n <= head)):
        if not _speaks(entry.fact, client_order_id, order_ids):
            continue
        room -= len(str(entry.fact))
        if len(found) >= EVIDENCE_MAX or room < 0:
            return EvidenceAnswer(tuple(found), head, complete=False)
        found.append(entry)
    return EvidenceAnswer(tuple(found), head, search.complete)


def _speaks(fact: AnyFact, client_order_id: str, order_ids: set[str]) -> bool:
    named = getattr(fact, "client_order_id", "")
    return named == client_order_id or getattr(fact, "order_id", "") in order_ids


def _named(connection: Connection, ids: list[str]) -> list[int]:
    marks = ", ".join("?" * len(ids))
    return [n for (n,) in rows(connection, f"SELECT n FROM entries WHERE id IN ({marks})", *ids)]


def _read(connection: Connection, numbers: list[int]) -> Iterator[Entry]:
    for i in range(0, len(numbers), KEYS_AT_ONCE):
        some: list[Any] = numbers[i : i + KEYS_AT_ONCE]
        marks = ", ".join("?" * len(some))
        statement = (
            f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entries WHERE n IN ({marks}) ORDER BY n"
        )
        for row in rows(connection, statement, *some):
            yield read_entry(row)
