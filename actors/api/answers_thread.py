"""The thread of the store of answers: what waits for it goes into one commit.

A file that is no good is tried again by and by; until then each wish is told why.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from actors.api.answers import Store, Unfit, Wish
from actors.api.keyed import Begin, Begun, Drop, Keep, Kept
from protocol.limits import IDEMPOTENCY_COMMIT_MAX, IDEMPOTENCY_REOPEN
from protocol.machine import Cause

CLOSE_S_MAX: Final = 2.0  # a disk that hangs must not keep the process from ending

log = logging.getLogger(__name__)


class Answers:
    """The store's thread. `tell` is called there, with what has become of each wish."""

    def __init__(self, path: str, tell: Callable[[Cause], None], wall: Callable[[], int]) -> None:
        self._store = Store(path)
        self._tell = tell
        self._wall = wall
        self._wishes: queue.SimpleQueue[Wish | None] = queue.SimpleQueue()  # bounded by the core
        self._trouble = "not opened yet"
        self._open_at = 0  # monotonic nanoseconds: when it is worth another try
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    def perform(self, wish: Wish) -> None:
        """Do it by and by. Never waits."""
        self._wishes.put(wish)

    def close(self) -> None:
        """Finish what waits, and end."""
        self._wishes.put(None)
        self._thread.join(CLOSE_S_MAX)

    def _work(self) -> None:
        self._ready()
        ended = False
        while not ended:
            wishes = self._next()
            ended = None in wishes
            for cause in self._done([wish for wish in wishes if wish is not None]):
                self._tell(cause)
        self._store.close()

    def _next(self) -> list[Wish | None]:
        """What waits, at least one."""
        found = [self._wishes.get()]
        with contextlib.suppress(queue.Empty):
            while found[-1] is not None and len(found) < IDEMPOTENCY_COMMIT_MAX:
                found.append(self._wishes.get_nowait())
        return found

    def _done(self, wishes: list[Wish]) -> list[Cause]:
        if not wishes:
            return []
        if self._ready():
            try:
                return self._store.commit(wishes, self._wall())
            except Unfit as e:
                self._fail(e)
        return [_failed(wish, self._trouble, self._wall()) for wish in wishes]

    def _ready(self) -> bool:
        if self._trouble and time.monotonic_ns() >= self._open_at:
            try:
                self._store.open(self._wall())
                self._trouble = ""
            except Unfit as e:
                self._fail(e)
        return not self._trouble

    def _fail(self, e: Unfit) -> None:
        if str(e) != self._trouble:
            log.error("idempotency keys: %s", e)
        self._trouble = str(e)
        self._open_at = time.monotonic_ns() + IDEMPOTENCY_REOPEN


def _failed(wish: Wish, text: str, at: int) -> Cause:
    match wish:
        case Begin(id=id):
            return Begun(at, id, trouble="broken", text=text)
        case Keep(reply=reply):
            return Kept(at, reply.id, text)
        case Drop(id=id):
            return Kept(at, id, text)
