"""Requests that wait for the engine: each for its own time, whatever others wait for."""

import itertools
import json
import re
from pathlib import Path
from urllib.parse import parse_qsl

from msgspec.structs import replace

from actors.api.asks import (
    Ask,
    AskExchange,
    Cancel,
    GetBook,
    GetBudget,
    GetList,
    Page,
    Place,
    PressPanic,
    Problem,
    SetHalt,
    find,
)
from actors.api.core import Reply, Requested
from actors.api.cursors import Bookmark, cursor_at
from actors.api.letters import BOOK_MAX
from actors.api.profits import CROWDED
from actors.api.quota import Kind, kind_of
from actors.api.rooms import ROOM, room_of
from actors.api.tickets import Tickets
from protocol.limits import (
    MARKS_ASKED_MAX,
    MARKS_MAX,
    MINUTE,
    MS,
    READS_WAITING_MAX,
    REQUEST_MAX,
    SECOND,
    TICKET_KEPT,
    TICKETS_A_TOKEN,
)
from protocol.machine import Effect, Elapsed, Tell
from protocol.messages import BookAnswer, BookRequest, Inquire, PlaceOrder
from protocol.units import Count, Price
from tests.actors.api.test_evidence import AT, Host
from tests.actors.writer.samples import fill


def late(effects: list[Effect]) -> list[tuple[int, int]]:
    """Who was answered, and with which status."""
    return [(e.id, e.status) for e in effects if isinstance(e, Reply)]


def test_each_request_waits_for_its_own_time() -> None:
    host = Host()
    began, found = host.now, []
    asks = [(Cancel("c1"), 0), (GetBook("KXA-1"), 1), (Cancel("c2"), 2)]
    for id, (ask, at) in enumerate(asks):
        host.now = began + at * SECOND
        assert late(host.step(Requested(AT, id, ask))) == []
    while host.now < began + MINUTE:
        deadline = host.core.deadline()
        assert deadline is not None
        assert deadline > host.now, "woken again and again for nothing"
        host.now = deadline
        found += [(id, status, host.now - began) for id, status in late(host.step(Elapsed(AT)))]
    assert found == [
        (1, 503, 1 * SECOND + BOOK_MAX),
        (0, 202, REQUEST_MAX),
        (2, 202, 2 * SECOND + REQUEST_MAX),
    ]


def test_a_late_book_has_no_answer() -> None:
    host = Host()
    host.step(Requested(AT, 1, GetBook("KXA-1")))
    host.now += BOOK_MAX
    [reply] = [e for e in host.step(Elapsed(AT)) if isinstance(e, Reply)]
    assert json.loads(reply.body)["code"] == "no_answer"


PAGE = Path(__file__).parents[3] / "docs" / "API.md"
ORDER = PlaceOrder("c1", "KXA-1", "bid", Price(560_000), Count(1_000), "good_till_canceled")


def test_whatever_waits_there_is_room_for_every_other_kind() -> None:
    """As much as the tokens there may be are let in with, all at once: the halt still goes out."""
    host, ids = Host(), itertools.count()

    def ask(what: Ask) -> list[tuple[int, int]]:
        return late(host.step(Requested(AT, next(ids), what)))

    kinds: list[tuple[Kind, Ask]] = [
        ("look", GetBudget()), ("ask", AskExchange(Inquire("balance"))),
        ("trade", Place(ORDER)), ("cancel", Cancel("c1")), ("kill", SetHalt(True, "now")),
    ]  # fmt: skip
    for kind, what in kinds:
        assert [ask(what) for _ in range(ROOM[kind])] == [[]] * ROOM[kind]
        assert [status for _, status in ask(what)] == [503]
    assert [status for _, status in ask(PressPanic("now"))] == [503]


