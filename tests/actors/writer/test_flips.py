"""Every byte of a small ledger is changed in turn: it is found, or it changes nothing.

Two processes share the work: there are as many proofs as bytes.
"""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import Connection

from actors.writer import database
from actors.writer.store import Store
from actors.writer.verify import verify
from protocol.errors import ConfigError
from tests.actors.writer.samples import (
    PRICE_REFUSED,
    accepted,
    balance,
    fill,
    intended,
    seen,
    wanted,
)

AT = 1_782_873_388_379_000
PAGE_BYTES = 512  # the smallest there is: the fewest bytes that mean nothing
LANES = 2
TABLES = (
    "entries", "orders", "fills", "positions", "balances", "snapshots", "poison", "meta",
    "alembic_version",
)  # fmt: skip


def small_pages(path: str) -> Connection:
    """A connection as the writer's, but for the size of pages and without a log file."""
    engine = sqlalchemy.create_engine(f"sqlite+pysqlite:///{path}", poolclass=sqlalchemy.NullPool)
    connection = engine.connect()
    connection.exec_driver_sql(f"PRAGMA page_size = {PAGE_BYTES}")
    database.prepare(connection, path, {"journal_mode": "delete"})
    return connection


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound ledger with something in every table."""
    path = str(tmp_path_factory.mktemp("ledger") / "ledger.db")
    for batch in (
        [intended(), accepted(), fill("t1"), fill("t2", price=PRICE_REFUSED)],
        [balance(), seen("o2", "", 2), fill("t3", order_id="o2")],
    ):
        store = Store(path, "paper/paper", connect=small_pages)
        store.open()
        store.commit(wanted(*batch), AT)
        store.close()
    return Path(path).read_bytes()


def loaded(image: bytes) -> sqlite3.Connection:
    found = sqlite3.connect(":memory:")
    found.deserialize(image)
    return found


class Images:
    """Opens one ledger after another, each from the bytes of its file."""

    def __init__(self) -> None:
        self._image = b""
        self._engine = sqlalchemy.create_engine(
            "sqlite+pysqlite://",
            creator=lambda: loaded(self._image),
            poolclass=sqlalchemy.NullPool,
        )

    @contextmanager
    def opened(self, image: bytes) -> Iterator[Connection]:
        self._image = image
        with self._engine.connect() as connection:
            yield connection


def readings(image: bytes) -> list[list[tuple[object, ...]]]:
    """Every row of every table, read without anything between us and SQLite: it is quicker."""
    with closing(loaded(image)) as connection:
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES]


def unnoticed(image: bytes, first: int, step: int) -> list[int]:
    """The bytes, every `step`th from `first`, that can be changed without anybody noticing."""
    truth, images, missed = readings(image), Images(), []
    for i in range(first, len(image), step):
        changed = bytearray(image)
        changed[i] ^= 1 << (i % 8) if i % 3 else 0xFF
        if differs(bytes(changed), truth):
            with images.opened(bytes(changed)) as connection:
                if not found(connection):
                    missed.append(i)
    return missed


def differs(image: bytes, truth: list[list[tuple[object, ...]]]) -> bool:
    """Whether anything reads differently now, or can't be read any more."""
    try:
        return readings(image) != truth
    except (sqlite3.Error, UnicodeDecodeError):
        return True


def found(connection: Connection) -> bool:
    """Whether the proof fails, or refuses a schema that seems to be a newer program's."""
    try:
        return bool(verify(connection, "flipped").problems)
    except ConfigError:
        return True


def test_a_sound_ledger_is_called_sound(image: bytes) -> None:
    with Images().opened(image) as connection:
        assert verify(connection, "sound").problems == ()
    assert all(readings(image)), "something in every table"


def test_every_byte_that_is_changed_is_found_or_changes_nothing(image: bytes) -> None:
    with ProcessPoolExecutor(LANES) as lanes:
        missed = lanes.map(unnoticed, [image] * LANES, range(LANES), [LANES] * LANES)
        assert [i for lane in missed for i in lane] == []
