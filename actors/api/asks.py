"""How a request over HTTP is read: by the table of routes, into what is asked or one problem.

Pure: the web layer hands in what came over the wire and gets back either a request or a problem
with one stable code.
"""

from actors.api.amends import AmendIt
from actors.api.batches import CancelMany, PlaceMany
from actors.api.bodies import Problem
from actors.api.exchange import AskExchange
from actors.api.following import GetBook, GetFollow, SetFollow
from actors.api.groups import AskGroup
from actors.api.lists import (
    GetBudget,
    GetLedger,
    GetList,
    GetOpenApi,
    GetStatus,
    IssueTicket,
    Page,
    SignIn,
)
from actors.api.markets import AskMarkets
from actors.api.orders import Cancel, CancelAll, Decrease, GetEvidence, GetOrder, Place
from actors.api.route import Route
from actors.api.routes import TABLE
from actors.api.stops import Confirm, PressPanic, SetBrakes, SetHalt
from protocol.tokens import SCOPES, Scope

__all__ = [
    "SCOPES", "Ask", "AskExchange", "AskMarkets", "Cancel", "CancelAll", "Confirm", "Decrease",
    "GetBook", "GetBudget", "GetEvidence", "GetFollow", "GetLedger", "GetList", "GetOpenApi",
    "GetOrder", "GetStatus", "IssueTicket", "Page", "Place", "PressPanic", "Problem", "Scope",
    "SetBrakes", "SetFollow", "SetHalt", "SignIn", "find",
]  # fmt: skip

Ask = (
    GetBook | GetList | GetOrder | GetEvidence | GetStatus | GetFollow | SetFollow | Place | Cancel
    | AmendIt | Decrease | AskGroup | PlaceMany | CancelMany | CancelAll | SetHalt | PressPanic
    | Confirm | AskExchange | AskMarkets | SetBrakes | GetLedger | GetBudget | GetOpenApi
    | IssueTicket | SignIn
)  # fmt: skip

SHOWN_MAX = 100  # characters of a path that is none


def find(method: str, path: str) -> Route | Problem:
    """The route of a request, or that there is none.

    A HEAD is read as a GET; OPTIONS is a method that there is not: no page of another origin may
    ask for anything.
    """
    route = TABLE.find(method, path)
    if route is not None:
        return route
    allowed = ", ".join(TABLE.allowed(path))
    if not allowed:
        return Problem(404, "not_found", f"there is nothing at {path[:SHOWN_MAX]}")
    detail = f"{path[:SHOWN_MAX]} takes {allowed}"
    return Problem(405, "method_not_allowed", detail, allow=allowed)
