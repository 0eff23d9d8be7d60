"""Ten thousand orders while the gateway is killed again and again, and once the writer, and once
everything: none is sent twice, none is lost, and in the end the ledger says what the exchange says.
"""

import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.units import parse_count, parse_price
from tests.engine import witness
from tests.engine.crowd import Crowd
from tests.engine.running import Engine
from tests.engine.secrets_sought import family

ORDERS = 10_000
CLIENTS = 8
KILLS = 9  # of the gateway
STEP_MAX_S = 180.0  # to the next kill
SETTLED_MAX_S = 180.0
HEALTHY_MAX_S = 180.0  # thousands of orders and fills are read anew, on a machine that has others
SEED = 4


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(speed=0.1, **{'tier = "advanced"': 'tier = "prestige"'}) as engine:
        engine.environment["SIDECAR_BRAKES_SELF_CROSS"] = "false"  # clients buy what others sell
        begin(engine)
        yield engine


def begin(engine: Engine) -> None:
    """All of it, the gateway without a runner: that would give up after six ends in a minute."""
    engine.start_without("gateway")
    engine.launch("gateway")
    engine.until_healthy(HEALTHY_MAX_S)


def kill_all(engine: Engine) -> None:
    """Every process of it at one moment, as when the machine loses its power."""
    assert engine._honcho is not None
    for pid in family(engine._honcho.pid):
        os.kill(pid, signal.SIGKILL)
    engine.strike("gateway")
    engine._honcho.wait()


def trade(engine: Engine, crowd: Crowd, dice: random.Random) -> None:
    """Let the crowd trade, and let come over it what may."""
    step = ORDERS * 6 // 10 // (KILLS + 2)  # later on, most of what is left waits for a doubt
    deeds = ["gateway"] * KILLS
    deeds.insert(KILLS // 3, "writer")
    deeds.insert(KILLS - 2, "all")
    began = time.monotonic()
    crowd.start(CLIENTS)
    for number, deed in enumerate(deeds):
        engine.faults(lose_replies=2, drop_requests=number % 2)
        crowd.until(step * number + dice.randint(step // 3, step), STEP_MAX_S)
        print(f"{time.monotonic() - began:6.1f} s: kill {deed}")
        if deed == "gateway":
            engine.strike("gateway")
            engine.launch("gateway")
        elif deed == "writer":
            os.kill(engine.pids()["writer"], signal.SIGKILL)
        else:
            kill_all(engine)
            begin(engine)
    crowd.until(ORDERS, 2 * STEP_MAX_S)


@pytest.fixture(scope="module")
def traded(engine: Engine) -> Engine:
    dice = random.Random(SEED)
    crowd = Crowd(engine, witness.tickers(engine), ORDERS, dice)
    began = time.monotonic()
    try:
        trade(engine, crowd, dice)
    finally:
        crowd.stop()
        print(sorted(crowd.answers.items()))
    took = time.monotonic() - began
    print(f"{ORDERS} orders in {took:.1f} s, {ORDERS / took:.0f} a second, {KILLS + 2} kills among")
    engine.until_system(
        lambda s: (
            s.healthy
            and s.processes["gateway"].counters["in_doubt"] == 0
            and s.processes["gateway"].counters["cancels_open"] == 0
        ),
        SETTLED_MAX_S,
    )
    return engine


def rows(engine: Engine, columns: str, table: str) -> list[Any]:
    with sqlite3.connect(f"file:{engine.settings.var_dir}/ledger.db?mode=ro", uri=True) as ledger:
        return ledger.execute(f"SELECT {columns} FROM {table}").fetchall()


def test_no_id_is_ever_on_the_wire_twice(traded: Engine) -> None:
    assert witness.sent_twice(traded) == []
    posted = {r["client_order_id"] for r in traded.wire() if r["method"] == "POST"}
    assert len(posted) >= ORDERS
    assert len({id.partition("-")[0] for id in posted}) == ORDERS


def test_every_id_on_the_wire_was_on_record_before(traded: Engine) -> None:
    printed = traded.sidecar("ledger", "--json")
    assert printed.returncode == 0, printed.stderr
    entries = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [e["n"] for e in entries] == list(range(1, len(entries) + 1))
    intents = {
        e["fact"]["client_order_id"]: e["at"]
        for e in entries
        if e["fact"]["type"] == "OrderIntended"
    }
    for request in traded.wire():
        if request["method"] == "POST":
            assert intents[request["client_order_id"]] <= request["at"]
    assert traded.sidecar("verify").returncode == 0


def test_every_order_has_ended_as_at_the_exchange(traded: Engine) -> None:
    theirs = {
        id: (row["order_id"], row["status"], int(parse_count(row["fill_count_fp"])))
        for id, row in witness.orders(traded).items()
    }
    ours = {
        id: (order_id, state, filled)
        for id, order_id, state, filled in rows(
            traded, "client_order_id, order_id, state, filled", "orders"
        )
    }
    called_off = {id for id, (_, state, _) in ours.items() if state in CALLED_OFF}
    assert called_off.isdisjoint(theirs)
    assert {id: told for id, told in ours.items() if id not in called_off} == theirs
    print(f"{len(theirs)} orders at the exchange, {len(called_off)} called off")


CALLED_OFF = ("absent", "denied", "withdrawn", "rejected")


def test_every_fill_and_every_position_is_the_exchange_s(traded: Engine) -> None:
    theirs = {
        (f["order_id"], f["trade_id"]): (
            int(parse_price(f["yes_price_dollars"])),
            int(parse_count(f["count_fp"])),
        )
        for f in witness.rows(traded, "fills", "/portfolio/fills")
    }
    found = rows(traded, "order_id, trade_id, price, count", "fills")
    assert {(order, trade): (price, count) for order, trade, price, count in found} == theirs
    held = {t: p for t, p in rows(traded, "ticker, position", "positions") if p}
    assert held == witness.positions(traded)
    shown = traded.get("/v1/positions?limit=1000").json()["positions"]
    assert {p["ticker"]: int(parse_count(p["position"])) for p in shown} == held | {
        p["ticker"]: 0 for p in shown if p["position"] == "0.00"
    }
    print(f"{len(theirs)} fills")


def test_nothing_halted_it(traded: Engine) -> None:
    system = traded.until_healthy()
    assert system.gate == "open", system.reasons
    rest = traded.wire()
    assert [r for r in rest if r["status"] == 429] == []
