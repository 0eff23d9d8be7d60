"""The shared budget at full use: eight programs borrow tokens while the gateway is killed.

They spend what they borrow at the exchange at once. What it refused (429) and what it was paid
says the paper exchange itself. Called by `make bench`; alone, `python -m tests.bench_budget`
prints only these rows.
"""

import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Final

import requests
from msgspec import Struct

from tests.bench_ledger import row, show
from tests.bench_orders import a_market, order_body, trader
from tests.bench_program import PREFIX
from tests.engine.running import ROOT, Engine

PROGRAMS: Final = 8
LOOK_EVERY_S: Final = 0.1
ROUND_MAX_S: Final = 300.0
SLICE_S: Final = 1.0
FULL: Final = 0.95  # of a slice's refill: then the budget counts as fully used again
ALONE: Final = 500  # requests of the baseline, before and after its restart


class Round(Struct, frozen=True):
    """One tier: how many requests, what each loan is for, how often the gateway is killed."""

    tier: str
    requests: int
    dear: int  # calls a loan
    cheap: int
    kills: int
    orders: bool = False  # posted to the engine meanwhile, more than the write budget lets out


PRESTIGE: Final = Round("prestige", 100_000, 10, 10, 3)
BASIC: Final = Round("basic", 2_000, 0, 10, 1, orders=True)


class Look(Struct):
    """What the exchange says of a bucket at a moment (seconds of the monotonic clock)."""

    at: float
    spent: int
    requests: int
    refused: int


class Observed:
    """The exchange's own account of its buckets."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/paper/budget"
        self.looks: dict[str, list[Look]] = {"read": [], "write": []}
        self.refill: dict[str, int] = {}
        self.capacity: dict[str, int] = {}
        self.look()

    def look(self) -> Look:
        """Look once more. Returns the read bucket."""
        shown = requests.get(self._url, timeout=5).json()
        for name, looks in self.looks.items():
            bucket = shown["buckets"][name]
            self.refill[name], self.capacity[name] = bucket["refill_rate"], bucket["capacity"]
            numbers = (bucket["spent"], bucket["requests"], bucket["refused"])
            looks.append(Look(shown["now_us"] / 1e6, *numbers))
        return self.looks["read"][-1]

    def used(self, name: str, since: float, until: float) -> float:
        """Tokens spent between two moments, in percent of the refill."""
        looks = [one for one in self.looks[name] if since <= one.at <= until]
        first, last = looks[0], looks[-1]
        return 100 * (last.spent - first.spent) / (self.refill[name] * (last.at - first.at))

    def full_again(self, name: str, since: float) -> float:
        """When a slice of time began in which all was used; the end if there was none."""
        end = self.looks[name][-1].at
        for one in self.looks[name]:
            inside = since <= one.at < end - SLICE_S
            if inside and self.used(name, one.at, one.at + SLICE_S) >= 100 * FULL:
                return one.at
        return end


class Programs:
    """Eight processes that borrow and spend, or spend without asking."""

    def __init__(self, engine: Engine, turn: Round, order_id: str, *own: str) -> None:
        given = [str(engine.config), engine.exchange, order_id, str(turn.dear), str(turn.cheap)]
        self._running = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench_program", *given, *(own or [f"program-{i}"])],
                cwd=ROOT,
                stdin=subprocess.PIPE,
            )
            for i in range(PROGRAMS)
        ]

    def __enter__(self) -> "Programs":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._running:
            assert one.stdin is not None
            one.stdin.close()
        for one in self._running:
            try:
                one.wait(10)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


class Orders:
    """Eight clients that post orders to the engine, one after another."""

    def __init__(self, engine: Engine) -> None:
        self._over = threading.Event()
        answer = requests.get(f"{engine.exchange}{PREFIX}/markets?limit=200", timeout=5).json()
        self._markets = itertools.cycle([market["ticker"] for market in answer["markets"]])
        self._threads = [
            threading.Thread(target=self._post, args=(engine,)) for _ in range(PROGRAMS)
        ]

    def _post(self, engine: Engine) -> None:
        api, ticker = trader(engine), next(self._markets)
        while not self._over.is_set():
            body = order_body(ticker, f"full-{secrets.token_hex(8)}")
            status, _ = api.send(api.request("POST", "/v1/orders", body))
            if status != 201:  # the gateway is gone, or what it left behind blocks this market
                ticker = next(self._markets)
                self._over.wait(LOOK_EVERY_S)
        api.close()

    def __enter__(self) -> "Orders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def an_order(engine: Engine) -> str:
    """The exchange's id of an order that rests."""
    api = trader(engine)
    body = order_body(a_market(engine), "rests", time_in_force="good_till_canceled")
    status, answer = api.send(api.request("POST", "/v1/orders", body))
    api.close()
    assert status == 201, answer
    return str(json.loads(answer)["order"]["order_id"])


