"""Listening to what an engine publishes."""

import collections
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import zmq

from protocol.config import Settings
from protocol.envelope import Envelope, decode

MARK_MAX_S = 10.0  # they come each second

T = TypeVar("T")


class Ear:
    """Hears what is published, one message after another."""

    def __init__(self, settings: Settings, name: str, prefixes: Sequence[str]) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.set(zmq.RECONNECT_IVL, 20)
        for prefix in prefixes:
            self._socket.subscribe(prefix)
        self._socket.connect(settings.endpoint(name))
        self._early: collections.deque[Envelope] = collections.deque()

    def attached(self) -> "Ear":
        """Itself, once the publisher knows what it wants to hear.

        Until then what is published goes by. A mark, which comes each second and is asked for
        last, says that it does.
        """
        early: list[Envelope] = []
        self._socket.subscribe("mark ")
        self.until(lambda e: True if e.topic == "mark" else early.append(e), MARK_MAX_S)
        self._socket.unsubscribe("mark ")
        self._early.extend(early)
        return self

    def until(self, wanted: Callable[[Envelope], T | None], seconds: float) -> T:
        """The first message about which `wanted` has something to say."""
        deadline = time.monotonic() + seconds
        last: Envelope | None = None
        while self._early or (left := deadline - time.monotonic()) > 0:
            if self._early or self._socket.poll(int(left * 1000) + 1):
                last = self._early.popleft() if self._early else decode(self._socket.recv())
                found = wanted(last)
                if found is not None:
                    return found
        raise AssertionError(f"not heard within {seconds} s; the last message was {last}")

    def rest(self) -> list[Envelope]:
        """All that has come by now."""
        found = list(self._early)
        self._early.clear()
        while self._socket.poll(0):
            found.append(decode(self._socket.recv()))
        return found

    def pause(self, seconds: float) -> None:
        """Until the next message has come, at most so long; then what came is let go."""
        self._socket.poll(int(seconds * 1000) + 1)
        while self._socket.poll(0):
            self._socket.recv()

    def close(self) -> None:
        self._context.destroy(linger=0)

    def __enter__(self) -> "Ear":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
