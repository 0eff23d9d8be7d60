"""Token buckets: the read and the write budget of an account (FACTS.md section 7)."""

from typing import Final

from actors.paper.fixed import SECOND

DEFAULT_COST: Final = 10
READ_REFILL, READ_CAPACITY = 300, 900  # tokens a second, tokens: the Advanced tier
WRITE_REFILL, WRITE_CAPACITY = 300, 600


class Bucket:
    """Fills continuously; counted in millionths of a token, so that no fraction is lost."""

    def __init__(self, refill: int, capacity: int) -> None:
        self._refill = refill
        self._capacity = capacity * SECOND
        self._level = self._capacity
        self._at = 0

    def draw(self, cost: int, at: int) -> bool:
        """Take `cost` tokens if they are there. A clock that steps back refills nothing."""
        elapsed = max(at - self._at, 0)
        self._at = max(at, self._at)
        self._level = min(self._capacity, self._level + elapsed * self._refill)
        if self._level < cost * SECOND:
            return False
        self._level -= cost * SECOND
        return True


class Budgets:
    """The account's two buckets."""

    def __init__(self) -> None:
        self.read = Bucket(READ_REFILL, READ_CAPACITY)
        self.write = Bucket(WRITE_REFILL, WRITE_CAPACITY)

    def draw(self, method: str, cost: int, at: int) -> bool:
        """Whether a call may pass: GETs draw on the read budget, the rest on the write budget."""
        return (self.read if method == "GET" else self.write).draw(cost, at)
