"""Who is in step on which topic, and who is to get a snapshot first.

All in step on a topic are told the same, once. Who is out (it has just come, or something was
missed) is told nothing of that topic but why, until it gets a snapshot; from there on it is in
step with the others. Snapshots are given as fast as a client takes them.
"""

import bisect
from collections.abc import Callable

from msgspec import Struct

from actors.api import notices
from actors.api.audience import Audience
from actors.api.commands import kind_of
from actors.api.effects import Pace, Say
from protocol import topics
from protocol.envelope import Envelope
from protocol.limits import SNAPSHOT_BYTES_A_TURN
from protocol.machine import Effect


class Client(Struct):
    """One connection."""

    id: int
    token: str
    prefixes: dict[str, None]
    waiting: dict[str, None]  # topics of which it is to get a snapshot
    credit: int = SNAPSHOT_BYTES_A_TURN


class Topic(Struct):
    """What is known of one topic that somebody follows."""

    name: str
    kind: str
    out: dict[int, None]  # of those who follow it, who is not in step
    to: tuple[int, ...] | None = None  # the others; None: to be worked out
    open: bool = False  # there are, or may be, some in step
    told: tuple[int, int] | None = None  # the last epoch and number; None: not known
    why: tuple[notices.Why, str] | None = None  # there is no snapshot for now
    last: Envelope | None = None  # where each message is whole
    snapshot: tuple[object, bytes] | None = None  # and what it is of


class InStep:
    """Clients and topics. `snapshot` makes one, or returns None while there is none."""

    def __init__(
        self, audience: Audience, snapshot: Callable[[int, int, Topic], bytes | None]
    ) -> None:
        self.clients: dict[int, Client] = {}
        self.topics: dict[str, Topic] = {}
        self._names: list[str] = []  # theirs, sorted, each with a space at its end
        self.lost = 0  # how often somebody was told so
        self._audience = audience
        self._make = snapshot

    def topic(self, name: str) -> Topic:
        """The topic of that name, from now on."""
        found = self.topics.get(name)
        if found is None:
            found = self.topics[name] = Topic(name, kind_of(name), {})
            bisect.insort(self._names, f"{name} ")
        return found

    def drop(self, name: str) -> None:
        """Nothing is known any more of a topic that there is."""
        del self.topics[name]
        del self._names[bisect.bisect_left(self._names, f"{name} ")]

    def under(self, prefix: str) -> list[str]:
        """The topics that a prefix fits, as far as they are known."""
        return topics.under(self._names, prefix)

    def stir(self) -> None:
        """Who follows what has changed."""
        for topic in self.topics.values():
            topic.to = None

    def of(self, topic: Topic) -> tuple[int, ...]:
        """All in step."""
        if topic.to is None:
            everybody, out = self._audience.of(topic.name), topic.out
            topic.to = tuple(id for id in everybody if id not in out) if out else everybody
        return topic.to

    def pass_on(self, topic: Topic, envelope: Envelope, frame: bytes) -> list[Effect]:
        """The next message, to all in step."""
        to = self.of(topic)
        return [Say(to, notices.passed_on(envelope, frame))] if to else []

    def tell_lost(
        self, to: tuple[int, ...], topic: str, why: tuple[notices.Why, str], again: bool,
        missing: int = 0,
    ) -> list[Effect]:  # fmt: skip
        """Say to these that something of a topic, or of all under a prefix, is missing."""
        if not to:
            return []
        self.lost += 1
        return [Say(to, notices.lost(topic, *why, again, missing))]

    def put_out(self, topic: Topic, clients: tuple[int, ...]) -> list[Effect]:
        """These are to get a snapshot. If it is known why there is none, they are told."""
        for id in clients:
            topic.out[id] = None
            self.clients[id].waiting[topic.name] = None
        topic.to = None
        return [] if topic.why is None else self.tell_lost(clients, topic.name, topic.why, True)

    def release(self, topic: Topic, clients: tuple[int, ...]) -> None:
        """These wait for it no more."""
        for id in clients:
            topic.out.pop(id, None)
            self.clients[id].waiting.pop(topic.name, None)
        topic.to = None

    def close(
        self, topic: Topic, why: notices.Why, detail: str, missing: int = 0, said: bool = False
    ) -> list[Effect]:
        """Nobody is in step any more. `said`: they know."""
        to = self.of(topic)
        topic.open, topic.why = False, None
        self.put_out(topic, to)
        return [] if said else self.tell_lost(to, topic.name, (why, detail), True, missing)

    def serve(self, now: int, at: int, client: Client) -> list[Effect]:
        """Give a client the snapshots that there are, as many as it takes now."""
        effects: list[Effect] = []
        for name in [*client.waiting]:
            if client.credit <= 0:
                break
            effects += self.offer(now, at, self.topics[name], (client.id,))
        return effects

    def serve_all(self, now: int, at: int) -> list[Effect]:
        """There may be snapshots now that could not be made before."""
        effects: list[Effect] = []
        for client in self.clients.values():
            if client.waiting and client.credit > 0:
                effects += self.serve(now, at, client)
        return effects

    def offer(self, now: int, at: int, topic: Topic, to: tuple[int, ...] = ()) -> list[Effect]:
        """Give the snapshot, if there is one, to those who are out and take more now."""
        text = self._make(now, at, topic) if topic.out else None
        if text is None:
            return []
        found = [self.clients[id] for id in to or tuple(topic.out)]
        ready = [client for client in found if client.credit > 0]
        paced: list[Effect] = []
        for client in ready:
            del topic.out[client.id], client.waiting[topic.name]
            client.credit -= len(text)
            if client.credit <= 0:
                paced.append(Pace(client.id))
        topic.to, topic.open = None, True
        return [Say(tuple(client.id for client in ready), text), *paced] if ready else []
