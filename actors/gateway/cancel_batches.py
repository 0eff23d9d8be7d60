"""Batches of cancels: each is a cancel of its own, and those whose order id is known share a call.

What comes back is read by order id. A cancel that the answer does not confirm is looked at, as
after a call of its own; if the call fails, each goes on by itself. So a batch can make cancels
faster, and nothing less sure.
"""

from typing import Final

from msgspec import Struct

from actors.gateway.allowance import WRITE
from actors.gateway.batches import batch_flaw
from actors.gateway.cancels import Cancels
from actors.gateway.desk import Asker, CallAnswered, Desk, Ended
from actors.gateway.parts import Parts
from protocol.kalshi import batches, calls
from protocol.kalshi.calls import Call
from protocol.limits import BATCH_MAX, CANCEL_OPEN_MAX
from protocol.machine import Effect, Report
from protocol.messages import CancelBatch, CancelBatchAnswer, CancelOpenAnswer

KEY: Final = "cancels"


class _Shared(Struct, frozen=True):
    """A call that several cancels share."""

    ids: tuple[str, ...]  # by client_order_id
    call: Call


class OpenNow(Struct, frozen=True):
    """Orders of ours that may still fill, by client_order_id, and how many there are of others."""

    ids: tuple[str, ...]
    external: int


class CancelBatches:
    """The calls under way, by number."""

    def __init__(self, desk: Desk, cancels: Cancels, parts: Parts) -> None:
        self._desk = desk
        self._cancels = cancels
        self._parts = parts
        self._open: dict[int, _Shared] = {}
        self._number = 0

    def cancel(self, now: int, at: int, asker: Asker, wanted: CancelBatch) -> list[Effect]:
        """Take a batch. The same letter again, while it is under way, is the same batch."""
        if self._parts.waits(asker):
            return []
        ids = wanted.client_order_ids
        wrong = batch_flaw(list(ids), "client_order_ids[{}]")
        if wrong is not None:
            refused = CancelBatchAnswer((), wrong.code, wrong.text, wrong.field)
            return self._desk.answer([asker], refused, at)
        if self._parts.full:
            text = "too many batches are under way: cancel them one by one"
            return self._desk.answer([asker], CancelBatchAnswer((), "busy", text), at)
        together: list[str] = []
        effects: list[Effect] = []
        parts = self._parts.begin(asker, len(ids), CancelBatchAnswer)
        for part, id in zip(parts, ids, strict=True):
            effects += self._cancels.cancel(now, at, part, id, together)
        return [*effects, *self._send(now, together)]

    def cancel_open(self, now: int, at: int, asker: Asker, found: OpenNow | None) -> list[Effect]:
        """Cancel everything of ours that is open, up to a bound; None: nobody knows what is."""
        if self._parts.waits(asker):
            return []
        if found is None or self._parts.full:
            code = "not_restored" if found is None else "busy"
            text = "the account is not restored yet; a panic cancels without it"
            if found is not None:
                text = "too many batches are under way: ask again, or cancel them one by one"
            return self._desk.answer([asker], CancelOpenAnswer(code=code, text=text), at)
        ids = found.ids[:CANCEL_OPEN_MAX]
        left, external = len(found.ids) - len(ids), found.external
        if not ids:
            return self._desk.answer([asker], CancelOpenAnswer((), left, external), at)
        effects: list[Effect] = []
        parts = self._parts.begin(
            asker, len(ids), lambda answers: CancelOpenAnswer(answers, left, external)
        )
        together: list[str] = []
        for part, id in zip(parts, ids, strict=True):
            effects += self._cancels.cancel(now, at, part, id, together)
            if len(together) == BATCH_MAX:
                effects += self._send(now, together)
                together = []
        return [*effects, *self._send(now, together)]

    def _send(self, now: int, ids: list[str]) -> list[Effect]:
        """In one call, if there are several, it fits the budget and there is room in the lane."""
        if len(ids) > 1:
            self._number += 1
            call = calls.cancel_batch(self._cancels.called(id) for id in ids)
            if self._desk.lanes.submit(f"{KEY}:{self._number}", call):
                self._cancels.share(ids, self._number)
                self._open[self._number] = _Shared(tuple(ids), call)
                return []
        return self._cancels.part(now, ids)

    def due(self, now: int) -> list[Effect]:
        """A batch that waits, and that the budget has shrunk below, would be answered 429."""
        effects: list[Effect] = []
        allowance = self._desk.lanes.allowance
        for number, shared in list(self._open.items()):
            fits = allowance.fits(shared.call.lane, WRITE, allowance.cost(shared.call))
            if not fits and self._desk.lanes.withdraw(f"{KEY}:{number}"):
                del self._open[number]
                effects += self._cancels.part(now, self._cancels.sharing(shared.ids, number))
        return effects

    def ended(self, now: int, at: int, number: int, ended: Ended) -> list[Effect]:
        """The call has ended: each of those that shared it goes on by what it says of him."""
        shared = self._open.pop(number)
        order_ids = {id: self._cancels.called(id)[0] for id in self._sharing(number, shared)}
        if not isinstance(ended, CallAnswered):
            found: batches.Cancels | str = ended.reason
        else:
            found = batches.canceled(order_ids.values(), ended.status, ended.body)
        effects: list[Effect] = []
        if isinstance(found, str):
            for id in order_ids:
                effects += self._cancels.failed(now, id, found)
            return effects
        for id, order_id in order_ids.items():
            effects += self._cancels.told(now, at, id, found.outcomes[order_id])
        if found.strangers:
            named = ", ".join(found.strangers)
            text = f"the answer to a batch of cancels names what nobody asked for: {named}"
            effects.append(Report(text, grave=True))
        return effects

    def _sharing(self, number: int, shared: _Shared) -> list[str]:
        return self._cancels.sharing(shared.ids, number)
