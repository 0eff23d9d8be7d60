"""The wire to the exchange: signs a call and sends it, once.

Of requests only the adapter is used, with connections that are kept. What would follow redirects,
remember cookies and look around in the environment (proxies, .netrc, bundles of certificates) is
its Session, and there is none. The connections are ours in three points: they know for certain
whether a byte of a request was about to leave, they look at the clock before each piece that is
read, so that an answer that drips is not waited for forever, and they trust one bundle of
certificates.
"""

import functools
import http.client
import io
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.halt import DISARMED, STOPPED
from actors.gateway.passes import Pass
from protocol.config import Settings, check_exchange
from protocol.kalshi.calls import Call
from protocol.kalshi.signing import Signer
from protocol.limits import (
    ANSWER_BYTES_MAX,
    CALL_CONNECT_MAX,
    CALL_READ_MAX,
    CALL_TOTAL_MAX,
    CONNECTION_IDLE_MAX,
    SECOND,
)
from protocol.machine import Cause
from protocol.runtime.arming import ArmingFiles
from protocol.runtime.loop import wall
from protocol.runtime.process import read_private

PIECE: Final = 64 * 1024  # bytes read at a time
AGENT: Final = "kalshi-sidecar"
UNPASSED: Final = "no brake has let this request pass"
ADDRESSES_KEPT: Final = 32  # made ready for the next call


class Stopped(Exception):
    """The halt latch or a missing arming keeps an order from leaving; the text says which."""


