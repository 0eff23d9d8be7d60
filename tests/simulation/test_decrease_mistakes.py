"""The tests of the tests, for decreases: what it is worth that one was called done."""

from contextlib import AbstractContextManager
from typing import Any

import pytest
from msgspec.structs import replace

from actors.gateway import decreases
from actors.gateway.desk import CallFailed
from tests.simulation.planting import planted
from tests.simulation.test_simulation import Mistake, catch


def a_decrease_without_an_answer_is_called_done() -> AbstractContextManager[None]:
    right = decreases._answer

    def answer(one: Any, ended: Any) -> Any:
        found = right(one, ended)
        lost = isinstance(ended, CallFailed) and ended.sent
        return replace(found, outcome="decreased") if lost else found

    return planted(decreases, "_answer", answer)


@pytest.mark.parametrize(
    "mistake", [a_decrease_without_an_answer_is_called_done], ids=lambda m: m.__name__
)
def test_a_planted_mistake_is_caught(mistake: Mistake) -> None:
    catch(mistake)
