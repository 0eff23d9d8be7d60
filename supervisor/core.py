"""Who is ready, whether the whole is, and the gate for new risk.

Live, ready and open are three questions with three answers. This process only hears and says:
it starts and stops nobody, and its death stops nothing before the gate's lease runs out.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from protocol import topics
from protocol.envelope import Letter, Outbox
from protocol.latch import NO_LATCH, Latch, moment
from protocol.limits import (
    GATE_INTERVAL,
    GATE_LEASE,
    HEARTBEAT_MISSING,
    HEARTBEAT_SUSPECT,
    MS,
)
from protocol.machine import (
    Answer,
    Answered,
    Asked,
    Cause,
    Effect,
    Elapsed,
    Finish,
    Heard,
    Publish,
    Report,
    Started,
    Stopping,
)
from protocol.messages import (
    FollowerReport,
    Health,
    Heartbeat,
    Noted,
    ProcessHealth,
    Refused,
    Signal,
    System,
)
from supervisor.followers import Followers

FLAGS: Final = {
    "db_ready": "writer",
    "rehydrated": "rehydrator",
    "rest_ready": "gateway",
    "rate_limiter_ready": "gateway",
    "streams_ready": "stream",
    "routes_ready": "api",
}
REQUIRED: Final = ("writer", "rehydrator", "gateway", "stream", "api")

State = Literal["unseen", "unready", "ready", "suspect", "missing"]


class Runner(Struct, frozen=True):
    """What a runner wrote about its process."""

    name: str
    pid: int = 0
    restarts: int = 0
    state: str = ""
    last_exit: int | None = None
    retry_at: float | None = None


class RunnersRead(Cause, frozen=True):
    """The runners' files, by process, the halt latch, and why no order may leave for the real
    exchange."""

    runners: dict[str, Runner]
    latch: Latch = NO_LATCH
    disarmed: str = ""


class Declare(Effect, frozen=True):
    """What the status page shows from now on; `said_at` is the moment the ages refer to."""

    system: System
    said_at: int


class _Lease(Struct):
    """What is known of one process."""

    heard_at: int | None = None
    epoch: int = 0
    heartbeat: Heartbeat | None = None
    told: tuple[str, str] = ("", "")


class Supervisor:
    """The core. `others` are processes that are not on the bus, known by their runner only."""

    def __init__(self, epoch: int, others: tuple[str, ...] = ()) -> None:
        self._outbox = Outbox("supervisor", epoch)
        self._leases = {name: _Lease() for name in REQUIRED}
        self._others = others
        self._runners: Mapping[str, Runner] = {}
        self._latch = NO_LATCH
        self._disarmed = ""
        self._followers = Followers()
        self._said: tuple[bool, str, tuple[str, ...], dict[str, bool]] | None = None
        self._gate_at = 0

    def step(self, now: int, cause: Cause) -> list[Effect]:
        effects: list[Effect] = []
        match cause:
            case Started() | Elapsed() | Heard() | Answered():
                pass
            case RunnersRead(runners=runners, latch=latch, disarmed=disarmed):
                self._runners, self._latch, self._disarmed = runners, latch, disarmed
            case Asked(letter=letter, sender=sender):
                effects += self._hear(now, cause.at, sender, letter)
            case Stopping():
                return [Finish(0)]
            case _:
                raise AssertionError(f"unexpected cause: {cause}")
        effects += self._changes(now, cause.at)
        effects += self._declare(now, cause.at)
        effects += [Publish(e) for e in self._outbox.marks(now, cause.at)]
        return effects

    def deadline(self) -> int | None:
        return min(self._gate_at, self._outbox.deadline())

    def _hear(self, now: int, at: int, sender: tuple[bytes, ...], letter: Letter) -> list[Effect]:
        if isinstance(letter.body, FollowerReport):
            why = self._followers.hear(now, letter.body)
            said = Refused(why) if why else Noted()
            return [Answer(sender, self._outbox.letter(letter.id, said, at))]
        lease = self._leases.get(letter.source)
        if lease is None or not isinstance(letter.body, Heartbeat | Signal):
            refusal = Refused(
                "the supervisor takes heartbeats and signals of the engine, reports of followers"
            )
            return [Answer(sender, self._outbox.letter(letter.id, refusal, at))]
        if letter.epoch < lease.epoch:
            return []  # a ghost of a former life
        if isinstance(letter.body, Signal):
            return self._signal(at, letter.source, letter.body)
        lease.epoch, lease.heard_at, lease.heartbeat = letter.epoch, now, letter.body
        return []

    def _signal(self, at: int, name: str, said: Signal) -> list[Effect]:
        lease = self._leases[name]
        body = Health(name, lease.told[0], said.cause, said.signal, said.subject)
        return [
            Publish(self._outbox.seal(topics.health(name), body, at)),
            Report(f"{name}: {said.signal} {said.subject}: {said.cause}"),
        ]

    def _judge(self, now: int, name: str) -> tuple[State, str]:
        lease = self._leases[name]
        if lease.heard_at is None or lease.heartbeat is None:
            return "unseen", self._runner_says(name) or "not seen yet"
        age = now - lease.heard_at
        if age >= HEARTBEAT_MISSING:
            runner = self._runner_says(name)
            return "missing", f"no heartbeat{f'; {runner}' if runner else ''}"
        if age >= HEARTBEAT_SUSPECT:
            return "suspect", "heartbeats are late"
        if lease.heartbeat.ready:
            return "ready", ""
        return "unready", "; ".join(lease.heartbeat.reasons)

    def _runner_says(self, name: str) -> str:
        runner = self._runners.get(name)
        if runner is None or runner.state == "running":
            return ""
        return f"runner: {runner.state}, last exit {runner.last_exit}"

    def _changes(self, now: int, at: int) -> list[Effect]:
        effects: list[Effect] = []
        for name, lease in self._leases.items():
            told = self._judge(now, name)
            if told != lease.told:
                lease.told = told
                body = Health(name, told[0], told[1])
                effects.append(Publish(self._outbox.seal(topics.health(name), body, at)))
        return effects

    def _declare(self, now: int, at: int) -> list[Effect]:
        system = self._system(now, at)
        said = (system.healthy, system.gate, system.reasons, system.flags)
        if now < self._gate_at and said == self._said:
            return []
        if now >= self._gate_at:
            self._gate_at = now + GATE_INTERVAL
        effects: list[Effect] = [
            Publish(self._outbox.seal(topics.SYSTEM, system, at)),
            Declare(system, now),
        ]
        if self._said is None or self._said[:2] != said[:2]:
            why = "; ".join(system.reasons) or "all is well"
            word = "healthy" if system.healthy else "not healthy"
            effects.append(Report(f"{word}, gate {system.gate}: {why}"))
        self._said = said
        return effects

    def _system(self, now: int, at: int) -> System:
        reasons, flags = [], {}
        present = {}
        for name in REQUIRED:
            state, reason = self._judge(now, name)
            present[name] = state in ("ready", "unready", "suspect")
            if state not in ("ready", "suspect"):
                reasons.append(f"{name}: {state}: {reason}" if reason else f"{name}: {state}")
        for flag, owner in FLAGS.items():
            flags[flag] = present[owner] and self._flag(owner, flag)
            if not flags[flag] and not any(r.startswith(f"{owner}:") for r in reasons):
                reasons.append(f"{owner}: {flag} is not proved")
        healthy = not reasons
        offline = present["gateway"] and self._flag("gateway", "offline")
        restored = present["rehydrator"] and self._flag("rehydrator", "restored")
        read_only = offline and restored and not flags["rehydrated"]
        if read_only:
            reasons.append("read-only: the exchange can't be reached, the ledger is served")
        if self._latch.halted or (present["gateway"] and self._flag("gateway", "halted")):
            reasons.append(f"gateway: halted{_why(self._latch, at)}")
        if self._disarmed:
            reasons.append(f"gateway: disarmed: {self._disarmed}")
        return System(
            healthy,
            "closed" if reasons else "open",
            GATE_LEASE // MS,
            tuple(reasons),
            flags,
            {name: self._health(now, name) for name in (*REQUIRED, *self._others)},
            read_only,
            self._followers.health(now),
        )

    def _flag(self, owner: str, flag: str) -> bool:
        heartbeat = self._leases[owner].heartbeat
        return heartbeat is not None and heartbeat.flags.get(flag, False)

    def _health(self, now: int, name: str) -> ProcessHealth:
        runner = self._runners.get(name)
        restarts = 0 if runner is None else runner.restarts
        lease = self._leases.get(name)
        if lease is None:
            running = runner is not None and runner.state == "running"
            reason = "not on the bus" if running else self._runner_says(name) or "no runner"
            pid = 0 if runner is None else runner.pid
            return ProcessHealth("ready" if running else "missing", reason, 0, pid, restarts, -1)
        state, reason = self._judge(now, name)
        age = -1 if lease.heard_at is None else (now - lease.heard_at) // MS
        pid = 0 if runner is None else runner.pid
        counters: dict[str, int] = {}
        if lease.heartbeat is not None:
            counters = lease.heartbeat.counters
            pid = lease.heartbeat.pid if runner is None else pid
            restarts = max(restarts, lease.heartbeat.generation)
        return ProcessHealth(state, reason, lease.epoch, pid, restarts, age, counters)


def _why(latch: Latch, at: int) -> str:
    """What the latch's file adds to the word; nothing if the disk didn't take it."""
    if not latch.halted:
        return ""
    panic = "; a panic is not done yet" if latch.panic else ""
    held = f"; creates are held until {moment(latch.hold_until)}" if latch.hold_until > at else ""
    return f": {latch.reason} (since {moment(latch.at)}{held}{panic})"
