"""Lists of the account, pages of the ledger, and what needs no words, over HTTP."""

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from actors.api.route import Said

What = Literal["orders", "fills", "positions", "balance", "settlements"]
PAGE_DEFAULT: Final = 100


class Page(Struct, frozen=True):
    """Which part of a list: `limit` rows behind a cursor ("": from the first)."""

    limit: int = PAGE_DEFAULT
    cursor: str = ""


class GetList(Struct, frozen=True):
    what: What
    page: Page


class GetLedger(Struct, frozen=True):
    """The entries behind number `since`, oldest first."""

    since: int = 0
    limit: int = PAGE_DEFAULT


class GetBudget(Struct, frozen=True):
    """What the account may spend, and who spent it."""


class GetStatus(Struct, frozen=True):
    pass


class SignIn(Struct, frozen=True):
    """A token for a page, in the place of its code."""


class IssueTicket(Struct, frozen=True):
    """A one-time ticket for a WebSocket; not a matter for the engine."""


class NothingBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be said."""


class GetOpenApi(Struct, frozen=True):
    """This API, described."""


def rows(what: What) -> Callable[[Said], GetList]:
    """A page of a list."""

    def read(said: Said) -> GetList:
        return GetList(what, Page(said.number("limit", PAGE_DEFAULT), said.query.get("cursor", "")))

    return read


def ledger(said: Said) -> GetLedger:
    """Entries, oldest first."""
    return GetLedger(said.number("since"), said.number("limit", PAGE_DEFAULT))


def budget(said: Said) -> GetBudget:
    """What may be spent."""
    return GetBudget()


def sign_in(said: Said) -> SignIn:
    """A page says its code, and wants a token."""
    return SignIn()


def ticket(said: Said) -> IssueTicket:
    """What a browser says instead of a token."""
    return IssueTicket()


def status(said: Said) -> GetStatus:
    """How the engine is."""
    return GetStatus()


def page(said: Said) -> GetOpenApi:
    """This API, described."""
    return GetOpenApi()
