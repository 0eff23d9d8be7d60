"""One connection of a client that speaks HTTP: uvicorn's, within bounds of our own.

httptools is fast and takes whatever comes: headers of megabytes, heads that never end, thousands of
requests in one packet. So the parser is fed at most 16 kB at once, what it hands over is counted
before anything else is done with it, and each wait for the client has an end. What is refused is
answered if that can still be understood, and the connection is closed.
"""

import asyncio
import contextlib
import fcntl
import sys
import termios
from typing import Any

import httptools

from protocol.http import (
    HEADER_BYTES,
    TOO_DEEP,
    TOO_LARGE,
    TOO_LONG,
    TOO_MANY,
    TOO_SLOW,
    Refusal,
    flaw,
    is_little,
    malformed,
)
from protocol.limits import (
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    OVERFLOW_MAX,
    PIPELINED_MAX,
    SECOND,
    TAKEN_BYTES_MIN,
    TARGET_BYTES_MAX,
)
from protocol.runtime.http_answers import Answering


class Refused(Exception):
    """Out of the parser. A new one each time: an exception keeps what its raisers held."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class Connection(Answering):
    """From its first byte to its last."""

    def __init__(self, *server: Any, **more: Any) -> None:
        super().__init__(*server, **more)
        self._told = False  # that there is no room
        self._part = "idle"  # of a message that is being read: idle, head or body
        self._message = 0  # which one
        self._head_bytes = 0  # handed over by the parser
        self._raw_bytes = 0  # given to the parser, of a head that does not end
        self._header_count = 0
        self._wrong: Refusal | None = None  # found in a callback of the parser
        self._ended = False  # nothing more is read
        self._timer: asyncio.TimerHandle | None = None
        self._timed: tuple[str, int] = ("", 0)  # what the timer is for
        self._unsent = 0  # bytes that waited for the client when it was set

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) <= self._room.connections_max:
            self._watch()
            return
        self.connections.discard(self)
        self._ended = True
        if self._room.told >= OVERFLOW_MAX:
            transport.abort()
            return
        self._told = True
        self._room.told += 1
        self._last_word(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._unwatch()
        self._unset_keepalive_if_required()
        self._room.told -= self._told
        self._told = False
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits to be taken by the client than we keep for it."""
        super().pause_writing()
        if not self._ends:
            self._watch_end(self._room.patience.answer)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._ends:
            self._unwatch()
            self._watch()

    @property
    def _ends(self) -> bool:
        return self._ended or self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._unset_keepalive_if_required()
        try:
            for start in range(0, len(data), HEAD_BYTES_MAX):
                self._feed(data[start : start + HEAD_BYTES_MAX])
                if self._ended:
                    return
        except Refused as e:
            self._refuse(e.refusal)
        except httptools.HttpParserError as e:
            self._refuse(self._wrong or malformed(str(e)[:100] or "no HTTP request"))
        else:
            self._watch()

    def _feed(self, piece: bytes) -> None:
        """Let the parser have so much. Raises Refused and HttpParserError."""
        part, message = self._part, self._message
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as e:
            self._upgrade(len(piece) - e.args[0] if e.args else 0)
            return
        if self._part == "head" and (part == "idle" or self._message == message):
            self._raw_bytes += len(piece)
            if self._raw_bytes > HEAD_BYTES_MAX:
                raise Refused(TOO_LARGE)

    def _upgrade(self, left: int) -> None:
        """What follows is not HTTP any more. Raises Refused if it is too early for that."""
        if not self._should_upgrade():  # to something that we don't speak: answered as if unasked
            self._refuse(malformed("another protocol than websocket"))
            return
        if left:
            raise Refused(malformed("frames before the handshake was answered"))
        self._ended = True
        self._unwatch()
        self.handle_websocket_upgrade()

    # What the parser tells

    def on_message_begin(self) -> None:
        self._part = "head"
        self._message += 1
        self._head_bytes = self._raw_bytes = self._header_count = 0
        if len(self.pipeline) >= PIPELINED_MAX:
            self._stop(TOO_DEEP)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head_bytes += len(url)
        if len(self.url) > TARGET_BYTES_MAX:
            self._stop(TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._head_bytes += len(name) + len(value) + HEADER_BYTES
        if self._head_bytes > HEAD_BYTES_MAX or self._header_count > HEADERS_MAX:
            self._stop(TOO_LARGE)
        if self._part == "head":  # behind the body it is a trailer, which nobody asked for
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._part = "body"
        wrong = flaw(self.url, self.headers, self.parser.get_http_version())
        if wrong:
            self._stop(malformed(wrong))
        under_way = self._running is not None and not self._running.response_complete
        if under_way and self.parser.should_upgrade() and self._should_upgrade():
            self._stop(malformed("a handshake behind a request that is not answered yet"))
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._part = "idle"
        super().on_message_complete()

    def _stop(self, wrong: Refusal) -> None:
        """Out of the parser. Raises Refused, of which the parser makes an error of its own."""
        self._wrong = wrong
        raise Refused(wrong)

    # What the answers tell

    def on_response_complete(self) -> None:
        answered = self._running
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_end(self._room.patience.answer)
        elif answered is not None and answered.more_body and not self._ended:
            self._let_rest_come()

    def _let_rest_come(self) -> None:
        """Answered before its body had come: the rest is of no use to anybody."""
        if not is_little(self.headers):
            self._end()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_end(
            self._room.patience.answer
        )  # it is closed once what waits is taken, or then

    # The end of it

    def _refuse(self, wrong: Refusal) -> None:
        """Read nothing more. Requests that came whole before are answered, then it is closed."""
        self._ended = True
        self._unwatch()
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        running = self._running
        if running is None or running.response_complete:
            self._last_word(wrong)
        elif self.pipeline:
            self.pipeline[0][0].keep_alive = False
        elif not running.more_body:
            running.keep_alive = False
        else:
            running.disconnected = True
            running.message_event.set()
            if running.response_started:
                self.transport.close()
                self._watch_end(self._room.patience.answer)
            else:
                self._last_word(wrong)

    def _last_word(self, wrong: Refusal) -> None:
        self.transport.write(wrong.answer().written(self.server_state.default_headers, close=True))
        self._end()

    def _end(self) -> None:
        """Say that no more comes, and let go of what the client still sends for a moment: closed
        at once, what it has sent unread would take the answer back from it."""
        self._ended = True
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._watch_end(self._room.patience.linger)

    # Time

    def _watch(self) -> None:
        """The client has so long for what it has begun."""
        if self.flow.write_paused:
            return  # it has to take what is there first, and has so long for that
        answering = self._running is not None and not self._running.response_complete
        if self._part == "idle" and (answering or self.timeout_keep_alive_task is not None):
            self._unwatch()
            return
        part = "body" if self._part == "body" else "head"
        if self._timed != (part, self._message) or self._timer is None:
            self._unwatch()
            self._timed = (part, self._message)
            patience = self._room.patience
            time = patience.body if part == "body" else patience.head
            self._timer = self.loop.call_later(time / SECOND, self._late)

    def _late(self) -> None:
        if self._part == "idle":  # it has begun nothing
            self._end()
        else:
            self._refuse(TOO_SLOW)

    def _watch_end(self, time: int) -> None:
        self._unwatch()
        if self.transport is not None:
            self._timed = ("end", self._message)
            self._unsent = self._not_taken()
            self._timer = self.loop.call_later(time / SECOND, self._cut)

    def _cut(self) -> None:
        """It had its time. Whoever takes its answer, if slowly, has as much again."""
        self._timer = None
        unsent = self._not_taken()
        if 0 < unsent <= self._unsent - TAKEN_BYTES_MIN:
            self._watch_end(self._room.patience.answer)
        else:
            self.transport.abort()

    def _not_taken(self) -> int:
        """Bytes of our answers that the client's side does not have: those that we keep, and those
        that the system does, which takes more of us only once a good part of a few megabytes left.
        """
        kept: int = self.transport.get_write_buffer_size()
        with contextlib.suppress(OSError):  # it is closed, or a system that does not say
            file = self.transport.get_extra_info("socket").fileno()
            kept += int.from_bytes(fcntl.ioctl(file, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return kept

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
