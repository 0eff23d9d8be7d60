"""Tokens that are made and withdrawn while the front runs, and a front that can't read them."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.engine.running import Engine
from tests.protocol.certificates import certificate


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


def status(engine: Engine, secret: str) -> int:
    """What the front says to a token; 0 while nobody listens."""
    with contextlib.suppress(requests.ConnectionError):
        headers = {"Authorization": f"Bearer {secret}"}
        return requests.get(f"{engine.api}/v1/orders", headers=headers, timeout=5).status_code
    return 0


def test_a_running_front_takes_over_what_is_made_and_withdrawn(engine: Engine) -> None:
    var = Path(engine.settings.var_dir)
    engine.launch("api")
    trade = (var / "token.trade").read_text().strip()
    engine.until(lambda: status(engine, trade) == 503, 10, "the front lets the token in")
    made = engine.sidecar("token", "add", "bot", "--scopes", "read")
    bot = made.stdout.strip()
    engine.until(lambda: status(engine, bot) == 503, 2, "the new token counts")
    assert engine.sidecar("token", "remove", "trade").returncode == 0
    engine.until(lambda: status(engine, trade) == 401, 2, "the old one does not")
    (var / "tokens.json").write_text("{")
    assert engine.sidecar("token").returncode == 78
    tail = "the tokens from before stay in force"
    engine.until(lambda: tail in engine.log.read_text(), 5, "the front has looked at the file")
    assert (status(engine, trade), status(engine, bot)) == (401, 503)


def test_without_a_file_that_can_be_read_the_front_does_not_start(engine: Engine) -> None:
    path = Path(engine.settings.var_dir, "tokens.json")
    path.chmod(0o644)
    assert engine.launch("api").wait(10) == 78
    line = engine.log.read_text().splitlines()[-1]
    assert line == f"api: {path}: mode is 0644, expected 0600 (chmod 600 {path})"
    assert engine.sidecar("preflight").returncode == 78


def test_a_front_that_others_could_reach_in_the_clear_does_not_start(engine: Engine) -> None:
    engine.environment["SIDECAR_API_HOST"] = "0.0.0.0"
    assert engine.launch("api").wait(10) == 78
    assert "api.host is '0.0.0.0', which others can reach" in engine.log.read_text()
    del engine.environment["SIDECAR_API_HOST"]
    engine.environment["SIDECAR_SUPERVISOR_HOST"] = "::"
    assert engine.launch("supervisor").wait(10) == 78
    assert "supervisor.host is '::', which others can reach" in engine.log.read_text()


def test_with_a_certificate_the_front_speaks_tls_and_others_may_reach_it(engine: Engine) -> None:
    cert, key = certificate(engine.folder)
    engine.environment |= {
        "SIDECAR_API_HOST": "0.0.0.0",
        "SIDECAR_API_TLS_CERT": cert,
        "SIDECAR_API_TLS_KEY": key,
        "SIDECAR_API_HOSTS": '["desk.example"]',
    }
    engine.launch("api")
    trust = ssl.create_default_context(cafile=cert)
    secret = Path(engine.settings.var_dir, "token.read").read_text().strip()
    said = (
        f"GET /v1/orders HTTP/1.1\r\nHost: desk.example\r\nAuthorization: Bearer {secret}\r\n\r\n"
    )

    def served() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            place = ("127.0.0.1", engine.settings.api.port)
            with (
                socket.create_connection(place, 5) as plain,
                trust.wrap_socket(plain, server_hostname="desk.example") as line,
            ):
                line.sendall(said.encode())
                return line.recv(1_000).startswith(b"HTTP/1.1 503 ")
        return False

    engine.until(served, 10, "the front lets the token in, over TLS")
    assert status(engine, secret) == 0, "it does not speak in the clear"
