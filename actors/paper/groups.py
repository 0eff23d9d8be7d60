"""Order groups: how much of each was matched lately, and which orders rest in it.

A fold over journal entries, as the account's. A group has a limit of contracts that may be matched
in a rolling window of 15 seconds; one that has exceeded it is triggered until it is reset (FACTS.md
section 6.4). Counts in hundredths of a contract, times in microseconds.
"""

from collections import deque
from typing import Final

from actors.paper.collateral import Order
from actors.paper.entries import (
    GroupDeleted,
    GroupEntry,
    GroupLimited,
    GroupMade,
    GroupReset,
    GroupTriggered,
)
from actors.paper.fixed import SECOND

WINDOW: Final = 15 * SECOND
GROUPS_MAX: Final = 100_000


class Group:
    """One group. `orders` are the ids of those that rest in it, oldest first."""

    def __init__(self, entry: GroupMade) -> None:
        self.group_id = entry.group_id
        self.exchange_index = entry.exchange_index
        self.limit = entry.limit
        self.triggered = False
        self.orders: dict[str, None] = {}
        # When and how much. No longer than the limit in hundredths: above it the group is
        # triggered, and nothing more of it is matched.
        self._matches: deque[tuple[int, int]] = deque()
        self._sum = 0

    def matched(self, at: int) -> int:
        """How much was matched in the window that ends at `at`."""
        while self._matches and self._matches[0][0] <= at - WINDOW:
            self._sum -= self._matches.popleft()[1]
        return self._sum

    def exceeded(self, at: int) -> bool:
        """Whether it has just matched more than it may."""
        return not self.triggered and self.matched(at) > self.limit

    def match(self, count: int, at: int) -> None:
        """An order of the group was filled."""
        self.matched(at)  # forgets what has left the window
        self._matches.append((at, count))
        self._sum += count

    def reset(self) -> None:
        """It begins anew."""
        self.triggered = False
        self._matches.clear()
        self._sum = 0

    def copied(self) -> "Group":
        """The group as it is now, untouched by what comes later."""
        new = Group(GroupMade(self.group_id, self.limit, self.exchange_index, 0))
        new.triggered, new.orders = self.triggered, dict(self.orders)
        new._matches, new._sum = deque(self._matches), self._sum
        return new


class Groups(dict[str, Group]):
    """By id, in the order in which they were made. A deleted one is gone."""

    def apply(self, entry: GroupEntry) -> None:
        """Take one entry, new or read back."""
        match entry:
            case GroupMade():
                self[entry.group_id] = Group(entry)
            case GroupTriggered():
                self[entry.group_id].triggered = True
            case GroupReset():
                self[entry.group_id].reset()
            case GroupLimited():
                self[entry.group_id].limit = entry.limit
            case GroupDeleted():
                del self[entry.group_id]

    def of(self, order: Order) -> Group | None:
        """The group of an order, if it is in one that there is."""
        return self.get(order.placed.order_group_id) if order.placed.order_group_id else None

    def join(self, order: Order) -> None:
        """An order rests."""
        group = self.of(order)
        if group is not None:
            group.orders[order.placed.order_id] = None

    def leave(self, order: Order) -> None:
        """An order rests no longer."""
        group = self.of(order)
        if group is not None:
            group.orders.pop(order.placed.order_id, None)

    def copied(self) -> "Groups":
        """The groups as they are now, untouched by what comes later."""
        new = Groups()
        for group_id, group in self.items():
            new[group_id] = group.copied()
        return new
