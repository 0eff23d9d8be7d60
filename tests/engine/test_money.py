"""Money that moves without an order of ours: what can be explained is on record with its cause, and
what can't halts trading and says so."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from protocol.messages import Reconcile, ReconcileAnswer
from protocol.units import parse_count, parse_money
from tests.engine import witness
from tests.engine.running import SUPERVISED_US, Engine
from tests.engine.test_orders import busiest, signed
from tests.engine.witness import RESTS, state

SHARD = 2
SHARDED = "KXETHD"  # a series that trades there
TOLD_MAX_S = 45.0  # two readings at least 5 s apart, each asked for by letter


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    shards = {'tier = "advanced"': f'tier = "advanced"\nshards = {{ {SHARDED} = {SHARD} }}'}
    with Engine(speed=0.1, **shards) as engine:
        engine.start()
        engine.until_trading()
        yield engine


def reconcile(engine: Engine) -> int:
    """Have the exchange read. Returns the ledger's number when that was done."""
    told = engine.tell("gateway", Reconcile("a story"), 30)
    assert isinstance(told, ReconcileAnswer), told
    return told.n


def entries(engine: Engine) -> list[Any]:
    """All facts on record, by the ledger's own command."""
    printed = engine.sidecar("ledger", "--json")
    assert printed.returncode == 0, printed.stderr
    return [json.loads(line)["fact"] for line in printed.stdout.splitlines()]


def facts(engine: Engine, kind: str) -> list[Any]:
    return [fact for fact in entries(engine) if fact["type"] == kind]


def until_fact(engine: Engine, kind: str, **members: Any) -> Any:
    """Read the exchange again and again until a fact is on record."""

    def look() -> Any:
        reconcile(engine)
        found = [f for f in facts(engine, kind) if members.items() <= f.items()]
        return found[-1] if found else None

    return engine.until(look, TOLD_MAX_S, f"{kind} {members}")


def opened(engine: Engine) -> None:
    """Until the cash has a base: what comes and goes is counted from there."""
    until_fact(engine, "CashDiffers", cause="opened")


def halted(engine: Engine) -> str:
    """Until trading is halted. Returns why."""

    def look() -> str:
        reconcile(engine)
        reasons = engine.get("/v1/status").json()["reasons"]
        return next((r for r in reasons if "halted: " in r), "")

    return engine.until(look, TOLD_MAX_S, "halted")


