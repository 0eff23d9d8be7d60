"""The account's rows by the topic on which each of them is published."""

from typing import Final

from protocol import topics
from protocol.account import Account, Meaning

ACCOUNT: Final = ("order.", "fill.", "position.", "balance.")


class Rows:
    """Sorted out once for each state of the account, and only if somebody asks."""

    def __init__(self) -> None:
        self._n = -1
        self._account: Account | None = None
        self._rows: dict[str, list[Meaning]] = {}
        self._names: list[str] = []

    def of(self, account: Account, topic: str) -> list[Meaning]:
        """What is known on a topic as of the last entry folded."""
        return self._sorted(account).get(topic, [])

    def topics(self, account: Account, prefix: str) -> list[str]:
        """Those under a prefix on which something is known."""
        self._sorted(account)
        return topics.under(self._names, prefix)

    def _sorted(self, account: Account) -> dict[str, list[Meaning]]:
        if account is self._account and account.n == self._n:
            return self._rows
        rows: dict[str, list[Meaning]] = {}
        for order in account.orders():
            rows.setdefault(topics.order(order.ticker), []).append(order)
        for fill in account.fills():
            rows.setdefault(topics.fill(fill.ticker), []).append(fill)
        for position in account.positions():
            rows.setdefault(topics.position(position.ticker), []).append(position)
        for balance in account.balances():
            rows.setdefault(topics.balance(balance.shard), []).append(balance)
        self._account, self._n, self._rows = account, account.n, rows
        self._names = sorted(f"{topic} " for topic in rows)
        return rows