class Wire:
    """Sends signed calls: no redirects, no retries, no proxies, certificates always verified.

    `stopped` is asked right before the first byte of an order would leave; it says why it may not.
    For the real exchange the arming is asked as well, whoever made this wire.
    """

    def __init__(
        self,
        settings: Settings,
        stopped: Callable[[], str] = str,
        *,
        connect_max: int = CALL_CONNECT_MAX,
        read_max: int = CALL_READ_MAX,
        total_max: int = CALL_TOTAL_MAX,
        idle_max: int = CONNECTION_IDLE_MAX,
        trusted: str = "",
    ) -> None:
        """Times in nanoseconds. `trusted`: a file of certificates other than the usual ones.

        Raises ConfigError if the address or the key can't be used.
        """
        check_exchange(settings.exchange, "settings")
        key_file = settings.exchange.key_file
        self._signer = Signer(settings.exchange.key_id, read_private(key_file), key_file)
        self._stopped = stopped
        self._arming = ArmingFiles(settings)
        self._url = settings.exchange.rest_url
        self._path = urlsplit(self._url).path
        self._patience = (connect_max / SECOND, read_max / SECOND)
        self._total_max, self._idle_max = total_max, idle_max
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and checks the name
        self._tls.load_verify_locations(trusted or DEFAULT_CA_BUNDLE_PATH)
        self._local = threading.local()

    def send(self, id: int, call: Call, passed: Pass | None = None) -> Cause:
        """Send once. What is not an answer is told as it is, never tried again.

        What may add risk is not signed without the brakes' pass for these very bytes.
        """
        risky = call.lane == "order" and call.writes  # its market is read in the same lane
        if risky and (passed is None or not passed.covers(call)):
            return CallFailed(wall(), id, UNPASSED, sent=False)
        disarmed = self._arming.why_not() if risky else ""  # a key of the demo signs nothing here
        if disarmed:
            return CallFailed(wall(), id, f"{DISARMED}{disarmed}", sent=False)
        line = self._line()
        line.begin(self._total_max, self._barred if risky else str)
        try:
            status, body = self._exchange(line, call)
        except Stopped as e:
            line.hang_up()
            return CallFailed(wall(), id, f"{e}", sent=False)
        except Exception as e:  # whatever it is, what counts is whether it may have been sent
            line.hang_up()
            return CallFailed(wall(), id, _brief(e, line.begun), sent=line.begun)
        line.used_at = time.monotonic_ns()
        return CallAnswered(wall(), id, status, body)

    def _barred(self) -> str:
        """What keeps an order from leaving at this moment, by its name, and why; "" if nothing."""
        for kept, why in ((STOPPED, self._stopped), (DISARMED, self._arming.why_not)):
            found = why()
            if found:
                return f"{kept}{found}"
        return ""

    def _exchange(self, line: "Line", call: Call) -> tuple[int, bytes]:
        path = self._path + call.path
        query = f"?{urlencode(call.query)}" if call.query else ""
        headers = self._signer.headers(wall() // 1_000, call.method, path)
        headers |= {"User-Agent": AGENT, "Accept-Encoding": "gzip", "Accept": "application/json"}
        if call.body:
            headers["Content-Type"] = "application/json"
        asked = _addressed(call.method, f"{self._url}{call.path}{query}").copy()
        asked.prepare_headers(headers)
        asked.prepare_body(call.body or None, None)
        if urlsplit(asked.url).path != path:
            raise ValueError(f"{path[:200]!r} would be sent as another path than was signed")
        with line.adapter.send(asked, stream=True, timeout=self._patience) as answer:
            packed = bytearray()
            while piece := answer.raw.read(PIECE, decode_content=False):
                packed += piece
                if len(packed) > ANSWER_BYTES_MAX:
                    raise ValueError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
            coding = answer.headers.get("Content-Encoding", "").strip().lower()
            return answer.status_code, _unpacked(bytes(packed), coding)

    def _line(self) -> "Line":
        """This thread's line; a new one if it has been idle for so long that it may be dead."""
        line: Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = Line(self._tls, self._patience[1])
        elif time.monotonic_ns() - line.used_at > self._idle_max:
            line.hang_up()
        return line


class Line:
    """One thread's connection to the exchange, and the call that is on its way there."""

    def __init__(self, tls: ssl.SSLContext, piece_max_s: float) -> None:
        self.adapter: Final = Adapter(self, tls)
        self.begun = False  # a byte of the call may have left
        self.used_at = 0  # monotonic nanoseconds
        self._piece_max_s = piece_max_s
        self._deadline = 0.0
        self._stopped: Callable[[], str] = str

    def begin(self, total_max: int, stopped: Callable[[], str]) -> None:
        self.begun = False
        self._stopped = stopped
        self._deadline = time.monotonic() + total_max / SECOND

    def hang_up(self) -> None:
        """Close the connection. The next call makes a new one."""
        self.adapter.close()

    def left(self, most: float | None = None) -> float:
        """Seconds for the next step of the call. Raises TimeoutError if there are none left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call took too long as a whole")
        return min(left, self._piece_max_s if most is None else most)

    def dial(self, host: str, port: int, timeout: float | None, options: Any) -> socket.socket:
        """Connect to the first of the host's addresses that answers, within `timeout` each."""
        failed: OSError = OSError("the name has no address")
        for *_, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
            place = str(address[0]), int(address[1])
            try:
                found = socket.create_connection(place, self.left(timeout))
            except OSError as e:
                failed = e
                continue
            for option in options or ():
                found.setsockopt(*option)
            return found
        raise failed

    def about_to_send(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is None:
            connection.connect()
        if not self.begun:
            why = self._stopped()  # after connecting, which may take its time
            if why:
                raise Stopped(why)
        connection.sock.settimeout(self.left())
        self.begun = True


class Adapter(HTTPAdapter):
    """requests' adapter over connections of ours: nothing is tried twice."""

    def __init__(self, line: Line, tls: ssl.SSLContext) -> None:
        self._line, self._tls = line, tls
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._line)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """As the adapter does it, with our certificates in the place of its own."""
        host, options = super().build_connection_pool_key_attributes(request, True)
        return host, {**options, "ssl_context": self._tls}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to add: the context verifies, and holds what it verifies by."""


def _pools(line: Line) -> dict[str, type[HTTPConnectionPool]]:
    """Kinds of connection that belong to one line."""

    class Answer(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(Paced(self.fp.detach(), sock, line.left))

    class Plain(HTTPConnection):
        response_class = Answer

        def _new_conn(self) -> socket.socket:
            return line.dial(self._dns_host, self.port, self.timeout, self.socket_options)

        def send(self, data: Any) -> None:
            line.about_to_send(self)
            super().send(data)

    class Encrypted(Plain, HTTPSConnection):
        """Dials, looks and sends as a plain one: what lies between is the library's."""

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


class Paced(io.RawIOBase):
    """What comes from a socket, each piece within the time that the call has left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, left: Callable[[], float]) -> None:
        self._raw, self._sock, self._left = raw, sock, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


@functools.lru_cache(ADDRESSES_KEPT)
def _addressed(method: str, url: str) -> requests.PreparedRequest:
    """A request without headers and body, to be copied: creates all go to the same address."""
    return requests.Request(method, url).prepare()


def _unpacked(packed: bytes, coding: str) -> bytes:
    """The body itself, at most ANSWER_BYTES_MAX of it. Raises ValueError or zlib.error."""
    if not packed or coding in ("", "identity"):
        return packed
    if coding not in ("gzip", "x-gzip"):
        raise ValueError(f"the answer is packed in a way that nobody asked for: {coding[:40]!r}")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    body = unpacking.decompress(packed, ANSWER_BYTES_MAX + 1)
    if len(body) > ANSWER_BYTES_MAX:
        raise ValueError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes, unpacked")
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("the packed answer has no proper end")
    return body


def _brief(error: BaseException, begun: bool) -> str:
    """What went wrong, by its innermost cause: the layers above only say it again."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{'no answer' if begun else 'not sent'}: {said[:200]}"
