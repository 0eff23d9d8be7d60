"""What became of an order that was sent, by what came back or did not (table B2)."""

from actors.gateway.desk import CallAnswered, CallFailed, Ended
from protocol.facts import AnyFact, OrderAccepted, OrderDenied, OrderRejected, OrderUnknown
from protocol.kalshi import answers
from protocol.kalshi.answers import Created, Refusal
from protocol.messages import Order, OrderAnswer, PlaceOrder


def outcome(order: PlaceOrder, ended: Ended) -> tuple[AnyFact, OrderAnswer]:
    """The fact for the ledger, and the answer for whoever asked."""
    id = order.client_order_id
    match ended:
        case CallFailed(sent=False, reason=reason):
            fact = OrderDenied(id, f"unreachable: {reason}")
            return fact, OrderAnswer(id, "denied", code="unreachable", text=reason)
        case CallFailed(reason=reason):
            return unknown(id, reason)
        case CallAnswered(status=status, body=body):
            found = answers.outcome(id, status, body, order.count)
    match found:
        case Created():
            return _accepted(order, found)
        case Refusal(code=code, text=text):
            rejected = OrderRejected(id, status, code, text)
            return rejected, OrderAnswer(id, "rejected", code=code, text=text)
    return unknown(id, found)


def unknown(id: str, reason: str) -> tuple[AnyFact, OrderAnswer]:
    """Sent, or perhaps sent, and nothing settles it yet."""
    return OrderUnknown(id, reason), OrderAnswer(id, "unknown", code="no_answer", text=reason)


def _accepted(order: PlaceOrder, made: Created) -> tuple[AnyFact, OrderAnswer]:
    o, id = order, order.client_order_id
    fact = OrderAccepted(
        id, made.order_id, made.fill_count, made.remaining_count, made.ts_ms * 1_000
    )
    whole = made.fill_count >= o.count
    shown = Order(
        id,
        made.order_id,
        o.ticker,
        o.side,
        o.price,
        o.count,
        o.time_in_force,
        "resting" if made.remaining_count > 0 else "executed" if whole else "canceled",
        made.fill_count,
        made.remaining_count,
    )
    return fact, OrderAnswer(id, "accepted", shown)
