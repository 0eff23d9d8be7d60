"""Answers and refusals.

Three shapes of error body are on the wire: nested, flat and bare (captures `orders__*`,
`markets__limit_over_max`). Each refusal has the shape that was seen, or that of its nearest
relative.
"""

from typing import Any, Final, NamedTuple

SEEN: Final = {  # codes whose spelling is known (captures, FACTS.md section 6.1)
    "AMEND_ORDER_NO_OP",
    "insufficient_balance",
    "invalid_UUID",
    "invalid_order",
    "invalid_order_size",
    "invalid_price",
    "not_found",
    "order_already_exists",
    "order_id_and_client_order_id_mismatch",
    "order_side_mismatch",
    "order_ticker_mismatch",
    "too_many_requests",
}


class Answer(NamedTuple):
    """An HTTP status and the body under it; None is no body, text goes as text/plain."""

    status: int
    body: dict[str, Any] | str | None


class Refused(Exception):
    """A request was refused; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


def nested(status: int, code: str, details: str = "", service: str = "exchange") -> Answer:
    """`{"error":{"code","message",…}}`: most errors look so."""
    error = {"code": code, "message": code.replace("_", " ")}
    if details:
        error["details"] = details
    if service:
        error["service"] = service
    return Answer(status, {"error": error})


def invalid_order(details: str) -> Answer:
    """As capture `orders__post_only_cross`: details, and no service."""
    return nested(400, "invalid_order", details, service="")


def uppercase(body: Any) -> Any:
    """A body whose codes are spelled as the engine's own texts, but for those that were seen."""
    if not isinstance(body, dict):
        return body
    found = dict(body)
    error = found.get("error")
    if isinstance(error, dict) and error["code"] not in SEEN:
        found["error"] = error | {"code": error["code"].upper()}
    if isinstance(found.get("orders"), list):
        found["orders"] = [uppercase(member) for member in found["orders"]]
    return found
