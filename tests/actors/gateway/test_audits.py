"""Books of the exchange's own listing: an answer always, in the lowest lane, a few at a time."""

from pathlib import Path
from typing import Any

import pytest

from actors.gateway.desk import CallAnswered, MakeCall
from protocol.kalshi import calls
from protocol.limits import (
    AUDIT_TICKERS_MAX,
    AUDIT_WAIT_MAX,
    AUDITS_MAX,
    CALLS_IN_FLIGHT_MAX,
    LANE_QUEUE_MAX,
    SECOND,
)
from protocol.messages import AnyMessage, AuditAnswer, AuditRequest, ListedBook, Refused
from protocol.units import Count, Price
from tests.actors.gateway.peer import Connection, Peer, answer, wire_to
from tests.actors.gateway.scene import Scene
from tests.actors.gateway.test_orders import live, scarce

PATH = "/markets/orderbooks"
A, B = "KXA-1", "KXB-2"
BOOK = {"yes_dollars": [["0.4700", "3.00"]], "no_dollars": [["0.4800", "2.00"]]}
LISTED = {"orderbooks": [{"ticker": A, "orderbook_fp": BOOK}]}
YES, NO = ((Price(470_000), Count(300)),), ((Price(480_000), Count(200)),)


def ready() -> Scene:
    """Tokens are there, and what was said before is forgotten."""
    scene = Scene().ready()
    scene.pass_time(SECOND)
    scene.answers.clear()
    return scene


def made(scene: Scene) -> list[MakeCall]:
    return [m for m in scene.made if m.call.path == PATH]


def told(scene: Scene) -> list[AnyMessage]:
    found, scene.answers = scene.answers, []
    return found


def test_the_books_are_listed_and_a_no_price_stays_in_no_terms() -> None:
    scene = ready()
    scene.ask(AuditRequest((A, B, A)))
    [made_call] = made(scene)
    assert made_call.call.query == (("tickers", A), ("tickers", B)), "a list would be one ticker"
    assert (made_call.call.lane, made_call.call.method) == ("audit", "GET")
    scene.reply(200, LISTED)
    assert told(scene) == [AuditAnswer((ListedBook(A, YES, NO),), "KXB-2: not listed")]


@pytest.mark.parametrize(
    ("tickers", "says"),
    [
        ((), "0 of them, not 1 to 100"),
        (tuple(f"KX-{i}" for i in range(AUDIT_TICKERS_MAX + 1)), "101 of them, not 1 to 100"),
        ((A, "KXA-1,KXB-2"), "'KXA-1,KXB-2' is not a market's name"),
        (("",), "'' is not a market's name"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_is_asked(tickers: Any, says: str) -> None:
    scene = ready()
    scene.ask(AuditRequest(tickers))
    assert told(scene) == [Refused(f"AuditRequest.tickers: {says}")]
    assert made(scene) == []


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (429, {"error": "too many requests"}, "status 429 too_many_requests"),
        (503, b"<html>", "status 503"),
        (200, {"orderbook_fp": BOOK}, "Listing: Object missing required field `orderbooks`"),
    ],
)
def test_what_is_no_listing_is_told(status: int, body: Any, says: str) -> None:
    scene = ready()
    scene.ask(AuditRequest((A,)))
    scene.reply(status, body)
    assert told(scene) == [AuditAnswer((), says)]


def test_a_call_that_fails_is_told() -> None:
    scene = ready()
    scene.ask(AuditRequest((A,)))
    scene.fail(sent=True)
    assert told(scene) == [AuditAnswer((), "no answer")]


def test_one_without_tokens_is_given_up_in_time_and_never_sent() -> None:
    scene = scarce(PATH)
    for _ in range(2):
        scene.ask(AuditRequest((A,)))
    assert len(made(scene)) == 1
    scene.pass_time(AUDIT_WAIT_MAX)
    assert told(scene) == [AuditAnswer((), "no tokens in time")]
    assert len(made(scene)) == 1
    scene.reply(200, LISTED)
    assert told(scene) == [AuditAnswer((ListedBook(A, YES, NO),), "")], "it had left, and ends"


def test_one_that_can_never_leave_is_told_at_once() -> None:
    scene = ready()
    scene.instead["/account/endpoint_costs"] = {"default_cost": 5_000, "endpoint_costs": []}
    live(scene, 70 * SECOND)
    scene.answers.clear()
    scene.ask(AuditRequest((A,)))
    assert told(scene) == [AuditAnswer((), "it costs more tokens than its budget can ever hold")]


def test_the_same_letter_is_one_listing_and_few_are_under_way() -> None:
    scene = ready()
    for number in range(AUDITS_MAX):
        for _ in range(3):
            scene.ask(AuditRequest((A,)), f"audit-{number}")
    assert told(scene) == []
    waiting = AUDITS_MAX - len(made(scene))
    assert waiting == 1, "one place for reads is kept for what trading waits for"
    scene.ask(AuditRequest((A,)))
    assert told(scene) == [AuditAnswer((), f"{AUDITS_MAX} listings are under way")]
    for _ in range(AUDITS_MAX):
        scene.reply(200, LISTED)
    assert told(scene) == [AuditAnswer((ListedBook(A, YES, NO),), "")] * AUDITS_MAX


def test_audits_come_behind_everything_else_that_reads() -> None:
    assert AUDITS_MAX < CALLS_IN_FLIGHT_MAX < LANE_QUEUE_MAX
    scene = ready()
    scene.hush = True
    for _ in range(AUDITS_MAX):
        scene.ask(AuditRequest((A,)))
    live(scene, 20 * SECOND)  # polls and a round want to leave as well
    paths = [m.call.path for m in scene.calls]
    assert paths.count(PATH) == AUDITS_MAX - 1
    assert any(path != PATH for path in paths), "reads that trading waits for have left"


def test_on_the_wire_each_ticker_is_a_parameter_of_its_own(tmp_path: Path) -> None:
    def talk(connection: Connection) -> None:
        connection.request()
        connection.send(answer(b'{"orderbooks":[]}'))

    with Peer(talk) as peer:
        ended = wire_to(tmp_path, peer).send(1, calls.list_books((A, "KXB-26T60.5")))
    assert isinstance(ended, CallAnswered)
    line = peer.requests[0].partition(b"\r\n")[0]
    where = b"/trade-api/v2/markets/orderbooks?tickers=KXA-1&tickers=KXB-26T60.5"
    assert line == b"GET " + where + b" HTTP/1.1"
