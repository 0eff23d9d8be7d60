"""Order groups of the exchange: made, limited, reset, triggered, deleted (FACTS.md section 6.4).

What cancels (trigger, delete) goes as a cancel does, always and first. What lets orders go again
(create, reset, limit) waits behind orders and is refused while trading is halted. Each is sent
once: a create has no id of ours, so one that stays unanswered must be looked for in a listing.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.gateway.desk import Asker, CallAnswered, CallFailed, Desk, Ended
from actors.gateway.halt import Closed
from actors.gateway.told import Told
from protocol.kalshi import calls, writes
from protocol.kalshi.answers import Refusal
from protocol.kalshi.calls import Call
from protocol.kalshi.parameters import GROUP_ID, SHARD_MAX
from protocol.kalshi.writes import GroupDone
from protocol.limits import (
    GROUP_ANSWERS_KEPT,
    GROUP_CALLS_MAX,
    GROUP_CONTRACTS_MAX,
    QUEUED_MAX,
)
from protocol.machine import Effect
from protocol.messages import GroupAnswer, ManageGroup
from protocol.units import Count, format_count

KEY: Final = "group"
ALWAYS: Final = ("trigger", "delete")  # they cancel
PERHAPS: Final = (
    "the group may have been made: list the groups (GET /v1/exchange/portfolio/order_groups)"
    " before another is"
)
AGAIN: Final = "it may have been done; asking again is safe"


class Pending(Struct):
    """One call that waits, or is on its way."""

    asker: Asker
    wanted: ManageGroup
    leaves_by: int | None  # None: it has left, and will end


class Groups:
    """Calls for order groups."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: dict[int, Pending] = {}
        self._told: Told[GroupAnswer] = Told(desk, GROUP_ANSWERS_KEPT)
        self._number = 0
        self._began_at: int | None = None  # by the wall clock

    @property
    def unfinished(self) -> bool:
        """Whether there is one that could still become known."""
        return bool(self._open)

    def ask(
        self,
        now: int,
        at: int,
        asker: Asker,
        written_at: int,
        wanted: ManageGroup,
        halted: Closed | None,
    ) -> list[Effect]:
        """Take a letter; the same one again is done once. `halted` says why nothing may be done
        that lets orders go."""
        if any(one.asker == asker for one in self._open.values()):
            return []
        told = self._told.known(asker)
        if told is not None:
            return self._desk.answer([asker], told, at)
        refused = _flaw(wanted) or self._barred(written_at, wanted, halted)
        if refused is not None:
            return self._told.say([asker], refused, at)
        call = _call(wanted)
        if len(self._open) >= GROUP_CALLS_MAX:
            return self._told.say([asker], self._busy(now, call, wanted, "too many wait"), at)
        place = self._desk.lanes.submit(f"{KEY}:{self._number + 1}", call)
        if not place:
            return self._told.say([asker], self._busy(now, call, wanted, place.value), at)
        self._number += 1
        self._open[self._number] = Pending(asker, wanted, now + QUEUED_MAX)
        return []

    def _barred(
        self, written_at: int, wanted: ManageGroup, halted: Closed | None
    ) -> GroupAnswer | None:
        if wanted.action not in ALWAYS and halted is not None:
            return _halted(wanted, halted)
        assert self._began_at is not None, "nothing is asked before the start"
        if wanted.action == "create" and 0 < written_at < self._began_at:
            return GroupAnswer("unknown", code="repeat", text=f"asked of a former life: {PERHAPS}")
        return None

    def _busy(self, now: int, call: Call, wanted: ManageGroup, text: str) -> GroupAnswer:
        wait = self._desk.lanes.retry_after_ms(now, call)
        id = wanted.order_group_id
        return GroupAnswer("refused", id, "busy", text, retry_after_ms=wait)

    def ended(self, now: int, at: int, number: int, ended: Ended) -> list[Effect]:
        """A call has ended."""
        one = self._open.pop(number)
        answer = _answer(one.wanted, ended)
        if isinstance(ended, CallAnswered) and ended.status == 429:
            wait = self._desk.lanes.retry_after_ms(now, _call(one.wanted))
            answer = replace(answer, retry_after_ms=wait)
        return self._told.say([one.asker], answer, at)

    def due(self, now: int, at: int, halted: Closed | None) -> list[Effect]:
        """Give up what waits for tokens: for too long, or while trading is halted."""
        if self._began_at is None:
            self._began_at = at
        effects: list[Effect] = []
        for number, one in list(self._open.items()):
            stopped = halted is not None and one.wanted.action not in ALWAYS
            if one.leaves_by is None or not (stopped or now >= one.leaves_by):
                continue
            if not self._desk.lanes.withdraw(f"{KEY}:{number}"):
                one.leaves_by = None
                continue
            del self._open[number]
            answer = self._busy(now, _call(one.wanted), one.wanted, "no tokens in time")
            if stopped and halted is not None:
                answer = _halted(one.wanted, halted)
            effects += self._told.say([one.asker], answer, at)
        return effects

    def deadline(self) -> int | None:
        found = [one.leaves_by for one in self._open.values()]
        return min((by for by in found if by is not None), default=None)


