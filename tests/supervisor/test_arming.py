"""`sidecar register-key`, `arm` and `disarm` in a folder of their own, and what a boot is."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.config import REST_HOSTS, read
from protocol.runtime.arming import ArmingFiles
from protocol.runtime.process import LockHeld, take_lock
from supervisor.page import armed
from tests.engine.running import free_ports

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


class Profile:
    """The settings of a profile, with its folders elsewhere."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        text = (CONFIGS / f"{name}.toml").read_text().replace('key_id = ""', 'key_id = "the-key"')
        text = text.replace(f'"run/{name}', f'"{folder}/run').replace(
            f'"var/{name}', f'"{folder}/var'
        )
        for key in ("run", "var"):
            (folder / key).mkdir(mode=0o700, exist_ok=True)
        self.config = folder / f"{name}.toml"
        self.config.write_text(text)

    def sidecar(self, *words: str, typed: str = "") -> tuple[int, str, str]:
        """The real command: exit code, standard output and error."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SIDECAR_")}
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.cli", *words],
            env=environment | {"SIDECAR_CONFIG": str(self.config)},
            cwd=ROOT,
            input=typed,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr

    @property
    def files(self) -> ArmingFiles:
        return ArmingFiles(read(self.config.read_text(), {}, "the file"))


@pytest.fixture
def live(tmp_path: Path) -> Profile:
    return Profile(tmp_path, "live")


@pytest.fixture
def running(live: Profile) -> Iterator[Profile]:
    """This test holds the gateway's lock, as its runner would."""
    lock = take_lock(f"{live.folder}/run/gateway.lock")
    yield live
    os.close(lock)


