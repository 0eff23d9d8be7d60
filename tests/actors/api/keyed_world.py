"""A front with its disk, an engine, and programs that ask with keys: one step at a time.

Every step (a letter, a commit, an answer) is taken by whoever tests, so that between any two of
them the front may die. The disk keeps the store's contract (`test_answers.py` holds both against
each other), and the gateway what the real one promises of ids, times and letters told again.
"""

import collections
import json
from typing import Any

from actors.api.asks import Problem
from actors.api.core import Api, Requested
from actors.api.keyed import Begin, Begun, Drop, Keep, Kept, Keyed, Known, said, unminted
from actors.api.replies import Reply
from protocol import topics
from protocol.account import Account
from protocol.envelope import Envelope, Letter
from protocol.limits import SECOND
from protocol.machine import Answered, Cause, Effect, Elapsed, Heard, Report, Started, Tell
from protocol.messages import (
    AccountAnswer,
    AccountRequest,
    AnyMessage,
    BatchAnswer,
    ConfirmRestore,
    Follow,
    FollowAnswer,
    GroupAnswer,
    Halt,
    HaltAnswer,
    ManageGroup,
    Mark,
    OrderAnswer,
    PlaceBatch,
    PlaceOrder,
    ProcessHealth,
    Refused,
    RestoreAnswer,
    Resume,
    System,
)
from protocol.pulse import Identity
from tests.actors.api.reading import read

AT = 1_782_873_388_379_000
ORDER = {"ticker": "KXA-1", "side": "bid", "price": "0.5600", "count": "10.00"}
ASKED: dict[str, tuple[str, Any]] = {
    "order": ("/v1/orders", ORDER),
    "other": ("/v1/orders", {**ORDER, "count": "11.00"}),
    "batch": ("/v1/orders/batch", {"orders": [ORDER, {**ORDER, "price": "0.5500"}]}),
    "group": ("/v1/groups", {"contracts_limit": "50.00"}),
    "reset": ("/v1/groups/g1/reset", {}),
    "trigger": ("/v1/groups/g1/trigger", {}),
    "halt": ("/v1/halt", {"reason": "lunch"}),
    "resume": ("/v1/resume", {"reason": "back"}),
    "follow": ("/v1/follow", {"add": ["*"]}),
    "confirm": ("/v1/restore/confirm", {"confirmed_by": "alice"}),
}
Wish = Begin | Keep | Drop


class Disk:
    """What the store promises: done as asked, one after the other, and then it is there."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Known] = {}

    def do(self, wish: Wish) -> Cause:
        rows, name = self.rows, wish.keyed.name
        match wish:
            case Begin():
                if name in rows:
                    return Begun(AT, wish.id, rows[name])
                rows[name] = Known(wish.keyed.digest, wish.at)
                return Begun(AT, wish.id)
            case Keep(reply=reply):
                known = rows.get(name)
                if known is None or known.status:
                    return Kept(AT, reply.id, f"{wish.keyed.key} has not begun")
                rows[name] = Known(known.digest, known.at, reply.status, reply.body, reply.location)
                return Kept(AT, reply.id)
            case Drop(id=id):
                if name in rows and not rows[name].status and rows[name].at == wish.at:
                    del rows[name]
                return Kept(AT, id)


def number_of(letter: Letter) -> int:
    """Of the request that a letter of the front is for."""
    return int(letter.id.rpartition(":")[2])


def failed(wish: Wish) -> Cause:
    """What the store says of something that it can't do."""
    match wish:
        case Begin(id=id):
            return Begun(AT, id, trouble="broken", text="answers.db: disk I/O error")
        case Keep(reply=reply):
            return Kept(AT, reply.id, "answers.db: disk I/O error")
        case Drop(id=id):
            return Kept(AT, id, "answers.db: disk I/O error")


