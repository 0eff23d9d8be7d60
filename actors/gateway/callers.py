"""The threads that make calls, each with connections of its own.

The one that was used last goes first: its connection is warm. They are daemons, so a call that
hangs does not hold up the end of the process; what came of it is for the next life to find out.
"""

import collections
import queue
import threading
from collections.abc import Callable

from protocol.machine import Cause

Work = Callable[[], Cause]


class Callers:
    """So many calls at once; the core never asks for more."""

    def __init__(self, count: int, told: Callable[[Cause], None]) -> None:
        self._told = told
        self._idle: collections.deque[queue.SimpleQueue[Work]] = collections.deque()
        for number in range(count):
            desk: queue.SimpleQueue[Work] = queue.SimpleQueue()
            self._idle.append(desk)
            name = f"call-{number}"
            threading.Thread(target=self._serve, args=(desk,), name=name, daemon=True).start()

    def call(self, work: Work) -> None:
        """Have it done by an idle thread; what it returns is told. Never waits."""
        self._idle.pop().put(work)

    def _serve(self, desk: "queue.SimpleQueue[Work]") -> None:
        while True:
            came_of_it = desk.get()()
            self._idle.append(desk)  # first: whoever hears of it may have the next call ready
            self._told(came_of_it)
