"""One WebSocket to the exchange: frames are taken off at once, whatever the core is doing.

The library's protocol without I/O (`websockets.client.ClientProtocol`) under a transport of our
own. It makes the handshake, and judges every frame but the plain ones, which `framing` cuts out.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN

from actors.stream.backlog import Backlog
from actors.stream.framing import Cutter
from actors.stream.handshake import HandshakeAnswer, Target, printable
from actors.stream.wire import (
    FramesReceived,
    Link,
    OpenFailed,
    Overrun,
    PingReceived,
    PongReceived,
    SocketClosed,
    SocketOpened,
)
from protocol.limits import CONNECT_MAX, FRAME_BYTES_MAX, FRAMES_A_TURN, SECOND, UNSENT_BYTES_MAX
from protocol.machine import Cause
from protocol.runtime.loop import wall

CLOSE_SECONDS_MAX: Final = 1.0  # then the transport is aborted
PING_NUMBER: Final = re.compile(rb"[0-9]{1,18}", re.ASCII)

Tell = Callable[["Life", Cause], None]


class Life(asyncio.Protocol):
    """One socket from its look-up to its end, of which the core is told exactly once."""

    def __init__(self, link: Link, target: Target, tell: Tell) -> None:
        self.link: Final[Link] = link
        self._target = target
        self._tell_core = tell
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._protocol: ClientProtocol  # both from connection_made on
        self._answer: HandshakeAnswer
        self._judged = self._loop.create_future()  # the handshake is over, well or not
        self._cutter = Cutter(FRAME_BYTES_MAX)
        self._parts = bytearray()  # of a text in fragments
        self._backlog = Backlog(link)
        self._working = False  # a turn of work is due
        self._open = False
        self._closing = False  # the core wants no more of it
        self._ended = False  # its end is told, or waits to be
        self.gone = self._loop.create_future()  # the transport is no more, or never was
        self._opening = asyncio.ensure_future(self._connect())

    # What the core has it do

    def send(self, raw: bytes) -> None:
        """Send one text. Nothing if it has ended: that is being told."""
        if self._may_send():
            self._protocol.send_text(raw)
            self._flush()

    def ping(self, number: int) -> None:
        if self._may_send():
            self._protocol.send_ping(b"%d" % number)
            self._flush()

    def close(self) -> None:
        """End it politely, then not; one that is not open yet is given up at once."""
        if self._ended or self._closing:
            return
        self._closing = True
        if not self._open:
            self._opening.cancel()
        else:
            self._backlog.clear()
            if self._protocol.state is OPEN:  # else what came meanwhile has closed it
                self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
                self._flush()
            self._linger()

    def abort(self) -> None:
        self._opening.cancel()
        if self._transport is not None:
            self._transport.abort()

    # Opening

    async def _connect(self) -> None:
        """One deadline covers look-up, TCP, TLS and the HTTP answer."""
        uri, tls = self._target.uri, self._target.tls
        try:
            async with asyncio.timeout(CONNECT_MAX / SECOND) as limit:
                await self._loop.create_connection(
                    lambda: self,
                    uri.host,
                    uri.port,
                    ssl=tls,
                    server_hostname=uri.host if tls else None,
                )
                await self._judged
        except asyncio.CancelledError:
            self._end(SocketClosed(wall(), self.link, "closed before it was open"))
        except OSError as e:  # a TimeoutError is one, ours or the system's
            when = f"in {CONNECT_MAX // SECOND} s"
            if not limit.expired():
                self._failed(0, printable(f"{type(e).__name__}: {e}"))
            elif self._transport is None:
                self._failed(0, f"no connection to {self._target} {when}")
            else:
                self._failed(*self._answer.cut_short(when))
        finally:
            if self._transport is None:
                self._set_gone()
            elif not self._open:
                self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._protocol = self._target.handshake()
        self._answer = HandshakeAnswer(self._protocol)
        self._flush()

    def _take_answer(self, data: bytes) -> bytes:
        """Returns what came behind it, once the socket is open."""
        data = self._answer.take(data)
        if self._answer.good:
            self._open = True
            self._judged.set_result(None)
            self._tell(SocketOpened(wall(), self.link, self._answer.date))
        elif (refusal := self._answer.refusal()) is not None:
            self._failed(*refusal)
        return data

    def _failed(self, status: int, reason: str) -> None:
        date = 0 if self._transport is None else self._answer.date
        self._end(OpenFailed(wall(), self.link, status, reason, date))
        if not self._judged.done():
            self._judged.set_result(None)

    # Receiving

    def data_received(self, data: bytes) -> None:
        at, now = wall(), time.monotonic_ns()
        if self._ended or (self._closing and not self._open):
            return
        if not self._open:
            data = self._take_answer(data)
            if not data:
                return
        texts: list[bytes] = []
        words: list[Cause] = []
        self._cutter.take(data)
        while True:
            if self._protocol.current_size is None:
                self._cutter.texts(texts)
            other = self._cutter.other(FRAME_BYTES_MAX - (self._protocol.current_size or 0))
            if not other:
                break
            self._protocol.receive_data(other)
            for event in self._protocol.events_received():
                self._take(at, cast(Frame, event), texts, words)
            if self._over:
                break
        self._check(texts)
        self._flush()  # pongs leave before the core works on anything: a write is tried at once
        if not self._closing and not self._ended:
            self._bring(at, now, texts, words)
        if self._over:
            self._end(SocketClosed(wall(), self.link, self._why()))
            self._linger()

    @property
    def _over(self) -> bool:
        """The exchange has closed it, or the library has, because of what came."""
        if self._protocol.state is OPEN:
            return False
        return not self._closing or self._protocol.close_rcvd is not None

    def _take(self, at: int, frame: Frame, texts: list[bytes], words: list[Cause]) -> None:
        """A frame that the library has judged, and answered where it is to be answered."""
        match frame.opcode:
            case Opcode.PING:
                words.append(PingReceived(at, self.link))
            case Opcode.PONG if PING_NUMBER.fullmatch(frame.data):
                words.append(PongReceived(at, self.link, int(bytes(frame.data))))
            case Opcode.BINARY:
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "expected text")
            case Opcode.TEXT | Opcode.CONT:
                self._parts += frame.data
                if frame.fin:
                    texts.append(bytes(self._parts))
                    self._parts.clear()

    def _check(self, texts: list[bytes]) -> None:
        """Text is UTF-8 (RFC 6455 section 8.1); the library leaves that to whoever decodes it."""
        if b"".join(texts).isascii():
            return
        for i, text in enumerate(texts):
            try:
                text.decode()
            except UnicodeDecodeError as e:
                del texts[i:]
                if self._protocol.state is OPEN:
                    self._protocol.fail(CloseCode.INVALID_DATA, f"{e.reason} at {e.start}")
                return

    def _bring(self, at: int, now: int, texts: list[bytes], words: list[Cause]) -> None:
        """To the core at once if nothing waits and it is little, else in turns.

        What else was said comes behind the frames of its read: a pong proves that no frame before
        it is missing, so these must have been worked off.
        """
        if not self._backlog and len(texts) <= FRAMES_A_TURN:
            if texts:
                self._tell(FramesReceived(at, self.link, texts))
            for word in words:
                self._tell(word)
            return
        if texts:
            self._backlog.add(at, now, texts)
        for word in words:
            self._backlog.say(word)
        if self._backlog.overrun:
            frames = self._backlog.frames
            self._backlog.clear()
            self._tell(Overrun(at, self.link, frames))
        elif not self._working:
            self._working = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """One turn; reading, pongs, letters and timers have theirs before the next."""
        self._working = False
        left = FRAMES_A_TURN
        while left > 0 and (cause := self._backlog.next(left, time.monotonic_ns())) is not None:
            left -= len(cause.raws) if isinstance(cause, FramesReceived) else 1
            self._tell(cause)
        if self._backlog:
            self._working = True
            self._loop.call_soon(self._work)

    # The end

    def eof_received(self) -> None:
        """The transport closes itself then, and says so below."""

    def connection_lost(self, error: Exception | None) -> None:
        self._set_gone()
        if self._open:
            self._end(SocketClosed(wall(), self.link, self._why(error)))
        elif not self._ended and not self._closing and self._transport is not None:
            when = f"before the connection ended{f' ({error})' if error else ''}"
            self._failed(*(self._answer.ended() or self._answer.cut_short(printable(when))))

    def _set_gone(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    def _why(self, error: Exception | None = None) -> str:
        frame = self._protocol.close_rcvd or self._protocol.close_sent
        if frame is not None:
            return printable(f"closed {int(frame.code)} {frame.reason}".strip())
        return printable(f"closed 1006 {error or ''}".strip())

    def _end(self, cause: Cause) -> None:
        """Tell the core, behind what came before; nothing that comes after counts."""
        if self._ended:
            return
        self._ended = True
        if self._backlog:
            self._backlog.say(cause)
        else:
            self._tell(cause)

    def _linger(self) -> None:
        """What was written last may still leave, and the other side end it."""
        self._loop.call_later(CLOSE_SECONDS_MAX, self.abort)

    # Sending

    def _may_send(self) -> bool:
        return self._open and not self._ended and self._protocol.state is OPEN

    def _flush(self) -> None:
        """Write what the library has for the exchange."""
        data = b"".join(self._protocol.data_to_send())  # an empty piece stands for an end of ours
        transport = self._transport
        if not data or transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            reason = f"closed: more than {UNSENT_BYTES_MAX} bytes that could not be sent"
            self._end(SocketClosed(wall(), self.link, reason))
            transport.abort()

    def _tell(self, cause: Cause) -> None:
        self._tell_core(self, cause)
