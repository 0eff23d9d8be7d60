"""Each brake: it stops what goes beyond its limit, lets pass what reaches it, and says so."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway.books import Books
from actors.gateway.brakes import Brakes
from actors.gateway.cash import Cash
from actors.gateway.desk import Desk
from actors.gateway.exposures import Exposures
from actors.gateway.markets import Markets
from actors.gateway.passes import digest_of
from protocol.brakes import WIDE, Limits
from protocol.envelope import Letter, Outbox
from protocol.facts import Fill, OrderAccepted, OrderCanceled, OrderIntended, OrderUnknown
from protocol.limits import MS, SECOND
from protocol.machine import Answered, Effect, Heard, Tell
from protocol.messages import (
    BookAnswer,
    BookDelta,
    BookLost,
    BookRequest,
    BookSnapshot,
    BookStale,
    CancelOrder,
    OrderAnswer,
    PlaceOrder,
)
from protocol.units import Count, Money, Price, parse_count, parse_money, parse_price
from tests.actors.gateway.scene import ANSWERS, BLIND, MARKET, Scene

CENT = 10_000


def limits(**said: Any) -> Limits:
    """Wide ones but for these, without a stream and without looking at cash."""
    return replace(BLIND, **said)


def order(id: str, price: str = "0.50", count: str = "10", side: Any = "bid") -> PlaceOrder:
    return PlaceOrder(
        id, "KXA-1", side, parse_price(price), parse_count(count), "good_till_canceled"
    )


def ready(limits: Limits, *facts: Any, event: str = "KXA") -> Scene:
    scene = Scene(limits=limits)
    for ticker in ("KXA-1", "KXA-2", "KXB-1"):
        row = {**MARKET, "ticker": ticker, "event_ticker": ticker.partition("-")[0]}
        scene.instead[f"/markets/{ticker}"] = {"market": row}
    scene.restore(*facts).pass_time(3 * SECOND).beat()
    return scene.settle()


def placed(scene: Scene, wanted: PlaceOrder) -> OrderAnswer | None:
    """Ask for an order and let the writer record it. None: it is on the wire."""
    scene.answers.clear()
    scene.ask(wanted)
    scene.settle()
    scene.pass_time(10 * MS)
    scene.settle()
    return scene.told if scene.answers else None


def accepted(scene: Scene) -> None:
    """The exchange takes the order that is on the wire, and it rests."""
    call = scene.calls[0].call
    id = call.body.split(b'"client_order_id":"')[1].split(b'"')[0].decode()
    count = call.body.split(b'"count":"')[1].split(b'"')[0].decode()
    scene.reply(
        201,
        {
            "order_id": f"x-{id}",
            "client_order_id": id,
            "fill_count": "0.00",
            "remaining_count": count,
            "ts_ms": 1,
        },
    )
    scene.settle()


def refused(answer: OrderAnswer | None) -> tuple[str, str, str]:
    """The brake, its limit and the value."""
    assert answer is not None, "it was sent"
    assert answer.outcome == "denied", answer
    return answer.code, answer.limit, answer.value


def test_the_size_of_an_order() -> None:
    scene = ready(limits(order_count=Count(1_000)))
    assert refused(placed(scene, order("a", count="10.01"))) == ("order_count", "10.00", "10.01")
    assert scene.told.text == "order_count: the order 10.01, limit 10.00"
    assert scene.told.field == "count"
    assert placed(scene, order("b", count="10.00")) is None


def test_what_an_order_costs_on_either_side() -> None:
    scene = ready(limits(order_cost=Money(6_000_000)))
    code = ("order_cost", "6.0000")
    assert refused(placed(scene, order("a", "0.61"))) == (*code, "6.1000")
    assert refused(placed(scene, order("b", "0.39", side="ask"))) == (*code, "6.1000")
    assert placed(scene, order("c", "0.60")) is None
    accepted(scene)
    assert placed(scene, order("d", "0.61", side="ask")) is None, "it costs 3.90"


def intent(id: str, ticker: str, side: Any, price: str, count: str) -> OrderIntended:
    return OrderIntended(
        id, ticker, side, parse_price(price), parse_count(count), "good_till_canceled", "h"
    )


def fill(ticker: str, side: Any, price: str, count: str) -> Fill:
    return Fill(
        f"o-{ticker}", f"t-{ticker}", ticker, side, parse_price(price), parse_count(count),
        Money(0), True,
    )  # fmt: skip


def test_what_a_market_can_lose_counts_what_is_held_rests_and_is_unknown() -> None:
    held = fill("KXA-1", "bid", "0.40", "10")  # 4 dollars
    rests = [
        intent("r", "KXA-1", "bid", "0.30", "10"),
        OrderAccepted("r", "x", Count(0), Count(1_000)),
    ]
    scene = ready(limits(market_exposure=Money(12_000_000)), held, *rests)
    assert refused(placed(scene, order("a", "0.51"))) == ("market_exposure", "12.0000", "12.1000")
    assert placed(scene, order("b", "0.50")) is None, "7 + 5 dollars"
    assert refused(placed(scene, order("c", "0.01", "1"))) == (
        "market_exposure", "12.0000", "12.0100",
    )  # fmt: skip
    assert placed(scene, order("d", "0.80", side="ask")) is None, "it can only make less of it"


def test_what_the_answer_says_is_filled_counts_before_the_fill_is_booked() -> None:
    filled = [
        intent("r", "KXA-2", "bid", "0.90", "10"),
        OrderAccepted("r", "x", Count(1_000), Count(0)),
    ]
    scene = ready(limits(account_exposure=Money(12_000_000)), *filled)
    assert refused(placed(scene, order("a", "0.31"))) == ("account_exposure", "12.0000", "12.1000")
    booked = fill("KXA-2", "bid", "0.90", "10")
    scene.told_by_stream(replace(booked, order_id="x", client_order_id="r"))
    assert refused(placed(scene, order("b", "0.31")))[2] == "12.1000", "no more than before"
    assert placed(scene, order("c", "0.30")) is None


def test_what_a_cancel_shows_to_be_filled_counts_before_the_fill_is_booked() -> None:
    rests = [
        intent("r", "KXA-2", "bid", "0.90", "10"),
        OrderAccepted("r", "x", Count(0), Count(1_000)),
    ]
    scene = ready(limits(account_exposure=Money(12_000_000)), *rests)
    scene.told_by_stream(OrderCanceled("x", "r", Count(400)))
    assert refused(placed(scene, order("a", "0.67"))) == ("account_exposure", "12.0000", "12.1000")


def test_what_is_unknown_counts_as_if_it_filled() -> None:
    lost = [intent("u", "KXA-2", "bid", "0.90", "10"), OrderUnknown("u", "silence")]
    scene = ready(limits(account_exposure=Money(12_000_000)), *lost)
    assert refused(placed(scene, order("a", "0.31"))) == ("account_exposure", "12.0000", "12.1000")
    assert placed(scene, order("b", "0.30")) is None


def test_what_an_event_can_lose_and_what_the_account_can() -> None:
    held = fill("KXA-2", "ask", "0.40", "10"), fill("KXB-1", "bid", "0.40", "10")  # 6 and 4
    both = limits(event_exposure=Money(11_000_000), account_exposure=Money(20_000_000))
    scene = ready(both, *held)
    assert refused(placed(scene, order("a", "0.51"))) == ("event_exposure", "11.0000", "11.1000")
    other = PlaceOrder("b", "KXB-1", "bid", Price(50 * CENT), Count(1_000), "good_till_canceled")
    assert placed(scene, other) is None, "another event: 9 dollars there, 15 in all"
    accepted(scene)
    assert placed(scene, order("c", "0.50")) is None, "11 dollars in its event, 20 in all"
    accepted(scene)
    more = replace(other, client_order_id="d", price=Price(CENT), count=Count(100))
    assert refused(placed(scene, more)) == ("account_exposure", "20.0000", "20.0100")


def test_an_order_that_makes_nothing_worse_passes_where_the_limit_is_overdrawn() -> None:
    scene = ready(limits(market_exposure=Money(1_000_000)), fill("KXA-1", "bid", "0.40", "10"))
    assert refused(placed(scene, order("a", "0.01", "1")))[0] == "market_exposure"
    assert placed(scene, order("b", "0.30", "10", side="ask")) is None


def test_orders_on_their_way_count_before_the_writer_knows_them() -> None:
    scene = ready(limits(market_exposure=Money(5_000_000)))
    scene.ask(order("a", "0.30"))
    scene.ask(order("b", "0.30"))
    assert refused(scene.told) == ("market_exposure", "5.0000", "6.0000")
    scene.settle()
    scene.pass_time(10 * MS)
    scene.reply(400, {"error": {"code": "invalid_order", "message": "no"}})
    scene.settle()
    assert placed(scene, order("c", "0.50")) is None, "what was refused counts no more"


def test_open_orders() -> None:
    rests = [
        intent("r", "KXB-1", "bid", "0.30", "1"),
        OrderAccepted("r", "x", Count(0), Count(100)),
    ]
    scene = ready(limits(open_orders=2), *rests)
    assert placed(scene, order("a")) is None
    assert refused(placed(scene, order("b"))) == ("open_orders", "2", "3")


def test_orders_a_second_counts_what_passed_not_what_was_refused() -> None:
    scene = ready(limits(orders_a_second=2, order_count=Count(1_000)))
    assert refused(placed(scene, order("big", count="11")))[0] == "order_count"
    assert placed(scene, order("a")) is None
    assert placed(scene, order("b")) is None
    assert refused(placed(scene, order("c"))) == ("orders_a_second", "2", "3")
    assert 0 < scene.told.retry_after_ms < 1_000
    scene.pass_time(scene.told.retry_after_ms * MS)
    assert placed(scene, order("d")) is None


def test_an_order_that_would_trade_with_one_of_ours() -> None:
    rests = [
        intent("r", "KXA-1", "ask", "0.60", "1"),
        OrderAccepted("r", "x", Count(0), Count(100)),
    ]
    scene = ready(limits(), *rests)
    assert refused(placed(scene, order("a", "0.60"))) == ("self_cross", "0.6000", "0.6000")
    assert scene.told.text == (
        "self_cross: a bid at 0.6000 would trade with an order of ours: an ask at 0.6000"
    )
    assert placed(scene, order("b", "0.59")) is None
    assert refused(placed(scene, order("c", "0.59", side="ask")))[0] == "self_cross", "on its way"
    assert placed(ready(limits(self_cross=False), *rests), order("d", "0.60")) is None


def test_the_same_order_again() -> None:
    scene = ready(limits(same_order_ms=2_000))
    assert placed(scene, order("a")) is None
    accepted(scene)
    code, limit, _ = refused(placed(scene, order("b")))
    assert (code, limit) == ("same_order", "2000")
    wait = scene.told.retry_after_ms
    assert 0 < wait <= 2_000
    assert placed(scene, order("c", count="11")) is None, "it is another one"
    scene.pass_time((wait - 100) * MS)
    assert refused(placed(scene, order("d")))[0] == "same_order"
    scene.beat().pass_time(101 * MS)
    assert placed(scene, order("e")) is None


def test_the_same_order_is_remembered_for_the_whole_window_at_any_rate() -> None:
    outbox = Outbox("gateway", 7)
    desk, exposures, now = Desk(outbox, 0), Exposures(), SECOND
    wide = limits(same_order_ms=60_000, orders_a_second=1_000)
    cash = Cash(desk, lambda now: None)
    brakes = Brakes(wide, Markets(desk), exposures, Books(outbox), cash)
    for i in range(30_000):
        now += MS
        other = replace(order(f"n{i}"), count=Count(100 + i))
        assert brakes.reserve(now, other) is None
        exposures.release(other.client_order_id)
    again = brakes.reserve(now + MS, replace(order("again"), count=Count(100)))
    assert again is not None, "30 s ago is within 60 s"
    assert (again.code, again.limit, again.value) == ("same_order", "60000", "30000")


# The second look


def test_what_passed_at_the_door_is_looked_at_once_more_before_the_signature() -> None:
    """Eight calls fill all places in flight; meanwhile a fill comes that nobody expected."""
    scene = ready(limits(market_exposure=Money(10_000_000)))
    for i in range(6):
        assert placed(scene, order(f"f{i}", "0.10", "1")) is None
    scene.answers.clear()
    scene.ask(order("late", "0.50"))
    scene.settle()
    scene.pass_time(10 * MS)
    assert [c.call.name for c in scene.calls] == ["create"] * 6, "it has found no place yet"
    scene.told_by_stream(fill("KXA-1", "bid", "0.60", "10"))
    accepted(scene)
    told = [a for a in scene.answers if isinstance(a, OrderAnswer) and a.client_order_id == "late"]
    assert refused(told[-1]) == ("market_exposure", "10.0000", "11.6000")
    booked = scene.core._desk.ledger.account.order("late")  # type: ignore[attr-defined]
    assert (booked.state, booked.reason.partition(":")[0]) == ("denied", "market_exposure")


def test_a_pass_goes_with_the_very_request() -> None:
    scene = ready(limits())
    assert placed(scene, order("a")) is None
    [made] = [m for m in scene.made if m.call.name == "create"]
    assert made.passed is not None
    assert made.passed.digest == digest_of(made.call)
    assert all(m.passed is None for m in scene.made if m.call.name != "create")


# Cash


def with_balances(*found: tuple[int, str]) -> dict[str, Any]:
    rows = [{"exchange_index": shard, "balance": balance} for shard, balance in found]
    whole = sum(float(balance) for _, balance in found)
    return {**ANSWERS, "balance_dollars": f"{whole:.4f}", "balance_breakdown": rows}


def test_cash_is_of_the_shard_that_the_market_is_on() -> None:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, "exchange_index": 2}}
    scene.instead["/portfolio/balance"] = with_balances((0, "90.0000"), (2, "5.0000"))
    scene.ready()
    assert placed(scene, order("a", "0.50")) is None, "5 dollars, to the last cent"
    assert refused(placed(scene, order("b", "0.51"))) == ("wrong_shard", "5.0000", "5.1000")
    assert scene.told.text == (
        "enough cash, wrong shard: KXA-1 trades on shard 2, which has 5.0000; "
        "the order needs 5.1000, all shards have 95.0000"
    )
    assert refused(placed(scene, order("c", "0.50", "1000")))[0] == "not_enough_cash"


def test_a_balance_that_is_old_refuses_nothing_before_it_was_read_anew() -> None:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/portfolio/balance"] = with_balances((0, "5.0000"))
    scene.ready().pass_time(6 * SECOND).beat()
    scene.instead["/portfolio/balance"] = with_balances((0, "50.0000"))
    assert placed(scene, order("a", "0.60")) is None
    scene.hush = True
    scene.pass_time(6 * SECOND).beat()
    scene.answers.clear()
    scene.ask(order("b", "0.90", "100"))
    assert scene.answers == [], "it is asked for"
    scene.beat().pass_time(2 * SECOND).beat().pass_time(2 * SECOND)
    assert scene.told.code == "balance_not_read"


# The book


class Booked(Scene):
    """A scene with a stream that publishes one book."""

    def __init__(self, limits: Limits, yes: str = "0.50", no: str = "0.45") -> None:
        self.stream = Outbox("stream", 9)
        self.yes, self.no = yes, no
        self.requests: list[Letter] = []
        self.listens: list[Effect] = []
        super().__init__(limits=limits)
        self.ready()

    def _take(self, effect: Effect) -> None:
        super()._take(effect)
        if type(effect).__name__ == "Listen":
            self.listens.append(effect)
        if isinstance(effect, Tell) and isinstance(effect.letter.body, BookRequest):
            self.requests.append(effect.letter)

    def answer_books(self, state: Any = "live") -> None:
        """What the stream answers to all that it was asked."""
        asked, self.requests = self.requests, []
        for letter in asked:
            level = lambda price: ((parse_price(price), Count(100)),) if price else ()  # noqa: E731
            yes, no = level(self.yes), level(self.no)
            live = state == "live"
            answer = BookAnswer("KXA-1", state, 9, 0, yes if live else (), no if live else ())
            self.feed(Answered(self.at, "stream", Letter("stream", 9, letter.id, 0, answer)))

    def mark(self) -> None:
        for envelope in self.stream.marks(self.now, self.at, 0):
            self.feed(Heard(self.at, envelope))

    def say(self, body: Any) -> None:
        self.feed(Heard(self.at, self.stream.seal("book.KXA-1", body, self.at)))

    def settled_book(self) -> "Booked":
        """An order has been here before: the book is followed and live."""
        self.ask(order("first", "0.01", "1"))
        self.answer_books()
        self.mark()
        self.pass_time(300 * MS)
        self.answer_books()
        self.settle()
        self.pass_time(10 * MS)
        if self.calls:
            accepted(self)
        self.beat()
        return self


FRESH = replace(BLIND, fresh_book=True)


def test_the_first_order_in_a_market_waits_for_its_book_and_for_a_mark() -> None:
    scene = Booked(FRESH)
    scene.answers.clear()
    scene.ask(order("a"))
    assert [e.prefix for e in scene.listens] == ["book.KXA-1 "]  # type: ignore[attr-defined]
    scene.answer_books()
    assert scene.appends == [], "the subscription may have come after what it missed"
    scene.mark()
    scene.pass_time(300 * MS)
    scene.answer_books()
    assert len(scene.appends) == 1


def test_a_book_that_is_not_followed_refuses_at_once() -> None:
    scene = Booked(FRESH)
    scene.answers.clear()
    scene.ask(order("a"))
    scene.answer_books("not followed")
    assert scene.told.code == "book_not_live"
    assert scene.told.text == "fresh_book: the book of KXA-1 is not followed"


def test_a_book_that_comes_after_all_is_used() -> None:
    scene = Booked(FRESH).settled_book()
    scene.say(BookLost("KXA-1", "closed 1006"))
    scene.pass_time(300 * MS)
    scene.answer_books("lost")
    answer = placed(scene, order("a", "0.30"))
    assert answer is not None
    assert answer.text == "fresh_book: the book of KXA-1 is lost, and asked for again"
    scene.pass_time(300 * MS)
    scene.answer_books("not followed")
    assert refused(placed(scene, order("b", "0.30")))[0] == "book_not_live"
    scene.say(BookSnapshot("KXA-1", ((Price(50 * CENT), Count(100)),), ()))
    assert placed(scene, order("c", "0.30")) is None


def test_a_book_that_does_not_come_refuses_in_the_end() -> None:
    scene = Booked(FRESH)
    scene.answers.clear()
    scene.ask(order("a"))
    scene.beat().pass_time(2 * SECOND).beat().pass_time(2 * SECOND)
    assert (scene.told.code, scene.told.text) == (
        "book_not_live", "fresh_book: the book of KXA-1 did not come in time",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (BookLost("KXA-1", "gap"), "lost, and asked for again"),
        (BookStale("KXA-1", "late"), "stale: what changes it comes late"),
        (BookDelta("KXA-1", "no", Price(50 * CENT), Count(100)), "crossed"),
    ],
)
def test_a_book_that_is_not_of_now_stops_orders(said: Any, text: str) -> None:
    scene = Booked(FRESH).settled_book()
    assert placed(scene, order("a", "0.30")) is None
    accepted(scene)
    scene.say(said)
    answer = placed(scene, order("b", "0.30"))
    assert answer is not None
    assert (answer.code, answer.text) == (
        "book_not_live",
        f"fresh_book: the book of KXA-1 is {text}",
    )
    assert answer.retry_after_ms == 250


def test_a_stream_that_falls_silent_stops_orders_but_no_cancel() -> None:
    scene = Booked(FRESH).settled_book()
    for _ in range(4):
        scene.pass_time(SECOND).beat()
    answer = placed(scene, order("a", "0.30"))
    assert answer is not None
    assert answer.code == "book_not_live"
    scene.ask(CancelOrder("first"))
    assert scene.calls[-1].call.name == "cancel"


BANDED = replace(FRESH, price_band=Price(5 * CENT))


@pytest.mark.parametrize(
    ("side", "reaches", "too_far"),
    [("bid", "0.60", "0.61"), ("ask", "0.45", "0.44")],
)
def test_the_band_around_the_book(side: Any, reaches: str, too_far: str) -> None:
    """Bids at 0.50, asks at 0.55, a band of 0.05."""
    scene = Booked(BANDED).settled_book()
    assert refused(placed(scene, order("a", too_far, side=side))) == (
        "price_band", "0.0500", "0.0600",
    )  # fmt: skip
    assert placed(scene, order("b", reaches, side=side)) is None
    accepted(scene)
    far = "0.02" if side == "bid" else "0.98"
    assert placed(scene, order("c", far, "1", side=side)) is None, "it waits, it does not reach"


def test_the_band_where_one_side_is_empty_and_where_both_are() -> None:
    scene = Booked(BANDED, no="").settled_book()
    assert refused(placed(scene, order("a", "0.56"))) == ("price_band", "0.0500", "0.0600")
    assert placed(scene, order("b", "0.55")) is None
    scene = Booked(BANDED, yes="", no="")
    scene.ask(order("c"))
    scene.mark()
    scene.answer_books()
    scene.pass_time(300 * MS)
    scene.answer_books()
    assert scene.told.text == (
        "price_band: nothing rests in KXA-1 that a price could be held against"
    )


def test_the_wide_limits_are_a_trader_on_paper() -> None:
    assert (WIDE.price_band, WIDE.same_order_ms) == (1_000_000, 0)
    assert WIDE.fresh_book
    assert WIDE.account_exposure == parse_money("100000")
