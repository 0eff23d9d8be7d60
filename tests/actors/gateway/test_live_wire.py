"""The wire to the real exchange, over real sockets: sixteen ways, one of which sends an order.

The exchange's names lead to servers of ours, in this test's resolver alone; the wire dials,
encrypts and verifies as ever.
"""

import itertools
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.wire import Wire
from protocol.arming import Arming, Registration, encode
from protocol.config import REST_HOSTS, WS_HOSTS, Settings, read
from protocol.errors import ConfigError
from protocol.kalshi import calls
from protocol.limits import ARMING_MAX, MINUTE, US
from protocol.machine import Cause
from protocol.runtime.arming import ArmingFiles, now
from protocol.runtime.process import boot_of, replace_file, take_lock
from tests.actors.gateway.peer import CALL, PASS, PEM, Connection, Peer, answer, certificate

CONFIGS = Path(__file__).parents[3] / "configs"
LIVE, DEMO = REST_HOSTS["live"][0], REST_HOSTS["demo"][0]
HOUR = 60 * MINUTE


def polite(connection: Connection) -> None:
    while connection.request():
        connection.send(answer(b"{}"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, ssl.SSLContext], str]:
    """Of both exchanges, and one bundle that trusts them."""
    folder = tmp_path_factory.mktemp("certificates")
    made = {host: certificate(folder, host) for host in (LIVE, DEMO)}
    bundle = folder / "bundle"
    bundle.write_text("".join(Path(file).read_text() for _, file in made.values()))
    return {host: context for host, (context, _) in made.items()}, str(bundle)


class Place:
    """Both exchanges on loopback, a profile in a folder, and this test as the engine's boot."""

    def __init__(self, folder: Path, servers: dict[str, Peer], trusted: str) -> None:
        self.folder, self.servers, self._trusted = folder, servers, trusted
        self.resolved = lambda: None  # what happens while a name is looked up
        key = folder / "key.pem"
        key.write_bytes(PEM)
        key.chmod(0o600)
        self._lock = take_lock(f"{folder}/gateway.lock")
        self._resolver = socket.getaddrinfo

    def lookup(self, host: Any, port: Any, *rest: Any) -> Any:
        if host not in self.servers:
            return self._resolver(host, port, *rest)
        self.resolved()
        address = "127.0.0.1", self.servers[host].port
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    def settings(self, environment: str = "live", host: str = LIVE) -> Settings:
        """As a process reads them. Raises ConfigError."""
        told = {
            "SIDECAR_EXCHANGE_KEY_ID": "the-key",
            "SIDECAR_EXCHANGE_KEY_FILE": f"{self.folder}/key.pem",
            "SIDECAR_EXCHANGE_REST_URL": f"https://{host}/trade-api/v2",
        }
        text = (CONFIGS / f"{environment}.toml").read_text()
        for name in ("run", "var"):
            text = text.replace(f'_dir = "{name}/{environment}"', f'_dir = "{self.folder}"')
        return read(text, told, "the file")

    def wire(self, settings: Settings | None = None) -> Wire:
        return Wire(settings or self.settings(), trusted=self._trusted)

    def register(self) -> None:
        self.files.register(Registration("the-key", "live", 1))

    def arm(self, boot: str = "", key_id: str = "the-key", since: int = 0) -> None:
        """`since`: how long ago, in nanoseconds. For one hour."""
        at, ago, hour = now(), since // US, HOUR // US
        since_, from_ = at.steady - ago, at.wall - ago
        boot = boot or self.files.boot
        made = Arming(key_id, boot, from_, from_ + hour, since_, since_ + hour)
        replace_file(self.files.path, encode(made))

    @property
    def files(self) -> ArmingFiles:
        return ArmingFiles(self.settings())

    def restart(self) -> None:
        """The whole engine ends and starts again."""
        os.close(self._lock)
        self._lock = take_lock(f"{self.folder}/gateway.lock")

    def close(self) -> None:
        os.close(self._lock)


