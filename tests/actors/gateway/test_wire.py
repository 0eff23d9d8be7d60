"""The wire over real sockets: what is sent, once, and what comes back."""

import base64
import gzip
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.passes import Pass, digest_of
from actors.gateway.wire import UNPASSED
from protocol.kalshi import calls
from protocol.kalshi.calls import Call
from protocol.limits import ANSWER_BYTES_MAX
from protocol.machine import Cause
from tests.actors.gateway.peer import (
    CALL,
    KEY,
    PASS,
    PEM,
    Connection,
    Peer,
    answer,
    certificate,
    wire_to,
)

RSA = generate_private_key(65537, 2048)
RSA_PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def polite(connection: Connection) -> None:
    while connection.request():
        connection.send(answer(b'{"so":"be it"}'))


def shown(cause: Cause) -> tuple[int, bytes]:
    assert isinstance(cause, CallAnswered), cause
    return cause.status, cause.body


def reason(cause: Cause) -> str:
    assert isinstance(cause, CallFailed), cause
    assert cause.sent
    return cause.reason


def head(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize("pem, key", [(PEM, KEY), (RSA_PEM, RSA)], ids=["Ed25519", "RSA, PKCS#1"])
def test_a_call_is_sent_signed_and_answered(tmp_path: Path, pem: bytes, key: object) -> None:
    with Peer(polite) as peer:
        wire = wire_to(tmp_path, peer, pem=pem)
        assert shown(wire.send(1, CALL, PASS)) == (200, b'{"so":"be it"}')
        assert shown(wire.send(2, calls.cancel("o1", "KXA-1")))[0] == 200
    post, delete = peer.requests
    assert post.startswith(b"POST /trade-api/v2/portfolio/events/orders HTTP/1.1\r\n")
    assert post.endswith(b"\r\n\r\n" + CALL.body)
    path = "/trade-api/v2/portfolio/events/orders/o1"
    assert delete.startswith(f"DELETE {path}?market_ticker=KXA-1 HTTP/1.1\r\n".encode())
    found = head(delete)
    assert found["kalshi-access-key"] == "the-key"
    text = f"{found['kalshi-access-timestamp']}DELETE{path}".encode()
    signature = base64.b64decode(found["kalshi-access-signature"], validate=True)
    public = key.public_key()  # type: ignore[attr-defined]
    if isinstance(public, Ed25519PublicKey):
        public.verify(signature, text)
    else:
        assert isinstance(public, RSAPublicKey)
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        public.verify(signature, text, pss, hashes.SHA256())


def test_one_connection_serves_many_calls_unless_it_has_been_idle(tmp_path: Path) -> None:
    with Peer(polite) as peer:
        wire = wire_to(tmp_path, peer)
        for id in range(3):
            wire.send(id, CALL, PASS)
        assert (peer.connections, len(peer.requests)) == (1, 3)
        wire = wire_to(tmp_path, peer, idle_max=0)
        for id in range(3):
            wire.send(id, CALL, PASS)
        assert (peer.connections, len(peer.requests)) == (4, 6)


def test_calls_to_one_address_share_nothing_but_the_address(tmp_path: Path) -> None:
    """An address is made ready once; bodies, lengths and signatures belong to one call each."""
    bodies = [b'{"client_order_id":"c1"}', b'{"client_order_id":"c22"}', b""]
    with Peer(polite) as peer:
        wire = wire_to(tmp_path, peer)
        for id, body in enumerate(bodies):
            call = Call("create", "POST", CALL.path, "order", (), body)
            wire.send(id, call, Pass(digest_of(call)))
        wire.send(3, Call("list", "GET", CALL.path, "read"))
    assert [request.partition(b"\r\n\r\n")[2] for request in peer.requests] == [*bodies, b""]
    heads = [head(request) for request in peer.requests]
    assert [found.get("content-length") for found in heads] == ["24", "25", "0", None]
    assert [found.get("content-type") for found in heads] == ["application/json"] * 2 + [None] * 2
    for found, method in zip(heads, ["POST"] * 3 + ["GET"], strict=True):
        text = f"{found['kalshi-access-timestamp']}{method}/trade-api/v2{CALL.path}".encode()
        KEY.public_key().verify(base64.b64decode(found["kalshi-access-signature"]), text)


def test_a_connection_that_was_closed_meanwhile_is_not_used(tmp_path: Path) -> None:
    gone = threading.Event()

    def one_answer(connection: Connection) -> None:
        connection.request()
        connection.send(answer())
        connection.socket.close()
        gone.set()

    with Peer(one_answer) as peer:
        wire = wire_to(tmp_path, peer)
        for id in range(3):
            gone.clear()
            assert shown(wire.send(id, CALL, PASS))[0] == 200
            assert gone.wait(5)
        assert (peer.connections, len(peer.requests)) == (3, 3)


def test_a_post_that_dies_on_a_kept_connection_is_not_sent_again(tmp_path: Path) -> None:
    """The server takes the second request and hangs up: whoever sent it again would be wrong."""

    def one_and_a_half(connection: Connection) -> None:
        connection.request()
        connection.send(answer())
        connection.request()

    with Peer(one_and_a_half) as peer:
        wire = wire_to(tmp_path, peer)
        assert shown(wire.send(1, CALL, PASS))[0] == 200
        assert "RemoteDisconnected" in reason(wire.send(2, CALL, PASS))
        assert (peer.connections, len(peer.requests)) == (1, 2)
        assert shown(wire.send(3, CALL, PASS))[0] == 200
        assert (peer.connections, len(peer.requests)) == (2, 3)


@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_left_over_on_a_connection_answers_nothing(tmp_path: Path, size: int) -> None:
    def talkative(connection: Connection) -> None:
        while connection.request():
            connection.send(answer(b"first") + answer(b"x" * size))

    with Peer(talkative) as peer:
        wire = wire_to(tmp_path, peer)
        assert [shown(wire.send(id, CALL, PASS))[1] for id in range(3)] == [b"first"] * 3


@pytest.mark.parametrize("status", ["301 Moved", "307 Temporary Redirect", "308 Permanent"])
def test_no_redirect_is_followed(tmp_path: Path, status: str) -> None:
    def elsewhere(connection: Connection) -> None:
        while connection.request():
            url = f"http://127.0.0.1:{peer.port}/elsewhere"
            connection.send(answer(b"over there", status, Location=url))

    with Peer(elsewhere) as peer:
        assert shown(wire_to(tmp_path, peer).send(1, CALL, PASS)) == (
            int(status[:3]),
            b"over there",
        )
        assert len(peer.requests) == 1


def test_no_cookie_is_kept(tmp_path: Path) -> None:
    def sticky(connection: Connection) -> None:
        while connection.request():
            connection.send(answer(Set_Cookie="AWSALB=x; Path=/"))

    with Peer(sticky) as peer:
        wire = wire_to(tmp_path, peer)
        wire.send(1, CALL, PASS)
        wire.send(2, CALL, PASS)
        assert [head(request).get("cookie") for request in peer.requests] == [None, None]


def test_the_environment_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no .netrc, no bundle of certificates, no log of the session's keys."""
    with Peer(polite) as proxy, Peer(polite) as peer:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        assert shown(wire_to(tmp_path, peer).send(1, CALL, PASS))[0] == 200
        assert (proxy.connections, peer.connections) == (0, 1)
        assert "authorization" not in head(peer.requests[0])
    tls, file = certificate(tmp_path)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, file)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keylog"))
    with Peer(polite, tls) as peer:
        refused = wire_to(tmp_path, peer, "https").send(1, CALL, PASS)
        assert isinstance(refused, CallFailed)
        assert not refused.sent
        assert "certificate" in refused.reason
        trusting = wire_to(tmp_path, peer, "https", trusted=file)
        assert shown(trusting.send(1, CALL, PASS)) == (200, b'{"so":"be it"}')
        assert shown(trusting.send(2, CALL, PASS))[0] == 200
        assert (peer.connections, len(peer.requests)) == (2, 2)
    assert not (tmp_path / "keylog").exists()


