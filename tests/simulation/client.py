"""Programs that trade: one follows books, one asks for orders until it has a final answer."""

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.api.amends import AmendIt
from actors.api.asks import Ask, Cancel, Decrease, Place
from actors.api.batches import CancelMany, PlaceMany
from actors.api.core import Requested
from actors.api.keyed import Keyed
from protocol.envelope import Outbox
from protocol.follower import BookFollower
from protocol.limits import SECOND
from protocol.machine import Answered, Cause, Effect, Heard
from protocol.messages import BookAnswer, DecreaseOrder, PlaceOrder
from protocol.units import Count, Price
from tests.simulation.amending import amend_id

if TYPE_CHECKING:
    from tests.simulation.world import World

AMEND_FOR = 25 * SECOND


class Trader:
    """Follows the books of all markets that there are."""

    def __init__(self, epoch: int, markets: Callable[[], tuple[str, ...]]) -> None:
        self._outbox = Outbox("trader", epoch)
        self._markets = markets
        self.followers: dict[str, BookFollower] = {}

    def step(self, now: int, cause: Cause) -> list[Effect]:
        for ticker in self._markets():
            if ticker not in self.followers:
                self.followers[ticker] = BookFollower(ticker, self._outbox, now)
        match cause:
            case Heard(envelope=envelope):
                for follower in self.followers.values():
                    follower.hear(now, envelope)
            case Answered(letter=letter):
                if isinstance(letter.body, BookAnswer):
                    self.followers[letter.body.ticker].adopt(letter.body, letter.id)
        return [e for f in self.followers.values() for e in f.due(now, cause.at)]

    def deadline(self) -> int | None:
        return min((f.deadline() for f in self.followers.values()), default=None)