def _flaw(wanted: ManageGroup) -> GroupAnswer | None:
    """What is wrong with a letter by itself."""
    limit = wanted.contracts_limit
    limited = wanted.action in ("create", "limit")
    if wanted.action == "create":
        if wanted.order_group_id:
            return _unfit(wanted, "order_group_id", "the exchange makes it up")
    elif not GROUP_ID.fits(wanted.order_group_id):
        return _unfit(wanted, "order_group_id", GROUP_ID.rule)
    if limited and not (limit is not None and 0 < limit <= GROUP_CONTRACTS_MAX):
        most = format_count(Count(GROUP_CONTRACTS_MAX))
        return _unfit(wanted, "contracts_limit", f"more than 0, at most {most}")
    if not limited and limit is not None:
        return _unfit(wanted, "contracts_limit", f"a {wanted.action} has none")
    if not 0 <= wanted.exchange_index <= SHARD_MAX:
        return _unfit(wanted, "exchange_index", f"0 to {SHARD_MAX}")
    return None


def _unfit(wanted: ManageGroup, field: str, rule: str) -> GroupAnswer:
    text = f"{field}: {rule}"
    return GroupAnswer("refused", wanted.order_group_id, f"invalid_{field}", text, field)


def _halted(wanted: ManageGroup, halted: Closed) -> GroupAnswer:
    code, text, wait_ms = halted
    return GroupAnswer("refused", wanted.order_group_id, code, text, retry_after_ms=wait_ms)


def _call(wanted: ManageGroup) -> Call:
    id, limit, shard = wanted.order_group_id, wanted.contracts_limit, wanted.exchange_index
    match wanted.action:
        case "create":
            return calls.create_group(limit or Count(0), shard)
        case "limit":
            return calls.limit_group(id, limit or Count(0), shard)
        case "reset":
            return calls.reset_group(id, shard)
        case "trigger":
            return calls.trigger_group(id, shard)
        case "delete":
            return calls.delete_group(id, shard)


def _answer(wanted: ManageGroup, ended: Ended) -> GroupAnswer:
    """What the end of a call says."""
    id, create = wanted.order_group_id, wanted.action == "create"
    match ended:
        case CallFailed(sent=False, reason=reason):
            return GroupAnswer("refused", id, "unreachable", reason)
        case CallFailed(reason=reason):
            found: GroupDone | Refusal | str = reason
        case CallAnswered(status=status, body=body):
            read = writes.group_made if create else writes.group_changed
            found = read(status, body)
    match found:
        case GroupDone(order_group_id=made):
            return GroupAnswer("done", made or id)
        case Refusal(code=code, text=text):
            return GroupAnswer("rejected", id, code, text)
    text = f"{found}: {PERHAPS if create else AGAIN}"
    return GroupAnswer("unknown", id, "no_answer", text)
