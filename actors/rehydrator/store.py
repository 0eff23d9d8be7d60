"""The ledger as the rehydrator sees it: read, proved, never written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from protocol.account import Account
from protocol.audit import Damage
from protocol.messages import EvidenceAnswer
from protocol.runtime.evidence import evidence
from protocol.runtime.ledger import Page, Scan, connect_read_only, restore


class Unreadable(Exception):
    """The ledger can't be read now; the text says why."""


class Ledger:
    """A ledger that somebody else writes. Used from one thread only."""

    def __init__(
        self, path: str, owner: str, connect: Callable[[str], Connection] = connect_read_only
    ) -> None:
        """`owner` names whose account it must be: a snapshot of another one is refused."""
        self._path = path
        self._owner = owner
        self._connect = connect
        self._scan = Scan()

    def load(self, tell: Callable[[int, int], None]) -> tuple[Account, str]:
        """The account as of the last entry, and a sentence about how it was restored.

        `tell` hears how many entries of how many are replayed. Raises Unreadable.
        """
        with self._open() as connection:
            try:
                found = restore(connection, self._owner, tell)
            except Damage as e:
                raise Unreadable(str(e)) from e
            return found.account, found.how

    def audit(self) -> Page:
        """Prove the next page of the ledger; after the last one it begins anew.

        Raises Damage if something is not what was written, with its place, and Unreadable.
        """
        with self._open() as connection:
            scan, self._scan = self._scan, Scan()
            page = scan.next(connection)
            if not page.ended:
                self._scan = scan
            return page

    def evidence(self, client_order_id: str) -> EvidenceAnswer:
        """The entries that speak of an order. Raises Unreadable."""
        with self._open() as connection:
            try:
                return evidence(connection, client_order_id)
            except Damage as e:
                raise Unreadable(str(e)) from e

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        try:
            connection = self._connect(self._path)
            try:
                yield connection
            finally:
                connection.close()
        except DBAPIError as e:
            raise Unreadable(f"{self._path}: {e.orig}") from None
