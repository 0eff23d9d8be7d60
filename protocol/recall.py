"""Orders that ended so long ago that no copy of the account keeps them: the ledger's entries do.

The rehydrator reads them, and the same fold as everywhere says what became of the order.
"""

from collections.abc import Iterator

from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.messages import Amend, AnyMessage, EvidenceAnswer, Order


def recalled(id: str, told: AnyMessage) -> Order | None:
    """The order by its own entries; None if they do not tell, or not all of them."""
    lives = list(_lives(id, told))
    return lives[-1] if lives else None


def recalled_amend(id: str, amend_id: str, told: AnyMessage) -> tuple[Order, Amend | None]:
    """The order, and the last that was known of one amend of it; None if it never was its amend.

    Raises RemoteProtocolError if the entries do not tell, or not all of them.
    """
    lives = list(_lives(id, told))
    if not lives:
        raise RemoteProtocolError(f"the entries about {id} are not there, or not all of them")
    known = [order.amend for order in lives if order.amend is not None]
    return lives[-1], next((amend for amend in reversed(known) if amend.id == amend_id), None)


def _lives(id: str, told: AnyMessage) -> Iterator[Order]:
    """The order after each of its entries; nothing if they do not tell, or not all of them."""
    if not isinstance(told, EvidenceAnswer) or told.reason or not told.complete:
        return
    account = Account()
    found = []
    try:
        for entry in told.entries:
            account.n = entry.n - 1  # those between are about others
            account.apply(entry)
            order = account.order(id)
            if order is not None:
                found.append(order)
    except RemoteProtocolError:
        return
    yield from found
