"""The bucket never lets out more than the exchange's own would, in whole numbers."""

from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.bucket import Bucket
from actors.gateway.lanes import CANCEL_RESERVE, Lanes
from protocol.kalshi import calls
from protocol.limits import JITTER, SECOND
from tests.actors.gateway.scene import order


def test_it_starts_empty_and_fills_at_its_rate() -> None:
    bucket = Bucket(100, 100, 0)
    assert not bucket.draw(0, 1)
    assert bucket.ready_at(0, 10) == SECOND // 10
    assert bucket.draw(SECOND // 10, 10)
    assert not bucket.draw(SECOND // 10, 1)


@given(
    st.integers(10, 1_000),
    st.integers(1, 1_000),
    st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(1, 30)), max_size=50),
)
def test_no_window_ever_sees_more_than_the_exchange_allows(
    capacity: int, rate: int, draws: list[tuple[int, int]]
) -> None:
    """In any window at most capacity + rate x time, even if calls bunch up by JITTER."""
    bucket = Bucket(capacity, rate, 0)
    now, spent = 0, []
    for wait, cost in draws:
        now += wait
        if bucket.draw(now, cost):
            spent.append((now, cost))
    for i, (start, _) in enumerate(spent):
        total = 0
        for at, cost in spent[i:]:
            total += cost
            assert total * SECOND <= capacity * SECOND + rate * (at - start)
    if capacity * SECOND - rate * JITTER >= capacity * SECOND // 2:
        for i, (start, _) in enumerate(spent):
            total = sum(cost for at, cost in spent[i:] if at - start <= JITTER)
            assert total * SECOND <= capacity * SECOND + rate * JITTER


def test_orders_never_spend_what_is_kept_for_cancels() -> None:
    lanes = Lanes(0)
    for i in range(20):
        lanes.submit(f"order:{i}", calls.create(order(f"c{i}")))
    gone = lanes.go(10 * SECOND)
    assert gone, "some orders fit"
    assert lanes.tokens(10 * SECOND)[1] >= CANCEL_RESERVE
    lanes.submit("cancel:x", calls.cancel("o1", "KXA-1"))
    assert [w.key for _, w in lanes.go(10 * SECOND)] == ["cancel:x"]


def test_a_cancel_goes_before_orders_that_came_first() -> None:
    lanes = Lanes(0)
    lanes.submit("order:1", calls.create(order("c1")))
    lanes.submit("cancel:1", calls.cancel("o1", "KXA-1"))
    assert [w.key for _, w in lanes.go(10 * SECOND)] == ["cancel:1", "order:1"]
