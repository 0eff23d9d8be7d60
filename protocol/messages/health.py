"""Who is ready, whether the whole is, and the gate for new risk."""

from typing import Literal

from protocol.messages.message import Message


class Heartbeat(Message, frozen=True):
    """Each second, from the loop that steps the core, so a stuck core falls silent."""

    ready: bool
    reasons: tuple[str, ...]
    pid: int
    generation: int
    flags: dict[str, bool] = {}
    counters: dict[str, int] = {}


class Signal(Message, frozen=True):
    """A life-cycle signal, such as `reconnect_scheduled`, and what brought it about."""

    signal: Literal[
        "connect", "await_disconnect", "reconnect_scheduled", "health_state", "boot_rehydrate"
    ]
    cause: str
    subject: str = ""


class ProcessHealth(Message, frozen=True):
    """What the supervisor knows of one process."""

    state: Literal["unseen", "unready", "ready", "suspect", "missing"]
    reason: str
    epoch: int
    pid: int
    restarts: int
    heartbeat_age_ms: int  # -1: never heard
    counters: dict[str, int] = {}


class FollowerReport(Message, frozen=True):
    """A program that follows topics says how it keeps up: to the supervisor, each second."""

    name: str  # of the program, chosen by itself
    followed: int  # topics, or books
    lost: int  # of them, now
    gaps: int  # since it started
    lag_ms: int  # from the moment a message was published to the moment it was taken


class Noted(Message, frozen=True):
    """The answer to a report: it was heard."""


class FollowerHealth(Message, frozen=True):
    """What the supervisor knows of one program that reports how it follows."""

    followed: int
    lost: int
    gaps: int
    lag_ms: int
    age_ms: int  # of the report


class Health(Message, frozen=True):
    """A change of one process's state, or a life-cycle signal of it."""

    process: str
    state: str
    reason: str
    signal: str = ""
    subject: str = ""


class System(Message, frozen=True):
    """The whole: healthy, the flags, who blocks it, and the gate for new risk with its lease."""

    healthy: bool
    gate: Literal["open", "closed"]
    lease_ms: int
    reasons: tuple[str, ...]
    flags: dict[str, bool]
    processes: dict[str, ProcessHealth]
    read_only: bool = False  # the boot has ended without the exchange: the ledger is served
    followers: dict[str, FollowerHealth] = {}  # programs that say how they follow, by name
