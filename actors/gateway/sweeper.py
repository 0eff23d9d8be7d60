"""The gateway's sweep: its calls through the lanes, and which orders may still arrive.

A sweep is not done while an order of ours may be on its way: one whose call is under way, one
whose call ended without a word, and one of a former life that nobody has heard of since.
"""

import msgspec

from actors.gateway.desk import CallAnswered, Desk, Ended
from actors.gateway.sweep import Sweep, may_have_worked
from actors.gateway.tickets import Tickets
from protocol.kalshi import answers, calls
from protocol.kalshi.calls import Call
from protocol.limits import ABSENCE_AFTER
from protocol.machine import Effect, Report
from protocol.messages import PanicAnswer

KEY = "panic"


class Sweeper:
    """At most one sweep, and how the last one ended."""

    def __init__(self, desk: Desk, now: int) -> None:
        self._desk = desk
        self._booted = now
        self._sweep: Sweep | None = None
        self._sweeps = 0
        self._calls: dict[str, Call] = {}  # under way, by their keys in the lanes
        self._said = ""
        self._lands_until = now  # an order without an outcome may arrive until then
        self._former: tuple[int, bool] = (-1, True)  # as of that entry: is one of those open?
        self.last: PanicAnswer | None = None
        self.last_at = now

    @property
    def running(self) -> bool:
        return self._sweep is not None

    @property
    def trouble(self) -> str:
        """What keeps the sweep from being done; "" if none runs."""
        return "" if self._sweep is None else self._sweep.trouble

    def begin(self, now: int) -> None:
        assert self._sweep is None
        self._sweeps += 1
        self._sweep, self.last = Sweep(now), None

    def give_up(self, now: int, why: str) -> None:
        """Make no more calls. One that is under way still ends."""
        assert self._sweep is not None
        if self._desk.lanes.withdraw(self._key):
            del self._calls[self._key]
        self.last = msgspec.structs.replace(self.state(), reason=why)
        self.last_at, self._sweep, self._said = now, None, ""

    @property
    def _key(self) -> str:
        return f"{KEY}:{self._sweeps}"

    def due(self, now: int) -> bool:
        """Make the next call, if it is time. True if it cancels everything."""
        call = None if self._sweep is None else self._sweep.next(now)
        if self._sweep is None or call is None:
            return False
        if not self._desk.lanes.submit(self._key, call, first=True):
            self._sweep.unsent(now)
            return False
        self._calls[self._key] = call
        return call is calls.CANCEL_ALL

    def ended(self, now: int, at: int, number: str, ended: Ended) -> tuple[list[Effect], bool]:
        """A call has ended, perhaps of a sweep that was given up.

        Returns what to say, and whether something may have been canceled by it.
        """
        call = self._calls.pop(f"{KEY}:{number}")
        canceled = call is calls.CANCEL_ALL and may_have_worked(ended)
        sweep = self._sweep
        if sweep is None or number != str(self._sweeps):
            return [], canceled
        said = sweep.ended(now, at, ended)
        effects: list[Effect] = []
        if said and said != self._said:
            self._said = said
            effects.append(Report(f"panic: {said}", grave=not sweep.done))
        if sweep.done:
            self.last, self.last_at = self.state(), now
            self._sweep, self._said = None, ""
        return effects, canceled

    def state(self) -> PanicAnswer:
        """How far it is, but for the hold and the disk."""
        sweep = self._sweep
        if sweep is None:
            return self.last or PanicAnswer("running", reason="no panic has been asked for")
        if sweep.done:
            return PanicAnswer("done", sweep.resting, sweep.cancel_alls)
        return PanicAnswer("running", sweep.resting, sweep.cancel_alls, reason=sweep.trouble)

    def deadline(self) -> int | None:
        return None if self._sweep is None else self._sweep.deadline()

    # Orders that may still arrive

    def order_ended(self, now: int, ended: Ended) -> None:
        """An order's call has ended, and it may have reached the exchange."""
        known = isinstance(ended, CallAnswered) and (
            ended.status == 201 or ended.status in answers.REJECTIONS
        )
        if not known:
            self._lands_until = now + ABSENCE_AFTER
        if self._sweep is not None:
            self._sweep.moved(now)

    def look_at_orders(self, tickets: Tickets) -> None:
        """What is on its way, for a sweep that runs."""
        if self._sweep is None:
            return
        self._sweep.in_flight = tickets.sent > 0
        until = self._lands_until
        if self._left_open(tickets):
            until = max(until, self._booted + ABSENCE_AFTER)
        self._sweep.lands_until = until

    def _left_open(self, tickets: Tickets) -> bool:
        """Whether a former life may have sent an order that nobody has heard of since."""
        account = self._desk.ledger.account
        if account is None:
            return True
        n, found = self._former
        if n != account.n:
            found = any(o.client_order_id not in tickets for o in account.unsettled())
            self._former = (account.n, found)
        return found