class Gateway:
    """Orders by their ids, groups without any, a latch; an answer says how often it was asked."""

    def __init__(self) -> None:
        self.orders: dict[str, PlaceOrder] = {}
        self.groups = 0
        self.resets = 0
        self.confirmed = 0
        self.halted_at = 0
        self.did: list[int] = []  # the number of the request behind each thing that was done
        self.wishes = 2  # of what to follow (it speaks for the stream as well)
        self.refuses = False  # orders and groups, with nothing recorded
        self._told: dict[tuple[int, str], AnyMessage] = {}
        self._asked = 0

    def take(self, at: int, letter: Letter) -> Letter:
        who = (letter.epoch, letter.id)
        self._asked += 1
        if who not in self._told:
            before = self._state
            self._told[who] = self._answer(at, letter)
            if before != self._state:
                self.did.append(number_of(letter))
        return Letter("gateway", 1, letter.id, at, self._told[who])

    @property
    def _state(self) -> tuple[int, ...]:
        """What changes when something is done."""
        return len(self.orders), self.groups, self.resets, self.halted_at, self.confirmed

    def _answer(self, at: int, letter: Letter) -> AnyMessage:
        match letter.body:
            case PlaceOrder() as order:
                return self._place(order)
            case PlaceBatch(orders=orders):
                return BatchAnswer(tuple(self._place(order) for order in orders))
            case ManageGroup(action="trigger", order_group_id=id):
                return GroupAnswer("done", id)
            case ManageGroup(action=action, order_group_id=id):
                if self.refuses:
                    return GroupAnswer("refused", code="busy", text="busy", retry_after_ms=500)
                self.groups += action == "create"
                self.resets += action == "reset"
                return GroupAnswer("done", id or f"g{self.groups}")
            case Halt(reason=reason):
                self.halted_at = at
                return HaltAnswer(True, f"{reason}, {self._asked}")
            case Resume():
                if self.halted_at > letter.at:
                    return HaltAnswer(True, "halted after this resume was asked for")
                self.halted_at = 0
                return HaltAnswer(False, f"{self._asked}")
            case ConfirmRestore():
                self.confirmed += 1
                return RestoreAnswer("confirmed")
            case Follow():
                return FollowAnswer(tuple(f"KXA-{n}" for n in range(self.wishes)), self._asked, 0)
        return Refused(f"unexpected: {letter.body}")

    def _place(self, order: PlaceOrder) -> OrderAnswer:
        id = order.client_order_id
        if self.refuses and id not in self.orders:
            return OrderAnswer(id, "denied", code="halted", text="halted")
        if self.orders.setdefault(id, order) != order:
            return OrderAnswer(id, "conflict", code="order_id_taken", text="taken")
        return OrderAnswer(id, "accepted", text=f"asked {self._asked} times")