@pytest.fixture
def place(
    tmp_path: Path,
    certificates: tuple[dict[str, ssl.SSLContext], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    contexts, trusted = certificates
    with Peer(polite, contexts[LIVE]) as live, Peer(polite, contexts[DEMO]) as demo:
        place = Place(tmp_path, {LIVE: live, DEMO: demo}, trusted)
        monkeypatch.setattr(socket, "getaddrinfo", place.lookup)
        yield place
        place.close()


def kept(place: Place, said: Cause) -> str:
    """Why an order was kept back. Not a byte of it has left."""
    assert isinstance(said, CallFailed), said
    assert not said.sent
    assert place.servers[LIVE].requests == []
    assert place.servers[DEMO].requests == []
    assert said.reason.startswith("disarmed: "), said.reason
    return said.reason


@pytest.mark.parametrize(
    "environment, key, host, arming", list(itertools.product([True, False], repeat=4))
)
def test_of_sixteen_ways_one_puts_an_order_on_the_wire(
    place: Place, environment: bool, key: bool, host: bool, arming: bool
) -> None:
    if key:
        place.register()
    if arming:
        place.arm()
    where = "live" if environment else "demo", LIVE if host else DEMO
    if environment != host:  # these never start
        with pytest.raises(ConfigError, match=r"^the file: exchange\.rest_url is "):
            place.settings(*where)
        stops = "in the settings"
    else:
        said = place.wire(place.settings(*where)).send(1, CALL, PASS)
        if isinstance(said, CallAnswered):
            stops = "nowhere" if environment else "at the demo, as ever"
        else:
            assert ("the key is not registered" in kept(place, said)) == (not key)
            assert ("not armed" in kept(place, said)) == (not arming)
            stops = "right before the signature"
    all_four = environment and key and host and arming
    assert (stops == "nowhere") == all_four
    orders = [r for r in place.servers[LIVE].requests if CALL.body in r]
    assert len(orders) == len(place.servers[LIVE].requests) == int(all_four)
    assert place.servers[LIVE].connections == int(all_four), "nobody even knocks"
    assert (stops == "at the demo, as ever") == (not environment and not host)
    assert len(place.servers[DEMO].requests) == int(stops == "at the demo, as ever")


@pytest.mark.parametrize("environment, host", [("live", DEMO), ("demo", LIVE), ("paper", LIVE)])
def test_a_wire_with_settings_that_nobody_has_looked_at_is_not_made(
    place: Place, environment: str, host: str
) -> None:
    settings = place.settings()
    exchange = settings.exchange
    url, ws = f"https://{host}/trade-api/v2", f"wss://{WS_HOSTS['live'][0]}/trade-api/ws/v2"
    odd = type(exchange)(environment, url, ws, exchange.key_id, exchange.key_file)
    with pytest.raises(ConfigError, match="rest_url"):
        place.wire(type(settings)("x", str(place.folder), str(place.folder), odd, settings.stream))


def test_cancels_and_reads_need_no_arming(place: Place) -> None:
    wire = place.wire()
    for call in (calls.cancel("o1", "KXA-1"), calls.CANCEL_ALL, calls.get_market("KXA-1", "order")):
        assert isinstance(wire.send(1, call), CallAnswered)
    assert len(place.servers[LIVE].requests) == 3


def test_a_disarm_counts_at_once_on_a_connection_that_is_open(place: Place) -> None:
    place.register()
    place.arm()
    wire = place.wire()
    assert isinstance(wire.send(1, CALL, PASS), CallAnswered)
    assert place.files.disarm()
    said = wire.send(2, CALL, PASS)
    assert isinstance(said, CallFailed)
    assert (said.sent, said.reason) == (False, "disarmed: not armed: run `sidecar arm`")
    assert len(place.servers[LIVE].requests) == 1


def test_a_disarm_while_it_dials_comes_in_time(place: Place) -> None:
    place.register()
    place.arm()
    place.resolved = lambda: (place.files.disarm(), None)[1]
    assert "not armed" in kept(place, place.wire().send(1, CALL, PASS))
    assert place.servers[LIVE].connections == 1, "it was signed and encrypted, and there it stopped"


def test_a_restart_of_the_engine_ends_an_arming_and_one_of_the_gateway_does_not(
    place: Place,
) -> None:
    place.register()
    place.arm()
    assert isinstance(place.wire().send(1, CALL, PASS), CallAnswered)
    assert isinstance(place.wire().send(2, CALL, PASS), CallAnswered), "the gateway's next life"
    place.restart()
    place.servers[LIVE].requests.clear()
    assert "older than this start of the engine" in kept(place, place.wire().send(3, CALL, PASS))


def test_an_old_gateway_does_not_live_on_a_new_boots_arming(place: Place) -> None:
    place.register()
    old = place.wire()
    place.restart()
    place.arm()
    assert "older than this start of the engine" in kept(place, old.send(1, CALL, PASS))
    assert isinstance(place.wire().send(2, CALL, PASS), CallAnswered)


@pytest.mark.parametrize(
    "arming, said",
    [
        ({"since": HOUR}, "the arming has ended"),
        ({"since": -MINUTE}, "the clock says a time before the arming"),
        ({"boot": "another"}, "older than this start of the engine"),
        ({"key_id": "other"}, "the arming is for another key"),
    ],
)
def test_an_arming_of_another_time_boot_or_key_counts_for_nothing(
    place: Place, arming: dict[str, Any], said: str
) -> None:
    place.register()
    place.arm(**arming)
    assert said in kept(place, place.wire().send(1, CALL, PASS))


def test_an_arming_counts_until_its_last_moment(place: Place) -> None:
    place.register()
    place.arm(since=HOUR - MINUTE)
    assert isinstance(place.wire().send(1, CALL, PASS), CallAnswered)


@pytest.mark.parametrize("name", ["armed", "registered-key"])
def test_a_damaged_file_or_one_that_others_may_read_counts_for_nothing(
    place: Place, name: str
) -> None:
    place.register()
    place.arm()
    path = place.folder / name
    whole = path.read_bytes()
    for damage in (b"", b"{}", whole[:-3], b"\xff" * 40, b" " * 100_000):
        path.write_bytes(damage)
        assert f"can't be read: {path}: " in kept(place, place.wire().send(1, CALL, PASS))
    path.write_bytes(whole)
    path.chmod(0o644)
    assert "mode is 0644" in kept(place, place.wire().send(1, CALL, PASS))
    path.unlink()
    path.symlink_to(path)
    assert "can't be read" in kept(place, place.wire().send(1, CALL, PASS))
    path.unlink()
    path.mkdir(mode=0o700)
    assert "not a regular file" in kept(place, place.wire().send(1, CALL, PASS))


def test_arming_is_for_a_day_at_most_and_only_when_it_would_count(place: Place) -> None:
    assert "the key is not registered" in place.files.arm(HOUR).why
    place.register()
    live = place.files.arm(ARMING_MAX)
    assert (live.why, place.files.live()) == ("", live)
    assert isinstance(place.wire().send(1, CALL, PASS), CallAnswered)
    assert (place.folder / "armed").stat().st_mode & 0o777 == 0o600
    assert "longer than may be" in place.files.arm(ARMING_MAX + 1_000).why
    assert place.files.live() == live, "what was there stays"


def test_without_the_lock_there_is_no_boot(place: Place) -> None:
    assert len(boot_of(f"{place.folder}/gateway.lock")) == 32
    Path(f"{place.folder}/gateway.lock").write_text("4711\n")
    assert boot_of(f"{place.folder}/gateway.lock") == ""
    assert boot_of(f"{place.folder}/nobody.lock") == ""
    place.register()
    place.arm(boot="this")
    assert "older than this start" in kept(place, place.wire().send(1, CALL, PASS))
