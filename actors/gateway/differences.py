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
from protocol.limits import CASH_ROUNDING, DIFFER_AGAIN, DIFFER_TIMES, LAG_MAX, SETTLING_MAX, US
from protocol.messages import CashBase, Position
from protocol.units import Count, Money, format_count, format_money

CASH = "cash"


class _Suspect(Struct):
    """A difference that has been seen, and what it was."""

    difference: int  # what the exchange shows, less ours
    still: tuple[int, ...]  # what has not moved since
    since: int  # monotonic, when the reading began that first showed it so
    first: int  # and the one that first showed this difference
    known: int  # when it was held against what the ledger had by then, which may be more
    first_known: int
    times: int = 1  # readings in a row with this difference, whatever moved meanwhile


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
        self._right = 0  # the entry up to which the cash was as expected

    def __len__(self) -> int:
        return len(self._suspects)

    def vanished(self, account: Account, reading: Reading) -> list[str]:
        """Markets of which we hold something and the exchange shows nothing."""
        held = (p.ticker for p in account.positions() if p.position)
        return sorted(ticker for ticker in held if ticker not in reading.positions)

    def moved(self, account: Account, reading: Reading) -> bool:
        """Whether what the reading showed of positions is not what the ledger holds by now."""
        held = {p.ticker: p.position for p in account.positions() if p.position}
        return held != {t: shown.position for t, shown in reading.positions.items()}

    def wants_transfers(self, account: Account) -> bool:
        """Whether deposits and withdrawals have to be read, to explain the cash or to open it."""
        return account.cash is None or CASH in self._suspects

    def compare(self, account: Account, reading: Reading, halted: bool) -> Compared:
        """Hold a complete reading, all of it on record, against the account."""
        found = Compared([], [])
        seen = self._positions(account, reading, halted, found)
        if seen:  # the cash can't be right before the positions are
            found.again = found.again or account.cash is None
        elif not account.open_orders():
            seen |= self._cash(account, reading, halted, found)
        for key in [key for key in self._suspects if key not in seen]:
            del self._suspects[key]
        return found

    def _positions(
        self, account: Account, reading: Reading, halted: bool, found: Compared
    ) -> set[str]:
        ours = {p.ticker: p for p in account.positions() if p.position}
        seen = set()
        for ticker in sorted(ours.keys() | reading.positions.keys() | account.differs.keys()):
            mine = account.position(ticker)
            theirs = reading.positions.get(ticker, Held(Count(0), Money(0)))
            if mine.position == theirs.position and ticker not in account.differs:
                continue
            seen.add(ticker)
            more = theirs.position - mine.position
            patience = self._patience(account, reading, ticker)
            if not self._again(ticker, more, (mine.n,), reading, patience):
                found.again = True
                found.hold = account.reconciled_to == 0
                continue
            self._position(account, reading, halted, found, mine, theirs)
        return seen

    def _position(
        self, account: Account, reading: Reading, halted: bool, found: Compared, mine: Position,
        theirs: Held,
    ) -> None:  # fmt: skip
        fact = PositionDiffers(
            mine.ticker, mine.position, theirs.position, theirs.cost, "opened", self._epoch,
            reading.number,
        )  # fmt: skip
        known = account.differs.get(mine.ticker)
        if account.reconciled_to == 0:
            found.facts.append(fact)
        elif mine.position == theirs.position:
            found.facts.append(replace(fact, cause="resolved"))
        elif known is None or known[1] - known[0] != theirs.position - mine.position:
            found.facts.append(replace(fact, cause="unexplained"))
            found.alarms.append(
                f"{mine.ticker}: the ledger holds {format_count(mine.position)}, the exchange "
                f"shows {format_count(theirs.position)}, and nothing explains it"
            )
        elif not halted:
            found.facts.append(replace(fact, cause="accepted"))

    def _cash(self, account: Account, reading: Reading, halted: bool, found: Compared) -> set[str]:
        theirs = Money(sum(reading.balances.values()))
        expected = account.expected_cash()
        booked = Money(account.flows() + account.moved)
        mine = booked if expected is None else expected
        fact = CashDiffers(theirs, mine, "opened", self._epoch, reading.number)
        base, known, drift = account.cash, account.cash_differs, theirs - mine
        rounding = 0 if base is None else self._rounding(account, base.n)
        if base is not None and not drift and known is None:
            self._right = account.n
            return set()
        still = (account.flows(), account.moved)
        patience = self._settling_cash(account, base, drift)
        if not self._again(CASH, drift, still, reading, patience):
            found.again = True
        elif base is None:
            found.facts.append(fact)
        elif drift == 0:
            found.facts.append(replace(fact, cause="resolved"))
        elif abs(drift) <= rounding:
            found.facts.append(replace(fact, cause="rounded"))
        elif known is None or abs(known - drift) > rounding:
            found.facts.append(replace(fact, cause="unexplained"))
            found.alarms.append(
                f"cash: fills, settlements and transfers make {format_money(mine)}, the exchange "
                f"shows {format_money(theirs)}"
            )
        elif not halted:
            found.facts.append(replace(fact, cause="accepted"))
        return {CASH}

    @staticmethod
    def _patience(account: Account, reading: Reading, ticker: str) -> int:
        """How long a position may differ before it counts.

        A market's end, the settlement's row, the position and the money don't change at one
        moment.
        """
        if account.reconciled_to == 0:  # what it is now is what counts
            return DIFFER_AGAIN
        at = account.settled_at(ticker)
        recent = at > 0 and reading.started_at - at < SETTLING_MAX // US
        return SETTLING_MAX if ticker in reading.settling or recent else DIFFER_AGAIN

    def _settling_cash(self, account: Account, base: CashBase | None, drift: int) -> int:
        """How long the cash may differ before it counts: longer if what is missing is just what
        a market has paid that was settled since the cash was right."""
        right = max(self._right, 0 if base is None else base.n)
        paid = account.paid_since(right)
        return SETTLING_MAX if drift and -drift in (*paid, sum(paid)) else DIFFER_AGAIN

    @staticmethod
    def _rounding(account: Account, since: int) -> int:
        """How far rounding can have moved the balance since entry `since`."""
        return CASH_ROUNDING * sum(1 for fill in account.fills() if fill.n > since)

    def _again(
        self, key: str, difference: int, still: tuple[int, ...], reading: Reading, patience: int
    ) -> bool:
        """Whether earlier readings have shown the same difference: one that is `patience` older,
        if nothing has moved since; or several in a row, whatever moved."""
        suspect = self._suspects.get(key)
        if suspect is None or suspect.difference != difference:
            self._suspects[key] = _Suspect(
                difference, still, reading.started, reading.started,
                reading.compared, reading.compared,
            )  # fmt: skip
            return False
        suspect.times += 1
        if suspect.still != still:
            suspect.still, suspect.since = still, reading.started
            suspect.known = reading.compared
        since, known = suspect.since, suspect.known
        if patience == DIFFER_AGAIN and suspect.times >= DIFFER_TIMES:
            since, known = suspect.first, suspect.first_known
        if reading.user_data_at == 0:  # how far reads lag is not known
            return reading.started - since >= patience and reading.started - known >= LAG_MAX
        if reading.user_data_at < reading.wall(known):
            return False  # what moved while the first was read may not be shown yet
        return reading.started - since >= patience
