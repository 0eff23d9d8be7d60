"""The life of one process: settings, private folders, the instance lock, epochs, exit codes.

Exit codes: 0 asked to stop, 70 the runner gave up, 73 another instance holds the lock, 75 restart
me now, 78 configuration. Anything else is a crash.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import resource
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from protocol.config import Settings, read
from protocol.errors import ConfigError
from protocol.limits import PRIVATE_BYTES_MAX
from protocol.runtime.log import start as start_log

STOPPED: Final = 0
LOCKED: Final = 73
RESTART: Final = 75
MISCONFIGURED: Final = 78

KEY_HOLDERS: Final = frozenset({"gateway", "stream", "paper"})
PR_SET_DUMPABLE: Final = 4  # prctl(2)
BOOT_BYTES: Final = 16  # of chance in a boot's name
LOCK_BYTES_MAX: Final = 100  # a pid and a boot's name

Serve = Callable[[Settings], Awaitable[int]]

log = logging.getLogger(__name__)


class LockHeld(Exception):
    """Another instance of the process is running; the text names the lock and its holder."""


def load_settings() -> Settings:
    """The settings of this process, from the file that SIDECAR_CONFIG names.

    Raises ConfigError, with one line that names what is wrong and where.
    """
    where = os.environ.get("SIDECAR_CONFIG", "configs/paper.toml")
    try:
        with open(where, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{where}: {getattr(e, 'strerror', None) or e}") from None
    return read(text, os.environ, where)


def main(name: str, serve: Serve, alone: bool = True) -> NoReturn:
    """Run one actor to its end and exit with its code. `alone`: one of its name in a profile."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold secrets
    if name in KEY_HOLDERS:
        shut_memory()
    try:
        settings = load_settings()
        for path in (settings.run_dir, settings.bus_dir, settings.var_dir):
            private_folder(path)
        start_log(name)
        lock = take_lock(f"{settings.run_dir}/{name}.lock") if alone else None
        with _fast_loop() as runner:
            code = runner.run(_whole(serve, settings))
        if lock is not None:
            os.close(lock)
    except ConfigError as e:
        print(f"{name}: {e}", file=sys.stderr)
        sys.exit(MISCONFIGURED)
    except LockHeld as e:
        print(f"{name}: {e}", file=sys.stderr)
        sys.exit(LOCKED)
    sys.exit(code)


def shut_memory() -> None:
    """No look into this process's memory for others, and no core dump: it holds keys.

    RLIMIT_CORE would not do: a core that is piped to a program pays no heed to it (core(5)).
    """
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("prctl(PR_SET_DUMPABLE): a core dump could show the keys")


async def _whole(serve: Serve, settings: Settings) -> int:
    gc.collect()
    gc.freeze()  # what was imported stays: to look through it again and again takes milliseconds
    return await serve(settings)


def _fast_loop() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform: the standard loop serves as well, slower
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def private_folder(path: str) -> None:
    """Make a folder that only we may enter. Raises ConfigError if others may."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"{path}: not a folder of ours")
    if found.st_mode & 0o077:
        raise ConfigError(f"{path}: others may enter it; expected mode 0700 (chmod 700 {path})")


def take_lock(path: str) -> int:
    """Hold the instance lock for as long as the returned descriptor lives.

    A runner that already holds it hands its descriptor down in SIDECAR_LOCK_FD. Whoever takes it
    gives this holding a name of its own (`boot_of`). Raises LockHeld.
    """
    inherited = os.environ.pop("SIDECAR_LOCK_FD", None)
    if inherited is not None:
        descriptor = int(inherited)
        with contextlib.suppress(OSError):  # not that file, or no file: then take it ourselves
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                os.set_inheritable(descriptor, False)
                return descriptor
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).partition(b"\n")[0].decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LockHeld(f"another instance holds {path} (pid {holder or 'unknown'})") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n{secrets.token_hex(BOOT_BYTES)}\n".encode(), 0)
    return descriptor


def boot_of(lock: str) -> str:
    """The name of the boot that holds a lock, or held it last; "" if it has none.

    A boot is one holding of the lock: it lasts while a runner restarts its process, and ends with
    the runner, thus with honcho and with the machine. A process without a runner is a boot itself.
    """
    try:
        with open(lock, "rb") as file:
            lines = file.read(LOCK_BYTES_MAX).splitlines()
    except OSError:
        return ""
    return lines[1].decode("ascii", "replace") if len(lines) > 1 else ""


def next_epoch(var_dir: str, name: str) -> int:
    """A number that no former life of the process has had: max(stored + 1, microsecond clock).

    Where it can't be stored (a full disk) the clock alone vouches for it: a process that does not
    start could not even say what is wrong, and the gateway could not cancel.
    """
    path = _epoch_file(var_dir, name)
    epoch = max(_stored_epoch(path) + 1, time.time_ns() // 1_000)
    try:
        replace_file(path, f"{epoch}\n".encode())
    except OSError as e:
        log.error("%s: the epoch can't be stored: %s", path, e.strerror)
    return epoch


def raise_epoch(var_dir: str, name: str, floor: int) -> None:
    """Have the next epoch of a process be above `floor`, whatever the clock says by then."""
    path = _epoch_file(var_dir, name)
    replace_file(path, f"{max(_stored_epoch(path), floor)}\n".encode())


def _epoch_file(var_dir: str, name: str) -> str:
    folder = f"{var_dir}/epochs"
    private_folder(folder)
    return f"{folder}/{name}"


def _stored_epoch(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as e:
        log.warning("%s is damaged (%s): the clock decides the epoch", path, e)
        return 0


def generation() -> int:
    """Which life under its runner this is, from 0."""
    return int(os.environ.get("SIDECAR_GENERATION", "0"))


def replace_file(path: str, content: bytes) -> None:
    """Replace a file in one step that survives a power cut: new or old, never half."""
    folder = os.path.dirname(path) or "."
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_folder(folder)


def sync_folder(path: str) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private(path: str) -> bytes:
    """A key or token file. Raises ConfigError unless it is ours alone (mode 0600).

    No error shows what is in it.
    """
    try:  # without waiting: a pipe would have nobody at its other end
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
    try:
        _check_private(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(PRIVATE_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if not content.strip():
        raise ConfigError(f"{path}: empty")
    if len(content) > PRIVATE_BYTES_MAX:
        raise ConfigError(f"{path}: longer than {PRIVATE_BYTES_MAX} bytes")
    return content


def _check_private(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path}: not a regular file")
    if found.st_uid != os.getuid():
        raise ConfigError(f"{path}: belongs to another user")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigError(f"{path}: mode is {mode:04o}, expected 0600 (chmod 600 {path})")


def write_private(path: str, content: bytes) -> bool:
    """Make a private file, whole or not at all. False if there is one: it is left as it is."""
    folder = os.path.dirname(path) or "."
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        os.unlink(temporary)
    sync_folder(folder)
    return True
