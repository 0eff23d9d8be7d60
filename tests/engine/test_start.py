"""Starting: what must be proved before anything is called healthy, and what keeps it from it."""

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from protocol.envelope import Envelope
from protocol.messages import CancelAnswer, CancelOrder, Health, System
from tests.engine.running import ACTORS, ROOT, STOP_MAX_S, Engine

FLAGS = {
    "writer": "db_ready",
    "rehydrator": "rehydrated",
    "gateway": "rest_ready",
    "stream": "streams_ready",
    "api": "routes_ready",
}


@contextmanager
def supervised(engine: Engine) -> Iterator[None]:
    """The supervisor, running apart from the others."""
    command = [engine.environment["SIDECAR_BIN"], "run", "supervisor"]
    with subprocess.Popen(
        command, env=engine.environment, cwd=ROOT, stderr=subprocess.DEVNULL
    ) as apart:
        try:
            yield
        finally:
            apart.terminate()


def test_each_flag_is_false_until_it_is_proved_and_the_order_is_kept() -> None:
    """The supervisor is heard before the others are started: no first word can be missed."""
    with (
        Engine() as engine,
        supervised(engine),
        engine.ear("system.pub", "system ", "health.rehydrator ") as ear,
    ):
        seen = [ear.until(lambda e: e.body.flags if isinstance(e.body, System) else None, 20)]
        signals: list[str] = []
        engine.start(*(name for name in ACTORS if name != "supervisor"))

        def watch(envelope: Envelope) -> bool | None:
            match envelope.body:
                case System(flags=flags, healthy=healthy):
                    seen.append(flags)
                    return True if healthy else None
                case Health(signal=signal) if signal:
                    signals.append(f"{signal} {seen[-1]['rehydrated'] if seen else False}")
            return None

        ear.until(watch, 30)
    assert seen[0] == dict.fromkeys((*FLAGS.values(), "rate_limiter_ready"), False)
    assert all(seen[-1].values())
    assert "boot_rehydrate False" in signals, "rehydrated came before boot_rehydrate"
    for flags in seen:
        assert flags["db_ready"] or not flags["rehydrated"]
        assert flags["rehydrated"] or not flags["routes_ready"]


@pytest.mark.parametrize("missing", FLAGS)
def test_without_one_of_them_nothing_is_served(missing: str) -> None:
    with Engine() as engine:
        engine.start(*(name for name in ACTORS if name != missing))
        system = engine.until_system(
            lambda s: (
                not s.healthy
                and (s.flags["rehydrated"] or missing in ("writer", "rehydrator", "gateway"))
                and any(r.startswith(f"{missing}:") for r in s.reasons)
                and all(p.state != "unseen" for name, p in s.processes.items() if name != missing)
            ),
            20,
        )
        assert system.gate == "closed"
        assert system.flags[FLAGS[missing]] is False
        ready = requests.get(f"{engine.status_page}/readyz", timeout=5)
        assert ready.status_code == 503
        assert any(missing in reason for reason in ready.json()["reasons"])
        if missing != "api":
            assert engine.get("/v1/orders").status_code == 503
            assert engine.order("KXANY-1").status_code == 503
        if missing != "gateway":
            answer = engine.tell("gateway", CancelOrder("nobody-knows-it"))
            assert isinstance(answer, CancelAnswer)
            knows = missing not in ("rehydrator", "writer")
            assert answer.outcome == ("not_found" if knows else "unknown")


def test_stopping_leaves_nothing_behind() -> None:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        pids = engine.pids()
        engine.stop()
        alive = [n for n, pid in pids.items() if Path(f"/proc/{pid}").exists()]
        assert alive == []
        assert sorted(pids) == sorted(ACTORS)
        states = {
            n: json.loads(Path(engine.settings.run_dir, f"{n}.runner.json").read_text())["state"]
            for n in ACTORS
        }
        assert set(states.values()) == {"stopped"}


def test_a_second_engine_is_refused_and_the_first_unharmed() -> None:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        before = engine.pids()
        refused = engine.sidecar("preflight")
        assert refused.returncode == 73
        assert "another instance holds" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        second = engine.sidecar("run", "writer")
        assert second.returncode == 73, second.stderr
        engine.until_healthy()
        assert engine.pids() == before


def test_a_port_in_use_is_named() -> None:
    with Engine() as engine, socket.socket() as squatter:
        squatter.bind(("127.0.0.1", engine.settings.api.port))
        squatter.listen()
        for command in (("preflight",), ("run", "api")):
            refused = engine.sidecar(*command)
            assert refused.returncode == 78, refused.stderr
            assert f"127.0.0.1:{engine.settings.api.port}" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("speed = 1.0", "sped = 1.0", "unknown field `sped`"),
        ('environment = "paper"', 'environment = "papre"', "papre"),
        ("port = ", "port = 999", "port"),
        ("[api]", "[api", "TOML|expected|Expected"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(old: str, new: str, said: str) -> None:
    with Engine() as engine:
        engine.config.write_text(engine.config.read_text().replace(old, new, 1))
        refused = engine.sidecar("actor", "writer")
        assert refused.returncode == 78, refused.stderr
        [line] = refused.stderr.splitlines()
        assert any(part in line for part in said.split("|"))


def test_a_key_that_others_can_read_is_refused() -> None:
    with Engine() as engine:
        Path(engine.settings.exchange.key_file).chmod(0o644)
        refused = engine.sidecar("run", "gateway")
        assert refused.returncode == 78
        assert "expected 0600" in refused.stderr


def test_a_runner_gives_up_on_a_process_that_keeps_dying() -> None:
    """A writer whose socket is a folder can't work: the whole stops, and says why."""
    with Engine() as engine:
        Path(engine.settings.bus_dir, "writer.in").mkdir()
        run = subprocess.run(
            [engine.environment["SIDECAR_BIN"], "run", "writer"],
            env=engine.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == 70, run.stderr
        assert "gave up" in run.stderr


def test_a_ledger_that_can_not_be_opened_is_named_and_stops_nobody() -> None:
    """If it stopped the whole, nobody could cancel what rests at the exchange."""
    with Engine() as engine:
        Path(engine.settings.var_dir, "ledger.db").mkdir()
        engine.start()
        where = f"{engine.settings.var_dir}/ledger.db"
        system = engine.until_system(
            lambda s: where in s.processes["writer"].reason and s.processes["gateway"].pid > 0, 20
        )
        assert not system.healthy and system.flags["db_ready"] is False
        assert any(where in reason for reason in system.reasons)
        pid = engine.pids()["writer"]
        Path(engine.settings.var_dir, "ledger.db").rmdir()
        engine.until_healthy()
        assert engine.pids()["writer"] == pid, "it went on by itself once it could"


def test_a_runner_killed_takes_its_process_with_it() -> None:
    with Engine() as engine:
        run = subprocess.Popen(
            [engine.environment["SIDECAR_BIN"], "run", "writer"],
            env=engine.environment, cwd=ROOT, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with engine.ear("ledger.pub", "mark ") as ear:
            ear.until(lambda e: True, 20)
            pid = engine.pids()["writer"]
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
            handle = os.pidfd_open(pid) if Path(f"/proc/{pid}").exists() else None
            if handle is not None:
                assert select.select([handle], [], [], STOP_MAX_S)[0], (
                    "the writer outlived its runner"
                )
                os.close(handle)


def test_honcho_killed_takes_everything_with_it() -> None:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        handles = [os.pidfd_open(pid) for pid in engine.pids().values()]
        engine.kill()
        for handle in handles:
            assert select.select([handle], [], [], STOP_MAX_S)[0], "an actor outlived honcho"
            os.close(handle)
