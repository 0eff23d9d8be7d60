"""Whether few days are wanted or many."""

import pytest

from tests.conftest import SEEDS_DEFAULT


@pytest.fixture
def few(pytestconfig: pytest.Config) -> bool:
    """Unless more seeds are asked for, one day is enough where the trouble comes on each."""
    return bool(pytestconfig.getoption("--seeds") <= SEEDS_DEFAULT)
