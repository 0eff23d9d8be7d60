"""What the account may spend, what is kept for whom, what calls cost, and who spent how much.

Each write budget keeps tokens for one cancel-all and twenty cancels. Reads of clients leave what
a cancel's look-up and a listing of reconciliation need.
"""

from typing import Final

from actors.gateway.budget import Budget
from actors.gateway.tier import Tier
from protocol.kalshi import calls
from protocol.kalshi.answers import CostsBody, LimitsBody
from protocol.kalshi.calls import Call, Lane
from protocol.kalshi.costs import Costs
from protocol.limits import CALLERS_MAX, MS, SHARDS_MAX, TOKENS_VALID

READ: Final = -1  # the read budget; 0 is the write budget, 1 and up those of the shards
WRITE: Final = 0
WISH_LANE: Final[Lane] = "read"  # of programs that borrow: behind all that trades
CANCELS_KEPT: Final = 20  # beside one cancel-all
TABLES_MAX: Final = 4  # cost tables in a row that differ, of which the dearest row counts
LENT_MIN: Final = 100 * MS  # a program needs so long to spend what it was lent
UNLENT: Final = 20  # tokens of each budget that are never lent: a next life starts with these
UNNAMED: Final = "others"  # callers beyond CALLERS_MAX

_CREATE: Final = Call("create", "POST", calls.ORDERS_PATH, "order")
_CANCEL: Final = calls.cancel("any", "any")
_LISTING: Final = calls.list_orders("reconcile")


def budget_of(call: Call) -> int:
    """Batches, and calls that name no shard, draw on the budget of all (FACTS.md section 7)."""
    if not call.writes:
        return READ
    return call.shard if call.items == 1 else WRITE


class Allowance:
    """The account's budgets: one for reads, one for writes, one for the writes of each shard."""

    def __init__(self, now: int) -> None:
        self._tier = Tier()
        self._tables = [Costs()]
        self.spent: dict[str, list[int]] = {}  # tokens and calls, by caller
        read, write = self._tier.read, self._tier.write
        self.budgets = {READ: Budget("read", read.bucket_capacity, read.refill_rate, now)}
        for shard in range(SHARDS_MAX + 1):
            name = f"write, shard {shard}" if shard else "write"
            self.budgets[shard] = Budget(name, write.bucket_capacity, write.refill_rate, now)
        self._retune()

    def learn_costs(self, body: CostsBody) -> None:
        """The dearer of old and new, until the same table was read twice.

        Raises RemoteProtocolError if the table can't be one.
        """
        table = Costs(body)
        sure = table == self._tables[-1]
        self._tables = [table] if sure else [*self._tables, table][-TABLES_MAX:]
        self._retune()

    def learn_limits(self, now: int, at: int, body: LimitsBody) -> None:
        """The smaller of old and new, until the same limits were read twice.

        Raises RemoteProtocolError if the limits can't be ones.
        """
        self._tier.learn(at, body)
        self._resize(now)

    def expire(self, now: int, at: int) -> bool:
        """Whether a grant has ended: then the lowest tier counts until limits are read anew."""
        ended = self._tier.expire(at)
        if ended:
            self._resize(now)
        return ended

    @property
    def limits_sure(self) -> bool:
        return self._tier.sure

    @property
    def costs_sure(self) -> bool:
        return len(self._tables) == 1

    def cost(self, call: Call) -> int:
        return max(table.of(call) for table in self._tables)

    def keep(self, lane: Lane, budget: int) -> int:
        """Tokens that this lane leaves in the budget, for those that it must not hold up."""
        if budget == READ:
            return self._read_kept if lane in ("read", "audit") else 0
        if lane == "cancel":
            return 0
        return max(self.reserve, UNLENT) if lane == WISH_LANE else self.reserve

    def refill(self, budget: int) -> int:
        """Tokens a second, by the exchange's word."""
        return (self._tier.read if budget == READ else self._tier.write).refill_rate

    def fits(self, lane: Lane, budget: int, cost: int) -> bool:
        """Whether so many tokens could ever be drawn at once, beside what is kept."""
        if budget not in self.budgets:
            return False
        return cost + self.keep(lane, budget) <= self.budgets[budget].bucket.holds

    def lent_for(self, budget: int, tokens: int) -> int:
        """How long such a loan lasts: short enough that one after the other uses all refill."""
        longest = self.budgets[budget].bucket.loan_max(tokens, self.keep(WISH_LANE, budget))
        return min(max(longest - LENT_MIN // 10, LENT_MIN), TOKENS_VALID)

    def spend(self, caller: str, tokens: int) -> None:
        """Write down who spent them."""
        spent = self.spent.get(caller)
        if spent is None:
            known = len(self.spent) < CALLERS_MAX
            spent = self.spent.setdefault(caller if known else UNNAMED, [0, 0])
        spent[0] += tokens
        spent[1] += 1

    def counters(self, now: int) -> dict[str, int]:
        """What is left, what is kept, and what each caller has spent, for the heartbeat."""
        found = {
            "read_tokens": self.budgets[READ].bucket.level(now),
            "write_tokens": self.budgets[WRITE].bucket.level(now),
            "reserve_tokens": self.reserve,
            "reserve_lacks": self.reserve_wanted - self.reserve,
        }
        for caller, (tokens, count) in self.spent.items():
            found[f"spent.{caller}"], found[f"calls.{caller}"] = tokens, count
        return found

    def _resize(self, now: int) -> None:
        for key, budget in self.budgets.items():
            limits = self._tier.read if key == READ else self._tier.write
            budget.bucket.resize(now, limits.bucket_capacity, limits.refill_rate)
        self._retune()

    def _retune(self) -> None:
        """A bucket too small for a create beside the whole reserve keeps what leaves room for it:
        an account that can't trade has nothing to cancel."""
        self.reserve_wanted = self.cost(calls.CANCEL_ALL) + CANCELS_KEPT * self.cost(_CANCEL)
        room = self.budgets[WRITE].bucket.holds - self.cost(_CREATE)
        self.reserve = max(min(self.reserve_wanted, room), 0)
        look_ups = 2 * self.cost(_LISTING)
        room = self.budgets[READ].bucket.holds - look_ups
        self._read_kept = max(min(max(look_ups, UNLENT), room), 0)
