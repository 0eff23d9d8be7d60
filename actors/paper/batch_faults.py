"""Ways in which the answer to a batch can lie about its members."""

from typing import Any, Final, Literal

Manner = Literal["", "missing", "reordered", "extra", "repeated", "failed"]
STRANGER: Final = "ffffffff-ffff-4fff-bfff-ffffffffffff"  # an order that nobody has
FAILED: Final = {"code": "exchange_unavailable", "message": "exchange unavailable"}

Member = dict[str, Any]


def spoiled(body: Any, manner: Manner) -> Any:
    """A true body, with wrong members; one that has no members stays as it is.

    All but `reordered` happen at the front, so that who goes by places is wrong about all of them.
    """
    found = body.get("orders") if isinstance(body, dict) else None
    if not manner or not isinstance(found, list) or not found:
        return body
    first: Member = found[0]
    match manner:
        case "missing":
            found = found[1:]
        case "reordered":
            found = found[::-1]
        case "extra":
            found = [_stranger(first), *found]
        case "repeated":
            found = [first, *found]
        case "failed":
            found = [_failed(first), *found[1:]]
    return body | {"orders": found}


def _stranger(member: Member) -> Member:
    return member | {"order_id": STRANGER, "client_order_id": "stranger"}


def _failed(member: Member) -> Member:
    """The member says that its outcome is not known; it was done all the same."""
    if "reduced_by" in member:
        return member | {"reduced_by": "0.00", "ts_ms": None, "error": FAILED}
    names = {"client_order_id": name} if (name := member.get("client_order_id")) else {}
    counts = ("fill_count", "remaining_count", "average_fill_price", "average_fee_paid", "ts_ms")
    return names | dict.fromkeys(counts) | {"error": FAILED}
