"""Which process answers what is asked, by which letter, for how long it may take, and what is said
if it stays silent. Orders are never guessed: without an answer in time the word is unknown."""

from typing import Final, NamedTuple

from msgspec.structs import replace

from actors.api.amends import AmendIt
from actors.api.asks import (
    Ask,
    AskMarkets,
    Cancel,
    CancelAll,
    Confirm,
    Decrease,
    GetBook,
    GetBudget,
    GetEvidence,
    GetFollow,
    GetLedger,
    GetList,
    GetOrder,
    Place,
    PressPanic,
    SetBrakes,
    SetFollow,
    SetHalt,
)
from actors.api.batches import CancelMany, PlaceMany
from actors.api.bodies import Problem
from actors.api.exchange import AskExchange
from actors.api.groups import AskGroup
from actors.api.replies import Reply, as_json, refuse, unanswered
from protocol.limits import INQUIRY_MAX, REQUEST_MAX, SECOND
from protocol.messages import (
    AnyMessage,
    BookRequest,
    BudgetRequest,
    CancelBatch,
    CancelOpen,
    CancelOrder,
    ConfirmRestore,
    DecreaseOrder,
    EntriesRequest,
    EvidenceRequest,
    Follow,
    GroupAnswer,
    Halt,
    Panic,
    PlaceBatch,
    Resume,
    TightenBrakes,
)

BOOK_MAX: Final = 2 * SECOND  # a look at what the stream has in its memory
AT_ANY_TIME: Final = (  # these wait for no account
    Cancel, CancelMany, CancelAll, Decrease, AskGroup, SetHalt, PressPanic, Confirm,
)  # fmt: skip
AGAIN: Final = "no answer in time: ask again"


class Addressed(NamedTuple):
    """A letter, to whom, and the id under which it is told until it is answered."""

    peer: str
    id: str
    body: AnyMessage


def patience(ask: Ask) -> int:
    """How long the engine has for an answer."""
    match ask:
        case GetBook() | GetFollow() | GetList():
            return BOOK_MAX
        case AskExchange() | AskMarkets():
            return INQUIRY_MAX
    return REQUEST_MAX


def letter_for(id: int, ask: Ask) -> Addressed:
    """The letter by which a request is passed on. `id` is the request's, new with each."""
    match ask:
        case Cancel(client_order_id=name):
            return Addressed("gateway", f"cancel:{id}", CancelOrder(name))
        case Decrease(wanted=wanted):
            return Addressed("gateway", f"decrease:{id}", wanted)
        case AskGroup(wanted=change):
            return Addressed("gateway", f"group:{id}", change)
        case CancelMany(client_order_ids=names):
            return Addressed("gateway", f"cancels:{id}", CancelBatch(names))
        case CancelAll(ticker=ticker):
            return Addressed("gateway", f"cancel-all:{id}", CancelOpen(ticker))
        case SetHalt(halted=halted, reason=reason):
            return Addressed("gateway", f"halt:{id}", Halt(reason) if halted else Resume(reason))
        case PressPanic(reason=reason):
            return Addressed("gateway", f"panic:{id}", Panic(reason))
        case Confirm(confirmed_by=by):
            return Addressed("gateway", f"restore:{id}", ConfirmRestore(by))
        case Place(order=order):
            return Addressed("gateway", f"place:{order.client_order_id}:{id}", order)
        case PlaceMany(orders=orders):
            return Addressed("gateway", f"batch:{id}", PlaceBatch(orders))
        case AskExchange(inquire=inquire) | AskMarkets(inquire=inquire):
            return Addressed("gateway", f"inquiry:{id}", inquire)
        case SetBrakes(brakes=brakes):
            return Addressed("gateway", f"brakes:{id}", TightenBrakes(brakes))
        case GetBudget():
            return Addressed("gateway", f"budget:{id}", BudgetRequest())
        case GetBook(ticker=ticker):
            return Addressed("stream", f"book:{id}", BookRequest(ticker))
        case GetFollow():
            return Addressed("stream", f"follow:{id}", Follow())
        case SetFollow(add=add, remove=remove):
            return Addressed("stream", f"follow:{id}", Follow(add, remove))
        case GetEvidence(client_order_id=name) | GetOrder(client_order_id=name):
            return Addressed("rehydrator", f"evidence:{id}", EvidenceRequest(name))
        case GetLedger(since=since, limit=limit):
            return Addressed("writer", f"page:{id}", EntriesRequest(since, limit))
    raise AssertionError(f"nobody else is asked: {ask}")


def silence(id: int, ask: Ask) -> Reply:
    """What is said when there is no answer in time."""
    match ask:
        case Place(order=order):
            name = order.client_order_id
            body = _unknown(name, f"{AGAIN} with the same client_order_id")
            return Reply(id, 202, as_json(body), f"/v1/orders/{name}")
        case PlaceMany(orders=orders):
            names = (order.client_order_id for order in orders)
            return unanswered(id, names, f"{AGAIN} with the same client_order_id")
        case CancelMany(client_order_ids=names):
            return unanswered(id, names, AGAIN)
        case AmendIt(client_order_id=name, amend_id=amend_id):
            body = _unknown(name, f"{AGAIN} with the same amend_id") | {"amend_id": amend_id}
            return Reply(id, 202, as_json(body), f"/v1/orders/{name}")
        case Cancel(client_order_id=name) | Decrease(wanted=DecreaseOrder(client_order_id=name)):
            return Reply(id, 202, as_json(_unknown(name, AGAIN)))
        case AskGroup(wanted=wanted):
            text = "no answer in time: list the groups before you ask again"
            unsure = GroupAnswer("unknown", wanted.order_group_id, "no_answer", text)
            return Reply(id, 202, as_json(unsure))
        case CancelAll():
            problem = Problem(
                503, "no_answer", f"{AGAIN}, or say which orders, or panic", retry_after_ms=500
            )
        case _:
            problem = Problem(503, "no_answer", "the engine did not answer", retry_after_ms=1_000)
    return replace(refuse(id, problem), unsure=True)


def _unknown(name: str, text: str) -> dict[str, str]:
    return {"client_order_id": name, "outcome": "unknown", "text": text}
