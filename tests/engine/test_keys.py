"""Idempotency keys in a running engine whose front is killed while orders are on their way."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.engine import witness
from tests.engine.running import Engine

KILL_AFTER_S = (0.0, 0.004, 0.012, 0.04)  # the runner gives up at more than 5 exits a minute


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        yield engine


def post(engine: Engine, path: str, body: Any, key: str) -> requests.Response | None:
    """The answer; None if the front died or refused for now."""
    secret = Path(engine.settings.var_dir, "token.trade").read_text().strip()
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
    with contextlib.suppress(requests.ConnectionError):
        found = requests.post(f"{engine.api}{path}", json=body, headers=headers, timeout=20)
        if found.status_code < 500 and found.status_code != 409:
            return found
    return None


def same(one: requests.Response, other: requests.Response) -> bool:
    location = "Location"
    return (one.status_code, one.content, one.headers.get(location)) == (
        other.status_code, other.content, other.headers.get(location),
    )  # fmt: skip


def sent(engine: Engine, start: str) -> int:
    """How many requests that begin like this the exchange has received."""
    return sum(r["method"] == "POST" and r["path"].endswith(start) for r in engine.wire())


def test_orders_and_groups_are_made_once_however_the_front_dies(engine: Engine) -> None:
    ticker = witness.tickers(engine)[0]
    terms = {"ticker": ticker, "side": "bid", "price": "0.0100", "count": "1.00"}
    before = sent(engine, witness.ORDERS)
    for number, delay in enumerate(KILL_AFTER_S):
        key, first = f"order-{number}", []
        client = threading.Thread(
            target=lambda key=key, first=first: first.append(post(engine, "/v1/orders", terms, key))
        )
        pid = engine.pids()["api"]
        client.start()
        client.join(delay)
        os.kill(pid, signal.SIGKILL)
        client.join()
        again = engine.until(
            lambda key=key: post(engine, "/v1/orders", terms, key), 20, "an answer"
        )
        third = post(engine, "/v1/orders", terms, key)
        assert third is not None
        assert same(again, third)
        assert first[0] is None or same(first[0], again)
        assert again.status_code == 201, again.text
        other = post(engine, "/v1/orders", {**terms, "count": "2.00"}, key)
        assert other is not None
        assert other.json()["code"] == "key_reused"
    assert sent(engine, witness.ORDERS) - before == len(KILL_AFTER_S)


def test_what_was_answered_is_answered_so_by_the_next_front(engine: Engine) -> None:
    engine.until_healthy()
    body = {"contracts_limit": "50.00"}
    first = engine.until(lambda: post(engine, "/v1/groups", body, "group"), 20)
    pid = engine.pids()["api"]
    os.kill(pid, signal.SIGKILL)
    engine.until(lambda: engine.pids()["api"] != pid, 20)
    again = engine.until(lambda: post(engine, "/v1/groups", body, "group"), 20)
    assert first.status_code == 201
    assert same(first, again)
    assert sent(engine, "/order_groups/create") == 1
    mode = Path(engine.settings.var_dir, "answers.db").stat().st_mode & 0o777
    assert mode == 0o600
