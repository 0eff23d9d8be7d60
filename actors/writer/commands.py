"""What the ledger's commands have in common: how each ends when something is wrong."""

import os
import sys
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import DBAPIError

from actors.writer.database import Failed, Locked
from protocol.audit import Damage
from protocol.errors import ConfigError
from protocol.runtime.process import LOCKED, MISCONFIGURED, LockHeld

FAILED: Final = 1
INTERRUPTED: Final = 130


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
    except DBAPIError as e:
        return _say(name, e.orig, FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on: that is no error
        return 0
    except OSError as e:
        return _say(name, f"{e.filename or ''}: {e.strerror}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def _say(name: str, reason: object, code: int) -> int:
    print(f"{name}: {reason}", file=sys.stderr)
    return code
