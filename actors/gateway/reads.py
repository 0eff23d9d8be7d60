"""The gateway's own reads: what calls cost, what the account may spend, whether trading pauses."""

from msgspec import Struct

from actors.gateway.desk import CallAnswered, Desk, Ended
from actors.gateway.lanes import Place
from actors.gateway.pause import Pause
from protocol.errors import RemoteProtocolError
from protocol.kalshi import answers, calls
from protocol.kalshi.answers import CostsBody, LimitsBody
from protocol.kalshi.calls import Call
from protocol.limits import (
    BALANCE_INTERVAL,
    LIMITS_AGAIN,
    LIMITS_INTERVAL,
    OFFLINE_AFTER,
    PAUSE_LOOK,
    RECONCILE_RETRY,
)
from protocol.machine import Effect

CLOSED = frozenset({503, 504})  # the exchange's status may come with these, too (FACTS.md 6.5)


class Poll(Struct):
    """One read that is repeated for ever."""

    call: Call
    interval: int
    due_at: int = 0
    tried_at: int = 0
    running: bool = False
    done: bool = False


class Reads:
    """Polls."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._began: int | None = None
        self._account_known = False
        self.pause = Pause(desk)
        self._polls = {
            "costs": Poll(calls.COSTS, LIMITS_INTERVAL),
            "limits": Poll(calls.LIMITS, LIMITS_INTERVAL),
            "status": Poll(calls.STATUS, LIMITS_INTERVAL),
            "balance": Poll(calls.BALANCE, BALANCE_INTERVAL),
        }
        self.trouble = "rest: nothing has been read yet"

    @property
    def rest_ready(self) -> bool:
        """A signed call was answered."""
        return self._polls["limits"].done and self._polls["status"].done

    def offline(self, now: int) -> bool:
        """Whether the exchange has not been reached for so long that the boot ends without it."""
        began = now if self._began is None else self._began
        return not self.rest_ready and now - began >= OFFLINE_AFTER

    @property
    def limiter_ready(self) -> bool:
        return self._polls["limits"].done and self._polls["costs"].done

    def refresh_limits(self, now: int) -> None:
        """After a 429: the tier may have changed."""
        self._polls["limits"].due_at = self._polls["costs"].due_at = now

    def refresh_balance(self, now: int) -> None:
        """Somebody needs to know what there is now."""
        balance = self._polls["balance"]
        balance.due_at = min(balance.due_at, max(now, balance.tried_at + RECONCILE_RETRY))

    def unproved(self, now: int) -> None:
        """A 401: no order leaves until a signed call has been answered again."""
        self._polls["limits"].done = False
        self._polls["limits"].due_at = now
        self.trouble = "rest: 401: the key or the clock is not accepted"

    def due(self, now: int, at: int, account_known: bool) -> list[Effect]:
        """Start the polls whose time has come."""
        self._account_known = account_known
        if self._began is None or self.rest_ready:
            self._began = now
        if self._desk.lanes.expire(now, at):
            self.refresh_limits(now)
        effects = self.pause.due(now, at)
        if self.pause.wanted:
            status = self._polls["status"]
            status.due_at = min(status.due_at, max(now, status.tried_at + RECONCILE_RETRY))
        for name, poll in self._polls.items():
            ready = account_known or name != "balance"
            if ready and not poll.running and now >= poll.due_at:
                place = self._desk.lanes.submit(f"poll:{name}", poll.call)
                poll.running = place is Place.TAKEN
                poll.tried_at = now
                poll.due_at = now + RECONCILE_RETRY
                if not poll.running:
                    self.trouble = f"rest: {name}: {place.value}"
        return effects

    def deadline(self) -> int | None:
        """The balance is of no use before there is an account to compare it with."""
        waits = [p for name, p in self._polls.items() if self._account_known or name != "balance"]
        found = [p.due_at for p in waits if not p.running]
        asked = self.pause.deadline()
        return min(found if asked is None else [*found, asked], default=None)

    def ended(self, now: int, name: str, ended: Ended) -> bytes | None:
        """A poll's call has ended. Returns the balance's body, for the ledger."""
        poll = self._polls[name]
        poll.running = False
        poll.due_at = now + RECONCILE_RETRY
        if name == "status":
            self.pause.looked()
        if not isinstance(ended, CallAnswered):
            self.trouble = f"rest: {ended.reason}"
            poll.done = poll.done and name == "costs"
            return None
        if ended.status != 200:
            said = answers.refusal(ended.body)
            self.trouble = f"rest: {ended.status} {said.code if said else ''}".strip()
            if name == "status" and ended.status in CLOSED:
                self.pause.learn_if(now, ended.body)
            return None
        try:
            sure = self._learn(now, name, ended)
        except RemoteProtocolError as e:
            self.trouble = f"rest: {e}"
            return None
        poll.done, poll.due_at = True, now + (poll.interval if sure else LIMITS_AGAIN)
        if name == "status" and self.pause.why:
            poll.due_at = now + PAUSE_LOOK
        if all(p.done for n, p in self._polls.items() if n != "balance"):
            self.trouble = ""
        return ended.body if name == "balance" else None

    def _learn(self, now: int, name: str, ended: CallAnswered) -> bool:
        """Whether what was read is sure; else it is read again soon."""
        lanes = self._desk.lanes
        if name == "costs":
            lanes.learn_costs(answers.read(ended.body, CostsBody))
            return lanes.allowance.costs_sure
        if name == "limits":
            lanes.learn_limits(now, ended.at, answers.read(ended.body, LimitsBody))
            return lanes.allowance.limits_sure
        if name == "status":
            self.pause.learn(now, ended.body)
        return True
