"""The front's core: requests in, letters to the engine, answers out.

Nothing is served before the account is rehydrated, but a cancel, a decrease, a halt, a panic and
the word that a restore is confirmed, which wait for nothing. Orders are never guessed: without an
answer in time the word is 202, unknown.
"""

from msgspec.structs import replace

from actors.api.amends import AmendIt
from actors.api.asks import (
    Ask,
    GetBook,
    GetList,
    GetOpenApi,
    GetOrder,
    GetStatus,
    Place,
)
from actors.api.batches import PlaceMany
from actors.api.bodies import BUSY, Problem
from actors.api.books import Books
from actors.api.effects import Drained, Joined, Left, Said
from actors.api.feeds import Feeds
from actors.api.keyed import Begun, Kept, Keyed
from actors.api.keys import UNKEPT, Go, Keys, Step, Unkept
from actors.api.letters import (
    AT_ANY_TIME,
    Addressed,
    letter_for,
    patience,
    silence,
)
from actors.api.listing import folded, look_up
from actors.api.openapi import PAGE
from actors.api.pending import Open, Pending
from actors.api.profits import LETTER, Marks
from actors.api.proofs import Proofs
from actors.api.replies import AsOf, Reply, dated, refuse, translate
from protocol import topics
from protocol.envelope import Letter, Outbox
from protocol.follower import LedgerFollower
from protocol.machine import (
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Started,
    Stopping,
)
from protocol.messages import (
    EvidenceAnswer,
    PlaceOrder,
    System,
)
from protocol.pulse import Identity, Pulse, Vitals
from protocol.telling import Outstanding


class Requested(Cause, frozen=True):
    """A program asks; it is allowed to, and what it asks makes sense."""

    id: int
    ask: Ask
    keyed: Keyed | None = None


