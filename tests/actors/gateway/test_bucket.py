"""The bucket: exactly the model's, and never more than the exchange's own would cover."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.gateway.bucket import LENT_STEP, TOKEN, Bucket
from protocol.limits import JITTER, SECOND

TIERS = {
    "basic read": (200, 200), "basic write": (100, 100), "advanced": (900, 300),
    "expert": (600, 600), "premier": (2_400, 1_200), "prime": (9_600, 4_800),
    "prestige read": (12_000, 12_000), "prestige write": (19_200, 9_600),
}  # fmt: skip


def test_it_starts_empty_and_fills_at_its_rate() -> None:
    bucket = Bucket(100, 100, 0)
    assert not bucket.draw(0, 1)
    ready_at = bucket.ready_at(0, 10)
    assert SECOND // 10 <= ready_at <= SECOND // 10 * 1.002
    assert not bucket.draw(ready_at - 1, 10)
    assert bucket.draw(ready_at, 10)
    assert not bucket.draw(ready_at, 1)


@pytest.mark.parametrize("limits", TIERS.values(), ids=TIERS)
def test_it_keeps_room_for_jitter_and_uses_the_refill(limits: tuple[int, int]) -> None:
    capacity, rate = limits
    bucket = Bucket(capacity, rate, 0)
    assert bucket.holds <= capacity - rate * JITTER // SECOND
    now, spent = 10 * SECOND, 0
    while now < 40 * SECOND:
        now = bucket.ready_at(now, 10)
        assert bucket.draw(now, 10)
        spent += 10
    assert spent >= 0.95 * 30 * rate


def test_what_is_lent_leaves_no_room_until_the_loan_ends() -> None:
    bucket = Bucket(1_000, 100, 0)
    full = bucket.holds
    now = 20 * SECOND
    assert bucket.lend(now, 400, SECOND)
    ready_at = bucket.ready_at(now, full - 300)
    assert bucket.level(now + SECOND - 1) == full - 400
    assert 2 * SECOND <= ready_at - now < 2 * SECOND * 1.001
    assert not bucket.draw(ready_at - 1, full - 300)
    assert bucket.draw(ready_at, full - 300)
    assert bucket.level(now + 30 * SECOND) == full


class Model:
    """A token bucket in exact fractions of tokens and nanoseconds, as one would write it down."""

    def __init__(self, capacity: int, rate: int) -> None:
        self.at = 0
        self.level = Fraction(0)
        self.loans: list[tuple[int, int]] = []
        self.full = self.rate = Fraction(0)
        self.resize(0, capacity, rate)

    def resize(self, now: int, capacity: int, rate: int) -> None:
        self.pass_to(now)
        self.full = max(Fraction(capacity - 1) - Fraction(rate * JITTER, SECOND),
                        Fraction(capacity, 2))  # fmt: skip
        slower = Fraction((capacity - self.full) * TOKEN // JITTER, TOKEN)
        self.rate = min(Fraction(rate * 999, 1_000 * SECOND), slower)
        self.level = min(self.level, max(self.full - self.lent, Fraction(0)))

    @property
    def lent(self) -> int:
        return sum(amount for _, amount in self.loans)

    def pass_to(self, now: int) -> None:
        for moment in sorted({end for end, _ in self.loans if end <= now} | {now}):
            level = self.level + (moment - self.at) * self.rate if self.at < moment else self.level
            self.level = max(min(level, self.full - self.lent), self.level)
            self.at = moment
            self.loans = [loan for loan in self.loans if loan[0] > moment]

    def draw(self, now: int, cost: int, keep: int, lasts: int = 0) -> bool:
        self.pass_to(now)
        if self.level < min(Fraction(cost + keep), self.full):
            return False
        self.level -= cost
        if lasts:
            self.loans.append((-(-(now + lasts) // LENT_STEP) * LENT_STEP, cost))
        return True


steps = st.tuples(
    st.integers(0, 2 * SECOND) | st.integers(0, SECOND // 20),
    st.sampled_from(["draw", "draw", "lend", "resize", "drain"]),
    st.integers(1, 60),
    st.integers(0, 60),
)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 500), st.integers(1, 500), st.lists(steps, max_size=40))
def test_it_is_the_exact_model(
    capacity: int, rate: int, steps: list[tuple[int, str, int, int]]
) -> None:
    """Every draw, loan, refill and change of limits, and each moment at which a draw is ready."""
    bucket, model, now = Bucket(capacity, rate, 0), Model(capacity, rate), 0
    for wait, what, cost, keep in steps:
        now += wait
        match what:
            case "draw":
                ready_at = bucket.ready_at(now, cost, keep)
                assert bucket.draw(now, cost, keep) == model.draw(now, cost, keep) == (
                    ready_at == now
                )  # fmt: skip
                if ready_at > now:
                    early = bucket.draw(ready_at - 1, 0, cost + keep)
                    now = ready_at
                    assert not early
                    assert bucket.draw(now, 0, cost + keep)
                    model.pass_to(now)
            case "lend":
                assert bucket.lend(now, cost, SECOND, keep) == model.draw(now, cost, keep, SECOND)
            case "resize":
                bucket.resize(now, cost * 10, keep + 1)
                model.resize(now, cost * 10, keep + 1)
            case "drain":
                bucket.drain(now)
                model.pass_to(now)
                model.level = min(model.level, Fraction(0))
        assert bucket.level(now) == model.level // 1


class Exchange:
    """The exchange's own bucket: full at most, and it sees calls when they arrive."""

    def __init__(self, capacity: int, rate: int, level: int) -> None:
        self.capacity, self.rate, self.level, self.at = capacity, rate, Fraction(level), 0

    def take(self, at: int, cost: int) -> bool:
        grown = self.level + Fraction((at - self.at) * self.rate, SECOND)
        self.level, self.at = min(Fraction(self.capacity), grown), at
        if self.level < cost:
            return False
        self.level -= cost
        return True


