"""The gateway on the real exchange's settings, in a network that leads nowhere: it is armed, killed
and disarmed, and says each time how it stands."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.config import Settings, read
from protocol.messages import System
from tests.actors.gateway.peer import PEM
from tests.engine.ear import Ear
from tests.engine.running import ROOT, free_ports

NOWHERE = ["unshare", "--map-root-user", "--net"]  # no interface, not even a loopback that is up
PATIENCE_S = 30.0


def lonely() -> bool:
    """Whether this machine lets us have a network of our own."""
    try:
        return subprocess.run([*NOWHERE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not lonely(), reason="needs unshare and user namespaces")


class Profile:
    """A live one, with a key that nobody knows."""

    def __init__(self, folder: Path) -> None:
        status, api = free_ports(2)
        text = (ROOT / "configs" / "live.toml").read_text().replace('key_id = ""', 'key_id = "k"')
        text = text.replace('"run/live', f'"{folder}/r').replace('"var/live', f'"{folder}/v')
        self.config = folder / "live.toml"
        self.config.write_text(f"{text}\n[api]\nport = {api}\n[supervisor]\nport = {status}\n")
        self.settings: Settings = read(self.config.read_text(), {}, "live.toml")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SIDECAR_")}
        self.environment = kept | {"SIDECAR_CONFIG": str(self.config)}
        self.command = [str(Path(sys.executable).parent / "sidecar")]

    def sidecar(self, *words: str) -> str:
        done = subprocess.run(
            [*self.command, *words],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self, name: str, *before: str) -> Iterator["Log"]:
        """A process under its runner. `before`: the words before the command."""
        with subprocess.Popen(
            [*before, *self.command, "run", name],
            env=self.environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            too_late = threading.Timer(PATIENCE_S, process.kill)
            too_late.start()
            try:
                yield Log(process)
            finally:
                too_late.cancel()
                process.terminate()

    def kill_gateway(self) -> None:
        found = json.loads(Path(self.settings.run_dir, "gateway.runner.json").read_text())
        os.kill(found["pid"], signal.SIGKILL)


class Log:
    """What a process writes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        self._lines = process.stderr
        self._seen: list[str] = []

    def until(self, *words: str) -> str:
        """The next line that has one of these words."""
        for line in self._lines:
            self._seen.append(line)
            if any(word in line for word in words):
                return line
        raise AssertionError("".join(self._seen))


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    profile = Profile(tmp_path)
    profile.sidecar("setup")
    key = Path(profile.settings.exchange.key_file)
    key.write_bytes(PEM)
    key.chmod(0o600)
    profile.sidecar("register-key", "--live", "k")
    return profile


STATE = " armed until ", " disarmed: "


def test_each_life_of_the_gateway_says_whether_it_is_armed(profile: Profile) -> None:
    with profile.running("gateway", *NOWHERE) as log:
        assert "disarmed: not armed: run `sidecar arm`" in log.until(*STATE)
        until = profile.sidecar("arm", "--for", "2h").partition(": ")[0]
        assert f"{until}: orders leave for the real exchange" in log.until(*STATE)
        profile.kill_gateway()
        assert until in log.until(*STATE), "the arming has outlived it, which it says"
        profile.sidecar("disarm")
        assert "disarmed: not armed: run `sidecar arm`" in log.until(*STATE)
        profile.sidecar("arm")
        assert "armed until" in log.until(*STATE)
    with profile.running("gateway", *NOWHERE) as log:
        assert "the arming is older than this start of the engine" in log.until(*STATE)


def test_the_status_says_what_keeps_orders_back_and_until_when_they_may_leave(
    profile: Profile,
) -> None:
    def armed(system: System) -> int:
        gateway = system.processes.get("gateway")
        return gateway.counters.get("armed_until", -1) if gateway is not None else -1

    with (
        profile.running("supervisor"),
        profile.running("gateway", *NOWHERE),
        Ear(profile.settings, "system.pub", ["system "]) as ear,
    ):
        why = "gateway: disarmed: not armed: run `sidecar arm`"
        ear.until(lambda e: armed(e.body) == 0 and why in e.body.reasons or None, PATIENCE_S)
        profile.sidecar("arm")
        system = ear.until(lambda e: e.body if armed(e.body) > 0 else None, PATIENCE_S)
        assert not [reason for reason in system.reasons if "disarmed" in reason]
        done = subprocess.run(
            [*profile.command, "status"],
            env=profile.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert "live is armed until 20" in done.stdout
