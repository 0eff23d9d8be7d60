"""Few days, or many where more seeds are asked for."""

from typing import Final

import pytest

from tests.conftest import SEEDS_DEFAULT

MANY: Final = {  # days of a kind on which nothing may go wrong: the first half of them are few
    "seed_of_rush": (*range(10),),
    "seed_of_heap": (*range(6),),
    "seed_of_race": (*range(6),),
    "seed_of_decreases": (*range(10),),
    "seed_of_amends": (*range(1, 9),),
    "seed_of_overcharge": (297, *range(12)),  # that one has fills on a page behind the refused one
}


def is_few(config: pytest.Config) -> bool:
    return bool(config.getoption("--seeds") <= SEEDS_DEFAULT)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in MANY.keys() & set(metafunc.fixturenames):
        seeds = MANY[name]
        metafunc.parametrize(name, seeds[: len(seeds) // 2] if is_few(metafunc.config) else seeds)


@pytest.fixture
def few(pytestconfig: pytest.Config) -> bool:
    """Whether one day is enough where the trouble comes on each."""
    return is_few(pytestconfig)