class Client:
    """Asks the API for orders and cancels, each under its own id and until it has an answer."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.orders: dict[str, PlaceOrder] = {}
        self.answers: dict[str, str] = {}  # what it was told, once that is final
        self.cancels: dict[str, str] = {}
        self.amends: dict[str, AmendIt] = {}  # by client_order_id and amend_id
        self.amended: dict[str, str] = {}  # what it was told of them, once that is final
        self.decreased: dict[str, int] = {}  # what may rest at most, where that was called done
        self._amend_until: dict[str, int] = {}
        self.given_up: set[str] = set()  # orders that nobody wants an answer for any more
        self._too_many: set[str] = set()  # orders of batches that would never fit the budget
        self._asked: dict[int, tuple[str, str]] = {}  # what was asked of the API, by request
        self._requests = itertools.count(1)
        self.keyed = False  # orders are asked for with a key each
        self.kept: dict[str, tuple[int, dict[str, Any]]] = {}  # what is said under it
        self.repeats = 0  # how often it was said again
        self._bare: set[int] = set()  # requests without one
        self._keyless: set[str] = set()  # what is said is "unknown": without a key there is more

    def post(self, order: PlaceOrder) -> None:
        """Ask for an order until there is a final answer, always under its own id."""
        self.orders[order.client_order_id] = order
        self._pursue("order", order.client_order_id)

    def cancel(self, id: str) -> None:
        """Ask for a cancel until there is a final answer; "not found" is final until asked anew."""
        if id in self.orders and self.cancels.get(id, "not_found") == "not_found":
            self.cancels[id] = ""
            self._pursue("cancel", id)

    def amend(self, id: str, cents: int, whole: int) -> None:
        """Ask for other terms until there is a final answer, always under the same id."""
        name = amend_id(cents, whole)
        key = f"{id} {name}"
        if id in self.orders and key not in self.amends:
            self._amend_until[key] = self._world.now + AMEND_FOR
            self.amends[key] = AmendIt(id, name, Price(cents * 10_000), Count(whole))
            self._pursue("amend", key)

    def decrease(self, id: str, whole: int) -> None:
        """Ask once that no more than so much of an order rests."""
        if id in self.orders:
            self._ask("decrease", f"{id} {whole}", Decrease(DecreaseOrder(id, Count(whole))))

    def post_batch(self, orders: list[PlaceOrder]) -> None:
        """Ask for several at once, until each has a final answer."""
        self.orders |= {order.client_order_id: order for order in orders}
        self._pursue_batch([order.client_order_id for order in orders])

    def cancel_batch(self, ids: list[str]) -> None:
        """Ask for several cancels at once; then for each by itself, until it has its answer."""
        asked = self.orders.keys() - {
            id for id, told in self.cancels.items() if told != "not_found"
        }
        ids = [id for id in ids if id in asked]
        if not ids:
            return
        self.cancels |= dict.fromkeys(ids, "")
        self._ask("cancels", " ".join(ids), CancelMany(tuple(ids)))
        for id in ids:
            wait = SECOND // 2
            self._world.at(self._world.now + wait, functools.partial(self._pursue, "cancel", id))

    def _pursue_batch(self, ids: list[str]) -> None:
        """The same again with those that have no answer yet; alone, where they are too many."""
        world = self._world
        left = [id for id in ids if id not in self.answers and id not in self.given_up]
        if len(left) < 2 or self._too_many & set(left):
            for id in left:
                self._pursue("order", id)
            return
        self._ask("batch", " ".join(left), PlaceMany(tuple(self.orders[id] for id in left)))
        world.at(world.now + SECOND, lambda: self._pursue_batch(left))

    def _ask(self, what: str, id: str, ask: Ask) -> None:
        world = self._world
        api = world.processes["api"]
        if api is not None and (what, id) not in self._asked.values():
            number = next(self._requests)
            self._asked[number] = (what, id)
            keyed = Keyed("client", id, b"") if self.keyed and what == "order" else None
            if keyed is not None and id in self._keyless:
                keyed = None
                self._bare.add(number)
            world.feed(api, Requested(world.wall, number, ask, keyed))

    def once_more(self, id: str) -> None:
        """Ask for an order that was answered, under its key."""
        self._keyless.discard(id)
        self._ask("order", id, self._wish("order", id))

    def _consistent(self, id: str, status: int, body: dict[str, Any]) -> None:
        """Whatever is an answer under a key stays it; "unknown" may come first where the disk
        could not keep it."""
        if status == 503:
            return
        if status == 202:
            self._keyless.add(id)
        was = self.kept.get(id)
        unkept = was is not None and was[0] == 202 and self._world.faults.latch_fails > 0
        if was is None or unkept:
            self.kept[id] = (status, body)
            return
        self.repeats += 1
        assert (status, body) == was, f"{id}: another answer"

    def give_up(self) -> None:
        """Ask no more for the orders that are not answered yet."""
        self.given_up |= self.orders.keys() - self.answers.keys()

    def hung_up(self) -> None:
        """The API has died: whoever waited for an answer has lost the connection."""
        self._asked.clear()

    def _pursue(self, what: str, id: str) -> None:
        world = self._world
        told = {"order": self.answers, "cancel": self.cancels, "amend": self.amended}[what]
        if told.get(id) or (what == "order" and id in self.given_up):
            return
        self._ask(what, id, self._wish(what, id))
        world.at(world.now + SECOND, lambda: self._pursue(what, id))

    def _wish(self, what: str, id: str) -> Ask:
        match what:
            case "order":
                return Place(self.orders[id])
            case "amend":
                return self.amends[id]
        return Cancel(id)

    def replied(self, number: int, status: int, body: dict[str, Any]) -> None:
        """The API's answer to a request."""
        what, id = self._asked.pop(number, ("", ""))
        if self.keyed and what == "order" and number not in self._bare:
            self._consistent(id, status, body)
        if what in ("batch", "cancels"):
            if status == 422:
                self._too_many |= set(id.split(" "))
                self._world.happened["a batch was too large"] += 1
            for row in body.get("orders", ()):
                one = "order" if what == "batch" else "cancel"
                self._final(one, row["client_order_id"], row["status"], row)
            return
        self._final(what, id, status, body)

    def _final(self, what: str, id: str, status: int, body: dict[str, Any]) -> None:
        if what == "cancel" and status in (200, 404, 409):
            self.cancels[id] = {200: "canceled", 404: "not_found", 409: "gone"}[status]
        if what == "decrease" and status == 200:
            id, _, whole = id.partition(" ")
            self.decreased[id] = min(int(whole), self.decreased.get(id, int(whole)))
        if what == "amend":
            word = {200: "accepted", 422: "refused"}.get(status)
            if status in (404, 409) and self._world.now > self._amend_until[id]:
                word = "refused"  # until then its order may come, or its last amend be settled
            if status == 503 and body["code"] == "not_recorded":
                word = "unavailable"
            if status == 409 and body["code"] == "order_ended":
                word = "over"
            if word is not None:
                assert self.amended.setdefault(id, word) == word, f"{id}: two final answers"
        if what == "order":
            final = {201: "accepted", 409: "conflict", 422: "refused"}.get(status)
            if status == 503 and body["code"] in ("not_recorded", "withdrawn"):
                final = "unavailable"
            if final is not None:
                assert self.answers.setdefault(id, final) == final, f"{id}: two final answers"