def resume(engine: Engine) -> None:
    assert engine.sidecar("resume", "--reason", "I have looked").returncode == 0
    reconcile(engine)
    engine.until_trading(since=time.time_ns() // 1_000 + SUPERVISED_US)


def balances(engine: Engine) -> dict[int, int]:
    found = engine.get("/v1/balance").json()["balance"]
    return {b["shard"]: int(parse_money(b["balance"])) for b in found}


def held(engine: Engine, ticker: str) -> int:
    found = engine.get("/v1/positions?limit=1000").json()["positions"]
    return next((int(parse_count(p["position"])) for p in found if p["ticker"] == ticker), 0)


def bought(engine: Engine, prefix: str = "KX") -> str:
    """A market of which one contract has just been bought."""
    found = requests.get(f"{engine.exchange}/trade-api/v2/markets?limit=100", timeout=5).json()
    ticker = str(
        next(
            m["ticker"]
            for m in found["markets"]
            if m["ticker"].startswith(prefix)
            and float(m["yes_ask_size_fp"]) >= 1
            and m["status"] == "active"
            and not held(engine, m["ticker"])
        )
    )
    answer = engine.order(ticker)
    assert answer.status_code == 201, answer.text
    engine.until(lambda: held(engine, ticker) == 100, 20, f"{ticker} is booked")
    return ticker


def test_an_order_on_another_shard_names_it(engine: Engine) -> None:
    ticker = bought(engine, SHARDED)
    [sent] = [r for r in engine.wire() if r["body"]["ticker"] == ticker]
    assert sent["body"]["exchange_index"] == SHARD
    other = bought(engine, "KXBTCD")
    [plain] = [r for r in engine.wire() if r["body"]["ticker"] == other]
    assert plain["body"].get("exchange_index", 0) == 0
    assert engine.order(ticker, client_order_id="there", **RESTS).status_code == 201
    assert engine.delete("/v1/orders/there").status_code == 200
    [canceled] = [r for r in engine.wire() if r["method"] == "DELETE"]
    assert f"market_ticker={ticker}" in canceled["path"]
    theirs = {
        row["exchange_index"]: int(parse_money(row["balance"]))
        for row in signed(engine, "/portfolio/balance")["balance_breakdown"]
    }
    assert set(theirs) == {0, SHARD}

    def shown() -> bool:
        reconcile(engine)
        return balances(engine) == theirs

    engine.until(shown, 20, "the balance of each shard")


def test_a_settlement_a_deposit_and_a_withdrawal_are_explained(engine: Engine) -> None:
    ticker = bought(engine)
    opened(engine)
    engine.deed("settle", ticker=ticker, result="yes")
    settled = until_fact(engine, "Settled", ticker=ticker)
    assert settled["result"] == "yes"
    engine.until(lambda: held(engine, ticker) == 0, 20, "paid out")
    engine.deed("deposit", amount="250.00")
    until_fact(engine, "MoneyMoved", amount="250.0000")
    engine.deed("withdraw", amount="100.00")
    until_fact(engine, "MoneyMoved", amount="-100.0000")
    system = engine.until_healthy()
    assert system.gate == "open", system.reasons
    assert [f for f in facts(engine, "CashDiffers") if f["cause"] == "unexplained"] == []


@pytest.mark.parametrize("what", ["cash", "position"])
def test_what_nothing_explains_halts_and_is_accepted_once(engine: Engine, what: str) -> None:
    ticker = bought(engine)
    opened(engine)
    if what == "cash":
        engine.deed("tamper", cash="-1.00")
        kind, named = "CashDiffers", "cash: "
    else:
        engine.deed("tamper", ticker=ticker, position="1.00")
        kind, named = "PositionDiffers", f"{ticker}: the ledger holds 1.00, the exchange shows 2.00"
    reason = halted(engine)
    assert named in reason
    refused = engine.order(ticker, client_order_id=f"while-{what}-differs", **RESTS)
    assert (refused.status_code, refused.json()["code"]) == (503, "halted")
    assert len([f for f in facts(engine, kind) if f["cause"] == "unexplained"]) == 1
    resume(engine)
    until_fact(engine, kind, cause="accepted")
    reconcile(engine)
    reconcile(engine)
    assert engine.until_healthy().gate == "open", "once accepted, it is no news"
    assert [f["cause"] for f in facts(engine, kind) if f["cause"] != "opened"] == [
        "unexplained",
        "accepted",
    ]
    if what == "position":
        assert held(engine, ticker) == 200


def test_what_the_owner_does_elsewhere_is_external_and_left_alone(engine: Engine) -> None:
    ticker = busiest(engine)
    before = held(engine, ticker)
    rests = engine.deed("external", ticker=ticker, side="bid", count="1.00", price="0.0100")
    fills = engine.deed("external", ticker=ticker, side="bid", count="2.00", price="0.9900")
    ids = {rests["order_id"]: "resting", fills["order_id"]: "executed"}

    def shown() -> bool:
        orders = engine.get("/v1/orders?limit=1000").json()["orders"]
        found = {o["order_id"]: o for o in orders if o["order_id"] in ids}
        return {id: o["state"] for id, o in found.items()} == ids and not any(
            o["client_order_id"] for o in found.values()
        )

    engine.until(shown, 15, "shown, and nobody's")
    engine.until(lambda: held(engine, ticker) == before + 200, 15, "its fill counts")
    reconcile(engine)
    assert signed(engine, f"/portfolio/orders/{rests['order_id']}")["order"]["status"] == "resting"
    assert [r for r in engine.wire() if rests["order_id"] in r["path"]] == [], "left alone"
    assert requests.delete(f"{engine.exchange}/paper/external/{rests['order_id']}", timeout=5).ok
    assert engine.until_healthy().gate == "open"


def test_positions_from_before_the_ledger_are_taken_over(engine: Engine) -> None:
    before = witness.positions(engine)
    assert before
    engine.stop()
    for path in Path(engine.settings.var_dir).glob("ledger.db*"):
        path.unlink()
    shutil.rmtree(Path(engine.settings.var_dir, "backups"), ignore_errors=True)
    engine.start()
    engine.until_trading(40)
    engine.until(lambda: all(held(engine, t) == p for t, p in before.items()), 15, "taken over")
    assert {f["ticker"] for f in facts(engine, "PositionDiffers") if f["cause"] == "opened"} <= set(
        before
    )
    opened(engine)
    bought(engine)
    reconcile(engine)
    assert engine.until_healthy().gate == "open"
    assert state(engine, "there") == "canceled", "orders of a former ledger are there as well"
