"""Answers to batches that lie about their members: dropped, shuffled, doubled, made up."""

import random
from typing import Any

Row = dict[str, Any]
NOT_SURE = {"code": "exchange_unavailable", "message": "exchange unavailable"}
MANNERS = ("missing", "shuffled", "doubled", "contradicted", "a stranger", "not sure", "empty")


def spoiled(dice: random.Random, rows: list[Row]) -> tuple[str, list[Row]]:
    """In one manner; what was done stays done."""
    manner, rows = dice.choice(MANNERS), list(rows)
    place = dice.randrange(len(rows))
    one = rows[place]
    match manner:
        case "missing":
            del rows[place]
        case "shuffled":
            dice.shuffle(rows)
        case "doubled":
            rows.insert(dice.randrange(len(rows)), one)
        case "contradicted":
            rows.insert(dice.randrange(len(rows)), _unsure(one) if "error" in one else _other(one))
        case "a stranger":
            rows.insert(0, one | {"order_id": "o-stranger", "client_order_id": "stranger"})
        case "not sure":
            rows[place] = _unsure(one)
        case "empty":
            rows = []
    return manner, rows


def _other(row: Row) -> Row:
    """Another order id, or another count of a cancel."""
    if "reduced_by" in row:
        return row | {"reduced_by": "0.01"}
    return row | {"order_id": f"{row['order_id']}-other"}


def _unsure(row: Row) -> Row:
    if "reduced_by" in row:
        return row | {"reduced_by": "0.00", "ts_ms": None, "error": NOT_SURE}
    nothing = dict.fromkeys(("fill_count", "remaining_count", "ts_ms"))
    return {"client_order_id": row["client_order_id"], **nothing, "error": NOT_SURE}