draws = st.tuples(
    st.integers(0, SECOND) | st.just(0) | st.just(JITTER), st.integers(1, 40),
    st.integers(0, JITTER) | st.sampled_from([0, JITTER]), st.integers(0, SECOND),
    st.sampled_from(["draw"] * 6 + ["lend", "restart"]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.integers(2, 1_000), st.integers(1, 1_000), st.integers(0, 100),
    st.lists(draws, max_size=60),
)  # fmt: skip
def test_the_exchange_covers_whatever_arrives(
    capacity: int, rate: int, level: int, steps: list[tuple[int, int, int, int, str]]
) -> None:
    """Calls bunched by any delay within JITTER, loans spent at any time, restarts."""
    bucket, now, lends_from, kept = Bucket(capacity, rate, 0), 0, 0, 20
    arrivals = []
    for wait, cost, delay, held, what in steps:
        now += wait
        if what == "restart":
            bucket, lends_from = Bucket(capacity, rate, now), now + SECOND
            bucket.assume_lent(now, lends_from, kept)
        elif what == "draw" and cost <= bucket.holds and bucket.draw(now, cost):
            arrivals.append((now + delay, cost))
        elif (
            what == "lend"
            and now >= lends_from
            and cost + kept <= bucket.holds
            and bucket.lend(now, cost, SECOND, kept)
        ):
            arrivals.append((now + held + delay, cost))
    exchange = Exchange(capacity, rate, min(level, capacity))
    assert all(exchange.take(at, cost) for at, cost in sorted(arrivals))


def test_without_room_for_jitter_the_exchange_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake that the model above has to catch: a bucket just like the exchange's."""
    monkeypatch.setattr("actors.gateway.bucket.JITTER", 1)
    bucket = Bucket(100, 100, 0)
    arrivals = [(10 * SECOND + JITTER, 90)] if bucket.draw(10 * SECOND, 90) else []
    now = bucket.ready_at(10 * SECOND, 20)
    assert bucket.draw(now + JITTER, 30)
    arrivals.append((now + JITTER, 30))
    exchange = Exchange(100, 100, 100)
    assert not all(exchange.take(at, cost) for at, cost in sorted(arrivals))


def test_until_a_former_life_s_loans_have_ended_little_gathers_whatever_the_limits() -> None:
    bucket = Bucket(200, 200, 0)
    bucket.assume_lent(0, SECOND, 20)
    assert bucket.level(SECOND // 2) == 20
    assert bucket.draw(SECOND // 2, 20)
    bucket.resize(SECOND // 2, 600, 200)
    assert bucket.level(SECOND) == 20
    assert bucket.ready_at(SECOND, 20) == SECOND
    assert bucket.level(2 * SECOND) == 219  # from then on it is as any other
    assert bucket.level(10 * SECOND) == bucket.holds == 549


def test_smaller_limits_leave_as_much_of_a_former_life() -> None:
    bucket = Bucket(600, 200, 0)
    bucket.assume_lent(0, SECOND, 20)
    bucket.resize(SECOND // 2, 100, 100)
    assert bucket.level(SECOND) == 20
    assert bucket.level(2 * SECOND) == bucket.holds == 74
