"""Answers over HTTP: which status, which JSON; problems as application/problem+json (RFC 9457)."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.api import markets
from actors.api.asks import (
    Ask,
    AskMarkets,
    GetBook,
    GetLedger,
    SetHalt,
)
from actors.api.bodies import Problem
from actors.api.books import best
from actors.api.groups import AskGroup, done
from protocol.errors import RemoteProtocolError
from protocol.machine import Effect
from protocol.messages import (
    AmendAnswer,
    AnyMessage,
    BatchAnswer,
    BookAnswer,
    BrakesAnswer,
    BudgetAnswer,
    CancelAnswer,
    CancelBatchAnswer,
    CancelOpenAnswer,
    DecreaseAnswer,
    Entries,
    FollowAnswer,
    GroupAnswer,
    HaltAnswer,
    InquiryAnswer,
    OrderAnswer,
    PanicAnswer,
    Refused,
    RestoreAnswer,
)
from protocol.units import encode_unit

ORDER_STATUS = {"accepted": 201, "rejected": 422, "unknown": 202, "conflict": 409, "over": 409}
NOT_OPEN = {"order_not_found": 404, "order_not_open": 409, "amend_under_way": 409}
CANCEL_STATUS = {
    "canceled": 200,
    "gone": 409,
    "not_found": 404,
    "unknown": 202,
    "unavailable": 503,
}
DECREASE_STATUS = {
    "decreased": 200,
    "gone": 409,
    "not_found": 404,
    "rejected": 422,
    "unknown": 202,
    "unavailable": 503,
}
THEIR_WORD = frozenset({400, 404, 409, 410, 422})  # of the exchange, about what was asked
NOT_NOW = frozenset(
    {"halted", "gate_closed", "account_stale", "busy", "stopping", "not_recorded", "unreachable"}
    | {"withdrawn", "rest_not_ready", "restore_unconfirmed", "cancel_all_hold"}
    | {"unresolved_order", "market_not_read", "exchange_paused"}
    | {"book_not_live", "balance_not_read", "orders_a_second", "disarmed"}
)


class AsOf(Struct, frozen=True):
    """What was so before this moment (microseconds) is in an answer."""

    at: int

    def told(self, now: int) -> dict[str, int]:
        """As it stands in an answer given at `now`, microseconds."""
        return {"as_of": self.at, "age_ms": max(now - self.at, 0) // 1_000}


class Reply(Effect, frozen=True):
    """The answer to one request: JSON, and where to look further. `unsure`: a refusal of something
    that may have been done."""

    id: int
    status: int
    body: bytes
    location: str = ""
    unsure: bool = False
    retry_after_ms: int = 0


def translate(id: int, ask: Ask, body: AnyMessage, at: int, asked_at: int | None = None) -> Reply:
    """What the engine's answer to a request is over HTTP, as of when it was asked."""
    as_of = AsOf(at if asked_at is None else asked_at)
    match body:
        case InquiryAnswer() if isinstance(ask, AskMarkets):
            return converted(id, ask, body, as_of, at)
        case Entries() if isinstance(ask, GetLedger):
            return paged(id, ask, body, as_of.told(at))
        case BudgetAnswer():
            return dated(id, body, as_of.told(at))
        case CancelOpenAnswer():
            return canceled_all(id, ask, body, at)
        case OrderAnswer() | AmendAnswer():
            return placed(id, body)
        case BatchAnswer() | CancelBatchAnswer():
            return together(id, ask, body, at)
        case CancelAnswer(outcome=outcome, text=text):
            status = CANCEL_STATUS[outcome]
            if status >= 400:
                return refuse(id, Problem(status, outcome, text))
            return Reply(id, status, as_json(body))
        case DecreaseAnswer(outcome=outcome, code=code, text=text):
            status = DECREASE_STATUS[outcome]
            if status >= 400:
                return refuse(id, Problem(status, code or outcome, text))
            return Reply(id, status, as_json(body))
        case GroupAnswer() if isinstance(ask, AskGroup):
            found = done(ask.wanted, body)
            return (
                refuse(id, found) if isinstance(found, Problem) else Reply(id, found, as_json(body))
            )
        case HaltAnswer(halted=True, reason=reason) if not _halts(ask):
            return refuse(id, Problem(409, "still_halted", reason))
        case HaltAnswer(saved=False, reason=reason):
            return refuse(id, Problem(503, "latch_not_saved", reason, retry_after_ms=1_000))
        case HaltAnswer() | RestoreAnswer(state="confirmed"):
            return Reply(id, 200, as_json(body))
        case PanicAnswer(state=state):
            return Reply(id, 200 if state == "done" else 202, as_json(body))
        case RestoreAnswer(state=state, reason=reason):
            code = "no_restore" if state == "none" else "restore_refused"
            return refuse(id, Problem(409, code, reason))
        case BookAnswer():
            return booked(id, ask, body, at)
        case InquiryAnswer():
            return looked(id, body)
        case BrakesAnswer(saved=False, reason=reason):
            return refuse(id, Problem(503, "brakes_not_saved", reason, retry_after_ms=1_000))
        case BrakesAnswer(reason=reason) if reason:
            return refuse(id, Problem(422, "brakes_refused", reason))
        case BrakesAnswer():
            return dated(id, body, as_of.told(at))
        case FollowAnswer(reason=reason) if reason:
            return refuse(id, Problem(422, "follow_refused", reason))
        case FollowAnswer(wishes=wishes, markets=markets, live=live, left_out=left_out):
            known = {"wishes": wishes, "markets": markets, "live": live, "left_out": left_out}
            return Reply(id, 200, as_json(known | as_of.told(at)))
        case Refused(reason=reason):
            return refuse(id, Problem(502, "unexpected_answer", reason))
    return refuse(id, Problem(502, "unexpected_answer", type(body).__name__))


