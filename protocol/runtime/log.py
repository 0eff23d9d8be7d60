"""Logging to stderr that can't hold up the process: what doesn't fit is dropped and counted."""

import logging
import os
import select
from typing import Final

WAIT_MAX_MS: Final = 50  # how long one line may wait for a full pipe


class PipeHandler(logging.Handler):
    """Writes a line only where there is room for it within WAIT_MAX_MS."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._poll.poll(WAIT_MAX_MS if self.dropped == 0 else 0):
                os.write(self._descriptor, line[: select.PIPE_BUF])
                self.dropped = 0
                return
        except OSError:
            self.dropped += 1  # the reader is gone: nobody is left to tell
            return
        self.dropped += 1


def start(name: str) -> PipeHandler:
    """Send this process's log records to stderr, one line each."""
    handler = PipeHandler(2)
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s.%(msecs)03d %(levelname)s {name}: %(message)s", "%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    return handler
