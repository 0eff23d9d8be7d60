"""The supervisor: nothing is called ready that has not said so lately."""

import itertools
from typing import Any

import pytest

from protocol.envelope import Outbox
from protocol.latch import NO_LATCH, Latch
from protocol.limits import HEARTBEAT_MISSING, HEARTBEAT_SUSPECT, SECOND
from protocol.machine import Answer, Asked, Elapsed, Publish, Started
from protocol.messages import EntriesRequest, Health, Heartbeat, Refused, Signal, System
from supervisor.core import FLAGS, REQUIRED, Declare, Runner, RunnersRead, Supervisor
from supervisor.page import render

PROVED = {name: {f: True for f, owner in FLAGS.items() if owner == name} for name in REQUIRED}


class Scene:
    def __init__(self) -> None:
        self.now = SECOND
        self.core = Supervisor(9, ("paper",))
        self.outboxes = {name: Outbox(name, 5) for name in REQUIRED}
        self.said: list[Any] = []
        self.declared: System | None = None
        self.feed(Started(0))

    def feed(self, cause: Any) -> None:
        for effect in self.core.step(self.now, cause):
            if isinstance(effect, Publish):
                self.said.append(effect.envelope.body)
            elif isinstance(effect, Declare):
                self.declared = effect.system
            elif isinstance(effect, Answer):
                self.said.append(effect.letter.body)

    def beat(self, name: str, *reasons: str, **flags: bool) -> None:
        body = Heartbeat(not reasons, reasons, 1, 0, {**PROVED[name], **flags})
        self.feed(Asked(0, (b"x",), self.outboxes[name].letter("beat", body, 0)))

    def pass_time(self, duration: int) -> None:
        self.now += duration
        self.feed(Elapsed(0))

    @property
    def system(self) -> System:
        assert self.declared is not None
        return self.declared


def all_well() -> Scene:
    scene = Scene()
    for name in REQUIRED:
        scene.beat(name)
    return scene


def test_what_keeps_orders_from_the_real_exchange_closes_the_gate_and_is_said() -> None:
    scene = all_well()
    scene.feed(RunnersRead(0, {}, disarmed="not armed: run `sidecar arm`"))
    assert (scene.system.healthy, scene.system.gate) == (True, "closed")
    assert scene.system.reasons == ("gateway: disarmed: not armed: run `sidecar arm`",)
    scene.feed(RunnersRead(0, {}))
    assert (scene.system.gate, scene.system.reasons) == ("open", ())


def test_at_first_nothing_is_known_and_the_gate_is_closed() -> None:
    system = Scene().system
    assert (system.healthy, system.gate) == (False, "closed")
    assert not any(system.flags.values())
    assert {r.partition(":")[0] for r in system.reasons} == set(REQUIRED)


def test_all_heard_and_proved_opens_the_gate() -> None:
    system = all_well().system
    assert (system.healthy, system.gate, system.reasons) == (True, "open", ())


@pytest.mark.parametrize(
    "ready", list(itertools.product((True, False), repeat=len(REQUIRED))), ids=str
)
def test_the_whole_truth_table(ready: tuple[bool, ...]) -> None:
    scene = Scene()
    for name, is_ready in zip(REQUIRED, ready, strict=True):
        if is_ready:
            scene.beat(name)
        else:
            scene.beat(name, "broken")
    assert scene.system.healthy == all(ready)
    assert (scene.system.gate == "open") == all(ready)
    broken = {name for name, is_ready in zip(REQUIRED, ready, strict=True) if not is_ready}
    assert {r.partition(":")[0] for r in scene.system.reasons} == broken


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_that_is_not_proved_keeps_it_unhealthy(flag: str) -> None:
    scene = all_well()
    scene.beat(FLAGS[flag], **{flag: False})
    assert scene.system.healthy is False
    assert any(flag in reason for reason in scene.system.reasons)


def test_a_silent_process_is_suspect_then_missing() -> None:
    scene = all_well()
    scene.pass_time(HEARTBEAT_SUSPECT)
    assert scene.system.processes["writer"].state == "suspect"
    assert scene.system.gate == "open"
    scene.pass_time(HEARTBEAT_MISSING - HEARTBEAT_SUSPECT)
    assert scene.system.processes["writer"].state == "missing"
    assert (scene.system.healthy, scene.system.flags["db_ready"]) == (False, False)


