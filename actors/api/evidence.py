"""What is known of one order, as JSON: its entries in the ledger, and how far the gateway is with
finding out whether it is there at all."""

from typing import Any

from actors.api.bodies import Problem
from protocol.lifecycle import UNSETTLED
from protocol.messages import AnyMessage, DoubtAnswer, EvidenceAnswer, Order, Refused


def flaw(found: EvidenceAnswer, order: Order | None) -> Problem | None:
    """Why there is nothing to show: it can't be told now, or nobody knows the order."""
    if found.reason:
        return Problem(503, "not_ready", found.reason, retry_after_ms=1_000)
    if not found.entries and order is None:
        return Problem(404, "not_found", "no such order")
    return None


def in_doubt(order: Order | None) -> bool:
    """Whether the gateway has something to say about it."""
    return order is not None and order.state in UNSETTLED


def evidence_body(
    name: str, order: Order | None, found: EvidenceAnswer, doubt: AnyMessage | str
) -> dict[str, Any]:
    """The answer. `doubt` is the gateway's, or why it has none ("": the order is settled).

    `order` is null for one that ended so long ago that only the ledger's entries know it.
    """
    match doubt:
        case DoubtAnswer():
            reason = ""
        case Refused(reason=reason):
            pass
        case str():
            reason = doubt
        case _:
            reason = f"the gateway answered {type(doubt).__name__}"
    return {
        "client_order_id": name,
        "order": order,
        "evidence": [
            {"n": e.n, "at": e.at, "source": e.source, "id": e.id, "fact": e.fact}
            for e in found.entries
        ],
        "complete": found.complete,
        "n": found.n,
        "resolving": doubt if isinstance(doubt, DoubtAnswer) else None,
        "reason": reason,
    }
