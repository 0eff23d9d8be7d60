"""How a socket to the exchange begins: where it goes, the signed request, and its answer."""

import re
import ssl
from email.utils import parsedate_to_datetime
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.http11 import USER_AGENT
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from protocol.kalshi.signing import Signer
from protocol.limits import FRAME_BYTES_MAX
from protocol.runtime.loop import wall

REASON_CHARS_MAX: Final = 200
HEAD_BYTES_KEPT: Final = 64 * 1024  # of an HTTP answer, for its date
HEAD_END: Final = b"\r\n\r\n"
STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})[ \r]")
DATE: Final = re.compile(rb"\r\ndate:[ \t]*([\x20-\x7e]{1,64}?)[ \t]*\r\n", re.IGNORECASE)
SWITCHED: Final = 101


class Target:
    """Where the sockets go, and how they are signed and encrypted."""

    def __init__(self, url: str, signer: Signer) -> None:
        self.uri = parse_uri(url)
        self.tls = ssl.create_default_context() if self.uri.secure else None
        self._signer = signer

    def __str__(self) -> str:
        return f"{self.uri.host}:{self.uri.port}"

    def handshake(self) -> ClientProtocol:
        """A protocol that has its request ready to be sent, signed now."""
        protocol = ClientProtocol(self.uri, max_size=FRAME_BYTES_MAX)
        request = protocol.connect()
        request.headers["User-Agent"] = USER_AGENT
        for name, value in self._signer.headers(wall() // 1_000, "GET", self.uri.path).items():
            request.headers[name] = value
        protocol.send_request(request)
        return protocol


class HandshakeAnswer:
    """The HTTP answer, piece by piece; the library judges it."""

    def __init__(self, protocol: ClientProtocol) -> None:
        self._protocol = protocol
        self._head = b""

    @property
    def good(self) -> bool:
        return self._protocol.state is OPEN

    def take(self, data: bytes) -> bytes:
        """Returns what stands behind the head, if that made the socket one."""
        tail = self._head[1 - len(HEAD_END) :]
        end = (tail + data).find(HEAD_END)
        cut = len(data) if end < 0 else end + len(HEAD_END) - len(tail)
        if len(self._head) < HEAD_BYTES_KEPT:
            self._head += data[:cut]
        self._protocol.receive_data(data[:cut])
        if self.good:
            self._protocol.events_received()
            return data[cut:]
        if cut < len(data):
            self._protocol.receive_data(data[cut:])
        return b""

    def refusal(self) -> tuple[int, str] | None:
        """HTTP status and why it is none; None if that can't be said yet."""
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            status, body = error.response.status_code, bytes(error.response.body)
            text = body[:REASON_CHARS_MAX].decode("utf-8", "replace")
            return status, printable(f"HTTP {status} {text}".strip())
        if error is not None:
            cause = f": {error.__cause__}" if error.__cause__ else ""
            return self._status, printable(f"{type(error).__name__}: {error}{cause}")
        return None

    def cut_short(self, when: str) -> tuple[int, str]:
        """The same where it is over before there was a whole answer. A status counts by itself."""
        if self._status not in (0, SWITCHED):
            return self._status, f"HTTP {self._status}, and not the whole of its body {when}"
        return 0, f"no answer to the handshake {when}"

    def ended(self) -> tuple[int, str] | None:
        """The connection ended: an answer may end so, too."""
        self._protocol.receive_eof()
        return self.refusal() if isinstance(self._protocol.handshake_exc, InvalidStatus) else None

    @property
    def date(self) -> int:
        """The exchange's clock by its answer, in microseconds; 0: it did not say."""
        found = DATE.search(self._head)
        try:
            date = parsedate_to_datetime(found[1].decode()) if found else None
            return int(date.timestamp()) * 1_000_000 if date else 0
        except (ValueError, OverflowError):
            return 0

    @property
    def _status(self) -> int:
        found = STATUS.match(self._head)
        return int(found[1]) if found else 0


def printable(text: str) -> str:
    """Fit for a line of the log, whatever the other side said."""
    text = text[: REASON_CHARS_MAX + 40]
    return "".join(c if c.isprintable() else "?" for c in text)
