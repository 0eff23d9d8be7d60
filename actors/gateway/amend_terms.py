"""The terms of an amend: whether they make sense, and what is answered about them."""

from typing import Final

from msgspec.structs import replace

from actors.gateway.markets import Flaw
from actors.gateway.terms import is_client_order_id
from protocol.errors import RemoteProtocolError
from protocol.facts import AmendIntended, AmendOutcome, Outcome
from protocol.lifecycle import FINISHED
from protocol.limits import CLIENT_ORDER_ID_CHARS_MAX, COUNT_MAX
from protocol.messages import Amend, AmendAnswer, AmendOrder, AnyMessage, Order
from protocol.recall import recalled_amend
from protocol.units import DOLLAR, Count, format_count

_OUTCOMES: Final[dict[str, Outcome]] = {
    "accepted": "done",
    "rejected": "rejected",
    "denied": "denied",
    "unknown": "unknown",
    "unavailable": "withdrawn",
}
GONE: Final = Flaw("order_not_open", "client_order_id", "the order does not rest any more")


def flaw(order: Order, wanted: AmendOrder) -> Flaw | None:
    """What is wrong with an amend's terms. Neither the market nor the exchange is asked."""
    if not is_client_order_id(wanted.amend_id):
        chars = CLIENT_ORDER_ID_CHARS_MAX
        return _wrong("amend_id", f"1 to {chars} printable ASCII characters, no space")
    if not 0 < wanted.price < DOLLAR:
        return _wrong("price", "more than 0 and less than 1 dollar")
    if not order.filled < wanted.count <= COUNT_MAX:
        filled, most = format_count(order.filled), format_count(COUNT_MAX)
        rule = f"of the whole order: more than the {filled} that are filled, at most {most}"
        return _wrong("count", rule)
    if (wanted.price, wanted.count) == (order.price, order.count):
        return _wrong("price", "the order has this price and this count already")
    return None


def _wrong(field: str, rule: str) -> Flaw:
    return Flaw("invalid_amend", field, f"{field}: {rule}")


def intent(wanted: AmendOrder) -> AmendIntended:
    """What is recorded before it may leave."""
    return AmendIntended(wanted.client_order_id, wanted.amend_id, wanted.price, wanted.count)


def pending(wanted: AmendOrder) -> Amend:
    """What the order remembers of it while nobody knows its outcome."""
    return Amend(wanted.amend_id, wanted.price, wanted.count, "intended")


def answer(
    wanted: AmendOrder, outcome: str, order: Order | None = None, code: str = "", text: str = ""
) -> AmendAnswer:
    """What became of it."""
    who = wanted.client_order_id, wanted.amend_id
    return AmendAnswer(*who, outcome, order, code, text)  # type: ignore[arg-type]


def accepted(wanted: AmendOrder, order: Order) -> AmendAnswer:
    """The exchange has the order with its new terms."""
    left = Count(max(wanted.count - order.filled, 0))
    done = replace(pending(wanted), state="done")
    shown = replace(order, price=wanted.price, count=wanted.count, remaining=left, amend=done)
    return answer(wanted, "accepted", shown)


def outcome(answer: AmendAnswer, exchange_at: int) -> AmendOutcome:
    """The fact of an answer. `exchange_at` in microseconds, where the exchange confirmed it."""
    text = (
        f"{answer.code}: {answer.text}" if answer.outcome in ("rejected", "denied") else answer.text
    )
    return AmendOutcome(
        answer.client_order_id, answer.amend_id, _OUTCOMES[answer.outcome], text, exchange_at
    )


def denial(wanted: AmendOrder, wrong: Flaw) -> AmendAnswer:
    """The answer that refuses it: nothing was sent."""
    return replace(
        answer(wanted, "denied", None, wrong.code, wrong.text),
        retry_after_ms=wrong.wait_ms,
        field=wrong.field,
        limit=wrong.limit,
        value=wrong.value,
    )


def conflict(wanted: AmendOrder) -> AmendAnswer:
    """The id is taken."""
    text = "this amend_id belongs to an amend of the order with other terms"
    return replace(answer(wanted, "conflict", None, "amend_id_taken", text), field="amend_id")


def told(wanted: AmendOrder, order: Order | None, amend: Amend) -> AmendAnswer:
    """What the ledger says of an amend, as it was told the first time; and that nobody will ever
    know, if its order has ended before."""
    if amend.pending and order is not None and order.state in FINISHED:
        text = f"the order is {order.state}, and nothing says whether the amend held before"
        return answer(wanted, "over", order, "order_ended", text)
    match amend.state:
        case "done":
            return answer(wanted, "accepted", order)
        case "rejected" | "denied":
            code, _, text = amend.text.partition(": ")
            return answer(wanted, amend.state, order, code, text)
        case "absent":
            return answer(wanted, "rejected", order, "absent", amend.text)
        case "withdrawn":
            return answer(wanted, "unavailable", order, "not_recorded", amend.text)
        case "intended" | "unknown":
            return answer(wanted, "unknown", order, amend.state, amend.text)


def recalled(wanted: AmendOrder, entries: AnyMessage | None) -> AmendAnswer | None:
    """What the ledger's entries say of an amend; None if it never was one of its order's."""
    if entries is None:
        return unsure(wanted)
    try:
        order, found = recalled_amend(wanted.client_order_id, wanted.amend_id, entries)
    except RemoteProtocolError:
        return unsure(wanted)
    if found is None:
        return None
    same = (found.price, found.count) == (wanted.price, wanted.count)
    return told(wanted, order, found) if same else conflict(wanted)


def unsure(wanted: AmendOrder) -> AmendAnswer:
    """Nobody tells what became of it, or whether it was recorded at all."""
    return answer(wanted, "unknown", None, "repeat", "a former life may have sent it")


def never_left(wanted: AmendOrder) -> AmendAnswer:
    """It was recorded, and never was its order's."""
    text = "it was recorded while the order could not be amended, and will not be sent"
    return answer(wanted, "unavailable", None, "not_recorded", text)