class Api:
    """The core. Orders that name no group are in `order_group`, "" for none."""

    def __init__(self, identity: Identity, order_group: str = "", profile: str = "paper") -> None:
        self._order_group = order_group
        self._profile = profile
        self._outbox = Outbox(identity.name, identity.epoch)
        self._pulse = Pulse(identity, self._outbox)
        self._tells = Outstanding(self._outbox)
        self._ledger = LedgerFollower(self._outbox)
        self._books = Books(self._outbox)
        self._feeds = Feeds(self._books, self._ledger, self._tells)
        self._system: System | None = None
        self._system_at = 0  # microseconds: when the supervisor said so
        self._served = False
        self._pending = Pending()
        self._marks = Marks(self._tells, self._pending)
        self._proofs = Proofs(self._ledger, self._tells, self._pending)
        self._due_at = 0  # nothing is to be done before this moment but what a cause leads to
        self._keys = Keys()
        self._counters = {"requests": 0, "refused": 0, "timeouts": 0}

    def step(self, now: int, cause: Cause) -> list[Effect]:
        effects = self._take(now, cause)
        if now < self._due_at and self._is_all(cause, effects):
            return effects
        effects += self._expire(now, cause.at)
        effects = self._keys.hold(now, effects)
        effects += self._go_on(now, self._keys.due(now))
        effects += self._ledger.due(now, cause.at)
        effects += self._feeds.due(now, cause.at)
        effects += self._tells.due(now)
        reasons = self._unready(now)
        self._served = self._served or not reasons
        vitals = Vitals(reasons, {"routes_ready": self._served and not reasons})
        if self._pulse.due(now, vitals):
            counters = self._counters | self._feeds.counters() | self._ledger.counters()
            effects += self._pulse.beat(now, cause.at, vitals, counters)
        self._due_at = self._next_due()
        return effects

    def _is_all(self, cause: Cause, effects: list[Effect]) -> bool:
        """Whether a request was answered at once, and nothing has come of it but its answer."""
        plain = isinstance(cause, Requested) and cause.keyed is None
        at_once = len(effects) == 1 and isinstance(effects[0], Reply)
        return plain and at_once and not self._books.stirred

    def deadline(self) -> int:
        return self._due_at

    def _next_due(self) -> int:
        found = [self._pulse.deadline(), self._tells.deadline(), self._ledger.deadline()]
        found += [self._pending.deadline(), self._keys.deadline()]
        found.append(self._feeds.deadline())
        return min(d for d in found if d is not None)

    def _take(self, now: int, cause: Cause) -> list[Effect]:
        match cause:
            case Started() | Elapsed() | Asked():
                return []
            case Heard(envelope=envelope, frame=frame):
                if envelope.topic == topics.SYSTEM and isinstance(envelope.body, System):
                    self._system, self._system_at = envelope.body, envelope.at
                else:
                    self._ledger.hear(now, envelope, cause.at)
                return self._feeds.hear(now, cause.at, envelope, frame)
            case Joined() | Said() | Drained() | Left():
                return self._feeds.take(now, cause)
            case Requested(id=id, ask=ask, keyed=keyed):
                self._counters["requests"] += 1
                if keyed is not None:
                    return self._keys.take(now, cause.at, id, ask, keyed)
                return self._requested(now, cause.at, id, ask)
            case Begun():
                return self._go_on(now, self._keys.begun(now, cause))
            case Kept():
                return self._go_on(now, self._keys.kept(now, cause))
            case Answered(letter=letter):
                return self._answered(now, cause.at, letter)
            case Stopping():
                return [Finish(0)]
        raise AssertionError(f"unexpected cause: {cause}")

    def _go_on(self, now: int, steps: list[Step]) -> list[Effect]:
        """What follows from what the disk knows of requests with a key."""
        effects: list[Effect] = []
        for step in steps:
            match step:
                case Go(id=id, ask=ask, at=at):
                    effects += self._keys.hold(now, self._requested(now, at, id, ask))
                case Unkept(id=id, ask=ask):
                    found = silence(id, ask)
                    effects.append(refuse(id, UNKEPT) if found.unsure else found)
                case _:
                    effects.append(step)
        return effects

    def _unready(self, now: int) -> tuple[str, ...]:
        """Why nothing is served; once served, only what the account itself lacks."""
        reasons = []
        why = self._ledger.why_not(now)
        if why:
            reasons.append(why)
        if not self._served:
            system = self._system
            if system is None:
                reasons.append("waiting for supervisor: not heard")
            else:
                if not system.read_only and not system.flags.get("rehydrated", False):
                    reasons.append("waiting for rehydrator: not rehydrated")
                stream = system.processes.get("stream")
                if stream is None or stream.state in ("unseen", "missing"):
                    reasons.append("waiting for stream: not seen")
        return tuple(reasons)

    def _requested(self, now: int, at: int, id: int, ask: Ask) -> list[Effect]:
        match ask:
            case GetStatus():
                return [self._status(id, at)]
            case GetOpenApi():
                return [Reply(id, 200, PAGE)]
        reasons = () if isinstance(ask, AT_ANY_TIME) else self._unready(now)
        if reasons:
            self._counters["refused"] += 1
            problem = Problem(503, "not_ready", "; ".join(reasons), retry_after_ms=1_000)
            return [refuse(id, problem)]
        match ask:
            case GetBook():
                kept = self._books.read(now, at, ask.ticker, ask.depth)
                if kept is not None:  # as good as the stream's word
                    return [Reply(id, 200, kept)]
            case GetList(what="positions"):
                return self._positions(now, at, id, ask)
            case GetOrder(client_order_id=name) if self._forgotten(name):
                pass  # the ledger's entries may speak of it
            case GetOrder() | GetList():
                assert self._ledger.account is not None
                as_of = folded(self._ledger, now, at)
                return [look_up(id, ask, self._ledger.account, as_of, at)]
            case AmendIt():
                return self._amend(now, at, id, ask)
            case Place(order=order):
                ask = Place(self._grouped(order))
            case PlaceMany(orders=orders):
                ask = PlaceMany(tuple(self._grouped(order) for order in orders))
        return self._wait(now, at, id, ask, letter_for(id, ask))

    def _positions(self, now: int, at: int, id: int, ask: GetList) -> list[Effect]:
        """A page of positions; the stream is asked for the books of those that are held."""
        assert self._ledger.account is not None
        if self._crowded(ask):
            return [refuse(id, BUSY)]
        as_of = folded(self._ledger, now, at)
        return self._marks.page(now, at, id, ask, self._ledger.account, as_of)

    def _grouped(self, order: PlaceOrder) -> PlaceOrder:
        """An order that names no group is in the one of the settings, if there is one."""
        if order.order_group_id:
            return order
        return replace(order, order_group_id=self._order_group)

    def _amend(self, now: int, at: int, id: int, ask: AmendIt) -> list[Effect]:
        account, name = self._ledger.account, ask.client_order_id
        assert account is not None
        order, text = account.order(name), "no order has this id"
        letter = ask.letter(order)
        if order is None and account.forgets and letter is None:
            text += ", or it ended long ago: say price and count to hear of an amend of it"
        if letter is None or (order is None and not account.forgets):
            return [refuse(id, Problem(404, "order_not_found", text))]
        told = Addressed("gateway", f"amend:{name}:{ask.amend_id}:{id}", letter)
        return self._wait(now, at, id, ask, told)

    def _wait(self, now: int, at: int, id: int, ask: Ask, told: Addressed) -> list[Effect]:
        if self._crowded(ask):
            return [refuse(id, BUSY)]
        self._pending.keep(told.id, Open(id, ask, now + patience(ask), at))
        return self._tells.tell(now, at, *told)

    def _crowded(self, ask: Ask) -> bool:
        """Whether there is no room for one more of its kind."""
        crowded = self._pending.crowded(ask) or self._tells.full
        self._counters["refused"] += crowded
        return crowded

    def _answered(self, now: int, at: int, letter: Letter) -> list[Effect]:
        if self._tells.answered(letter.id) is None:
            self._ledger.answered(now, letter.body)
            return self._feeds.answered(now, at, letter)
        if letter.id.startswith(LETTER):
            return self._marks.answered(at, letter.id, letter.body)
        waiting = self._pending.pop(letter.id)
        if waiting is None:
            return self._feeds.answered(now, at, letter)
        if waiting.found is not None or isinstance(letter.body, EvidenceAnswer):
            return self._proofs.answered(now, at, waiting, letter.body)
        return [translate(waiting.id, waiting.ask, letter.body, at, waiting.at)]

    def _forgotten(self, name: str) -> bool:
        """Whether the ledger may know an order that memory does not have any more."""
        account = self._ledger.account
        return account is not None and account.forgets and account.order(name) is None

    def _expire(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        for letter, waiting in self._pending.late(now):
            self._counters["timeouts"] += 1
            self._tells.answered(letter)  # told no more
            if isinstance(waiting.ask, GetList):
                effects += self._marks.late(at, waiting.id)
            elif waiting.found is not None:
                effects.append(self._proofs.without_gateway(now, at, waiting))
            else:
                effects.append(silence(waiting.id, waiting.ask))
        return effects

    def _status(self, id: int, at: int) -> Reply:
        if self._system is None:
            return refuse(id, Problem(503, "not_ready", "the supervisor has not been heard"))
        told = {"profile": self._profile} | AsOf(self._system_at).told(at)
        return dated(id, self._system, told)
