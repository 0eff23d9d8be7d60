"""Requests that the ledger's entries answer: the evidence of an order, and an order that memory
does not have any more. Of an order in doubt the gateway is asked, too, how far it is."""

from typing import Any, Final

from actors.api.asks import GetEvidence, GetOrder
from actors.api.evidence import evidence_body, flaw, in_doubt
from actors.api.listing import folded, one_order
from actors.api.pending import Open, Pending
from actors.api.replies import AsOf, Reply, as_json, refuse
from protocol.account import Account
from protocol.follower import LedgerFollower
from protocol.limits import SECOND
from protocol.machine import Effect
from protocol.messages import AnyMessage, DoubtRequest, EvidenceAnswer
from protocol.recall import recalled
from protocol.telling import Outstanding

DOUBT_MAX: Final = 2 * SECOND  # for the gateway's word: the evidence stands alone, too


class Proofs:
    """What is said once the entries are there. Who waits for them waits in `Pending`."""

    def __init__(self, ledger: LedgerFollower, tells: Outstanding, pending: Pending) -> None:
        self._ledger = ledger
        self._tells = tells
        self._pending = pending

    def answered(self, now: int, at: int, waiting: Open, body: AnyMessage) -> list[Effect]:
        """The entries are there; or, after them, the gateway's word."""
        assert isinstance(waiting.ask, GetEvidence | GetOrder)
        id, name = waiting.id, waiting.ask.client_order_id
        order = self._account.order(name)
        if waiting.found is not None:
            return [self._proof(now, at, waiting, evidence_body(name, order, waiting.found, body))]
        assert isinstance(body, EvidenceAnswer)
        problem = flaw(body, order)
        if problem is not None:
            return [refuse(id, problem)]
        if isinstance(waiting.ask, GetOrder):
            order = order or recalled(name, body)
            as_of = {"n": self._account.n} | self._since(now, at, waiting).told(at)
            return [one_order(id, order, as_of, self._account)]
        if not in_doubt(order):
            return [self._proof(now, at, waiting, evidence_body(name, order, body, ""))]
        if self._tells.full:
            late = "too many letters are waiting"
            return [self._proof(now, at, waiting, evidence_body(name, order, body, late))]
        letter = f"doubt:{id}"
        self._pending.keep(letter, Open(id, waiting.ask, now + DOUBT_MAX, waiting.at, body))
        return self._tells.tell(now, at, "gateway", letter, DoubtRequest(name))

    def without_gateway(self, now: int, at: int, waiting: Open) -> Reply:
        """The gateway did not answer in time: the entries stand alone."""
        assert isinstance(waiting.ask, GetEvidence) and waiting.found is not None
        name = waiting.ask.client_order_id
        silent = "the gateway did not answer in time"
        body = evidence_body(name, self._account.order(name), waiting.found, silent)
        return self._proof(now, at, waiting, body)

    @property
    def _account(self) -> Account:
        assert self._ledger.account is not None  # nothing is asked for before
        return self._ledger.account

    def _proof(self, now: int, at: int, waiting: Open, body: dict[str, Any]) -> Reply:
        as_of = self._since(now, at, waiting)
        return Reply(waiting.id, 200, as_json(body | as_of.told(at)))

    def _since(self, now: int, at: int, waiting: Open) -> AsOf:
        """Of when an answer is that comes from the ledger and from the account in memory."""
        return AsOf(min(waiting.at, folded(self._ledger, now, at).at))
