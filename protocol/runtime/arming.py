"""The files behind an arming: which key is registered, whether somebody has armed this boot.

They are read anew at each question, so what is taken away stops the next order.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from protocol import arming
from protocol.arming import Arming, Live, Moment, Registration, Unread
from protocol.config import Settings
from protocol.errors import ConfigError, RemoteProtocolError
from protocol.limits import US
from protocol.runtime.loop import wall
from protocol.runtime.process import boot_of, read_private, replace_file, sync_folder

T = TypeVar("T")


class ArmingFiles:
    """Of one profile, as the boot sees them that holds the gateway's lock at this moment.

    Any thread may ask; `news` is one thread's.
    """

    def __init__(self, settings: Settings) -> None:
        self.key_path = f"{settings.var_dir}/registered-key"
        self.path = f"{settings.var_dir}/armed"
        self.boot = boot_of(f"{settings.run_dir}/gateway.lock")
        self._exchange = settings.exchange
        self._real = arming.is_real(settings.exchange)
        self._known: Live | None = None

    def key(self) -> Registration | Unread | None:
        """As what the key was registered; None if it was not."""
        return _read(self.key_path, arming.decode_registration)

    def register(self, key: Registration) -> None:
        """Make it last, in the place of what was registered before. Raises OSError."""
        replace_file(self.key_path, arming.encode(key))

    def why_not(self) -> str:
        """Why no order may leave at this moment; "" for other exchanges than the real one."""
        live = self.live()
        return "" if live is None else live.why

    def live(self) -> Live | None:
        """How it stands with orders for the real exchange; None if this is another one."""
        if not self._real:
            return None
        found = _read(self.path, arming.decode_arming)
        why = self._why_not(found, now())
        return Live("", found.until) if isinstance(found, Arming) and not why else Live(why)

    def news(self) -> Live | None:
        """The same, if it is another than at the last call."""
        found = self.live()
        if found == self._known:
            return None
        self._known = found
        return found

    def arm(self, duration: int) -> Live:
        """Arm this boot for so many nanoseconds. Says why not, if it would not count: then
        nothing is written. Raises OSError."""
        at, micros = now(), duration // US
        made = Arming(
            self._exchange.key_id,
            self.boot,
            at.wall,
            at.wall + micros,
            at.steady,
            at.steady + micros,
        )
        why = self._why_not(made, at)
        if why:
            return Live(why)
        replace_file(self.path, arming.encode(made))
        return Live("", made.until)

    def disarm(self) -> bool:
        """Take the arming away for good; False if there was none. Raises OSError."""
        was = False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
            was = True
        with contextlib.suppress(FileNotFoundError):
            sync_folder(os.path.dirname(self.path))
        return was

    def _why_not(self, found: Arming | Unread | None, at: Moment) -> str:
        return arming.why_not(self._exchange, self.key(), found, self.boot, at)


def now() -> Moment:
    """The wall clock, and one that nobody can set and that all processes share."""
    if sys.platform == "linux":
        return Moment(wall(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // US)
    return Moment(wall(), time.monotonic_ns() // US)


def _read(path: str, decode: Callable[[bytes], T]) -> T | Unread | None:
    try:
        return decode(read_private(path))
    except ConfigError as e:
        return Unread(str(e)) if os.path.lexists(path) else None
    except RemoteProtocolError as e:
        return Unread(f"{path}: {e}")
    except OSError as e:
        return Unread(f"{path}: {e.strerror}")
