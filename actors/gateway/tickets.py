"""Orders that are under way in this life of the gateway, each with its stage and its deadline."""

import enum
import heapq
from collections.abc import Callable, Iterator

from msgspec import Struct

from actors.gateway.desk import Asker
from protocol.messages import OrderAnswer, PlaceOrder


class Stage(enum.Enum):
    """Where an order is on its way."""

    LOOKING = enum.auto()  # its market is being read; nothing is recorded yet
    INTENDING = enum.auto()  # the writer has not acknowledged the intent
    RECALLING = enum.auto()  # recorded long ago: the ledger's entries are being read
    WITHDRAWING = enum.auto()  # it came too late: never to be sent
    QUEUED = enum.auto()  # recorded, waiting for tokens
    SENT = enum.auto()  # on the wire, or perhaps
    SETTLING = enum.auto()  # its outcome is being recorded
    DONE = enum.auto()  # answered; kept until the account shows it


UNFINISHED = frozenset({Stage.INTENDING, Stage.QUEUED, Stage.SENT, Stage.SETTLING})


class Ticket(Struct):
    """One order that is under way in this life of the gateway."""

    order: PlaceOrder
    body_hash: str
    askers: list[Asker]
    stage: Stage = Stage.LOOKING
    deadline: int | None = None  # when this stage has lasted too long
    answer: OrderAnswer | None = None
    settles: str = ""  # id of the fact whose acknowledgement ends it
    n: int = 0  # the entry that settled it
    refusal: OrderAnswer | None = None  # if the ledger does not know it either
    batch: int = 0  # it leaves with others, if at all (`batches.py`)


class Tickets:
    """By client_order_id. Nothing here grows with the number of tickets, but the tickets.

    `closed` is told the id of each that is forgotten.
    """

    def __init__(self, closed: Callable[[str], None]) -> None:
        self._closed = closed
        self._open: dict[str, Ticket] = {}
        self._alarms: list[tuple[int, str]] = []  # a heap of deadlines, of past stages too
        self._settled: list[tuple[int, str]] = []  # a heap: once the account is at `n`, it knows
        self._in_doubt: dict[str, set[str]] = {}  # ids by ticker: answered unknown in this life
        self._unfinished = 0
        self.sent = 0  # how many are on the wire, or perhaps

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, id: object) -> bool:
        return id in self._open

    def __iter__(self) -> Iterator[tuple[str, Ticket]]:
        return iter(list(self._open.items()))

    def get(self, id: str) -> Ticket | None:
        return self._open.get(id)

    def open(self, order: PlaceOrder, body_hash: str, asker: Asker) -> Ticket:
        """A new one, at its first stage."""
        ticket = self._open[order.client_order_id] = Ticket(order, body_hash, [asker])
        return ticket

    def enter(self, ticket: Ticket, stage: Stage, deadline: int | None = None) -> None:
        """Take a ticket to a stage that may last until `deadline`."""
        self._unfinished += (stage in UNFINISHED) - (ticket.stage in UNFINISHED)
        self.sent += (stage is Stage.SENT) - (ticket.stage is Stage.SENT)
        ticket.stage, ticket.deadline = stage, deadline
        if deadline is not None:
            heapq.heappush(self._alarms, (deadline, ticket.order.client_order_id))

    def close(self, ticket: Ticket) -> None:
        """Forget one: from now on the account is asked, or nothing has happened at all."""
        id = ticket.order.client_order_id
        self._unfinished -= ticket.stage in UNFINISHED
        self.sent -= ticket.stage is Stage.SENT
        del self._open[id]
        self._closed(id)
        doubtful = self._in_doubt.get(ticket.order.ticker)
        if doubtful is not None:
            doubtful.discard(id)
            if not doubtful:
                del self._in_doubt[ticket.order.ticker]

    def doubt(self, ticket: Ticket) -> None:
        """It may or may not be at the exchange."""
        id = ticket.order.client_order_id
        self._in_doubt.setdefault(ticket.order.ticker, set()).add(id)

    def in_doubt(self, ticker: str) -> frozenset[str]:
        """Ids that this life has called unknown in a market, and the account may not show yet."""
        return frozenset(self._in_doubt.get(ticker, ()))

    def may_fill(self, ticker: str) -> list[str]:
        """Ids of those that may be open, or come to be, in a market, or in all ("")."""
        return [
            id
            for id, ticket in self._open.items()
            if ticker in ("", ticket.order.ticker)
            and (ticket.answer is None or ticket.answer.outcome in ("accepted", "unknown"))
        ]

    def settled(self, ticket: Ticket, n: int) -> None:
        """Its outcome is entry `n`: once the account is there, the ticket is not needed."""
        ticket.n = n
        heapq.heappush(self._settled, (n, ticket.order.client_order_id))

    @property
    def unfinished(self) -> int:
        """How many are recorded or sent, with an outcome that is not on record yet."""
        return self._unfinished

    def late(self, now: int) -> list[Ticket]:
        """Those whose stage has lasted too long."""
        found = []
        while self._alarms and self._alarms[0][0] <= now:
            deadline, id = heapq.heappop(self._alarms)
            ticket = self._open.get(id)
            if ticket is not None and ticket.deadline == deadline:
                found.append(ticket)
        return found

    def close_shown(self, n: int) -> None:
        """The account is at entry `n`: forget those that it shows."""
        while self._settled and self._settled[0][0] <= n:
            _, id = heapq.heappop(self._settled)
            ticket = self._open.get(id)
            if ticket is not None and ticket.stage is Stage.DONE:
                self.close(ticket)

    def deadline(self) -> int | None:
        while self._alarms:
            deadline, id = self._alarms[0]
            ticket = self._open.get(id)
            if ticket is not None and ticket.deadline == deadline:
                return deadline
            heapq.heappop(self._alarms)  # that stage has ended
        return None
