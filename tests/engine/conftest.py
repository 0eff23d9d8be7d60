"""One stage for the stories of a module: calm before each, its promises looked at after."""

from collections.abc import Iterator

import pytest

from tests.engine.stage import Stage


@pytest.fixture(scope="module")
def started() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def stage(started: Stage) -> Iterator[Stage]:
    started.calm()
    yield started
    started.promises()
