"""Stories of brakes: a scene that is ready for orders, with or without a book, and what it says."""

from typing import Any

from msgspec.structs import replace

from protocol.brakes import Limits
from protocol.envelope import Letter, Outbox
from protocol.facts import Fill, OrderIntended
from protocol.limits import MS, SECOND
from protocol.machine import Answered, Effect, Heard, Tell
from protocol.messages import BookAnswer, BookRequest, OrderAnswer, PlaceOrder
from protocol.units import Count, Money, Price, parse_count, parse_price
from tests.actors.gateway.scene import ANSWERS, BLIND, MARKET, Scene

CENT = 10_000
FRESH = replace(BLIND, fresh_book=True)
BANDED = replace(FRESH, price_band=Price(5 * CENT))


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


def intent(id: str, ticker: str, side: Any, price: str, count: str) -> OrderIntended:
    return OrderIntended(
        id, ticker, side, parse_price(price), parse_count(count), "good_till_canceled", "h"
    )


def fill(ticker: str, side: Any, price: str, count: str) -> Fill:
    return Fill(
        f"o-{ticker}", f"t-{ticker}", ticker, side, parse_price(price), parse_count(count),
        Money(0), True,
    )  # fmt: skip


def with_balances(*found: tuple[int, str]) -> dict[str, Any]:
    rows = [{"exchange_index": shard, "balance": balance} for shard, balance in found]
    whole = sum(float(balance) for _, balance in found)
    return {**ANSWERS, "balance_dollars": f"{whole:.4f}", "balance_breakdown": rows}


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