def test_each_route_s_requests_wait_in_the_room_of_its_kind() -> None:
    """What a token is let in with by its route (`quota.kind_of`) is what there is room for."""
    asked = re.findall(r"^```http\n(\w+) (\S+)(?: (\{.*\}))?$", PAGE.read_text(), re.MULTILINE)
    seen = set()
    for method, where, body in asked:
        path, _, query = where.partition("?")
        route = find(method, path)
        assert not isinstance(route, Problem)
        ask = route.read(path, dict(parse_qsl(query)), body.encode(), "fresh")
        assert not isinstance(ask, Problem), where
        kind = kind_of(route.scope, route.method, path)
        assert room_of(ask) == kind, f"{method} {path}"
        seen.add(kind)
    assert seen == set(ROOM)


# Positions


def holds(markets: int) -> Host:
    return Host(*(
        replace(fill(), trade_id=f"t{n}", order_id=f"o{n}", ticker=f"KXA-{n}")
        for n in range(markets)
    ))  # fmt: skip


def books(effects: list[Effect]) -> list[tuple[str, str]]:
    found = []
    for effect in effects:
        if isinstance(effect, Tell) and isinstance(effect.letter.body, BookRequest):
            found.append((effect.letter.id, effect.letter.body.ticker))
    return found


def test_pages_of_positions_keep_no_order_out() -> None:
    host, positions = holds(MARKS_MAX), GetList("positions", Page())
    for id in range(READS_WAITING_MAX):
        host.step(Requested(AT, id, positions))
    [(_, status)] = late(host.step(Requested(AT, 5_000, positions)))
    assert status == 503
    assert late(host.step(Requested(AT, 5_001, Place(ORDER)))) == []


def test_a_book_is_asked_for_once_for_all_pages_that_wait_for_it() -> None:
    host, positions = holds(2), GetList("positions", Page())
    [one, two] = books(host.step(Requested(AT, 1, positions)))
    host.now += 100 * MS
    assert books(host.step(Requested(AT, 2, positions))) == []

    def come(asked: tuple[str, str]) -> list[tuple[int, int]]:
        levels = ((Price(550_000), Count(100)),)
        return late(host.answer("stream", asked[0], BookAnswer(asked[1], "live", 1, 1, levels, ())))

    assert come(one) == []
    host.now += BOOK_MAX - 100 * MS  # the first page has waited long enough, the second has not
    assert late(host.step(Elapsed(AT))) == [(1, 200)]
    assert come(two) == [(2, 200)]
    assert len(books(host.step(Requested(AT, 3, positions)))) == 2, "and then anew"


def test_all_pages_together_wait_for_so_many_books() -> None:
    host, asked, pages = holds(MARKS_ASKED_MAX + MARKS_MAX), 0, MARKS_ASKED_MAX // MARKS_MAX + 1
    tickers = sorted(f"KXA-{n}" for n in range(MARKS_ASKED_MAX + MARKS_MAX))
    for id in range(pages):
        cursor = cursor_at(Bookmark(0, tickers[id * MARKS_MAX - 1])) if id else ""
        effects = host.step(Requested(AT, id, GetList("positions", Page(MARKS_MAX, cursor))))
        asked += len(books(effects))
    assert asked == MARKS_ASKED_MAX
    [reply] = [e for e in effects if isinstance(e, Reply)]
    rows = json.loads(reply.body)["positions"]
    assert {row["mark"]["reason"] for row in rows} == {CROWDED.reason}


# Tickets


def test_a_token_s_tickets_are_its_own() -> None:
    tickets = Tickets()
    for n in range(TICKETS_A_TOKEN):
        assert tickets.issue(n, f"greedy {n}", "greedy")
    assert not tickets.issue(1_000, "one more", "greedy")
    assert tickets.issue(1_000, "mine", "another")
    assert tickets.redeem(1_000, "greedy 7") == "greedy"
    assert tickets.issue(1_000, "again", "greedy"), "a used one makes room"
    assert not tickets.issue(1_000, "one more", "greedy")
    assert tickets.issue(TICKET_KEPT, "later", "greedy"), "as one does that counts no more"
    assert tickets.redeem(TICKET_KEPT, "greedy 0") is None
