"""What amends make of an order: the part of the fold that keeps both terms while either may hold.

An amend that was sent, or perhaps sent, leaves two possible orders. Until its outcome is known the
order keeps its former terms and remembers the new ones, and counts as the larger of both.
"""

from msgspec.structs import replace

from protocol.facts import AmendIntended, AmendOutcome
from protocol.lifecycle import AT_RISK
from protocol.messages import Amend, Order
from protocol.units import Count, Price


def whole_at_most(order: Order) -> Count:
    """What the order may come to in all, filled ones included."""
    amend = order.amend
    return max(order.count, amend.count) if amend is not None and amend.pending else order.count


def intended(order: Order, fact: AmendIntended) -> Order | None:
    """The order with an amend that may leave now; None if it may not.

    One amend at a time: what comes while another is pending never leaves. One that was withdrawn
    before its intent came stays so.
    """
    before = order.amend
    known = before is not None and (before.pending or before.id == fact.amend_id)
    if known or order.state not in AT_RISK:
        return None
    return replace(order, amend=Amend(fact.amend_id, fact.price, fact.count, "intended"))


def resolved(order: Order, fact: AmendOutcome) -> Order | None:
    """The order once there is this outcome; None if it means nothing any more."""
    before = order.amend
    if before is None or (before.id != fact.amend_id and not before.pending):
        if fact.outcome != "withdrawn":
            return None
        gone = Amend(fact.amend_id, order.price, order.count, "withdrawn", fact.text)
        return replace(order, amend=gone)
    if before.id != fact.amend_id or not before.pending:
        return None
    order = replace(order, amend=replace(before, state=fact.outcome, text=fact.text))
    if fact.outcome != "done":
        return order
    at = fact.exchange_at // 1_000
    if order.updated_at > at:  # a sighting of later terms was faster
        return order
    return replace(order, price=before.price, count=before.count, amended_at=at)


def shown(order: Order, price: Price, count: Count, newer: bool) -> Order:
    """The order once a sighting has shown its terms.

    The new ones mean that the amend is done, also in the same millisecond as what was seen before;
    others count if they are newer.
    """
    amend = order.amend
    if amend is not None and amend.pending and (amend.price, amend.count) == (price, count):
        return replace(order, price=price, count=count, amend=replace(amend, state="done", text=""))
    return replace(order, price=price, count=count) if newer else order
