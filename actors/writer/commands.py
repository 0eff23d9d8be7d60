"""What the ledger's commands have in common: how each ends when something is wrong."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from actors.writer.database import SMALLEST_BYTES, Failed, Locked
from protocol.audit import Damage
from protocol.errors import ConfigError
from protocol.runtime.process import LOCKED, MISCONFIGURED, LockHeld

FAILED: Final = 1
INTERRUPTED: Final = 130


def existing(path: str) -> str:
    """The path, if there is a database that may be looked at.

    Raises Failed. An empty file is not even opened: SQLite would remove the log file beside it,
    which may be all that is left.
    """
    if not os.path.isfile(path):
        raise Failed(f"{path}: there is no ledger")
    if os.path.getsize(path) < SMALLEST_BYTES:
        raise Failed(f"{path}: is empty; leave it and its -wal alone, and restore a backup")
    return path


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Have whatever the database says name the file. Raises Failed."""
    try:
        yield
    except DBAPIError as e:
        raise Failed(f"{path}: {e.orig}") from e
    except (UnicodeError, OverflowError) as e:
        raise Failed(f"{path}: {e}") from e
    except BrokenPipeError:
        raise
    except OSError as e:
        raise Failed(f"{e.filename or path}: {e.strerror}") from e


def ended(name: str, command: Callable[[], int]) -> int:
    """Run a command to its end. Returns its exit code; what is wrong is one line on stderr."""
    os.umask(0o077)
    try:
        return command()
    except ConfigError as e:
        return _say(name, e, MISCONFIGURED)
    except LockHeld as e:
        return _say(name, f"stop the engine first: {e}", LOCKED)
    except (Failed, Locked, Damage) as e:
        return _say(name, e, FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on: that is no error
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _say(name: str, reason: object, code: int) -> int:
    print(f"{name}: {reason}", file=sys.stderr)
    return code
