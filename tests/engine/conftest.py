"""What modules share: one engine for the stories that can live beside each other, and one stage for
those of a module, calm before each, its promises looked at after.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine import witness
from tests.engine.running import Engine
from tests.engine.stage import Stage
from tests.engine.trader import chromium

SHARD = 2  # beside the default one; none of the markets trades there
SHARDS = {'tier = "advanced"': f'tier = "advanced"\nshards = {{ KXNOBODY = {SHARD} }}'}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever shares the engine comes last: it starts for them and ends with them."""
    items.sort(key=shares)


def shares(item: pytest.Item) -> bool:
    """Whether a test uses the engine below: its module has none of its own."""
    own = hasattr(getattr(item, "module", None), "engine")
    return "engine" in getattr(item, "fixturenames", ()) and not own


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The one that modules share. What a module needs to be otherwise it takes one of its own for.

    Each story uses ids of its own and leaves behind an engine that trades.
    """
    with Engine(speed=0.1, **SHARDS) as engine:
        engine.start()
        engine.until_trading()
        yield engine


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """For one module: while Playwright runs, nothing else of asyncio can in its thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def free(engine: Engine) -> list[str]:
    """Markets in which no order of ours rests and nothing is held; nothing is armed any more."""
    engine.faults(read_lag_ms=0, mute_private=0, lose_replies=0, calls=[])
    orders = witness.orders(engine).values()
    used = {row["ticker"] for row in orders if row["status"] == "resting"}
    used |= witness.positions(engine).keys()
    return [ticker for ticker in witness.tickers(engine) if ticker not in used]


@pytest.fixture(scope="module")
def started() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def stage(started: Stage) -> Iterator[Stage]:
    started.calm()
    yield started
    started.promises()
