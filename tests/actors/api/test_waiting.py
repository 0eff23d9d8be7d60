"""Requests that wait for the engine: each for its own time, whatever others wait for."""

import itertools
import json

from actors.api.asks import Ask, Cancel, GetBook, PressPanic, SetHalt
from actors.api.core import CANCELS_MAX, STOPS_MAX, Reply, Requested
from actors.api.letters import BOOK_MAX
from protocol.limits import MINUTE, REQUEST_MAX, REQUESTS_MAX, SECOND
from protocol.machine import Effect, Elapsed
from tests.actors.api.test_evidence import AT, Host


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


def test_whatever_waits_there_is_room_for_cancels_and_then_for_halts() -> None:
    """As much as the tokens there may be are let in with, all at once: the halt still goes out."""
    host, ids = Host(), itertools.count()

    def ask(what: Ask) -> list[tuple[int, int]]:
        return late(host.step(Requested(AT, next(ids), what)))

    for room, what in (
        (REQUESTS_MAX, GetBook("KXA-1")), (CANCELS_MAX, Cancel("c1")),
        (STOPS_MAX, SetHalt(True, "now")),
    ):  # fmt: skip
        assert [ask(what) for _ in range(room)] == [[]] * room
        refused = ask(what)
        assert [status for _, status in refused] == [503]
    assert [status for _, status in ask(PressPanic("now"))] == [503]
