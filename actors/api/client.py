"""One WebSocket connection of a client: RFC 6455 by the library, the transport by us.

The library reads what the client sends and answers pings and closes. What is said to clients was
made a frame once for all of them, and is written past the library: our frames are whole, and no
extension is spoken. Nothing that the client does, or leaves undone, makes anybody wait.
"""

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Final

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol

from actors.api.bodies import Problem
from actors.api.commands import read_ticket
from actors.api.quota import Meter
from actors.api.replies import problem_body
from protocol.http import retry_after
from protocol.limits import (
    CLIENT_CLOSE_MAX,
    CLIENT_KERNEL_BYTES,
    CLIENT_PING,
    CLIENT_READ_BYTES,
    CLIENT_SILENCE_MAX,
    CLIENT_WRITE_BYTES_HIGH,
    CLIENT_WRITE_BYTES_LOW,
    COMMAND_FRAME_BYTES_MAX,
    COMMANDS_A_SECOND,
    COMMANDS_BURST,
    HANDSHAKE_LINE_BYTES_MAX,
    SECOND,
    TICKET_MAX,
)

if TYPE_CHECKING:
    from actors.api.sockets import Sockets

PATH: Final = "/v1/ws"
NOT_TEXT: Final = 1003
NO_UTF8: Final = 1007
NOT_ALLOWED: Final = 1008
SILENT: Final = 1011
GOING: Final = 1012
TRY_AGAIN_LATER: Final = 1013
PING: Final = Frame(Opcode.PING, b"").serialize(mask=False)


