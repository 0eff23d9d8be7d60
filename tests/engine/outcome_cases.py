"""Table B2 as faults of the paper exchange: what may come back for a create, by what it means."""

from typing import Any, Final

Fault = dict[str, Any]


def said(status: int, body: Any, **more: Any) -> Fault:
    return {"answer": "json", "status": status, "body": body, **more}


def nested(code: str) -> Any:
    return {"error": {"code": code, "message": code.replace("_", " "), "service": "exchange"}}


AFTER: Final = {"when": "after"}  # the exchange has taken the order, whatever is answered
HTML: Final = "<html><body>Request blocked.</body></html>"

# A refusal of the exchange's own, in each shape: final, and its code is kept.
REFUSED: Final[dict[str, tuple[Fault, str]]] = {
    "400 nested": (said(400, nested("invalid_order")), "invalid_order"),
    "400 flat": (said(400, {"code": "bad_request", "message": "bad request"}), "bad_request"),
    "400 bare": (said(400, {"msg": "validation failed"}), "validation failed"),
    "400 string": (said(400, {"error": "insufficient balance"}), "insufficient_balance"),
    "403": (said(403, nested("forbidden")), "forbidden"),
    "404": (said(404, nested("market_not_found")), "market_not_found"),
    "410": (said(410, nested("gone")), "gone"),
}

# The order is there, but its answer does not say so.
THERE: Final[dict[str, Fault]] = {
    "201 cut off": {"answer": "truncate", **AFTER},
    "201 that is no JSON": said(201, '{"order_id": ', **AFTER),
    "201 of HTML": {"answer": "html", "status": 201, **AFTER},
    "201 without a body": {"answer": "empty", "status": 201, **AFTER},
    "201 without an order": said(201, {}, **AFTER),
    "201 for another id": {"merge": {"client_order_id": "another"}},
    "201 without an order_id": {"merge": {"order_id": None}},
    "201 in the former shape": said(
        201, {"order": {"order_id": "x", "status": "resting"}}, **AFTER
    ),
    "200 with the order": {"status": 200},
    "200 without an order": said(200, {}, **AFTER),
    "202": said(202, {}, **AFTER),
    "204": {"answer": "empty", "status": 204, **AFTER},
    "409 of a proxy that sent it twice": said(409, nested("order_already_exists"), **AFTER),
    "502 after it was taken": {"answer": "html", **AFTER},
    "504 after it was taken": {"answer": "html", "status": 504, **AFTER},
    "reset after it was taken": {"answer": "reset", **AFTER},
    "end after it was taken": {"answer": "close", **AFTER},
}

# The order is not there, but no answer proves it.
NOT_THERE: Final[dict[str, Fault]] = {
    "200": said(200, {}),
    "307": {"answer": "empty", "status": 307},
    "308": {"answer": "empty", "status": 308},
    "302 with a body": said(302, nested("moved")),
    "400 of HTML": {"answer": "html", "status": 400},
    "403 of HTML": {"answer": "html", "status": 403, "body": HTML},
    "404 of text": said(404, "404 page not found\n"),
    "408": said(408, nested("timeout")),
    "409": said(409, nested("order_already_exists")),
    "413 of text": said(413, "request body too large\n"),
    "418 without a body": {"answer": "empty", "status": 418},
    "422": said(422, nested("unprocessable")),
    "500": said(500, nested("internal_error")),
    "502 of HTML": {"answer": "html"},
    "503": said(503, nested("exchange_paused")),
    "504 without a body": {"answer": "empty", "status": 504},
    "reset before it was read": {"answer": "reset"},
    "end before it was read": {"answer": "close"},
    "429 of HTML": {"answer": "html", "status": 429},  # the last: the budget stands back after it
}

# Answers that take their time.
SLOW_THERE: Final[dict[str, Fault]] = {
    "silence after it was taken": {"answer": "silence", **AFTER},
    "an answer that drips": {"drip_ms": 200},
}
SLOW_NOT_THERE: Final[dict[str, Fault]] = {"silence": {"answer": "silence"}}
