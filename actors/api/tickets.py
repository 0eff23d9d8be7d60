"""One-time tickets, by which a browser's WebSocket says who it is: it can send no header, and what
stands in a URL ends up in logs and histories."""

import hashlib
import itertools
from collections import Counter
from typing import NamedTuple

from protocol.limits import TICKET_KEPT, TICKETS_A_TOKEN


class _Issued(NamedTuple):
    token: str
    until: int


class Tickets:
    """Kept as hashes, so that how long a look-up takes tells nothing. Time is monotonic."""

    def __init__(self) -> None:
        self._issued: dict[bytes, _Issued] = {}  # the oldest first
        self._of: Counter[str] = Counter()  # how many each token has

    def issue(self, now: int, ticket: str, token: str) -> bool:
        """From now on this ticket stands for the token of that id, once. False: too many of its
        tickets are waiting already, whatever other tokens have."""
        for old in [*itertools.takewhile(lambda o: o[1].until <= now, self._issued.items())]:
            self._take(old[0])
        if self._of[token] >= TICKETS_A_TOKEN:
            return False
        self._of[token] += 1
        self._issued[_hash(ticket)] = _Issued(token, now + TICKET_KEPT)
        return True

    def redeem(self, now: int, ticket: str) -> str | None:
        """The id of the token that a ticket stands for; None for one that counts no more."""
        issued = self._take(_hash(ticket))
        return None if issued is None or issued.until <= now else issued.token

    def _take(self, hash: bytes) -> _Issued | None:
        issued = self._issued.pop(hash, None)
        if issued is not None:
            self._of[issued.token] -= 1
            if not self._of[issued.token]:
                del self._of[issued.token]
        return issued


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