class World:
    """The front's lives, and what is on its way between it, its disk and the gateway."""

    def __init__(self, disk: Disk | None = None, ready: bool = True, life: int = 0) -> None:
        self.disk = disk or Disk()
        self.gateway = Gateway()
        self.now, self.at = SECOND, AT
        self.ready = ready
        self.wishes: collections.deque[Wish] = collections.deque()
        self.letters: collections.deque[Letter] = collections.deque()
        self.answers: collections.deque[Letter] = collections.deque()
        self.letters_told: list[Letter] = []
        self.replies: dict[int, Reply] = {}
        self.asked: dict[int, tuple[str, str]] = {}  # key and what, by number
        self.lives: dict[int, int] = {}  # in which life it was asked, by number
        self.reports: list[str] = []
        self.life = life  # the last one
        self._number = 0
        self.start()

    def start(self) -> None:
        """The next life, at once ready."""
        self.life += 1
        self.core = Api(Identity("api", self.life))
        self.feed(Started(self.at))
        if not self.ready:
            return
        stream = ProcessHealth("ready", "", 1, 1, 0, 0)
        system = System(True, "open", 10_000, (), {"rehydrated": True}, {"stream": stream})
        self.feed(Heard(self.at, Envelope(topics.SYSTEM, "supervisor", 1, 1, self.at, system)))
        self._mark()
        account = AccountAnswer("restored", Account().state())
        self.feed(Answered(self.at, "rehydrator", Letter("rehydrator", 1, "account:1", 0, account)))

    def _mark(self) -> None:
        seq = self.now // SECOND
        mark = Envelope(topics.MARK, "writer", 1, seq, self.at, Mark({}, 0))
        self.feed(Heard(self.at, mark))

    def feed(self, cause: Cause) -> None:
        for effect in self.core.step(self.now, cause):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Reply(id=id):
                assert id not in self.replies, "answered twice"
                self.replies[id] = effect
            case Begin() | Keep() | Drop():
                self.wishes.append(effect)
            case Tell(peer="gateway" | "stream", letter=letter):
                self.letters.append(letter)
                self.letters_told.append(letter)
            case Tell(letter=Letter(body=AccountRequest())) | Tell(peer="supervisor"):
                return
            case Report(text=text):
                self.reports.append(text)
            case _:
                raise AssertionError(effect)

    # Programs

    def ask(self, key: str, what: str, caller: str = "t1") -> int:
        """A program asks, as `web.py` hands it on. Returns the request's number."""
        self._number += 1
        self.asked[self._number] = (key, what)
        self.lives[self._number] = self.life
        path, content = ASKED[what]
        body = json.dumps(content).encode()
        keyed = said(caller, [key], "POST", path, body)
        assert isinstance(keyed, Keyed)
        found = read("POST", path, {}, body, keyed.fresh_id)
        assert not isinstance(found, Problem), found
        self.feed(Requested(self.at, self._number, unminted(found[1]), keyed))
        return self._number

    def told(self, number: int) -> tuple[int, Any]:
        """What a request was answered: status and JSON."""
        reply = self.replies[number]
        return reply.status, json.loads(reply.body)

    # What may happen next

    def disk_works(self) -> None:
        """The disk does the next thing, and says so."""
        if self.wishes:
            self.feed(self.disk.do(self.wishes.popleft()))

    def disk_fails(self, done: bool = False) -> None:
        """It says that it can't, and perhaps it has."""
        if self.wishes:
            wish = self.wishes.popleft()
            if done:
                self.disk.do(wish)
            self.feed(failed(wish))

    def gateway_works(self) -> None:
        """The gateway takes the next letter."""
        if self.letters:
            letter = self.letters.popleft()
            answer = self.gateway.take(self.at, letter)
            if letter.epoch == self.life:
                self.answers.append(answer)

    def answer_comes(self) -> None:
        if self.answers:
            self.feed(Answered(self.at, "gateway", self.answers.popleft()))

    def passes(self, time: int) -> None:
        """Time passes: the front wakes when it wants to."""
        until = self.now + time
        while (wakes := self.core.deadline()) is not None and wakes <= until:
            self.at += max(wakes - self.now, 0) // 1_000
            self.now = max(wakes, self.now)
            if self.ready:
                self._mark()
            self.feed(Elapsed(self.at))
        self.at += (until - self.now) // 1_000
        self.now = until

    def crash(self, done: int = 0) -> None:
        """The front dies. What waits for the disk may have been done, in order, up to `done`; what
        the gateway was told may still come to it."""
        for _ in range(min(done, len(self.wishes))):
            self.disk.do(self.wishes.popleft())
        self.wishes.clear()
        self.answers.clear()
        self.passes_quietly(100_000)
        self.start()

    def passes_quietly(self, us: int) -> None:
        """A front that is dead does not wake."""
        self.now, self.at = self.now + us * 1_000, self.at + us

    def settle(self) -> None:
        """Everything that can happen without time does."""
        while self.wishes or self.letters or self.answers:
            self.disk_works()
            self.gateway_works()
            self.answer_comes()
