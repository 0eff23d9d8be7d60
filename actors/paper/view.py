"""What a read sees: the exchange, and the account as of a moment that may lie back."""

from typing import NamedTuple

from actors.paper.account import Account
from actors.paper.bucket import Budgets
from actors.paper.exchange import Exchange
from actors.paper.faults import Faults


class View(NamedTuple):
    """Handed to whatever answers a GET. `as_of` in µs."""

    exchange: Exchange
    account: Account
    faults: Faults
    budgets: Budgets
    as_of: int
