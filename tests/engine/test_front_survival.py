"""kill -9 of each process in turn, while programs read, follow and trade through the front: they
get right answers or honest refusals, never a wrong one, and what was missed is said to be."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from protocol.units import parse_count
from tests.engine import witness
from tests.engine.clients import Client, Listener, Reader, Trader, levels_of
from tests.engine.running import Engine
from tests.engine.truth import Truth, digest

VICTIMS = ("gateway", "stream", "writer", "rehydrator", "api", "supervisor")
READERS = 2
BACK_MAX_S = 25.0
WELL_MAX_S = 30.0
WORK_MIN = 50  # answers that a client got between two kills


class Scene:
    """The engine, the exchange's own books, and the clients."""

    def __init__(self, engine: Engine, truth: Truth, clients: list[Client]) -> None:
        self.engine, self.truth, self.clients = engine, truth, clients
        [self.listener] = [c for c in clients if isinstance(c, Listener)]
        [self.trader] = [c for c in clients if isinstance(c, Trader)]
        self.readers = [c for c in clients if isinstance(c, Reader)]

    def wrong(self) -> list[str]:
        return [text for client in self.clients for text in client.wrong]

    def until(self, found: Any, what: str, seconds: float = WELL_MAX_S) -> None:
        """Looked at again with each message of the ledger's."""
        try:
            self.engine.until(lambda: found() or self.wrong(), seconds, what)
        except AssertionError as e:
            seen = {type(client).__name__: client.seen for client in self.clients}
            raise AssertionError(f"{e}\nseen: {seen}") from None
        assert self.wrong() == []

    def busy(self) -> None:
        """Until each reader has had so many more books, and the listener so many messages."""
        before = [reader.seen["book"] for reader in self.readers]
        heard, placed = self.listener.seen["message"], self.trader.seen["201"]
        self.until(
            lambda: (
                all(
                    reader.seen["book"] >= count + WORK_MIN
                    for reader, count in zip(self.readers, before, strict=True)
                )
                and self.listener.seen["message"] >= heard + WORK_MIN
                and self.trader.seen["201"] > placed
            ),
            "readers, listener and trader are served",
        )


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Engine() as engine:
        engine.start()
        engine.until_healthy()
        tickers = witness.tickers(engine)
        with Truth(engine, tickers) as truth, ExitStack() as open_:
            prices = iter(range(10**9))

            def order() -> dict[str, Any]:
                ticker = tickers[next(prices) % len(tickers)]
                terms = {"time_in_force": "immediate_or_cancel", "price": "0.9900"}
                return {"ticker": ticker, "side": "bid", "count": "1.00", **terms}

            made: list[Client] = [Reader(engine, truth) for _ in range(READERS)]
            made += [Listener(engine, truth), Trader(engine, truth, order)]
            yield Scene(engine, truth, [open_.enter_context(client) for client in made])


@pytest.mark.parametrize("victim", VICTIMS)
def test_clients_are_told_the_truth_while_one_dies(scene: Scene, victim: str) -> None:
    engine = scene.engine
    scene.busy()
    before = engine.pids()[victim]
    for client in scene.clients:
        if victim == "api":
            client.excused.set()
    os.kill(before, signal.SIGKILL)
    engine.until_system(
        lambda s: s.healthy and s.gate == "open" and engine.pids()[victim] != before, BACK_MAX_S
    )
    scene.until(scene.listener.in_step, "the listener has the exchange's books")
    for client in scene.clients:
        client.excused.clear()
    scene.busy()


def test_what_they_were_told_is_what_the_exchange_has(scene: Scene) -> None:
    """After all that: books, orders and positions are the exchange's own; what was answered 201
    is there, and nothing is there twice."""
    engine, trader = scene.engine, scene.trader
    trader.__exit__()
    theirs = witness.orders(engine)
    accepted = [id for id, status in trader.told.items() if status == 201]
    assert len(accepted) > len(VICTIMS)
    assert [id for id in accepted if id not in theirs] == []
    assert witness.sent_twice(engine) == []

    def agrees() -> bool:
        rows = engine.get("/v1/positions?limit=1000").json()["positions"]
        held = {row["ticker"]: int(parse_count(row["position"])) for row in rows}
        return {t: p for t, p in held.items() if p} == witness.positions(engine)

    scene.until(agrees, "positions as the exchange has them")
    for id in theirs.keys() & trader.told.keys():
        found = engine.get(f"/v1/orders/{id}").json()["order"]
        said = (parse_count(found["filled"]), found["state"])
        assert said == (parse_count(theirs[id]["fill_count_fp"]), theirs[id]["status"]), id

    def books_agree() -> bool:
        for ticker in scene.truth.tickers:
            answer = engine.get(f"/v1/books/{ticker}")
            state = digest(levels_of(answer.json())) if answer.ok else 0
            if scene.truth.age(ticker, state, time.monotonic()) is None:
                return False
        return True

    scene.until(books_agree, "books as the exchange has them")
    assert scene.listener.seen["lost"] > 0, "killing the stream loses nothing: is it killed?"
    refusals = sum(n for r in scene.readers for code, n in r.seen.items() if code in REFUSED)
    assert refusals > 0, "nobody was ever refused"


REFUSED = ("book_lost", "book_stale", "not_ready", "no_answer", "busy")
