"""A ledger of its own for each story; a file that wants another `path` has one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.writer.store import Store
from tests.actors.writer.files import begun


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A ledger that was begun and has no entries yet."""
    return begun(str(tmp_path / "ledger.db"))


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    """That ledger, open."""
    store = Store(path)
    store.open()
    yield store
    store.close()
