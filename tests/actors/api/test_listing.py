"""A walk over the pages of a list, while what is listed changes; what a row says."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actors.api.asks import GetList, Page
from actors.api.core import Requested
from actors.api.replies import Reply
from protocol.envelope import Envelope
from protocol.facts import AnyFact, OrderCanceled, OrderIntended, OrderUnknown, Settled, natural_id
from protocol.limits import SECOND
from protocol.machine import Heard
from protocol.messages import BookAnswer, BookRequest, Entry
from protocol.units import Count, Money, Price
from tests.actors.api.test_evidence import AT, Host
from tests.actors.api.test_pages import told
from tests.actors.writer.samples import accepted, fill, intended

ROWS = 7


class Walk:
    """A program that walks from page to page, two rows at a time."""

    def __init__(self, what: Any, facts: list[AnyFact]) -> None:
        self.what, self.host, self.n, self.seen = what, Host(*facts), len(facts), list[Any]()

    def happens(self, fact: AnyFact) -> None:
        self.n += 1
        entry = Entry(self.n, natural_id(fact), AT + self.n, "gateway", fact)
        self.host.step(Heard(AT, Envelope("ledger", "writer", 1, self.n, AT, entry)))

    def page(self, cursor: str) -> str:
        self.host.now += SECOND // 100
        effects = self.host.step(Requested(AT, self.n, GetList(self.what, Page(2, cursor))))
        for _, letter, asked in told(effects):
            assert isinstance(asked, BookRequest)
            answer = BookAnswer(asked.ticker, "lost", 1, 1, (), ())
            effects = self.host.answer("stream", letter, answer)
        [reply] = [effect for effect in effects if isinstance(effect, Reply)]
        body = json.loads(reply.body)
        self.seen += body[self.what]
        return str(body["cursor"])

    def walk(self, meanwhile: Callable[[int], AnyFact]) -> list[Any]:
        cursor = self.page("")
        for turn in range(ROWS):
            if not cursor:
                return self.seen
            self.happens(meanwhile(turn))
            cursor = self.page(cursor)
        raise AssertionError("the walk has no end")


def order(n: int) -> list[AnyFact]:
    name, where = f"c{n}", f"KXA-{n}"
    asked = replace(intended(name), ticker=where)
    return [asked, accepted(name, f"o{n}")]


def held(n: int, trade: str = "t") -> AnyFact:
    name = f"{trade}{n}"
    return replace(fill(), trade_id=name, order_id=f"o{n}", client_order_id="", ticker=f"KXA-{n}")


@pytest.mark.parametrize("changed", range(ROWS))
def test_an_order_that_fills_between_two_pages_is_on_one_of_them(changed: int) -> None:
    walk = Walk("orders", [fact for n in range(ROWS) for fact in order(n)])
    seen = walk.walk(lambda turn: held(changed, f"t{turn}-"))
    assert [row["client_order_id"] for row in seen] == [f"c{n}" for n in reversed(range(ROWS))]


@pytest.mark.parametrize("changed", range(ROWS))
def test_a_position_that_changes_between_two_pages_is_on_one_of_them(changed: int) -> None:
    walk = Walk("positions", [held(n) for n in range(ROWS)])
    seen = walk.walk(lambda turn: held(changed, f"more{turn}-"))
    assert [row["ticker"] for row in seen] == [f"KXA-{n}" for n in range(ROWS)]


def test_a_market_whose_first_order_ends_comes_once() -> None:
    """Nothing is held in it: what may fill there is why it is listed."""
    facts = [fact for n in range(ROWS) for fact in order(n)]
    second = replace(intended("again"), ticker="KXA-0")
    walk = Walk("positions", [*facts, second, accepted("again", "o-again")])
    seen = walk.walk(lambda turn: OrderCanceled("o0", "c0", Count(1_000), AT))
    assert [row["ticker"] for row in seen] == [f"KXA-{n}" for n in range(ROWS)]


@pytest.mark.parametrize("what", ["fills", "settlements"])
def test_fills_and_settlements_come_the_newest_first_and_each_once(what: Any) -> None:
    facts = [held(n) for n in range(ROWS)]
    facts += [
        Settled(f"KXA-{n}", 0, "yes", Count(100), Count(0), Money(1), Money(0), AT + n)
        for n in range(ROWS)
    ]
    walk = Walk(what, facts)
    seen = walk.walk(lambda turn: held(3, f"late{turn}-"))
    assert [row["ticker"] for row in seen] == [f"KXA-{n}" for n in reversed(range(ROWS))]


def test_what_may_still_fill_is_exposure_with_or_without_a_position() -> None:
    worse = ("ask", Price(900_000), Count(1_000), "good_till_canceled", "hash")
    unknown = OrderUnknown("c1", "no answer")
    facts = [intended(), unknown, OrderIntended("c2", "KXB-2", *worse), fill(order_id="o9")]
    walk = Walk("positions", facts)
    assert walk.page("") == ""
    rows = {row["ticker"]: (row["position"], row["exposure"]) for row in walk.seen}
    assert rows == {"KXA-1": ("1.00", "6.1600"), "KXB-2": ("0.00", "1.0000")}
