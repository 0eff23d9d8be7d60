"""The whole limiter against the exchange's buckets: all is covered, and the refill used (G27)."""

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.gateway import bucket
from actors.gateway.allowance import READ, WRITE
from actors.gateway.lanes import Lanes
from protocol.kalshi import calls
from protocol.kalshi.answers import BucketLimits, LimitsBody
from protocol.kalshi.calls import Call
from protocol.limits import JITTER, MS, SECOND, TOKENS_VALID
from tests.actors.gateway.test_bucket import TIERS
from tests.actors.gateway.test_lanes import CANCEL, READ_CALL, TABLE, create, limits

LOWEST = LimitsBody(BucketLimits(200, 200), BucketLimits(100, 100))
CALLERS = 8
WANTS: list[Call] = [
    create(), create(), create(shard=1), create(shard=2), CANCEL,
    calls.cancel("o", "KXA-1", shard=1), calls.CANCEL_ALL, READ_CALL, calls.get_order("o", "read"),
    calls.BALANCE, create(items=2),
]  # fmt: skip


class Exchange:
    """All buckets of the account; its tier changes at known moments."""

    def __init__(self, start: LimitsBody, changes: list[tuple[int, LimitsBody]]) -> None:
        self.tiers = [(0, start), *changes]
        self.level: dict[int, Fraction] = {}
        self.at: dict[int, int] = {}

    def uncovered(self, arrivals: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Calls (when, which budget, how many tokens) that find too few tokens."""
        return [call for call in sorted(arrivals) if not self.take(*call)]

    def take(self, at: int, budget: int, cost: int) -> bool:
        for began, tier in self.tiers:
            limits = tier.read if budget == READ else tier.write
            until = min([at, *(b for b, _ in self.tiers if b > began)])
            if began <= at and until >= self.at.get(budget, 0):
                self.fill(budget, limits, until)
        if self.level[budget] < cost:
            return False
        self.level[budget] -= cost
        return True

    def fill(self, budget: int, limits: BucketLimits, until: int) -> None:
        level = self.level.get(budget, Fraction(limits.bucket_capacity))
        level += Fraction((until - self.at.get(budget, 0)) * limits.refill_rate, SECOND)
        self.level[budget] = min(Fraction(limits.bucket_capacity), level)
        self.at[budget] = until


class Account:
    """Eight callers at one limiter, whose calls and loans arrive when they like, within JITTER."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = 0
        self.arrivals: list[tuple[int, int, int]] = []
        self.loans_end = 0
        self.number = 0
        self.known: LimitsBody | None = None
        self.phase_until = 0
        self.start()

    def start(self) -> None:
        """A new life: the buckets are empty, and nothing is known of the tier."""
        self.lanes = Lanes(self.now)
        self.quiet_until = self.loans_end
        self.wishes: dict[str, tuple[int, int]] = {}
        for _ in range(2):
            self.lanes.learn_costs(TABLE)
        if self.known is not None:
            self.tell(self.known)
            self.tell(self.known)

    def tell(self, limits: LimitsBody) -> None:
        self.lanes.learn_limits(self.now, 0, limits)
        self.known = limits

    def phase(self) -> None:
        """For a while nobody wants anything, or everybody; all is fast, or all is slow."""
        self.phase_until = self.now + self.dice.choice(
            [JITTER, SECOND, self.dice.randint(0, SECOND)]
        )
        self.wants = self.dice.choice([0, 0, 1, CALLERS, 4 * CALLERS])
        self.lending = self.dice.choice([0.0, 0.2, 1.0])
        self.delay = self.dice.choice([0, JITTER, None])
        self.dawdle = self.dice.random() < 0.5

    def want(self) -> None:
        for _ in range(self.wants):
            call = self.dice.choice(WANTS)
            if self.dice.random() < self.lending:
                budget, tokens = self.dice.choice([READ, WRITE, 1]), self.dice.randint(1, 40)
                if len(self.wishes) < 20 and self.lanes.allowance.fits("read", budget, tokens):
                    self.number += 1
                    self.wishes[f"tokens:{self.number}"] = (budget, tokens)
                    self.lanes.wish(f"tokens:{self.number}", "program:x", budget, tokens)
            elif self.now >= self.quiet_until or call.lane == "order":
                self.lanes.submit("any", call)

    def pass_to(self, until: int) -> None:
        while self.now < until:
            if self.now >= self.phase_until:
                self.phase()
            self.want()
            self.leave()
            pause = self.dice.choice([MS, 20 * MS, 200 * MS, JITTER])
            self.now = min(self.now + self.dice.randint(1, pause), until)

    def leave(self) -> None:
        for id, waiting in self.lanes.go(self.now):
            self.lanes.back(id)
            self.arrive(self.now, waiting.budget, waiting.cost)
        for key, duration in self.lanes.take_lent():
            budget, tokens = self.wishes.pop(key)
            self.loans_end = max(self.loans_end, self.now + duration)
            self.arrive(self.now + (duration if self.dawdle else 0), budget, tokens)

    def arrive(self, left_at: int, budget: int, cost: int) -> None:
        delay = self.dice.randint(0, JITTER) if self.delay is None else self.delay
        self.arrivals.append((left_at + delay, budget, cost))


def a_life(seed: int) -> list[Any]:
    """Tiers that go up (told early, confirmed late) and down (told in time), and crashes."""
    account = Account(seed)
    dice = account.dice
    changes = []
    tier = LOWEST
    account.pass_to(dice.randint(0, 5 * SECOND))
    for _ in range(dice.randint(1, 4)):
        match dice.choice(["up", "down", "crash"]):
            case "up":
                rate = dice.choice([300, 600, 4_000])
                told = limits(rate, rate, seconds=dice.choice([1, 2, 3]))
                if min(told.read.refill_rate, told.write.refill_rate) < tier.read.refill_rate:
                    continue
                if told.read.bucket_capacity < tier.read.bucket_capacity:
                    continue
                account.tell(told)
                account.pass_to(account.now + dice.randint(0, 2 * SECOND))
                changes.append((account.now, told))
                account.pass_to(account.now + dice.randint(0, 60 * SECOND))
                account.tell(told)
                tier = told
            case "down":
                tier = LOWEST
                account.tell(LOWEST)
                account.pass_to(account.now + TOKENS_VALID + JITTER)
                changes.append((account.now, LOWEST))
            case "crash":
                account.start()
        account.pass_to(account.now + dice.randint(0, 6 * SECOND))
    return Exchange(LOWEST, changes).uncovered(account.arrivals)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_exchange_never_sees_a_call_that_it_can_t_cover(seed: int) -> None:
    assert a_life(seed) == []


def test_the_model_catches_a_bucket_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "JITTER", 1)
    assert any(a_life(seed) for seed in range(40))


