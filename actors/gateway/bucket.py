"""A token bucket in whole numbers: time in nanoseconds, tokens in trillionths.

It never lets out what the exchange's own bucket could not cover (G27): that one holds at most C,
refills with r tokens a second, and sees our calls up to JITTER (J) later than they left, some
more, some less. Calls that arrive within a span W left within W + J. So if what we hold never
exceeds F = C - r x J, at most F + r x (W + J) = C + r x W arrive, which is what a full bucket of
the exchange covers. Starting empty makes the same true across restarts, whatever a former life
has spent, and `assume_lent` whatever it has lent. Micro-tokens would do; trillionths let a
nanosecond's refill be a whole number.

Where so small a bucket as C < 2 x r x J leaves less than half of C, it refills slower instead.
"""

import collections
from typing import Final

from protocol.limits import JITTER, MS

TOKEN: Final = 10**12
SPARE: Final = 1  # token: an exchange may count in whole ones
STEADY: Final = 999  # of 1,000: our clock may run fast by 500 millionths while it is being set
LENT_STEP: Final = 10 * MS  # loans that end within the same step are one


class Bucket:
    """Refills at `rate` tokens a second, up to what is safe of `capacity`. Starts empty.

    Lent tokens are spent by somebody else at a time of their choice: until the loan ends, the
    bucket holds so much less.
    """

    def __init__(self, capacity: int, rate: int, now: int) -> None:
        self._at = now
        self._level = 0
        self._loans: collections.deque[tuple[int, int]] = collections.deque()  # end, amount
        self._lent = 0
        self._former_until = 0
        self._full = 0
        self._rate = 0
        self.resize(now, capacity, rate)

    def resize(self, now: int, capacity: int, rate: int) -> None:
        """Take new limits from now on; what is in it stays, as far as it fits."""
        assert capacity > 0
        assert rate > 0
        self._refill(now)
        whole = capacity * TOKEN
        before = self._full
        self._full = max(whole - rate * (TOKEN // 10**9) * JITTER - SPARE * TOKEN, whole // 2)
        if now < self._former_until:  # it leaves as much as before of any capacity
            end, amount = self._loans.popleft()
            more = max(self._full - before, -amount)
            self._loans.appendleft((end, amount + more))
            self._lent += more
        self._rate = min(rate * STEADY, (whole - self._full) // JITTER)
        self._level = min(self._level, max(self._full - self._lent, 0))

    @property
    def holds(self) -> int:
        """Whole tokens that fit into it: more can never be drawn at once."""
        return self._full // TOKEN

    def draw(self, now: int, cost: int, keep: int = 0) -> bool:
        """Spend `cost` tokens if they are there and `keep` remain; else spend nothing.

        More than fits is drawn from a full bucket, which then owes the rest.
        """
        if now != self._at:
            self._refill(now)
        need = (cost + keep) * TOKEN
        if self._level < need and (need <= self._full or self._level < self._full):
            return False
        self._level -= cost * TOKEN
        return True

    def lend(self, now: int, cost: int, duration: int, keep: int = 0) -> bool:
        """Draw tokens that may be spent until `duration` from now."""
        if not self.draw(now, cost, keep):
            return False
        end = -(-(now + duration) // LENT_STEP) * LENT_STEP
        if self._loans and self._loans[-1][0] >= end:  # a longer one: conservative
            end, amount = self._loans.pop()
            self._loans.append((end, amount + cost * TOKEN))
        else:
            self._loans.append((end, cost * TOKEN))
        self._lent += cost * TOKEN
        return True

    def assume_lent(self, now: int, until: int, kept: int) -> None:
        """A former life may have lent all but `kept` tokens: until then no more than that gathers.

        Its loans may be spent together with what has gathered here since.
        """
        assert not self._loans
        self._refill(now)
        amount = max(self._full - kept * TOKEN, 0)
        self._loans.append((until, amount))
        self._lent, self._former_until = amount, until

    def loan_max(self, cost: int, keep: int) -> int:
        """How long such loans, one after the other, may last and still leave no refill unused."""
        return max(self._full - (cost + keep) * TOKEN, 0) // self._rate

    def ready_at(self, now: int, cost: int, keep: int = 0, ahead: int = 0) -> int:
        """The first moment at which such a draw would succeed, if nobody else draws.

        After `ahead` tokens drawn by others it is an estimate: loans may delay it.
        """
        self._refill(now)
        need = min((cost + keep) * TOKEN, self._full) + ahead * TOKEN
        level, at, lent = self._level, now, self._lent
        for end, amount in self._loans if need <= self._full else ():
            reached = at + max(0, -(-(need - level) // self._rate))
            if need <= self._full - lent and reached <= end:
                return reached
            level = max(min(level + (end - at) * self._rate, self._full - lent), level)
            at, lent = end, lent - amount
        return at + max(0, -(-(need - level) // self._rate))

    def drain(self, now: int) -> None:
        """The exchange says that there is nothing left."""
        self._refill(now)
        self._level = min(self._level, 0)

    def level(self, now: int) -> int:
        """Whole tokens in it."""
        self._refill(now)
        return self._level // TOKEN

    def _refill(self, now: int) -> None:
        assert now >= self._at, "the monotonic clock went backwards"
        while self._loans and self._loans[0][0] <= now:
            end, amount = self._loans.popleft()
            self._fill(end)
            self._lent -= amount
        self._fill(now)

    def _fill(self, now: int) -> None:
        level = self._level + (now - self._at) * self._rate
        room = self._full - self._lent
        if level > room:  # never less than it was: a smaller tier may leave no room at all
            level = max(room, self._level)
        self._level = level
        self._at = now
