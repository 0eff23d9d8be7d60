"""Amends that may be on record although the account shows them no more: the entries are asked.

An order remembers its last amend only. Whatever is said of another one, and above all that it was
refused, needs the ledger's word that it was never recorded.
"""

from msgspec import Struct

from actors.gateway import amend_terms
from actors.gateway.desk import Asker, Desk
from actors.gateway.told import Told
from protocol.limits import AMENDS_MAX, CANCEL_ASKERS_MAX, RECALL_MAX
from protocol.machine import Effect
from protocol.messages import AmendAnswer, AmendOrder, AnyMessage, EvidenceRequest

KEY = "recall amend:"


class _Recall(Struct):
    """One amend whose order's entries are being read."""

    wanted: AmendOrder
    askers: list[Asker]
    deadline: int
    refusal: AmendAnswer | None  # if they show that it was never recorded


class AmendRecalls:
    """All that are under way, by the id of the letter that asks for them."""

    def __init__(self, desk: Desk, refusals: Told[AmendAnswer]) -> None:
        self._desk = desk
        self._refusals = refusals
        self._open: dict[str, _Recall] = {}

    def ask(
        self,
        now: int,
        at: int,
        wanted: AmendOrder,
        askers: list[Asker],
        refusal: AmendAnswer | None = None,
    ) -> list[Effect]:
        """Answer by what the entries tell; with `refusal` if it was never recorded."""
        key = f"{KEY}{wanted.client_order_id} {wanted.amend_id}"
        running = self._open.get(key)
        if running is not None and running.wanted == wanted:
            room = CANCEL_ASKERS_MAX - len(running.askers)
            running.askers += [asker for asker in askers if asker not in running.askers][:room]
            return []
        if running is not None or len(self._open) >= AMENDS_MAX or self._desk.tells.crowded:
            return self._desk.answer(askers, amend_terms.unsure(wanted), at)
        self._open[key] = _Recall(wanted, list(askers), now + RECALL_MAX, refusal)
        request = EvidenceRequest(wanted.client_order_id)
        return self._desk.tells.tell(now, at, "rehydrator", key, request)

    def answered(self, at: int, key: str, told: AnyMessage | None) -> list[Effect]:
        """The entries are there; None: not in time."""
        recall = self._open.pop(key, None)
        if recall is None:
            return []
        said = amend_terms.recalled(recall.wanted, told)
        if said is not None:
            return self._desk.answer(recall.askers, said, at)
        if recall.refusal is not None:
            return self._refusals.say(recall.askers, recall.refusal, at)
        return self._desk.answer(recall.askers, amend_terms.never_left(recall.wanted), at)

    def due(self, now: int, at: int) -> list[Effect]:
        """Those that have waited too long."""
        effects: list[Effect] = []
        for key in [key for key, recall in self._open.items() if now >= recall.deadline]:
            self._desk.tells.answered(key)  # told no more
            effects += self.answered(at, key, None)
        return effects

    def deadline(self) -> int | None:
        return min((recall.deadline for recall in self._open.values()), default=None)
