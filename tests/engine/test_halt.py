"""Stop now: halt and panic over real processes, whichever of them are dead or hang."""

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from protocol.latch import Latch
from protocol.messages import Halt, HaltAnswer, OrderAnswer, PlaceOrder, System
from protocol.runtime.latch import LatchFile
from protocol.units import Count, Price
from tests.engine.running import ROOT, STOP_MAX_S, SUPERVISED_US, Engine
from tests.engine.test_orders import busiest, signed

EFFECTIVE_US = 100_000  # after the acknowledgement


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_trading()
        yield engine


@pytest.fixture(autouse=True)
def resumed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each story of the running engine begins with trading open."""
    if "engine" in request.fixturenames:
        engine = request.getfixturevalue("engine")
        engine.sidecar("resume", "--reason", "the next story")
        engine.until_healthy(since=wall() + SUPERVISED_US)
    yield


def wall() -> int:
    return time.time_ns() // 1_000


def creates_after(engine: Engine, at: int) -> list[str]:
    return [r["client_order_id"] for r in engine.wire() if r["method"] == "POST" and r["at"] > at]


def rest(engine: Engine, ticker: str, count: int) -> None:
    """Orders that nobody meets."""
    for n in range(count):
        terms = {"price": "0.0100", "count": "1.00", "time_in_force": "good_till_canceled"}
        answer = engine.order(ticker, client_order_id=f"rest-{wall()}-{n}", **terms)
        assert answer.status_code == 201, answer.text


def resting(engine: Engine) -> list[Any]:
    return list(signed(engine, "/portfolio/orders?status=resting")["orders"])


@contextlib.contextmanager
def posting(engine: Engine, ticker: str) -> Iterator[None]:
    """Creates from many clients at once, without end."""
    over, numbers = threading.Event(), itertools.count()

    def post() -> None:
        while not over.is_set():
            engine.order(ticker, price="0.0100", client_order_id=f"burst-{wall()}-{next(numbers)}")

    with ThreadPoolExecutor(10) as clients:
        work = [clients.submit(post) for _ in range(10)]
        try:
            yield
        finally:
            over.set()
        for each in work:
            each.result()


def until_posted(engine: Engine, count: int) -> None:
    """Until so many creates of the burst have reached the exchange."""
    while sum(str(r["client_order_id"]).startswith("burst-") for r in engine.wire()) < count:
        assert engine.get("/v1/status").status_code == 200


def test_no_create_leaves_after_a_halt(engine: Engine) -> None:
    ticker = busiest(engine)
    before = len(engine.wire())
    with posting(engine, ticker):
        until_posted(engine, before + 5)
        answer = engine.tell("gateway", Halt("in a burst"))
        halted_at = wall()
        assert answer == HaltAnswer(True, "in a burst", True)
        refused = engine.order(ticker, client_order_id="after-the-halt")
        assert (refused.status_code, refused.json()["code"]) == (503, "halted")
    assert creates_after(engine, halted_at + EFFECTIVE_US) == []


def test_a_halt_outlives_a_kill_and_is_shown(engine: Engine) -> None:
    ticker = busiest(engine)
    halted = engine.sidecar("halt", "--reason", "lunch")
    assert (halted.returncode, halted.stdout) == (0, "halted: lunch\n")
    epoch = engine.until_system(lambda s: s.healthy, 20).processes["gateway"].epoch
    os.kill(engine.pids()["gateway"], signal.SIGKILL)
    engine.until_system(lambda s: s.healthy and s.processes["gateway"].epoch > epoch, 20)
    refused = engine.order(ticker, client_order_id="after-the-kill")
    assert (refused.status_code, refused.json()["code"]) == (503, "halted")
    assert refused.json()["detail"] == "lunch"
    status = engine.sidecar("status").stdout
    assert "gateway: halted: lunch (since 2" in status
    assert "halted: lunch" in requests.get(engine.status_page, timeout=5).text
    nameless = engine.sidecar("resume")
    assert (nameless.returncode, "--reason" in nameless.stderr) == (2, True)
    resumed = engine.sidecar("resume", "--reason", "back")
    assert (resumed.returncode, resumed.stdout) == (0, "resumed\n")


def test_a_latch_that_the_core_has_not_looked_at_yet_stops_an_order(engine: Engine) -> None:
    ticker = busiest(engine)
    for n in range(4):
        LatchFile(engine.settings.var_dir).write(Latch(True, "just now", wall()))
        id = f"within-the-look-{n}"
        placed = PlaceOrder(id, ticker, "bid", Price(10_000), Count(100), "immediate_or_cancel")
        answer = engine.tell("gateway", placed)
        assert isinstance(answer, OrderAnswer)
        assert (answer.outcome, answer.code, answer.text) == ("denied", "halted", "just now")
        assert id not in {r["client_order_id"] for r in engine.wire()}
        assert engine.sidecar("resume", "--reason", "again").returncode == 0
        engine.until_trading(since=wall() + SUPERVISED_US)


def test_a_gateway_that_hangs_sends_nothing_when_it_wakes_up(engine: Engine) -> None:
    ticker = busiest(engine)
    before = len(engine.wire())
    pid = engine.pids()["gateway"]
    with posting(engine, ticker):
        until_posted(engine, before + 5)
        os.kill(pid, signal.SIGSTOP)
        halted = engine.sidecar("halt", "--reason", "it hangs")
        halted_at = wall()
        assert halted.returncode == 0
        assert "the gateway does not answer, so its latch was written here" in halted.stdout
        refused = engine.sidecar("resume", "--reason", "too early")
        assert refused.returncode == 2
        assert "the gateway runs and does not answer" in refused.stderr
        os.kill(pid, signal.SIGCONT)
        engine.until_system(lambda s: any("halted: it hangs" in r for r in s.reasons), 20)

        def halted_it_says() -> bool:
            """At first it may not know whether the others are well, which closes the gate, too."""
            answer = engine.order(ticker, client_order_id="to-the-one-that-hung")
            assert answer.status_code == 503, answer.text
            return bool(answer.json()["code"] == "halted")

        engine.until(halted_it_says, 20, "an order refused because of the halt")
    late = creates_after(engine, halted_at + EFFECTIVE_US)
    assert late == [], "signed before, perhaps, but not sent after"


def test_a_panic_leaves_nothing_resting_and_holds_creates(engine: Engine) -> None:
    ticker = busiest(engine)
    rest(engine, ticker, 5)
    assert len(resting(engine)) >= 5
    answer = engine.post("/v1/panic", {"reason": "fire"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "running"
    panicked = engine.sidecar("panic", "--reason", "fire")
    assert panicked.returncode == 0, panicked.stderr
    assert "done: nothing rests" in panicked.stdout
    assert resting(engine) == []
    deleted = [r for r in engine.wire() if r["method"] == "DELETE" and not r["order_id"]]
    assert len(deleted) >= 1
    assert engine.sidecar("resume", "--reason", "over").returncode == 0
    held = engine.order(ticker, client_order_id="held")
    assert (held.status_code, held.json()["code"]) == (503, "cancel_all_hold")
    assert 0 < held.json()["retry_after_ms"] <= 60_000


def test_bad_reasons_are_refused(engine: Engine) -> None:
    for path in ("halt", "resume", "panic"):
        for reason in ("", "x" * 201, "a\x00b"):
            answer = engine.post(f"/v1/{path}", {"reason": reason})
            assert (answer.status_code, answer.json()["field"]) == (422, "reason")
        assert engine.post(f"/v1/{path}", {"reason": "x"}, token="read").status_code == 403
        assert engine.sidecar(path, "--reason", "a\nb").returncode == 1


def test_panic_works_with_every_other_process_dead() -> None:
    with Engine() as engine:
        engine.start()
        engine.until_trading()
        rest(engine, busiest(engine), 3)
        handles = [os.pidfd_open(pid) for pid in engine.pids().values()]
        engine.kill()
        for handle in handles:
            assert select.select([handle], [], [], STOP_MAX_S)[0], "an actor outlived honcho"
            os.close(handle)
        early = engine.sidecar("panic", "--timeout", "3")  # not even the exchange is there
        assert early.returncode == 1, early.stderr
        assert "given up: cancel-all: " in early.stdout
        engine.start("paper")
        panicked = subprocess.run(
            [engine.environment["SIDECAR_BIN"], "panic", "--reason", "fire"],
            env=engine.environment, cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert panicked.returncode == 0, panicked.stdout + panicked.stderr
        said = panicked.stdout
        assert "halted: fire" in said
        assert "everything that rests is canceled, says the exchange" in said
        assert "nothing rests" in said
        assert resting(engine) == []
        latch = json.loads(Path(engine.settings.var_dir, "halt").read_text())
        assert (latch["halted"], latch["panic"]) == (True, False)
        assert latch["reason"].endswith("; then: fire"), "the first reason is kept"
        assert latch["hold_until"] > latch["at"]
        engine.stop()
        engine.start()
        system: System = engine.until_system(
            lambda s: s.healthy and any("then: fire" in r for r in s.reasons), 20
        )
        assert system.gate == "closed"
        resumed = engine.sidecar("resume", "--reason", "over")
        assert resumed.returncode == 0, resumed.stderr


def test_without_a_gateway_the_commands_keep_the_latch_themselves() -> None:
    with Engine() as engine:
        latch = Path(engine.settings.var_dir, "halt")
        halted = engine.sidecar("halt", "--reason", "before the first start")
        assert halted.returncode == 0
        assert json.loads(latch.read_text())["reason"] == "before the first start"
        resumed = engine.sidecar("resume", "--reason", "now")
        assert (resumed.returncode, latch.exists()) == (0, False)
        assert "no gateway runs, so its latch was lifted here" in resumed.stdout
        engine.config.write_text("profile = 1")
        for command in ("halt", "panic"):
            assert engine.sidecar(command, "--reason", "x").returncode == 78