def test_the_model_catches_loans_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bucket.Bucket, "lend", lambda self, now, cost, _, keep: self.draw(now, cost, keep)
    )
    assert any(a_life(seed) for seed in range(40))


@pytest.mark.parametrize("tier", TIERS.values(), ids=TIERS)
@pytest.mark.parametrize("how", ["orders", "orders and cancels", "reads", "loans"])
def test_a_saturated_budget_is_used(tier: tuple[int, int], how: str) -> None:
    """At least 95 of a hundred tokens of the refill, whoever wants them."""
    capacity, rate = tier
    lanes, told = Lanes(0), BucketLimits(rate, capacity)
    for _ in range(2):
        lanes.learn_costs(TABLE)
        lanes.learn_limits(0, 0, LimitsBody(told, told))
    start = now = 5 * SECOND
    lanes.go(start)
    wanted = {
        "orders": [create()],
        "orders and cancels": [create(), CANCEL],
        "reads": [READ_CALL, calls.BALANCE],
    }
    spent = number = 0
    measured = now
    while now < start + 15 * SECOND:
        if measured == start and now > start + 5 * SECOND:
            measured, spent = now, 0  # what had gathered before is spent
        number += 1
        for call in wanted.get(how, []):
            lanes.submit("any", call)
        if how == "loans":
            lanes.wish(f"tokens:{number}", "program:x", WRITE, 10)
        while lanes.deadline(now) is not None:
            now = max(lanes.deadline(now) or 0, now)
            for id, waiting in lanes.go(now):
                lanes.back(id)
                spent += waiting.cost
            spent += 10 * len(lanes.take_lent())
    assert spent >= 0.95 * rate * (now - measured) / SECOND
