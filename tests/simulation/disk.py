"""A disk that keeps what was committed and loses the rest when the writer dies.

The production store works on it: SQLite in memory in place of a file, an anchor in memory in
place of the two files beside it. Between two lives of the writer there is only the image.
"""

import errno
import functools
import os
import random
import sqlite3
from collections.abc import Callable
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from actors.writer.anchor import End
from actors.writer.store import Store
from protocol.latch import NO_LATCH
from protocol.runtime.process import LockHeld
from tests.simulation.rot import rot

PATH = os.devnull  # a ledger must not be gone, so the name of something that is always there
OWNER = "simulated/key"
ENDS_LOST_MAX = 10  # writes of the anchor that a power cut may take


class Died(BaseException):
    """The process was killed: nothing catches this, and nothing after it counts."""


class Disk:
    """What lasts: the image of the ledger's database, the anchor's end, the halt latch."""

    def __init__(self, image: bytes, ends: tuple[End, ...]) -> None:
        self.image = image
        self.latch = NO_LATCH
        self.version = 0  # another one, perhaps other content
        self.holder: Life | None = None  # who has the writer's lock
        self.ends = list(ends)  # what the anchor said, the last one counts
        self._raw: sqlite3.Connection | None = None  # that of the writer, or a copy to look at
        self._lent = False

    @property
    def halt(self) -> str:
        """Why trading is halted, by the latch; "" if it is not."""
        return self.latch.reason if self.latch.halted else ""

    def lend(self) -> sqlite3.Connection:
        """The database, to the one who writes it."""
        assert not self._lent, "two writers have the ledger open"
        self._raw, self._lent = opened(self.image), True
        return self._raw

    def take_back(self, raw: sqlite3.Connection) -> None:
        """The writer closes it or is dead: what it has not committed is gone."""
        assert raw is self._raw
        raw.rollback()
        self.image = raw.serialize()
        self._raw, self._lent = None, False
        self.version += 1

    def select(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the tables say now, by a road that the engine does not use."""
        if self._raw is None:
            self._raw = opened(self.image)
        return self._raw.execute(statement, values).fetchall()

    def read_only(self, path: str) -> Connection:
        """A connection for whoever reads the ledger as of now. To be closed."""
        assert path == PATH
        raw = opened(self.copy())
        raw.execute("PRAGMA query_only = 1")
        return connection_to(raw)

    def copy(self) -> bytes:
        """An image of what is committed."""
        return self.image if self._raw is None else self._raw.serialize()

    def put_back(self, image: bytes) -> None:
        """An older copy takes the place of the database, while nobody has the ledger open."""
        assert not self._lent
        self.image, self._raw = image, None
        self.version += 1

    def damage(self, dice: random.Random) -> list[str]:
        """Damage the newest snapshots, while nobody has the ledger open. Says how."""
        assert not self._lent
        raw = opened(self.image)
        how = rot(raw, dice)
        raw.commit()
        self.put_back(raw.serialize())
        return how

    def cut_power(self, dice: random.Random) -> None:
        """The anchor is not fsynced: it may fall back to what it was."""
        for _ in range(min(dice.randint(1, ENDS_LOST_MAX), len(self.ends) - 1)):
            self.ends.pop()


class Life:
    """One life of the writer at the disk: its connection, its anchor, and what befalls it.

    `strike_at` counts down before each statement, each commit and each write of the anchor; what
    `strike` makes is raised there. After Died nothing reaches the disk any more.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._connection: Connection | None = None
        self._dead = False
        self.strike_at: int | None = None
        self.strike: Callable[[], BaseException] = Died

    def connect(self, path: str) -> Connection:
        """The one connection that writes."""
        assert path == PATH
        raw = self._disk.lend()
        connection = connection_to(raw)
        engine = connection.engine
        sqlalchemy.event.listen(engine, "close", lambda *_: self._disk.take_back(raw))
        sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *_: self._step())
        sqlalchemy.event.listen(engine, "commit", lambda _: self._commit())
        self._connection = connection
        return connection

    def end(self) -> None:
        """The process is gone."""
        self._dead = True
        if self._connection is not None:
            self._connection.close()
        self.release()

    def _commit(self) -> None:
        self._step()
        self._disk.version += 1

    def _step(self) -> None:
        if self._dead:
            raise Died
        if self.strike_at is None:
            return
        self.strike_at -= 1
        if self.strike_at == 0:
            self.strike_at = None
            stroke = self.strike()
            self._dead = isinstance(stroke, Died)
            raise stroke

    # The anchor

    def lock(self) -> None:
        if self._disk.holder not in (None, self):
            raise LockHeld(f"{PATH}: another writer has it open")
        self._disk.holder = self

    def read(self) -> End | None:
        return self._disk.ends[-1] if self._disk.ends else None

    def write(self, end: End) -> None:
        try:
            self._step()
        except DBAPIError as e:  # this file is no database
            raise OSError(errno.EIO, "Input/output error", f"{PATH}.end") from e
        self._disk.ends.append(end)

    def release(self) -> None:
        if self._disk.holder is self:
            self._disk.holder = None


def opened(image: bytes) -> sqlite3.Connection:
    """A database in memory, with the content of an image."""
    raw = sqlite3.connect(":memory:")
    if image:
        raw.deserialize(image)
    return raw


def connection_to(raw: sqlite3.Connection) -> Connection:
    """The same, as the engine knows connections; closing it closes the database."""
    engine = sqlalchemy.create_engine("sqlite+pysqlite://", creator=lambda: raw, poolclass=NullPool)
    return engine.connect()


@functools.cache
def _made() -> Disk:
    disk = Disk(b"", ())
    life = Life(disk)
    store = Store(PATH, OWNER, life, connect=life.connect)
    store.open()
    store.close()
    return disk


def fresh_disk() -> Disk:
    """One with an empty ledger, which is made and migrated once."""
    return Disk(_made().image, tuple(_made().ends))