def booked(id: int, ask: Ask, book: BookAnswer, at: int) -> Reply:
    """A book with its levels, or why they may not be used.

    `as_of`: no change before it is missing; where that is not known, the last change itself.
    """
    allowed = isinstance(ask, GetBook) and ask.stale
    match book.state:
        case "lost":
            return refuse(id, Problem(409, "book_lost", book.reason, retry_after_ms=1_000))
        case "not followed":
            return refuse(id, Problem(404, "not_followed", f"{book.ticker} is not followed"))
        case "stale" if not allowed:
            return refuse(id, Problem(409, "book_stale", book.reason, retry_after_ms=1_000))
    as_of = AsOf(book.as_of or book.received_at)
    depth = ask.depth if isinstance(ask, GetBook) else 0
    book = replace(book, yes=best(book.yes, depth), no=best(book.no, depth))
    fields = msgspec.to_builtins(book, enc_hook=encode_unit)
    return Reply(id, 200, as_json(fields | as_of.told(at)))


def looked(id: int, answer: InquiryAnswer) -> Reply:
    """The exchange's own JSON as it is; or why there is none.

    Its word about the question goes out under its own status; what it says of us (401, 403), of
    itself (5xx) or not at all is a 502, and what is worth another try by and by a 503.
    """
    if answer.state == "answered":
        return Reply(id, 200, bytes(answer.body))
    status = 502
    if answer.code == "answer_too_large" or answer.state == "refused":
        status = 422
    if answer.state == "rejected" and answer.status in THEIR_WORD:
        status = answer.status
    if answer.retry_after_ms:
        status = 503
    problem = Problem(status, answer.code, answer.text, answer.field, answer.retry_after_ms)
    return refuse(id, problem)


def converted(id: int, ask: AskMarkets, answer: InquiryAnswer, asked: AsOf, at: int) -> Reply:
    """The exchange's answer in our own form."""
    if answer.state != "answered":
        return looked(id, answer)
    try:
        found = markets.told(ask, bytes(answer.body))
    except RemoteProtocolError as e:
        return refuse(id, Problem(502, "unreadable_answer", str(e)))
    as_of = AsOf(asked.at - markets.cached(ask))
    return Reply(id, 200, as_json(found | as_of.told(at)))


