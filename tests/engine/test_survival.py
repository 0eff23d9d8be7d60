"""kill -9 of each process in turn, with traffic running: the rest goes on, nothing is lost."""

import os
import signal
import sqlite3
from collections.abc import Iterator

import pytest
import requests

from tests.engine.running import ACTORS, Engine
from tests.engine.test_orders import busiest


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_trading()
        yield engine


def entries(engine: Engine) -> dict[int, str]:
    with sqlite3.connect(f"file:{engine.settings.var_dir}/ledger.db?mode=ro", uri=True) as ledger:
        return dict(ledger.execute("SELECT n, id FROM entries ORDER BY n").fetchall())


@pytest.mark.parametrize("victim", ACTORS)
def test_one_dies_and_comes_back_alone(engine: Engine, victim: str) -> None:
    ticker = busiest(engine)
    assert engine.order(ticker, client_order_id=f"before-{victim}").status_code == 201
    before, told = engine.pids(), entries(engine)
    engine.reborn(victim)
    after = engine.pids()
    assert {n: p for n, p in after.items() if n != victim} == {
        n: p for n, p in before.items() if n != victim
    }, "somebody else was restarted"
    now = entries(engine)
    assert {n: now.get(n) for n in told} == told, "an entry is gone"
    assert sorted(now) == list(range(1, len(now) + 1)), "the numbers have a hole"

    answer = engine.taken(ticker, client_order_id=f"after-{victim}")
    assert answer.status_code == 201, answer.text


def test_fills_made_while_the_stream_was_dead_are_booked(engine: Engine) -> None:
    epoch = engine.until_healthy().processes["stream"].epoch
    ticker = busiest(engine)
    os.kill(engine.pids()["stream"], signal.SIGKILL)
    answer = engine.order(ticker, client_order_id="unheard")
    assert answer.status_code in (201, 202, 503), answer.text
    engine.until_system(  # of the new one: that the old one is dead is not noticed at once
        lambda s: s.healthy and s.gate == "open" and s.processes["stream"].epoch != epoch, 20
    )
    theirs = requests.get(f"{engine.exchange}/paper/wire", timeout=5).json()["requests"]
    filled = {
        r["answer"]["order_id"]
        for r in theirs
        if r["method"] == "POST" and r["status"] == 201 and r["answer"]["fill_count"] != "0.00"
    }

    def booked() -> bool:
        path = f"file:{engine.settings.var_dir}/ledger.db?mode=ro"
        with sqlite3.connect(path, uri=True) as ledger:
            return filled <= {row[0] for row in ledger.execute("SELECT order_id FROM fills")}

    engine.until(booked, 20, f"fills of {filled}")


def test_no_order_was_sent_twice(engine: Engine) -> None:
    sent = [r["client_order_id"] for r in engine.wire() if r["method"] == "POST"]
    assert len(sent) == len(set(sent)) > 0
