"""The bus between the actors: late, lossy, and it may deliver a letter twice.

What is written down here is what was said, whether or not it arrived.
"""

import collections
from typing import TYPE_CHECKING

from protocol.envelope import Envelope, Letter, decode, decode_letter, encode, encode_letter
from protocol.limits import SECOND
from protocol.machine import Answered, Asked, Heard
from protocol.messages import Append, Appended
from tests.simulation.said import Said

if TYPE_CHECKING:
    from tests.simulation.readers import Ear
    from tests.simulation.world import Process, World

HEARS = {  # who hears which topics of whom, as the shells subscribe
    "rehydrator": {"writer": ("ledger", "mark")},
    "gateway": {"writer": ("ledger", "mark"), "supervisor": ("system",), "stream": ("mark",)},
    "stream": {"writer": ("mark",)},
    "api": {"writer": ("ledger", "mark"), "supervisor": ("system",)},
    "trader": {"stream": ("book.", "mark")},
}
REPEAT_LATE_MAX = 5 * SECOND  # a fact may come again long after its answer


class Bus:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._links: dict[tuple[str, str], int] = {}  # FIFO: last arrival per link
        self.ears: list[Ear] = []
        self._listening: dict[tuple[str, int], set[str]] = {}
        self._said = Said(world)
        self.published: list[Envelope] = []
        self.acknowledged: dict[str, int] = {}  # what the writer has said is in the ledger
        self.news: collections.Counter[str] = collections.Counter()  # how often it said NEW
        self.released: dict[str, int] = {}  # which life has heard NEW of an intent

    def publish(self, process: "Process", envelope: Envelope) -> None:
        self.published.append(envelope)
        world = self._world
        if process.name == "stream":
            self._said.note(envelope)
        for name, speakers in HEARS.items():
            prefixes = (*speakers.get(process.name, ()), *self._also(name, process.name))
            if not envelope.topic.startswith(tuple(prefixes)) or not prefixes:
                continue
            hearer = world.processes[name]
            if world.dice.random() < world.faults.bus_drop or hearer is None:
                self._missed(name, envelope)
                continue
            frame = encode(envelope)
            when = self.arrival(process.name, name, "pub")
            world.at(when, lambda hearer=hearer, frame=frame: self._hear(hearer, frame))
        for ear in self.ears:
            if process.name == "stream" and not ear.overhears(envelope):
                self._missed(ear.name, envelope)

    def listen(self, process: "Process", prefix: str, on: bool) -> None:
        """A life of a process subscribes to more, or to less; it takes a moment to take hold."""
        prefixes = self._listening.setdefault((process.name, process.life), set())
        change = prefixes.add if on else prefixes.discard
        self._world.at(self.arrival(process.name, "stream", "sub"), lambda: change(prefix))

    def _also(self, name: str, speaker: str) -> set[str]:
        """What this life of a process has subscribed to by and by."""
        hearer = self._world.processes[name]
        if hearer is None or speaker != "stream":
            return set()
        return self._listening.get((name, hearer.life), set())

    def _missed(self, name: str, envelope: Envelope) -> None:
        """Something that the stream says does not get to somebody whose book is looked at."""
        if envelope.source != "stream" or name == "gateway":
            return
        topic, epoch, seq = envelope.topic, envelope.epoch, envelope.seq
        self._world.seen("missed", topic, who=name, epoch=epoch, seq=seq)

    def _hear(self, hearer: "Process", frame: bytes) -> None:
        envelope = decode(frame)
        if self._world.processes[hearer.name] is not hearer:
            self._missed(hearer.name, envelope)
        self._world.feed(hearer, Heard(self._world.wall, envelope))

    def arrival(self, source: str, target: str, kind: str) -> int:
        """When what leaves now arrives: nothing overtakes on one link."""
        link = f"{source}/{kind}", target
        delay = self._world.dice.randint(0, self._world.faults.bus_delay_max)
        when = max(self._world.now + delay, self._links.get(link, 0))
        self._links[link] = when
        return when

    def tell(self, process: "Process", peer: str, letter: Letter) -> None:
        sender = process.name.encode(), str(process.life).encode()
        self.send(process.name, sender, peer, letter)

    def send(self, name: str, sender: tuple[bytes, ...], peer: str, letter: Letter) -> None:
        """The same for whoever is no process of the engine."""
        target = self._world.processes.get(peer)
        if target is None:
            return
        late_max = REPEAT_LATE_MAX if isinstance(letter.body, Append) else 0
        raw = encode_letter(letter)

        def arrive() -> None:
            self._world.feed(target, Asked(self._world.wall, sender, decode_letter(raw)))

        for when in self._arrivals(name, peer, "tell", late_max):
            self._world.at(when, arrive)

    def answer(self, process: "Process", sender: tuple[bytes, ...], letter: Letter) -> None:
        self._note(letter)
        name, life = sender[0].decode(), int(sender[1])
        if name == self._world.desk.name:
            self._world.desk.told(letter)
            return
        outsider = self._world.outsiders.get(name)
        if outsider is not None:
            for when in self._arrivals(process.name, name, "answer", 0):
                self._world.at(when, lambda: outsider.told(letter))
            return
        target = self._world.processes.get(name)
        if target is None or target.life != life:
            return
        raw = encode_letter(letter)

        def arrive() -> None:
            if isinstance(letter.body, Appended) and letter.body.verdict == "NEW":
                self.released[letter.id] = life
            self._world.feed(target, Answered(self._world.wall, process.name, decode_letter(raw)))

        for when in self._arrivals(process.name, name, "answer", REPEAT_LATE_MAX):
            self._world.at(when, arrive)

    def _arrivals(self, source: str, target: str, kind: str, late_max: int) -> list[int]:
        """When a letter arrives: never, once or twice."""
        world = self._world
        if world.dice.random() < world.faults.letter_drop:
            world.happened[f"{kind} lost"] += 1
            return []
        when = [self.arrival(source, target, kind)]
        if world.dice.random() < world.faults.letter_repeat:
            world.happened[f"{kind} repeated"] += 1
            late = world.dice.randint(0, late_max) if world.dice.random() < 0.5 else 0
            when.append(self.arrival(source, target, kind) + late)
        return when

    def _note(self, letter: Letter) -> None:
        """What was acknowledged stays so, under its number; and an entry is new only once."""
        if not isinstance(letter.body, Appended) or letter.body.verdict not in ("NEW", "REPEAT"):
            return
        n = letter.body.n
        before = self.acknowledged.setdefault(letter.id, n)
        assert before == n, f"{letter.id} was acknowledged as entry {before} and as {n}"
        if letter.body.verdict == "NEW":
            self.news[letter.id] += 1
            assert self.news[letter.id] == 1, f"{letter.id} was called NEW twice"
