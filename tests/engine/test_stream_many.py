"""A hundred thousand markets: as many as the bound allows are followed, the rest is said to be left
out, and what goes wrong among so many is cured like among few."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.limits import MARKETS_MAX, TICKERS_A_COMMAND
from protocol.messages import BookLost, Follow, FollowAnswer
from tests.engine.mischief import Alter, Of, skip
from tests.engine.proxy import only
from tests.engine.stage import BOOKS, MARKETS, Stage

IDLE = 100_000
START_MAX_S = 120.0
AGAIN_MAX_S = 60.0  # all books live again after all connections were cut
MEGABYTES_MAX = 250


@pytest.fixture(scope="module")
def started() -> Iterator[Stage]:
    tier = 'tier = "advanced"'
    with Stage(START_MAX_S, **{tier: f"{tier}\nidle_markets = {IDLE}"}) as stage:
        yield stage


def follow(stage: Stage) -> FollowAnswer:
    answer = stage.engine.tell("stream", Follow())
    assert isinstance(answer, FollowAnswer)
    return answer


def until_all_live(stage: Stage) -> None:
    stage.reader.until(
        lambda: follow(stage).live == MARKETS_MAX, AGAIN_MAX_S, "all that are followed are live"
    )


def test_as_many_as_the_bound_allows(stage: Stage) -> None:
    until_all_live(stage)
    found = follow(stage)
    assert (found.markets, found.live) == (MARKETS_MAX, MARKETS_MAX)
    assert found.left_out > 0, "and that there are more is said"
    status = Path(f"/proc/{stage.stream.pid}/status").read_text()
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    assert int(kilobytes) <= MEGABYTES_MAX * 1_000
    for line in stage.proxy.open_lines(MARKETS):
        for command in line.commands:
            assert len(command.get("params", {}).get("market_tickers", ())) <= TICKERS_A_COMMAND


def test_a_gap_costs_the_books_of_its_own_connection_alone(stage: Stage) -> None:
    lines = stage.proxy.open_lines(MARKETS)
    line = stage.market_line()
    armed = stage.arm(Alter(Of(type=BOOKS), skip), where=only(line), times=1)
    order = stage.trade()
    stage.until_hit(armed)
    stage.until_lost(2.0)
    lost = {said.ticker for said in stage.reader.heard(BookLost, stage.began)}
    mine = {
        ticker
        for command in line.commands
        for ticker in command.get("params", {}).get("market_tickers", ())
    }
    assert lost <= mine
    until_all_live(stage)
    assert stage.proxy.open_lines(MARKETS) == lines, "by snapshots, not by new connections"
    stage.until_booked()
    assert stage.booked(order)


def test_all_connections_are_cut(stage: Stage) -> None:
    stage.proxy.cut()
    order = stage.trade()
    stage.until_lost(2.0)
    until_all_live(stage)
    stage.until_booked()
    assert stage.booked(order)