def full_use(engine: Engine, observed: Observed, count: int, kills: int) -> list[float]:
    """Wait for so many requests. When the gateway was killed meanwhile (monotonic seconds)."""
    killed: list[float] = []
    first, give_up_at = observed.look().requests, time.monotonic() + ROUND_MAX_S
    while (done := observed.look().requests - first) < count:
        if done >= count * (len(killed) + 1) // (kills + 1):
            os.kill(engine.pids()["gateway"], signal.SIGKILL)
            killed.append(time.monotonic())
        assert time.monotonic() < give_up_at, f"{done} of {count} requests\n{engine.tail()}"
        time.sleep(LOOK_EVERY_S)
    return killed


def alone(engine: Engine, turn: Round, order_id: str) -> dict[str, Any]:
    """The baseline: each program spends its share by a bucket of its own; restarted once."""
    observed = Observed(engine.exchange)
    share = [str(n / PROGRAMS) for n in (observed.capacity["read"], observed.refill["read"])]
    for _ in range(2):
        with Programs(engine, turn, order_id, *share):
            full_use(engine, observed, ALONE, 0)
    first, last = observed.looks["read"][0], observed.look()
    count = last.requests - first.requests
    refused = last.refused - first.refused
    return row(f"  429s of {count:,}, none asked (baseline)", [refused], "", "")


def play(turn: Round) -> list[dict[str, Any]]:
    """One tier: its rows of the table."""
    with Engine(**{'tier = "advanced"': f'tier = "{turn.tier}"'}) as engine:
        engine.start()
        engine.until_healthy(60)
        order_id = an_order(engine)
        observed = Observed(engine.exchange)
        with Programs(engine, turn, order_id):
            if turn.orders:
                with Orders(engine):
                    killed = full_use(engine, observed, turn.requests, turn.kills)
            else:
                killed = full_use(engine, observed, turn.requests, turn.kills)
        naive = [alone(engine, turn, order_id)] if turn is BASIC else []
    found = told("read", turn, observed, killed)
    return [*found, *naive, *(told("write", turn, observed, killed) if turn.orders else [])]


def told(name: str, turn: Round, observed: Observed, killed: list[float]) -> list[dict[str, Any]]:
    """The rows of one bucket."""
    looks = observed.looks[name]
    began, last = observed.full_again(name, looks[0].at), looks[-1]
    again = [observed.full_again(name, at) for at in killed]
    spans = zip([began, *again], [*killed, last.at], strict=True)
    up = [observed.used(name, a, b) for a, b in spans if b - a > SLICE_S]
    until_full = [a - k for a, k in zip(again, killed, strict=True)]
    kills = len(killed)
    return [
        row(f"429s of {last.requests:,} {name}s, {turn.tier}", [last.refused], "", "0"),
        row("  budget used between the kills", up, "%", "95 %"),
        row(f"  all in all, {kills} x kill -9", [observed.used(name, began, last.at)], "%", ""),
        row("  kill -9 until full use", until_full, "s", ""),
    ]


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    return [*play(PRESTIGE), *play(BASIC)]


if __name__ == "__main__":
    show(measure())