def test_a_halt_closes_the_gate_of_a_healthy_whole() -> None:
    scene = all_well()
    scene.beat("gateway", halted=True)
    assert (scene.system.healthy, scene.system.gate) == (True, "closed")
    assert scene.system.reasons == ("gateway: halted",)


def test_the_latch_says_why_and_since_when_even_of_a_dead_gateway() -> None:
    scene = all_well()
    latch = Latch(True, "lunch <b>", 0, 60_000_000, True)
    scene.feed(RunnersRead(0, {}, latch))
    said = (
        "gateway: halted: lunch <b> (since 1970-01-01 00:00:00Z; creates are held until "
        "1970-01-01 00:01:00Z; a panic is not done yet)"
    )
    assert (scene.system.healthy, scene.system.gate) == (True, "closed")
    assert scene.system.reasons == (said,)
    scene.pass_time(HEARTBEAT_MISSING)
    assert said in scene.system.reasons
    scene.feed(RunnersRead(0, {}, NO_LATCH))
    assert said not in scene.system.reasons


def test_a_ghost_of_a_former_life_is_not_believed() -> None:
    scene = all_well()
    scene.outboxes["writer"] = Outbox("writer", 4)
    scene.beat("writer", "dying")
    assert scene.system.healthy


def test_a_signal_is_passed_on_and_a_stranger_refused() -> None:
    scene = all_well()
    signal = Signal("reconnect_scheduled", "closed 1006", "market")
    scene.feed(Asked(0, (b"x",), scene.outboxes["stream"].letter("s", signal, 0)))
    last = scene.said[-1]
    assert isinstance(last, Health)
    assert (last.process, last.signal, last.reason) == (
        "stream",
        "reconnect_scheduled",
        "closed 1006",
    )
    scene.feed(Asked(0, (b"x",), Outbox("stranger", 1).letter("s", signal, 0)))
    scene.feed(Asked(0, (b"x",), scene.outboxes["api"].letter("s", EntriesRequest(0), 0)))
    assert [type(m) for m in scene.said[-2:]] == [Refused, Refused]


def test_the_runner_says_why_a_process_is_gone() -> None:
    scene = Scene()
    runner = Runner("writer", 7, 3, "backing off", 1, 12.5)
    scene.feed(RunnersRead(0, {"writer": runner, "paper": Runner("paper", 8, 0, "running")}))
    scene.pass_time(SECOND)
    writer, paper = (scene.system.processes[name] for name in ("writer", "paper"))
    assert "backing off, last exit 1" in writer.reason
    assert (writer.restarts, writer.pid) == (3, 7)
    assert (paper.state, paper.pid) == ("ready", 8)


def test_the_page_shows_text_and_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    page = render(
        {
            "healthy": False,
            "gate": "closed",
            "reasons": [hostile],
            "flags": {hostile: False},
            "profile": hostile,
            "as_of": hostile,
            "processes": {
                hostile: {
                    "state": hostile,
                    "reason": hostile,
                    "pid": 1,
                    "restarts": 0,
                    "heartbeat_age_ms": -1,
                }
            },
            "followers": {},
        },
        "http://127.0.0.1:7601",
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 7


def test_without_the_exchange_the_boot_ends_read_only() -> None:
    scene = all_well()
    scene.beat("rehydrator", "waiting for gateway", restored=True, rehydrated=False)
    scene.beat("gateway", "rest: no connection", offline=False, rest_ready=False)
    assert not scene.system.read_only, "it may only be slow"
    scene.beat("gateway", "rest: no connection", offline=True, rest_ready=False)
    assert (scene.system.read_only, scene.system.gate) == (True, "closed")
    assert any(reason.startswith("read-only: ") for reason in scene.system.reasons)
    scene.beat("gateway")
    scene.beat("rehydrator", restored=True)
    assert (scene.system.read_only, scene.system.healthy) == (False, True)