def test_register_arm_and_disarm(running: Profile) -> None:
    code, said, wrong = running.sidecar("arm")
    assert (code, said) == (1, "")
    assert wrong == "arm: the key is not registered: run `sidecar register-key --live`\n"
    key, arming = running.folder / "var/registered-key", running.folder / "var/armed"
    assert running.sidecar("register-key", "--live", "the-key") == (
        0,
        f"registered for the live exchange: {key}\n",
        "",
    )
    assert running.files.why_not() == "not armed: run `sidecar arm`"
    code, said, wrong = running.sidecar("arm")
    assert (code, wrong) == (0, "")
    until = re.fullmatch(
        r"armed until (.{20}): orders leave for https://external-api\.kalshi\.com/trade-api/v2\n",
        said,
    )
    assert until is not None, said
    found = running.files.live()
    assert found is not None
    assert found.why == ""
    page = armed({"gateway": {"counters": {"armed_until": found.until // 1_000_000}}})
    assert page == [f"live is armed until {until[1]}"]
    for path in (key, arming):
        assert path.stat().st_mode & 0o777 == 0o600
    assert running.sidecar("disarm") == (
        0,
        "disarmed: no order leaves for the real exchange from now on\n",
        "",
    )
    assert not arming.exists()
    assert running.files.why_not() == "not armed: run `sidecar arm`"
    assert running.sidecar("disarm") == (0, "it was not armed\n", "")


@pytest.mark.parametrize("typed, seconds", [("45s", 45), ("90m", 5_400), ("24h", 86_400)])
def test_for_how_long(running: Profile, typed: str, seconds: int) -> None:
    running.sidecar("register-key", "--live", typed="the-key\n")
    code, _, wrong = running.sidecar("arm", "--for", typed)
    assert (code, wrong) == (0, "")
    told = (running.folder / "var/armed").read_text()
    times = {k: int(v) for k, v in re.findall(r'"(at|until|since|ends)":([0-9]+)', told)}
    assert times["until"] - times["at"] == times["ends"] - times["since"] == seconds * 1_000_000


@pytest.mark.parametrize(
    "typed", ["25h", "0s", "-1h", "12", "h", "1.5h", "１h", "86401s", "", "1h "]
)
def test_a_wrong_time_is_one_clear_error(running: Profile, typed: str) -> None:
    code, said, wrong = running.sidecar("arm", f"--for={typed}")
    assert (code, said) == (1, "")
    assert wrong == f"arm: --for is {typed!r}, expected 1s to 24h, such as 90m or 12h\n"


def test_without_an_engine_there_is_nothing_to_arm(live: Profile) -> None:
    live.sidecar("register-key", "--live", "the-key")
    code, _, wrong = live.sidecar("arm")
    assert (code, wrong) == (
        1,
        "arm: no gateway runs, and an arming counts for one start of the engine: start it first\n",
    )
    assert not (live.folder / "var/armed").exists()
    (live.folder / "run/gateway.lock").unlink()
    (live.folder / "run").rmdir()
    assert live.sidecar("arm")[0] == 1


def test_the_key_s_id_is_typed_again_and_must_be_the_same(live: Profile) -> None:
    for typed in ("other\n", "\n", "", "the-key-\n"):
        code, said, wrong = live.sidecar("register-key", "--live", typed=typed)
        assert (code, said) == (1, "")
        assert wrong.endswith(
            "register-key: what was typed is not exchange.key_id of the settings\n"
        )
    assert live.sidecar("register-key", "--live", "other")[0] == 1
    assert not (live.folder / "var/registered-key").exists()
    code, _, wrong = live.sidecar("register-key", "--live", typed="the-key\n")
    assert (code, wrong) == (0, "the key's id, as the exchange shows it: ")


def test_what_a_key_is_registered_for_is_what_the_settings_say(tmp_path: Path) -> None:
    for name, flag in (("live", "--demo"), ("demo", "--live"), ("paper", "--live")):
        code, _, wrong = Profile(tmp_path, name).sidecar("register-key", flag, "the-key")
        assert (code, wrong) == (
            1,
            f'register-key: {flag}: the settings say environment "{name}"\n',
        )
    live = Profile(tmp_path, "live")
    assert live.sidecar("register-key")[0] == 2
    live.config.write_text(live.config.read_text().replace('"the-key"', '""'))
    code, _, wrong = live.sidecar("register-key", "--live", "")
    assert (code, "exchange.key_id in the settings is empty" in wrong) == (1, True)


def test_a_key_that_was_registered_for_the_demo_does_not_become_a_live_one(tmp_path: Path) -> None:
    """The same folder, the same key, and settings that say "live" all of a sudden."""
    assert Profile(tmp_path, "demo").sidecar("register-key", "--demo", "the-key")[0] == 0
    lock = take_lock(f"{tmp_path}/run/gateway.lock")
    code, _, wrong = Profile(tmp_path, "live").sidecar("arm")
    os.close(lock)
    assert (code, wrong) == (1, "arm: the key is registered for the demo exchange\n")


@pytest.mark.parametrize("name", ["paper", "demo"])
def test_other_exchanges_need_none_of_it(tmp_path: Path, name: str) -> None:
    profile = Profile(tmp_path, name)
    code, _, wrong = profile.sidecar("arm")
    assert (code, wrong) == (
        1,
        f'arm: the settings say environment "{name}": only the real exchange needs an arming\n',
    )
    assert profile.sidecar("disarm") == (0, "it was not armed\n", "")
    assert (profile.files.live(), profile.files.why_not()) == (None, "")


@pytest.mark.parametrize(
    "environment, host", [("live", "demo"), ("demo", "live"), ("paper", "live")]
)
def test_settings_that_mix_two_exchanges_start_nothing(
    tmp_path: Path, environment: str, host: str
) -> None:
    profile = Profile(tmp_path, environment)
    url = f"https://{REST_HOSTS[host][0]}/trade-api/v2"
    text = re.sub('rest_url = ".*"', f'rest_url = "{url}"', profile.config.read_text())
    profile.config.write_text(text)
    for command in (("actor", "gateway"), ("run", "gateway"), ("preflight",), ("arm",)):
        code, said, wrong = profile.sidecar(*command)
        assert (code, said) == (78, "")
        assert f"exchange.rest_url is '{url}', expected" in wrong


@pytest.mark.parametrize("command", [("arm",), ("disarm",), ("register-key", "--live", "x")])
def test_settings_that_can_not_be_read(live: Profile, command: tuple[str, ...]) -> None:
    live.config.write_text("nonsense")
    code, said, wrong = live.sidecar(*command)
    assert (code, said, len(wrong.splitlines())) == (78, "", 1)
    assert str(live.config) in wrong


def test_preflight_says_what_whoever_goes_live_should_know(live: Profile) -> None:
    api, status = free_ports(2)
    ports = f"\n[api]\nport = {api}\n[supervisor]\nport = {status}\n"
    live.config.write_text(live.config.read_text() + ports)
    live.sidecar("setup")
    (live.folder / "var/key.pem").write_text("a key\n")
    (live.folder / "var/key.pem").chmod(0o600)
    code, said, wrong = live.sidecar("preflight")
    assert (code, said.splitlines()) == (
        0,
        [
            "live: no order leaves: the key is not registered: run `sidecar register-key --live`",
            "live: each start is disarmed; once it runs, run `sidecar arm`",
        ],
    ), wrong
    live.sidecar("register-key", "--live", "the-key")
    assert live.sidecar("preflight")[1].splitlines()[0] == "live: the key is registered"


CHILD = """
import os, sys
from protocol.runtime.process import boot_of, take_lock
take_lock("{run}/gateway.lock")
life = os.environ["SIDECAR_GENERATION"]
with open("{run}/lives", "a") as file:
    print(life, boot_of("{run}/gateway.lock"), file=file)
sys.exit(78 if life == "2" else 75)
"""
RUNNER = """
import sys
from supervisor.runner import Runner
sys.exit(Runner("gateway", [sys.executable, "-c", {child!r}], {run!r}).run())
"""


def test_a_boot_lasts_while_the_runner_restarts_its_process_and_ends_with_the_runner(
    tmp_path: Path,
) -> None:
    run = str(tmp_path)
    program = RUNNER.format(child=CHILD.format(run=run), run=run)
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=30)
        assert done.returncode == 78
    lives = [line.split() for line in (tmp_path / "lives").read_text().splitlines()]
    assert [life for life, _ in lives] == ["0", "1", "2"] * 2
    first, second = {boot for _, boot in lives[:3]}, {boot for _, boot in lives[3:]}
    assert len(first) == len(second) == 1, "three lives of one boot"
    assert first != second
    assert all(re.fullmatch("[0-9a-f]{32}", boot) for boot in first | second)


def test_whoever_finds_the_lock_taken_is_told_by_whom(running: Profile) -> None:
    with pytest.raises(LockHeld, match=rf"gateway\.lock \(pid {os.getpid()}\)$"):
        take_lock(f"{running.folder}/run/gateway.lock")
