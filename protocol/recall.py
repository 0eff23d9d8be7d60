"""Orders that ended so long ago that no copy of the account keeps them: the ledger's entries do.

The rehydrator reads them, and the same fold as everywhere says what became of the order.
"""

from protocol.account import Account
from protocol.errors import RemoteProtocolError
from protocol.messages import AnyMessage, EvidenceAnswer, Order


def recalled(id: str, told: AnyMessage) -> Order | None:
    """The order by its own entries; None if they do not tell, or not all of them."""
    if not isinstance(told, EvidenceAnswer) or told.reason or not told.complete:
        return None
    account = Account()
    try:
        for entry in told.entries:
            account.n = entry.n - 1  # those between are about others
            account.apply(entry)
    except RemoteProtocolError:
        return None
    return account.order(id)
