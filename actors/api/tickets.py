"""One-time tickets, by which a browser's WebSocket says who it is: it can send no header, and what
stands in a URL ends up in logs and histories."""

import hashlib
from typing import NamedTuple

from protocol.limits import TICKET_KEPT, TICKETS_MAX


class _Issued(NamedTuple):
    token: str
    until: int


class Tickets:
    """Kept as hashes, so that how long a look-up takes tells nothing. Time is monotonic."""

    def __init__(self) -> None:
        self._issued: dict[bytes, _Issued] = {}  # the oldest first

    def issue(self, now: int, ticket: str, token: str) -> bool:
        """From now on this ticket stands for the token of that id, once. False: too many are."""
        for old in [hash for hash, issued in self._issued.items() if issued.until <= now]:
            del self._issued[old]
        if len(self._issued) >= TICKETS_MAX:
            return False
        self._issued[_hash(ticket)] = _Issued(token, now + TICKET_KEPT)
        return True

    def redeem(self, now: int, ticket: str) -> str | None:
        """The id of the token that a ticket stands for; None for one that counts no more."""
        issued = self._issued.pop(_hash(ticket), None)
        return None if issued is None or issued.until <= now else issued.token


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
