"""Where the exchange's money is not what the ledger makes it.

Reads lag behind one another, so a difference counts only once two readings, a while apart, have
shown the very same one, and what the second shows is later than the first. Then it becomes an entry
with its cause: the ledger was just opened, or somebody has resumed trading since it was last
reported, or nothing explains it, and trading halts. Cash is compared while nothing rests, because
how much the exchange keeps back for resting orders is not ours to know.
"""

from msgspec import Struct
from msgspec.structs import replace

from actors.gateway.reading import Held, Reading
from protocol.account import Account
from protocol.facts import AnyFact, CashDiffers, PositionDiffers
from protocol.limits import CASH_ROUNDING, DIFFER_AGAIN, LAG_MAX, SETTLING_MAX
from protocol.units import Count, Money, format_count, format_money

CASH = "cash"


class _Suspect(Struct):
    """A difference that has been seen, and what it was."""

    shown: tuple[int, ...]
    since: int  # monotonic, when the reading began that first showed it


class Compared(Struct):
    """What a comparison comes to."""

    facts: list[AnyFact]
    alarms: list[str]  # each halts trading
    again: bool = False  # something is to be looked at once more, soon
    hold: bool = False  # the round can't count before that: the ledger is being opened


class Differences:
    """Remembers what was seen once, until a second reading shows it again or not."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._suspects: dict[str, _Suspect] = {}

    def __len__(self) -> int:
        return len(self._suspects)

    def vanished(self, account: Account, reading: Reading) -> list[str]:
        """Markets of which we hold something and the exchange shows nothing."""
        held = (p.ticker for p in account.positions() if p.position)
        return sorted(ticker for ticker in held if ticker not in reading.positions)

    def wants_transfers(self, account: Account) -> bool:
        """Whether deposits and withdrawals have to be read, to explain the cash or to open it."""
        return account.cash is None or CASH in self._suspects

    def compare(self, account: Account, reading: Reading, halted: bool) -> Compared:
        """Hold a complete reading, all of it on record, against the account."""
        found = Compared([], [])
        seen = set(self._positions(account, reading, halted, found))
        if seen:  # the cash can't be right before the positions are
            found.again = found.again or account.cash is None
        elif not account.open_orders():
            seen |= self._cash(account, reading, halted, found)
        for key in [key for key in self._suspects if key not in seen]:
            del self._suspects[key]
        return found

    def _positions(
        self, account: Account, reading: Reading, halted: bool, found: Compared
    ) -> list[str]:
        ours = {p.ticker: p.position for p in account.positions() if p.position}
        seen = []
        for ticker in sorted(ours.keys() | reading.positions.keys()):
            mine = ours.get(ticker, Count(0))
            theirs = reading.positions.get(ticker, Held(Count(0), Money(0)))
            if mine == theirs.position:
                continue
            seen.append(ticker)
            settling = ticker in reading.settling and account.reconciled_to > 0
            patience = SETTLING_MAX if settling else DIFFER_AGAIN
            if not self._again(ticker, (mine, theirs.position), reading, patience):
                found.again = True
                found.hold = account.reconciled_to == 0
                continue
            self._position(account, reading, halted, found, ticker, mine, theirs)
        return seen

    def _position(
        self, account: Account, reading: Reading, halted: bool, found: Compared, ticker: str,
        mine: Count, theirs: Held,
    ) -> None:  # fmt: skip
        fact = PositionDiffers(
            ticker, mine, theirs.position, theirs.cost, "opened", self._epoch, reading.number
        )
        if account.reconciled_to == 0:
            found.facts.append(fact)
        elif account.differs.get(ticker) != (mine, theirs.position):
            found.facts.append(replace(fact, cause="unexplained"))
            found.alarms.append(
                f"{ticker}: the ledger holds {format_count(mine)}, the exchange shows "
                f"{format_count(theirs.position)}, and nothing explains it"
            )
        elif not halted:
            found.facts.append(replace(fact, cause="accepted"))

    def _cash(self, account: Account, reading: Reading, halted: bool, found: Compared) -> set[str]:
        theirs = Money(sum(reading.balances.values()))
        expected = account.expected_cash()
        booked = Money(account.flows() + account.moved)
        mine = booked if expected is None else expected
        fact = CashDiffers(theirs, mine, "opened", self._epoch, reading.number)
        base = account.cash
        drift = theirs - mine
        if base is not None and not drift:
            return set()
        if not self._again(CASH, (theirs, mine), reading, DIFFER_AGAIN):
            found.again = True
            return {CASH}
        if base is None:
            found.facts.append(fact)
        elif abs(drift) <= self._rounding(account, base.n):
            found.facts.append(replace(fact, cause="rounded"))
        elif account.cash_differs != theirs:
            found.facts.append(replace(fact, cause="unexplained"))
            found.alarms.append(
                f"cash: fills, settlements and transfers make {format_money(mine)}, the exchange "
                f"shows {format_money(theirs)}"
            )
        elif not halted:
            found.facts.append(replace(fact, cause="accepted"))
        return {CASH}

    @staticmethod
    def _rounding(account: Account, since: int) -> int:
        """How far rounding can have moved the balance since entry `since`."""
        return CASH_ROUNDING * sum(1 for fill in account.fills() if fill.n > since)

    def _again(self, key: str, shown: tuple[int, ...], reading: Reading, patience: int) -> bool:
        """Whether an earlier reading, `patience` before this one, has shown just the same."""
        suspect = self._suspects.get(key)
        if suspect is None or suspect.shown != shown:
            self._suspects[key] = _Suspect(shown, reading.started)
            return False
        if reading.user_data_at == 0:  # how far reads lag is not known
            patience = max(patience, LAG_MAX)
        elif reading.user_data_at < reading.wall(suspect.since):
            return False
        return reading.started - suspect.since >= patience
