"""What became of an order that was sent, by what came back or did not (table B2)."""

from actors.gateway.desk import CallAnswered, CallFailed, Ended
from protocol.facts import AnyFact, OrderAccepted, OrderDenied, OrderRejected, OrderUnknown
from protocol.kalshi import answers, batches
from protocol.kalshi.answers import Created, Refusal
from protocol.messages import Order, OrderAnswer, PlaceOrder

Outcome = tuple[AnyFact, OrderAnswer]


def outcome(order: PlaceOrder, ended: Ended) -> Outcome:
    """The fact for the ledger, and the answer for whoever asked."""
    match ended:
        case CallFailed():
            return _failed(order, ended)
        case CallAnswered(status=status, body=body):
            found = answers.outcome(order.client_order_id, status, body, order.count)
            return _answered(order, status, found)


def outcomes(orders: list[PlaceOrder], ended: Ended) -> tuple[list[Outcome], str]:
    """The same of each order of a batch, and whom its answer names that nobody asked for."""
    match ended:
        case CallFailed():
            return [_failed(order, ended) for order in orders], ""
        case CallAnswered(status=status, body=body):
            found = batches.created({o.client_order_id: o.count for o in orders}, status, body)
            each = found.outcomes
            said = [_answered(order, status, each[order.client_order_id]) for order in orders]
            return said, ", ".join(found.strangers)


def _failed(order: PlaceOrder, ended: CallFailed) -> Outcome:
    id, reason = order.client_order_id, ended.reason
    if ended.sent:
        return unknown(id, reason)
    fact = OrderDenied(id, f"unreachable: {reason}")
    return fact, OrderAnswer(id, "denied", code="unreachable", text=reason)


def _answered(order: PlaceOrder, status: int, found: Created | Refusal | str) -> Outcome:
    id = order.client_order_id
    match found:
        case Created():
            return _accepted(order, found)
        case Refusal(code=code, text=text):
            rejected = OrderRejected(id, status, code, text)
            return rejected, OrderAnswer(id, "rejected", code=code, text=text)
    return unknown(id, found)


def unknown(id: str, reason: str) -> Outcome:
    """Sent, or perhaps sent, and nothing settles it yet."""
    return OrderUnknown(id, reason), OrderAnswer(id, "unknown", code="no_answer", text=reason)


def _accepted(order: PlaceOrder, made: Created) -> Outcome:
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
