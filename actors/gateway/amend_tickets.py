"""Amends that are under way in this life of the gateway, each with its stage and its deadline."""

import enum
from collections.abc import Callable, Iterator

from msgspec import Struct

from actors.gateway.desk import Asker
from protocol.facts import AmendOutcome
from protocol.messages import AmendAnswer, AmendOrder, Order


class Stage(enum.Enum):
    """Where an amend is on its way."""

    LOOKING = enum.auto()  # its market, book or balance is being read; nothing is recorded yet
    INTENDING = enum.auto()  # the writer has not acknowledged the intent
    RECORDED = enum.auto()  # it has, and the account does not show it yet
    QUEUED = enum.auto()  # waiting for tokens
    SENT = enum.auto()  # on the wire, or perhaps
    SETTLING = enum.auto()  # its outcome is being recorded
    DONE = enum.auto()  # answered; kept until the account shows the outcome


class Ticket(Struct):
    """One amend that is under way."""

    wanted: AmendOrder
    askers: list[Asker]
    deadline: int | None
    stage: Stage = Stage.LOOKING
    n: int = 0  # the entry that the account has to show before it goes on
    order: Order | None = None  # as it was when the call was made
    outcome: AmendOutcome | None = None
    answer: AmendAnswer | None = None

    def enter(self, stage: Stage, deadline: int | None = None) -> None:
        """Take it to a stage that may last until `deadline`."""
        self.stage, self.deadline = stage, deadline


class Tickets:
    """By client_order_id: one an order. `closed` is told whose is forgotten."""

    def __init__(self, closed: Callable[[str], None]) -> None:
        self._closed = closed
        self._open: dict[str, Ticket] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, id: object) -> bool:
        return id in self._open

    def __iter__(self) -> Iterator[Ticket]:
        return iter(list(self._open.values()))

    def get(self, id: str) -> Ticket | None:
        return self._open.get(id)

    def open(self, wanted: AmendOrder, asker: Asker, deadline: int) -> Ticket:
        """A new one, at its first stage."""
        ticket = self._open[wanted.client_order_id] = Ticket(wanted, [asker], deadline)
        return ticket

    def close(self, ticket: Ticket) -> None:
        """Forget one: from now on the account is asked, or nothing has happened at all."""
        id = ticket.wanted.client_order_id
        del self._open[id]
        self._closed(id)

    @property
    def unfinished(self) -> bool:
        """Whether one is recorded or sent, with an outcome that is not on record yet."""
        idle = (Stage.LOOKING, Stage.DONE)
        return any(ticket.stage not in idle for ticket in self._open.values())

    def deadline(self) -> int | None:
        found = [t.deadline for t in self._open.values() if t.deadline is not None]
        return min(found, default=None)
