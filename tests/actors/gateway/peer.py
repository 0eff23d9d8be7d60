"""A raw server on loopback that does with each connection what a story tells it to, and a wire."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from actors.gateway.passes import Pass, digest_of
from actors.gateway.wire import Wire
from protocol.config import Exchange, Settings, Stream
from protocol.kalshi.calls import Call

CALL = Call("create", "POST", "/portfolio/events/orders", "order", (), b'{"ticker":"KXA-1"}')
PASS = Pass(digest_of(CALL))
KEY = Ed25519PrivateKey.generate()
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
MS = 1_000_000

Talk = Callable[["Connection"], None]


def answer(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    """A whole HTTP answer."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


class Connection:
    """The server's side of one connection."""

    def __init__(self, peer: "Peer", found: socket.socket) -> None:
        self.peer, self.socket = peer, found
        self._read = b""

    def request(self) -> bytes:
        """The next request, whole; b"" if the other side has hung up."""
        while True:
            head, end, rest = self._read.partition(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if end and len(rest) >= length:
                self._read = rest[length:]
                found = head + end + rest[:length]
                self.peer.requests.append(found)
                return found
            piece = self.socket.recv(65536)
            if not piece:
                return b""
            self._read += piece

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def drip(self, raw: bytes) -> None:
        """A byte at a time until somebody has had enough."""
        for i in range(len(raw)):
            self.socket.sendall(raw[i : i + 1])
            if self.peer.over.wait(0.02):
                return

    def reset(self) -> None:
        """An end without a good-bye: RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


class Peer:
    """Listens, and lets `talk` have each connection in a thread of its own."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._talk, self._tls = talk, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._open: set[socket.socket] = set()

    def __enter__(self) -> "Peer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for found in list(self._open):
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive(), "a connection did not end"

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                found, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(found,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, found: socket.socket) -> None:
        found.settimeout(5)
        try:
            if self._tls is not None:
                found = self._tls.wrap_socket(found, server_side=True)
            self._open.add(found)
            self._talk(Connection(self, found))
        except OSError:
            return  # the other side has had enough
        finally:
            self._open.discard(found)
            found.close()


def settings_for(folder: Path, rest_url: str, pem: bytes = PEM) -> Settings:
    key = folder / "key.pem"
    key.write_bytes(pem)
    key.chmod(0o600)
    ws_url = "ws://127.0.0.1:1/trade-api/ws/v2"
    exchange = Exchange("paper", rest_url, ws_url, "the-key", str(key))
    return Settings("test", str(folder), str(folder), exchange, Stream(()))


def wire_to(folder: Path, peer: Peer | int, scheme: str = "http", **options: Any) -> Wire:
    """A wire with a key of its own and little patience."""
    port = peer if isinstance(peer, int) else peer.port
    pem = options.pop("pem", PEM)
    url = f"{scheme}://127.0.0.1:{port}/trade-api/v2"
    patience = {"connect_max": 2_000 * MS, "read_max": 2_000 * MS, "total_max": 4_000 * MS}
    return Wire(settings_for(folder, url, pem), **{**patience, **options})


def certificate(folder: Path, address: str = "127.0.0.1") -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate that vouches for itself, and where that lies.

    `address`: a number or a name.
    """
    key = generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"exchange {address}")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_named(address)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = folder / f"{address}.crt", folder / f"{address}.key"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return context, str(file)


def _named(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)