class Connection(asyncio.Protocol):
    """From the handshake, which comes here as it was sent, to the end."""

    def __init__(self, sockets: "Sockets", id: int, all: set[object]) -> None:
        self.id = id
        self.token = ""  # whose it is; "" while that is not known
        self.pending: list[bytes] = []  # frames that leave when the event loop turns
        self.slow = False  # the transport holds more than it should
        self.paced = False  # somebody wants to know when it does not
        self._sockets = sockets
        self._all = all  # the server's, which it ends
        self._protocol = ServerProtocol(max_size=COMMAND_FRAME_BYTES_MAX)
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._commands = Meter(SECOND // COMMANDS_A_SECOND, COMMANDS_BURST, 1)
        self._text: list[bytes] = []  # of a message that comes in pieces
        self._heard_at = self._pinged_at = self._taken_at = time.monotonic_ns()
        self._unsent = 0  # bytes that waited for it at the last look, if it was slow
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._all.add(self)
        self._transport = transport
        transport.set_write_buffer_limits(CLIENT_WRITE_BYTES_HIGH, CLIENT_WRITE_BYTES_LOW)
        line = transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CLIENT_KERNEL_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._all.discard(self)
        self.resume_writing()
        self._sockets.gone(self)

    def pause_writing(self) -> None:
        if not self.slow:
            self.slow = True
            self._sockets.slow += 1

    def resume_writing(self) -> None:
        if self.slow:
            self.slow = False
            self._sockets.slow -= 1
        if self.paced:
            self._sockets.drained(self)

    def eof_received(self) -> None:
        self._protocol.receive_eof()

    def shutdown(self) -> None:
        """The server ends."""
        self.close(GOING, "the front is stopping")

    def data_received(self, data: bytes) -> None:
        if self._protocol.state is CONNECTING and not self._closing and _has_long_line(data):
            text = f"a line of a handshake has at most {HANDSHAKE_LINE_BYTES_MAX} bytes"
            self._refuse(self._protocol.reject(431, ""), Problem(431, "headers_too_large", text))
            self._pump()
            return
        # The library reads all that it is given before we see any of it, so it is given little.
        for start in range(0, len(data), CLIENT_READ_BYTES):
            self._protocol.receive_data(data[start : start + CLIENT_READ_BYTES])
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    self._begin(event)
                elif isinstance(event, Frame):
                    self._take(event)
        if self._protocol.state is not OPEN and not self._closing:
            self._end()  # it said goodbye, or what it sent is no WebSocket
        self._pump()

    # The handshake

    def _begin(self, request: Request) -> None:
        head = [(k.lower().encode(), v.encode("latin-1")) for k, v in request.headers.raw_items()]
        names = {name for name, _ in head}
        stranger = b"origin" in names and b"authorization" not in names
        address = str((self._transport.get_extra_info("peername") or ("",))[0])
        found = self._sockets.admit(request.path, head, address, stranger)
        if isinstance(found, Problem):
            self._refuse(self._protocol.reject(found.status, ""), found)
            return
        response = self._protocol.accept(request)
        if response.status_code != 101:
            text = response.body.decode().partition("\n")[0][:300]
            self._refuse(response, Problem(response.status_code, "malformed_handshake", text))
            return
        self._protocol.send_response(response)
        if found:
            self.token = found
            self._sockets.joined(self)
        else:
            self._sockets.waits(self)
            self._timer = self._loop.call_later(TICKET_MAX / SECOND, self._unknown)

    def _refuse(self, response: Response, problem: Problem) -> None:
        """`response` is the library's refusal, which gets our body."""
        response.body = problem_body(problem)
        for name in ("Content-Type", "Content-Length"):
            del response.headers[name]
        response.headers["Content-Type"] = "application/problem+json"
        response.headers["Content-Length"] = str(len(response.body))
        response.headers["Cache-Control"] = "no-store"
        for header, value in retry_after(problem.retry_after_ms):
            response.headers[header.decode()] = value.decode()
        if problem.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        self._protocol.send_response(response)
        self._end()

    def _unknown(self) -> None:
        self.close(NOT_ALLOWED, "no ticket was said in time")

    # What it says

    def _take(self, frame: Frame) -> None:
        now = self._heard_at = time.monotonic_ns()
        if self._commands.take(now, ""):
            # Nothing is read after that, not even its close: the library throws it all away.
            self._protocol.fail(NOT_ALLOWED, "too many commands")
            if not self._closing:
                self._end()
        elif self._closing:
            return  # counted all the same: the library answers pings until it has its close
        elif frame.opcode is Opcode.BINARY:
            self.close(NOT_TEXT, "JSON text is spoken here")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._text.append(bytes(frame.data))
            if frame.fin:
                text = b"".join(self._text)
                self._text.clear()
                self._said(now, text)

    def _said(self, now: int, text: bytes) -> None:
        try:
            text.decode()
        except UnicodeDecodeError:
            self.close(NO_UTF8, "not UTF-8")
            return
        if self.token:
            self._sockets.said(self, text)
            return
        token = self._sockets.redeem(now, read_ticket(text))
        if not token:
            self.close(NOT_ALLOWED, "no such ticket")
            return
        assert self._timer is not None
        self._timer.cancel()
        self.token = token
        self._sockets.joined(self, greet=True)

    # What it is told

    def write(self, data: bytes, unsent_max: int) -> None:
        """Frames that leave now. More than that may not wait: then it is closed instead."""
        if self._closing:
            return
        if self.slow and self._transport.get_write_buffer_size() + len(data) > unsent_max:
            self.close(TRY_AGAIN_LATER, "too slow: it did not take what it was told")
        else:
            self._transport.write(data)

    def look(self, now: int) -> None:
        """At its clocks."""
        if self._closing:
            return
        unsent = self._transport.get_write_buffer_size() if self.slow else 0
        if unsent < self._unsent or not unsent:
            self._taken_at = now
        self._unsent = unsent
        if now - self._taken_at > CLIENT_SILENCE_MAX:
            text = f"too slow: it took nothing for {CLIENT_SILENCE_MAX // SECOND} s"
            self.close(TRY_AGAIN_LATER, text)
        elif now - self._heard_at > CLIENT_SILENCE_MAX:
            self.close(SILENT, f"nothing came for {CLIENT_SILENCE_MAX // SECOND} s")
        elif now - max(self._pinged_at, self._heard_at) >= CLIENT_PING and self.token:
            self._pinged_at = now
            if not self.slow:
                self._transport.write(PING)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, and cut it off if that is not taken. It is told nothing more."""
        if self._closing:
            return
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
        self._end()
        self._pump()

    def _end(self) -> None:
        self._closing = True
        self.pending.clear()
        self._sockets.gone(self)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(CLIENT_CLOSE_MAX / SECOND, self._transport.abort)

    def _pump(self) -> None:
        """What the library has to say: answers to pings and closes, and that no more comes."""
        for piece in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if piece:
                self._transport.write(piece)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()


def _has_long_line(head: bytes) -> bool:
    """The library would refuse it, too, but not with a problem."""
    return any(len(line) > HANDSHAKE_LINE_BYTES_MAX for line in head.split(b"\r\n"))
