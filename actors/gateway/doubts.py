"""Orders that may or may not be at the exchange, amends that may or may not hold, and what would
settle them.

Seen on the stream or in a listing: it is there. Absent from two complete listings, both of data
that is later than any request of ours could have landed: it never was. An amend holds if its terms
are seen; it never will if two such listings show the order with its former ones. Nothing else
settles one, and none is ever sent again.
"""

from msgspec import Struct

from actors.gateway.amends import Amends
from actors.gateway.desk import Desk
from actors.gateway.orders import Orders
from actors.gateway.reading import Reading
from protocol.account import UNSETTLED, Account
from protocol.facts import AmendOutcome, OrderAbsent, OrderUnknown
from protocol.limits import ABSENCE_AFTER, RESOLVE_INTERVAL, SIGNATURE_WINDOW, US
from protocol.machine import Effect
from protocol.messages import DoubtAnswer

LISTINGS_NEEDED = 2  # complete ones without the order, before it counts as absent


class _Doubt(Struct):
    """An order that may or may not be at the exchange."""

    since: int  # monotonic: its call had ended by then
    since_at: int  # the same moment by the wall clock, which may have been set since
    misses: int = 0
    missed: int | None = None
    glimpsed: bool = False  # a change of a book has named it: it is there


class Doubts:
    """The list of them, by client_order_id."""

    def __init__(self, desk: Desk, orders: Orders, amends: Amends) -> None:
        self._desk = desk
        self._orders = orders
        self._amends = amends
        self._open: dict[str, _Doubt] = {}
        self._amending: dict[str, _Doubt] = {}  # orders whose amend nobody knows the outcome of
        self._looked_at = (-1, -1, -1)
        self._user_data_at = 0
        self.resolve_at: int | None = None

    def __len__(self) -> int:
        return len(self._open) + len(self._amending)

    def look(self, now: int, at: int, account: Account) -> list[Effect]:
        """Bring the list up to date; an order that a former life left open becomes unknown."""
        seen = (account.n, len(self._orders.tickets), len(self._amends))
        if seen == self._looked_at:
            return []  # nothing can have changed
        self._looked_at = seen
        effects: list[Effect] = []
        open_now: set[str] = set()
        for order in account.unsettled():
            id = order.client_order_id
            if self._orders.under_way(id):
                continue
            open_now.add(id)
            if id not in self._open:
                self._open[id] = _Doubt(*self._orders.ended_at.pop(id, (now, at)))
                if order.state == "intended":
                    fact = OrderUnknown(id, "a former life may have sent it")
                    effects += self._desk.append(now, at, fact)
        for id in [id for id in self._open if id not in open_now]:
            del self._open[id]
        ended_at = self._orders.ended_at
        for id in [id for id in ended_at if id not in self._orders.tickets]:
            del ended_at[id]  # settled by the stream before it came into doubt
        effects += self._look_at_amends(now, at, account)
        if not len(self):
            self.resolve_at = None
        elif self.resolve_at is None:
            self.resolve_at = now
        return effects

    def _look_at_amends(self, now: int, at: int, account: Account) -> list[Effect]:
        """The same for amends."""
        effects: list[Effect] = []
        left = {
            id: order for id, order in account.open.amending.items()
            if not self._amends.under_way(id)
        }  # fmt: skip
        for id, order in left.items():
            if id not in self._amending:
                self._amending[id] = _Doubt(*self._amends.ended_at.pop(id, (now, at)))
                amend = order.amend
                if amend is not None and amend.state == "intended":
                    text = "a former life may have sent it"
                    fact = AmendOutcome(id, amend.id, "unknown", text)
                    effects += self._desk.append(now, at, fact)
        self._amending = {id: doubt for id, doubt in self._amending.items() if id in left}
        self._amends.forget_ended()
        return effects

    def glimpse(self, now: int, id: str) -> None:
        """A change of a book names this order: it is there, and a listing has to show it soon."""
        doubt = self._open.get(id)
        if doubt is not None and not doubt.glimpsed:
            doubt.glimpsed = True
            self.resolve_at = now

    def begun(self, now: int) -> None:
        """A reading has begun: the next one is due a while later."""
        self.resolve_at = now + RESOLVE_INTERVAL if len(self) else None

    def oldest(self, account: Account) -> int:
        """When the oldest of them came into the ledger, microseconds; 0 if there is none."""
        orders = [account.order(id) for id in self._open]
        return min((o.created_at for o in orders if o is not None), default=0)

    def absent(self, now: int, at: int, reading: Reading) -> list[Effect]:
        """Count the complete readings that an order is not in; two late ones prove absence."""
        self._user_data_at = reading.user_data_at
        effects: list[Effect] = []
        for id, doubt in self._open.items():
            if id in reading.listed:
                doubt.misses, doubt.missed = 0, None
            elif not doubt.glimpsed and self._proves(doubt, reading):
                doubt.misses, doubt.missed = doubt.misses + 1, reading.started
                if doubt.misses >= LISTINGS_NEEDED:
                    self._desk.counters["absent"] += 1
                    evidence = (
                        f"absent from {doubt.misses} complete listings, the last of them at {at} "
                        f"of data as of {reading.user_data_at}"
                    )
                    effects += self._desk.append(now, at, OrderAbsent(id, evidence))
        return effects + self._unchanged(now, at, reading)

    def _unchanged(self, now: int, at: int, reading: Reading) -> list[Effect]:
        """Count the complete readings that show an order with its former terms."""
        account = self._desk.ledger.account
        assert account is not None
        effects: list[Effect] = []
        for id, doubt in self._amending.items():
            order = account.open.amending.get(id)
            if order is None or order.amend is None or id not in reading.listed:
                continue
            if self._proves(doubt, reading):
                doubt.misses, doubt.missed = doubt.misses + 1, reading.started
                if doubt.misses >= LISTINGS_NEEDED:
                    evidence = (
                        f"{doubt.misses} complete listings show its former terms, the last of them "
                        f"at {at} of data as of {reading.user_data_at}"
                    )
                    fact = AmendOutcome(id, order.amend.id, "absent", evidence)
                    effects += self._desk.append(now, at, fact)
        return effects

    @staticmethod
    def _proves(doubt: _Doubt, reading: Reading) -> bool:
        """Whether no request of ours could land after what this reading shows."""
        again = doubt.missed is None or reading.started >= doubt.missed + RESOLVE_INTERVAL
        late = reading.started >= doubt.since + ABSENCE_AFTER
        since_at = reading.wall(doubt.since)
        # Set back since, our clock makes it too early. Never by more than signatures allow: what
        # it said before cannot have been further ahead of the exchange's.
        since_at += min(max(doubt.since_at - since_at, 0), 2 * SIGNATURE_WINDOW // US)
        return again and late and reading.user_data_at >= _settles_at(since_at)

    def tell(self, now: int, at: int, id: str, trouble: str) -> DoubtAnswer:
        """How far the settling of an order is."""
        doubt = self._open.get(id)
        if doubt is None:
            return DoubtAnswer(False)
        since_at = at - (now - doubt.since) // US
        wait = 0 if self.resolve_at is None else max(self.resolve_at - now, 0)
        return DoubtAnswer(
            True,
            since_at,
            _settles_at(since_at),
            doubt.misses,
            LISTINGS_NEEDED,
            self._user_data_at,
            at + wait // US,
            trouble,
            doubt.glimpsed,
        )


def _settles_at(since_at: int) -> int:
    return since_at + ABSENCE_AFTER // US


__all__ = ["LISTINGS_NEEDED", "UNSETTLED", "Doubts"]