def test_packed_answers(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"so":"be it"}')
    bomb = gzip.compress(b"0" * (ANSWER_BYTES_MAX + 1))
    answers = {
        "good": answer(packed, Content_Encoding="gzip"),
        "empty": answer(b"", "204 No Content", Content_Encoding="gzip"),
        "half": answer(packed[:-4], Content_Encoding="gzip"),
        "more": answer(packed + packed, Content_Encoding="gzip"),
        "not": answer(b"{}", Content_Encoding="gzip"),
        "other": answer(b"{}", Content_Encoding="br"),
        "bomb": answer(bomb, Content_Encoding="gzip"),
    }

    def talk(connection: Connection) -> None:
        while request := connection.request():
            connection.send(answers[request.split(b" ")[1].rpartition(b"/")[2].decode()])

    with Peer(talk) as peer:
        wire = wire_to(tmp_path, peer)
        said = {name: wire.send(1, Call("x", "GET", f"/{name}", "read")) for name in answers}
    assert shown(said["good"]) == (200, b'{"so":"be it"}')
    assert shown(said["empty"]) == (204, b"")
    assert "no proper end" in reason(said["half"])
    assert "no proper end" in reason(said["more"])
    assert "incorrect header check" in reason(said["not"])
    assert "nobody asked for" in reason(said["other"])
    assert "longer than" in reason(said["bomb"])


def test_an_answer_without_end_is_not_taken(tmp_path: Path) -> None:
    def pour(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(40):
            connection.send(b" " * 1024 * 1024)

    with Peer(pour) as peer:
        assert "longer than" in reason(wire_to(tmp_path, peer).send(1, CALL, PASS))


@pytest.mark.parametrize("name", [".", "..", "a/../../x"])
def test_no_call_becomes_another_by_the_name_it_has(tmp_path: Path, name: str) -> None:
    """`DELETE orders/.` would be read as `DELETE orders/`: everything canceled."""
    with Peer(polite) as peer:
        said = wire_to(tmp_path, peer).send(1, calls.cancel(name, "KXA-1"))
        if isinstance(said, CallFailed):
            assert not said.sent
            assert peer.requests == []
        else:
            assert peer.requests[0].split(b" ")[1].split(b"?")[0].endswith(b"/a%2F..%2F..%2Fx")


def test_nothing_that_may_add_risk_is_signed_without_a_pass_for_its_very_bytes(
    tmp_path: Path,
) -> None:
    other = Call("create", "POST", CALL.path, "order", (), CALL.body + b" ")
    elsewhere = Call("create", "POST", f"{CALL.path}/o1/amend", "order", (), CALL.body)
    with Peer(polite) as peer:
        wire = wire_to(tmp_path, peer)
        for call, passed in ((CALL, None), (other, PASS), (elsewhere, PASS)):
            refused = wire.send(1, call, passed)
            assert isinstance(refused, CallFailed), refused
            assert (refused.reason, refused.sent) == (UNPASSED, False)
        assert peer.requests == []
        wire.send(2, calls.cancel("o1", "KXA-1"))
        wire.send(3, CALL, PASS)
    assert [request.split(b" ")[0] for request in peer.requests] == [b"DELETE", b"POST"]
