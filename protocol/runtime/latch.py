"""The halt latch on disk: read, written and lifted so that no halt is ever lost.

Several processes write it: the gateway, and the command line when the gateway does not answer. A
halt simply replaces what is there. To lift one is to take the file away by its name, see that it
is the one that was meant, and only then let go of it: whoever halts meanwhile has the last word,
and a crash in between leaves the halt.
"""

import contextlib
import os
import tempfile

import msgspec

from protocol.errors import RemoteProtocolError
from protocol.latch import LATCH_BYTES_MAX, NO_LATCH, Latch, decode_latch, encode_latch
from protocol.runtime.process import replace_file, sync_folder


class Overtaken(Exception):
    """Somebody else has halted meanwhile: that halt stands."""

    def __init__(self) -> None:
        super().__init__("another process has halted meanwhile: look, then resume again")


class LatchFile:
    """The latch of one profile. Any thread may use it."""

    def __init__(self, var_dir: str) -> None:
        self.path = f"{var_dir}/halt"
        self._lifting = f"{self.path}.lifting"

    def read(self) -> Latch:
        """What it says. One that can't be read is a halt."""
        for path in (self.path, self._lifting, self.path):  # it may be put back meanwhile
            try:
                return self._content(path)
            except FileNotFoundError:
                continue
        return NO_LATCH

    def stopped(self) -> str:
        """Why no order may leave at this moment; "" if the latch does not keep it."""
        latch = self.read()
        return latch.reason if latch.halted else ""

    def write(self, latch: Latch, over: Latch | None = None) -> Latch:
        """Make a halt last. Returns what is on disk then. Raises OSError.

        `over` is what the file was thought to hold. If another process has written since, its
        hold and its panic stay in force.
        """
        assert latch.halted
        found = self.read()
        if over is not None and found != over:
            hold = max(found.hold_until, latch.hold_until)
            panic = found.panic or latch.panic
            latch = msgspec.structs.replace(latch, hold_until=hold, panic=panic)
        replace_file(self.path, encode_latch(latch))
        return latch

    def lift(self, latch: Latch, over: Latch) -> Latch:
        """Put a latch that does not halt in the place of `over`, or nothing if it says nothing.

        Returns what is on disk then. Raises OSError, and Overtaken if the file is a halt that
        `over` is not: it stays.
        """
        assert not latch.halted
        folder = os.path.dirname(self.path)
        if not os.path.exists(self._lifting) or os.path.exists(self.path):
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path, self._lifting)
        try:
            taken = self._content(self._lifting)
        except FileNotFoundError:
            taken = NO_LATCH
        if taken.halted and taken != over:
            with contextlib.suppress(FileExistsError):  # then there is another halt already
                os.link(self._lifting, self.path)
            self._let_go(folder)
            raise Overtaken
        try:
            if latch != NO_LATCH:
                self._place(latch, folder)
        except FileExistsError:
            self._let_go(folder)
            raise Overtaken from None
        self._let_go(folder)
        return self.read()

    def _place(self, latch: Latch, folder: str) -> None:
        """Write it, unless there is a file by now."""
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".halt.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode_latch(latch))
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, self.path)
        finally:
            os.unlink(temporary)

    def _let_go(self, folder: str) -> None:
        sync_folder(folder)  # what stands under the latch's own name lasts before the old one goes
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._lifting)
        sync_folder(folder)

    def _content(self, path: str) -> Latch:
        """Raises FileNotFoundError; whatever else is wrong is a halt with that reason."""
        try:
            with open(path, "rb") as file:
                return decode_latch(file.read(LATCH_BYTES_MAX))
        except FileNotFoundError:
            raise
        except OSError as e:
            return Latch(reason=f"{self.path} can't be read: {e.strerror}")
        except RemoteProtocolError as e:
            return Latch(reason=f"{self.path} can't be read: {e}")
