"""The tests of the tests, for the budgets: what the promise of no 429 is worth."""

import functools
from contextlib import AbstractContextManager
from typing import Any

import pytest

from actors.gateway import tier
from actors.gateway.bucket import SPARE, STEADY, TOKEN, Bucket
from actors.gateway.lanes import Lanes
from actors.gateway.tier import Tier
from protocol.kalshi.costs import Costs
from tests.simulation.full_use import DEATHS, STRIKES, TIERS, TROUBLES, full_use
from tests.simulation.planting import planted
from tests.simulation.test_simulation import Mistake

SEEDS = 12
TRIES = 15  # days of its kind on which a mistake has to be caught; most are on the first five

# Mistakes


def a_bucket_starts_full() -> AbstractContextManager[None]:
    right = Bucket.__init__

    def init(self: Bucket, capacity: int, rate: int, now: int) -> None:
        right(self, capacity, rate, now)
        self._level = self._full

    return planted(Bucket, "__init__", init)


def there_is_no_room_for_jitter() -> AbstractContextManager[None]:
    right = Bucket.resize

    def resize(self: Bucket, now: int, capacity: int, rate: int) -> None:
        right(self, now, capacity, rate)
        self._full = (capacity - SPARE) * TOKEN
        self._rate = rate * STEADY

    return planted(Bucket, "resize", resize)


def a_lower_tier_counts_at_the_second_word() -> AbstractContextManager[None]:
    return planted(tier, "_least", lambda old, new: old)


def a_lower_tier_is_ignored() -> AbstractContextManager[None]:
    right = Tier.learn

    def learn(self: Tier, at: int, told: Any) -> None:
        before = self.read, self.write
        right(self, at, told)
        if told.read.refill_rate < before[0].refill_rate:
            self.read, self.write = before

    return planted(Tier, "learn", learn)


def everything_costs_one_token() -> AbstractContextManager[None]:
    return planted(Costs, "_one", lambda self, call: 1)


def cancels_cost_nothing() -> AbstractContextManager[None]:
    right = Costs._one
    wrong = lambda self, call: 0 if call.method == "DELETE" else right(self, call)  # noqa: E731
    return planted(Costs, "_one", wrong)


def tokens_gather_beside_what_a_former_life_has_lent() -> AbstractContextManager[None]:
    return planted(Bucket, "assume_lent", lambda self, now, until, kept: None)


def loans_are_forgotten_at_a_death() -> AbstractContextManager[None]:
    right = Lanes.__init__
    limits = (100, 100), (200, 200)

    def init(self: Lanes, now: int) -> None:
        right(self, now)
        self._opens_at = now
        for budget in self.allowance.budgets.values():
            budget.bucket = Bucket(*limits[budget.name == "read"], now)

    return planted(Lanes, "__init__", init)


def what_is_lent_counts_as_spent_at_once() -> AbstractContextManager[None]:
    def lend(self: Bucket, now: int, cost: int, duration: int, keep: int = 0) -> bool:
        return self.draw(now, cost, keep)

    return planted(Bucket, "lend", lend)


MISTAKES: dict[Mistake, int] = {  # each with a kind of day
    a_bucket_starts_full: DEATHS + 42,  # few days notice it
    there_is_no_room_for_jitter: STRIKES,
    a_lower_tier_counts_at_the_second_word: TIERS,
    a_lower_tier_is_ignored: TIERS,
    everything_costs_one_token: DEATHS,
    cancels_cost_nothing: DEATHS,
    tokens_gather_beside_what_a_former_life_has_lent: STRIKES,
    loans_are_forgotten_at_a_death: STRIKES,
    what_is_lent_counts_as_spent_at_once: STRIKES,
}


@functools.cache
def lived(seed: int) -> tuple[set[str], dict[str, int]]:
    """What has happened on such a day, and how low the exchange's buckets were."""
    world = full_use(seed)
    return set(world.happened), world.exchange.rates.lowest


@pytest.mark.parametrize("seed_of_day", range(SEEDS))
def test_full_use(seed_of_day: int) -> None:
    happened, _ = lived(seed_of_day)
    assert "429" not in happened


def test_all_that_a_tier_gives_is_used() -> None:
    """What is never scarce proves nothing."""
    days = [lived(seed) for seed in range(SEEDS)]
    missing = set(TROUBLES).difference(*(happened for happened, _ in days))
    assert not missing
    assert min(lowest["read"] for _, lowest in days) < 50  # of 600
    assert min(min(lowest["write 0"], lowest["write 2"]) for _, lowest in days) < 42  # of 100


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_mistake_with_tokens_is_caught(mistake: Mistake) -> None:
    with mistake(), pytest.raises(AssertionError, match=r"budget was overdrawn|for cancels"):
        first = MISTAKES[mistake]
        for seed in range(first, first + 3 * TRIES, 3):
            full_use(seed)
