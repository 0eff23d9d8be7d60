"""How the recorded answers were asked for, beside our own calls; and every file of the recordings,
with the test that reads it.

A file that nobody reads fails here, until there is a reader for it or a reason why it needs none.
"""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from protocol.kalshi import calls, inquiries
from protocol.kalshi.calls import Call
from protocol.messages import PlaceOrder
from protocol.units import parse_count, parse_price
from tests.protocol.test_kalshi_captures import JUNE_11, TABLE, recorded

TESTS: Final = Path(__file__).parents[1]
CAPTURES: Final = JUNE_11.parents[1]
ROOT: Final = "/trade-api/v2"
TICKER: Final = "KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP"
READERS: Final = {
    "rest/demo-2026-06-30-books.jsonl": "protocol/test_kalshi_captures.py",
    "stream/demo-2026-06-11-orderbook-trade-no-leg.jsonl": "actors/stream/test_replay.py",
    "stream/demo-2026-06-30-five-markets.jsonl": "actors/stream/test_replay.py",
    "stream/prod-2023-08-31-inxd.jsonl.gz": "actors/stream/test_replay.py",
}
UNREAD: Final = {
    "README.md": "it says what the others are",
    "stream/demo-2026-06-11-orderbook-trade-yes-price.jsonl": "prices of a subscription with "
    "use_yes_price, which the stream always declines (tests/actors/stream/test_market.py)",
}
OTHERS: Final = {
    "orders__numeric_field_types": "numbers, where we write strings: what the refusal looks like",
    "orders__legacy_create": "the call of former years",
    "orders__legacy_cancel": "the call of former years",
}
"""Writes that were recorded and that no call of ours can make."""
ORDER_ID: Final = "2597b999-f887-4195-8bac-c3f97a1f2021"
ASKED: Final = {
    "account__endpoint_costs": calls.COSTS,
    "account__limits": calls.LIMITS,
    "auth__balance_ok": calls.BALANCE,
    "exchange__status": calls.STATUS,
    "fills__after_taker": calls.list_fills(),
    "markets__page1": calls.list_markets({}),
    "markets__status_open": calls.list_markets({"status": "open"}),
    "markets__single": calls.get_market(TICKER, "market"),
    "orders__get_after_create": calls.get_order(ORDER_ID, "cancel"),
    "portfolio__orders_list": calls.list_orders("reconcile"),
    "portfolio__positions": calls.list_positions(),
    "settlements__page": calls.list_settlements(),
}
"""Reads that the gateway makes for itself."""


def about(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((JUNE_11 / f"{name}.meta.json").read_text())
    return found


def write(asked: dict[str, Any]) -> Call:
    """The call of ours that would have asked for the same."""
    if asked["method"] == "DELETE":
        return calls.cancel(asked["path"].rpartition("/")[2], TICKER)
    terms = asked["request_body"]
    return calls.create(
        PlaceOrder(
            terms["client_order_id"],
            terms["ticker"],
            terms["side"],
            parse_price(terms["price"]),
            parse_count(terms["count"]),
            terms["time_in_force"],
            terms.get("post_only", False),
        )
    )


@recorded
def test_every_file_is_read_or_says_why_not() -> None:
    files = {str(p.relative_to(CAPTURES)) for p in CAPTURES.rglob("*") if p.is_file()}
    june_11 = {f"rest/{JUNE_11.name}/{p.name}" for p in JUNE_11.iterdir()}
    assert files - june_11 == READERS.keys() | UNREAD.keys()
    for name, test in READERS.items():
        assert Path(name).name in (TESTS / test).read_text(), f"{test} does not read {name}"
    answers = {f"{name}.json" for name in TABLE}
    requests = {f"{name}.meta.json" for name in TABLE} - {"markets__high_temp.meta.json"}
    assert {p.name for p in JUNE_11.iterdir()} == answers | requests


@recorded
@pytest.mark.parametrize("name", sorted(TABLE.keys() - {"markets__high_temp"}))
def test_what_was_recorded_was_asked_as_we_ask(name: str) -> None:
    """A write by the call that makes it, whole; a read by its place in the table of inquiries."""
    asked = about(name)
    url = urlsplit(asked["path"])
    if asked["method"] == "GET":
        assert inquiries.find(url.path.removeprefix(ROOT)) is not None
        return
    if name in OTHERS:
        with pytest.raises((ValueError, KeyError, AssertionError)):
            call = write(asked)
            assert f"{ROOT}{call.path}" == url.path
        return
    call = write(asked)
    assert (call.method, f"{ROOT}{call.path}") == (asked["method"], url.path)
    if asked["method"] == "POST":
        assert json.loads(call.body) == {"post_only": False, **asked["request_body"]}


@recorded
@pytest.mark.parametrize("name", ASKED)
def test_the_reads_of_the_gateway_go_where_these_went(name: str) -> None:
    """The pages are longer than the recorder's, and of the main account alone."""
    asked, call = about(name), ASKED[name]
    url = urlsplit(asked["path"])
    assert (call.method, f"{ROOT}{call.path}") == (asked["method"], url.path)
    theirs = dict(parse_qsl(url.query))
    theirs.pop("limit", None)
    assert theirs.items() <= dict(call.query).items()