def paged(id: int, ask: GetLedger, body: Entries, as_of: dict[str, int]) -> Reply:
    """A page of the ledger."""
    last = body.entries[-1].n if body.entries else ask.since
    cursor = str(last) if body.entries and last < body.head else ""
    found = {"entries": body.entries, "head": body.head, "cursor": cursor}
    return Reply(id, 200, as_json(found | as_of))


def dated(id: int, body: AnyMessage, as_of: dict[str, Any]) -> Reply:
    """A letter's body as it is, and of when that is."""
    fields: dict[str, Any] = msgspec.to_builtins(body, enc_hook=encode_unit)
    return Reply(id, 200, as_json(fields | as_of))


def canceled_all(id: int, ask: Ask, body: CancelOpenAnswer, at: int) -> Reply:
    """One row for each order that was open; 202 while something of ours may still fill."""
    if body.code:
        return refuse(id, Problem(503, body.code, body.text, retry_after_ms=1_000))
    found = [(one.client_order_id, translate(id, ask, one, at)) for one in body.answers]
    rows = [
        {"status": one.status, "client_order_id": name} | msgspec.json.decode(one.body)
        for name, one in found
    ]
    open_still = body.left or any(one.status in (202, 503) for _, one in found)
    told = {"orders": rows, "left": body.left, "external": body.external}
    return Reply(id, 202 if open_still else 200, as_json(told))


def _halts(ask: Ask) -> bool:
    return isinstance(ask, SetHalt) and ask.halted


def placed(id: int, answer: OrderAnswer | AmendAnswer) -> Reply:
    """200, 201, 202, 404, 409, 422 or 503, by what became of an order or an amend."""
    where = f"/v1/orders/{answer.client_order_id}"
    status = ORDER_STATUS.get(answer.outcome, 503)
    if isinstance(answer, AmendAnswer) and status == 201:
        status = 200
    on_record = answer.order is not None  # a denial that the ledger holds: the id is used up
    if answer.outcome == "denied" and (on_record or answer.code not in NOT_NOW):
        status = NOT_OPEN.get(answer.code, 422)
    if status in (200, 201, 202):
        return Reply(id, status, as_json(answer), where)
    code = answer.code or answer.outcome
    text = answer.text or answer.outcome
    wait = answer.retry_after_ms
    return refuse(id, Problem(status, code, text, answer.field, wait, answer.limit, answer.value))


def together(id: int, ask: Ask, body: BatchAnswer | CancelBatchAnswer, at: int) -> Reply:
    """Each answer as it would be alone, with its status; or why the whole batch was refused."""
    if not body.code:
        each = ((one.client_order_id, translate(id, ask, one, at)) for one in body.answers)
        return _listed(
            id, [(name, one.status, msgspec.json.decode(one.body)) for name, one in each]
        )
    wait, limit, value = 0, "", ""
    if isinstance(body, BatchAnswer):
        wait, limit, value = body.retry_after_ms, body.limit, body.value
    status = 503 if wait or body.code in NOT_NOW else 422
    problem = Problem(status, body.code, body.text, body.field, wait, limit, value)
    return refuse(id, problem)


def unanswered(id: int, names: Iterable[str], text: str) -> Reply:
    """A batch of which nothing is known."""
    return _listed(id, [(name, 202, {"outcome": "unknown", "text": text}) for name in names])


def _listed(id: int, rows: list[tuple[str, int, dict[str, Any]]]) -> Reply:
    orders = [{"status": status, "client_order_id": name} | body for name, status, body in rows]
    return Reply(id, 200, as_json({"orders": orders}))


def refuse(id: int, problem: Problem) -> Reply:
    """A problem as an answer."""
    body, again = problem_body(problem), problem.retry_after_ms
    return Reply(id, problem.status, body, retry_after_ms=again)


def problem_body(problem: Problem) -> bytes:
    """application/problem+json (RFC 9457) with our stable code."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.code.replace("_", " "),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }
    if problem.field:
        body["field"] = problem.field
    if problem.retry_after_ms:
        body["retry_after_ms"] = problem.retry_after_ms
    if problem.limit:
        body |= {"limit": problem.limit, "value": problem.value}
    return as_json(body)


def as_json(body: Any) -> bytes:
    return msgspec.json.encode(body, enc_hook=encode_unit)
