"""Scenes in which an order that makes sense is refused: each is one reason."""

from typing import Any

from msgspec.structs import replace

from protocol.facts import LedgerRestored, OrderAccepted
from protocol.limits import LANE_QUEUE_MAX, SECOND
from protocol.machine import Heard, Stopping
from protocol.messages import Panic, Resume, System
from protocol.units import Count
from tests.actors.gateway.braking import (
    BANDED,
    FRESH,
    Booked,
    accepted,
    intent,
    placed,
    with_balances,
)
from tests.actors.gateway.braking import order as right
from tests.actors.gateway.scene import BLIND, MARKET, Scene
from tests.actors.gateway.test_orders import live


def market(**row: Any) -> Scene:
    """The market is as this says."""
    scene = Scene()
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, **row}}
    return scene.ready()


class NoMarket(Scene):
    """The exchange answers 404 for a market, or what it is told to."""

    def __init__(self, status: int = 404, answer: Any = None) -> None:
        super().__init__()
        self.instead["/markets/KXA-1"] = None
        self.status, self.answer = status, answer or {"error": {"code": "not_found"}}
        self.ready()

    def pass_time(self, duration: int) -> Scene:
        while self.calls and self.calls[0].call.path == "/markets/KXA-1":
            self.reply(self.status, self.answer)
        return super().pass_time(duration)


def rests(id: str, side: Any, price: str, count: str = "10") -> tuple[Any, Any]:
    booked = intent(id, "KXA-1", side, price, count)
    return booked, OrderAccepted(id, f"x-{id}", Count(0), booked.count)


def before(scene: Scene, *ids: str, **terms: Any) -> Scene:
    """Orders have passed and rest."""
    for id in ids:
        assert placed(scene, right(id, **terms)) is None
        accepted(scene)
    return scene


def cash(shard: int, *balances: tuple[int, str]) -> Scene:
    scene = Scene(limits=replace(BLIND, money=True))
    scene.instead["/markets/KXA-1"] = {"market": {**MARKET, "exchange_index": shard}}
    scene.instead["/portfolio/balance"] = with_balances(*balances)
    return scene.ready()


def book(said: Any = None, banded: bool = False, **levels: str) -> Scene:
    """A followed book, and what the stream said of it last."""
    scene = Booked(BANDED if banded else FRESH, **levels).settled_book()
    if said is not None:
        scene.say(said)
    return scene


class Unfollowed(Booked):
    """The stream does not follow the book."""

    def pass_time(self, duration: int) -> Scene:
        self.answer_books("not followed")
        return super().pass_time(duration)


def silent() -> Scene:
    """Nothing has been heard of the book for some seconds."""
    scene = book()
    for _ in range(4):
        scene.pass_time(SECOND).beat()
    return scene


def gate(word: str) -> Scene:
    scene = Scene().ready()
    return scene.beat(word)


def paused() -> Scene:
    scene = Scene()
    scene.instead["/exchange/status"] = {"exchange_active": True, "trading_active": False}
    return scene.ready()


def restored() -> Scene:
    """From a backup: ids may have been used in what it forgot."""
    scene = Scene()
    scene.restore(LedgerRestored("r1", 0, 5)).pass_time(3 * SECOND).beat()
    return scene.settle()


def held() -> Scene:
    """Somebody has pressed panic, and resumed."""
    scene = Scene().ready()
    scene.ask(Panic("fire"))
    live(scene, SECOND)
    scene.ask(Resume("false alarm"))
    scene.save()
    return scene


def behind() -> Scene:
    """The supervisor says that all is well, and of the ledger nothing is heard."""
    scene = Scene().ready()
    for _ in range(10):
        scene.pass_time(SECOND)
        system = System(True, "open", 10_000, ("test",), {}, {})
        scene.feed(Heard(scene.at, scene.supervisor.seal("system", system, scene.at)))
    return scene


def unread_limits() -> Scene:
    """The exchange has not said what the account may ask of it."""
    scene = Scene()
    scene.hush = True
    return scene.restore().pass_time(3 * SECOND).beat()


def stopping() -> Scene:
    scene = on_its_way()
    scene.feed(Stopping(scene.at))
    return scene


def unread_balance() -> Scene:
    """The balance is too old to refuse by, and the exchange does not answer."""
    scene = before(cash(0, (0, "1.0000")), "a", price="0.01", count="1")
    scene.beat().pass_time(6 * SECOND).beat()
    scene.hush = True
    return scene


def crowded() -> Scene:
    """As many orders as there is room for wait for a market that can't be read."""
    scene = Scene()
    scene.instead["/markets/KXA-1"] = None
    scene.ready()
    for i in range(LANE_QUEUE_MAX):
        scene.ask(right(f"n{i}"))
    return scene


def on_its_way() -> Scene:
    """An order of this id waits for the writer."""
    scene = Scene().ready()
    scene.ask(right("wrong"))
    return scene
