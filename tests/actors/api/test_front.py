"""The front's HTTP over real sockets: the gate, sizes, TLS, and tokens that change meanwhile."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from actors.api.asks import Ask
from actors.api.core import Api as Core
from actors.api.core import Requested
from actors.api.effects import Pace, Say
from actors.api.guard import Guard, names_of
from actors.api.keyed import Keyed
from actors.api.quota import Quota
from actors.api.replies import Reply
from actors.api.sockets import Sockets
from actors.api.web import Web
from protocol.errors import ConfigError
from protocol.machine import Cause
from protocol.pulse import Identity
from protocol.runtime.http import listen, open_files, server, tls_context
from protocol.runtime.tokens import new_token
from protocol.serving import Api
from protocol.tokens import SCOPES, Tokens
from supervisor.confirm import front as front_of
from tests.actors.api.let_in import nobody_signs_in
from tests.protocol.certificates import certificate

TOKENS = Tokens([new_token("boss", b"boss", SCOPES, 0), new_token("guest", b"guest", ("read",), 0)])
BOSS = {"Authorization": "Bearer boss"}


class Front:
    """The core, the gate and the web, without an engine behind them."""

    def __init__(self, tls: ssl.SSLContext | None = None, **settings: Any) -> None:
        self.asked: list[Ask] = []
        listener = listen("api", "127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        api = Api(port=self.port, **settings)
        self.guard = Guard(names_of(api, self.port), TOKENS, Quota(api))
        self.web = Web(self.guard, self._ask, nobody_signs_in)
        self._core = Core(Identity("api", 1))
        self.sockets = Sockets(self.web, self.web.tickets, self._feed)
        bounds: Any = {"direct": self.web.direct}
        self._http = server(self.web.app(), api.connections, tls, self.sockets.protocol, **bounds)
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        serve = self._http.serve(sockets=[listener])
        run = self._loop.run_until_complete
        self._thread = threading.Thread(target=lambda: run(serve), daemon=True)
        self._thread.start()

    def _ask(self, id: int, ask: Ask, keyed: Keyed | None) -> None:
        self.asked.append(ask)
        self._feed(Requested(0, id, ask, keyed))

    def _feed(self, cause: Cause) -> None:
        for effect in self._core.step(1, cause):
            if isinstance(effect, Reply):
                self.web.reply(effect)
            elif isinstance(effect, Say | Pace):
                self.sockets.perform(effect)

    def take_over(self, tokens: Tokens) -> None:
        """As the shell does when the file of tokens has changed."""

        def now() -> None:
            self.guard.take_over(tokens)
            self.sockets.look_again()

        self._loop.call_soon_threadsafe(now)

    def get(self, path: str = "/v1/orders", **more: Any) -> requests.Response:
        return requests.get(f"{self.address}{path}", timeout=10, **more)

    def post(self, body: Any, path: str = "/v1/orders", **more: Any) -> requests.Response:
        return requests.post(f"{self.address}{path}", data=body, timeout=10, **more)

    def close(self) -> None:
        self._http.should_exit = True
        self._thread.join()
        self._loop.close()


@pytest.fixture
def front() -> Iterator[Front]:
    front = Front()
    with contextlib.closing(front):
        yield front


def problem(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


def test_whoever_is_let_in_reaches_the_core_and_nobody_else_does(front: Front) -> None:
    assert problem(front.get()) == (401, "unauthorized")
    assert front.get().headers["www-authenticate"] == "Bearer"
    assert problem(front.get("/v1/nothing")) == (401, "unauthorized")
    assert problem(front.get(headers=BOSS | {"Host": "evil.example"})) == (421, "wrong_host")
    assert problem(front.get(headers=BOSS | {"Origin": "null"})) == (403, "wrong_origin")
    assert problem(front.get("/v1/orders?token=boss")) == (401, "unauthorized")
    guest = {"Authorization": "Bearer guest", "Content-Type": "application/json"}
    assert problem(front.post("{}", headers=guest)) == (403, "forbidden")
    assert problem(requests.request("PURGE", front.address, headers=BOSS, timeout=10))[0] == 405
    assert front.asked == []
    assert problem(front.get(headers=BOSS)) == (503, "not_ready")
    assert problem(front.get("/v1/nothing", headers=BOSS)) == (404, "not_found")
    assert len(front.asked) == 1


def test_a_body_is_counted_as_it_comes(front: Front) -> None:
    headers = BOSS | {"Content-Type": "application/json"}
    endless = (b"a" * 10_000 for _ in range(1_000_000))
    assert problem(front.post(endless, headers=headers)) == (413, "body_too_large")
    assert problem(front.post(b"a" * 65_537, headers=headers)) == (413, "body_too_large")
    assert front.asked == []


def test_a_token_that_is_withdrawn_while_the_body_comes_does_nothing_more(front: Front) -> None:
    lines = (
        "POST /v1/halt HTTP/1.1", f"Host: 127.0.0.1:{front.port}", "Authorization: Bearer boss",
        "Content-Type: application/json", "Content-Length: 2", "Connection: close",
        "Expect: 100-continue",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as line:
        line.sendall("".join(f"{part}\r\n" for part in lines).encode() + b"\r\n")
        assert line.recv(1_000).startswith(b"HTTP/1.1 100 "), "it was let in"
        front.take_over(TOKENS.without("boss"))
        line.sendall(b"{}")
        assert line.recv(1_000).startswith(b"HTTP/1.1 401 ")
    assert front.asked == []


def test_a_ticket_is_a_new_one_each_time_whatever_key_is_said(front: Front) -> None:
    headers = BOSS | {"Content-Type": "application/json", "Idempotency-Key": "the same"}
    tickets = {front.post(b"{}", "/v1/ws/ticket", headers=headers).json()["ticket"] for _ in "ab"}
    assert len(tickets) == 2


def test_whoever_may_come_back_is_told_when_in_both_words(front: Front) -> None:
    """By the core, as by the gate."""
    answer = front.get(headers=BOSS)
    assert problem(answer) == (503, "not_ready")
    assert answer.json()["retry_after_ms"] == 1_000
    assert answer.headers["Retry-After"] == "1"


def test_who_asks_too_fast_is_told_when_to_come_back() -> None:
    front = Front(looks_a_second=1.0)
    with contextlib.closing(front), requests.Session() as session:
        session.headers.update(BOSS)
        session.get(f"{front.address}/v1/orders", timeout=10)
        answer = session.get(f"{front.address}/v1/orders", timeout=10)
        assert problem(answer) == (429, "too_many_requests")
        assert 0 < answer.json()["retry_after_ms"] <= 1_000
        assert answer.headers["retry-after"] == "1"
        assert problem(front.get(headers={"Authorization": "Bearer guest"}))[0] == 503


def socket_to(front: Front, secret: str = "guest", **more: Any) -> Any:
    address = f"ws://127.0.0.1:{front.port}/v1/ws"
    return connect(
        address, additional_headers={"Authorization": f"Bearer {secret}"}, proxy=None, **more
    )


def test_a_socket_passes_the_same_gate(front: Front) -> None:
    for secret, origin in (("nobody", None), ("guest", "https://evil.example")):
        with pytest.raises(InvalidStatus):
            socket_to(front, secret, origin=origin)
    with socket_to(front) as guest:
        guest.send("{")
        assert "error" in guest.recv(timeout=5)


def test_a_page_of_ours_gets_a_ticket_and_says_it(front: Front) -> None:
    where = f"{front.address}/v1/ws/ticket"
    headers = {"Authorization": "Bearer guest", "Content-Type": "application/json"}
    assert problem(requests.post(where, data="{}", timeout=10))[0] == 415
    odd = requests.post(where, data='{"for": "me"}', headers=headers, timeout=10)
    assert problem(odd) == (422, "invalid_body")
    answer = requests.post(where, data="{}", headers=headers, timeout=10)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["expires_in_ms"] == 60_000
    said = json.dumps({"ticket": answer.json()["ticket"]})
    address = f"ws://127.0.0.1:{front.port}/v1/ws"
    with connect(address, origin=Origin(front.address), proxy=None) as page:
        page.send(said)
        assert json.loads(page.recv(timeout=5)) == {"kind": "welcome"}
        page.send('{"subscribe": ["mark"]}')
        assert json.loads(page.recv(timeout=5))["kind"] == "subscribed"
    with pytest.raises(InvalidStatus):  # no page
        connect(address, proxy=None)


def test_the_socket_of_a_withdrawn_token_is_closed_and_no_other(front: Front) -> None:
    with socket_to(front) as guest, socket_to(front, "boss") as boss:
        boss.send("{")
        boss.recv(timeout=5)
        front.take_over(TOKENS.without("guest"))
        with pytest.raises(ConnectionClosed) as closed:
            guest.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        boss.send("{")
        assert "error" in boss.recv(timeout=5)
    assert problem(front.get(headers={"Authorization": "Bearer guest"}))[0] == 401


# TLS


def test_over_tls_it_is_the_same_front(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    front = Front(
        tls_context("api", cert, key), tls_cert=cert, tls_key=key, hosts=("desk.example",)
    )
    with contextlib.closing(front):
        trust = ssl.create_default_context(cafile=cert)
        answer = ask_over(trust, front.port, "desk.example")
        assert answer.startswith(b"HTTP/1.1 503 ")
        trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_2
        assert ask_over(trust, front.port, "desk.example").startswith(b"HTTP/1.1 503 ")
        with pytest.raises(ssl.SSLError):  # the name is another
            ask_over(trust, front.port, "other.example")
        with pytest.raises(requests.exceptions.SSLError):
            front.get(headers=BOSS)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{front.port}/", timeout=10)


def ask_over(trust: ssl.SSLContext, port: int, name: str) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=name) as secured,
    ):
        lines = ("GET /v1/orders HTTP/1.1", f"Host: {name}", "Authorization: Bearer boss",
                 "Connection: close")  # fmt: skip
        secured.sendall("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        return secured.recv(10_000)


def test_our_own_commands_trust_that_certificate_and_no_other(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    other, other_key = certificate(tmp_path, "other")
    front = Front(tls_context("api", cert, key), tls_cert=cert, tls_key=key)
    with contextlib.closing(front):
        api = Api(host="0.0.0.0", port=front.port, tls_cert=cert, tls_key=key)
        address, trust = front_of(api)
        assert address == f"https://127.0.0.1:{front.port}"
        assert trust is not None
        assert ask_over(trust, front.port, "127.0.0.1").startswith(b"HTTP/1.1 421 ")
        _, wrong = front_of(Api(port=front.port, tls_cert=other, tls_key=other_key))
        assert wrong is not None
        with pytest.raises(ssl.SSLCertVerificationError):
            ask_over(wrong, front.port, "127.0.0.1")
    assert front_of(Api(host="::1", port=7601)) == ("http://[::1]:7601", None)
    with pytest.raises(ConfigError, match=r"api\.tls_cert"):
        front_of(Api(tls_cert=key, tls_key=key))


@pytest.mark.parametrize("flaw", ["no certificate", "no key", "open", "encrypted", "other", "none"])
def test_what_tls_can_not_begin_with_is_said_in_one_line(tmp_path: Path, flaw: str) -> None:
    cert, key = certificate(tmp_path, password=b"word" if flaw == "encrypted" else b"")
    match flaw:
        case "no certificate":
            Path(cert).unlink()
        case "no key":
            Path(key).unlink()
        case "open":
            Path(key).chmod(0o644)
        case "other":
            key = certificate(tmp_path, "other")[1]
        case "none":
            Path(cert).write_text("certificate")
    with pytest.raises(ConfigError) as wrong:
        tls_context("api", cert, key)
    assert "\n" not in str(wrong.value)
    assert str(tmp_path) in str(wrong.value)


def test_files_that_the_system_does_not_give_are_said_at_the_start() -> None:
    open_files(16, "api.connections")
    with pytest.raises(ConfigError, match=r"api\.connections is .* open files"):
        open_files(10**9, "api.connections")
