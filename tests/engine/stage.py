"""A whole engine behind a line that can be made bad, a reader of its books, and the truth.

What a test on it leaves behind is looked at after each one: no reader ever trusted a wrong book,
none trusted an old one for longer than the test allows, all healed without a restart, and the
ledger has every fill that the exchange knows, once.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from protocol.messages import BookLost, BookStale, Health, System
from tests.engine import witness
from tests.engine.armed import Armed, Where
from tests.engine.carried import Carried
from tests.engine.mischief import Fault
from tests.engine.proxy import When, carries, everywhere
from tests.engine.reader import Reader
from tests.engine.running import HEALTHY_MAX_S, Engine
from tests.engine.test_orders import busiest
from tests.engine.truth import Truth

BOOKS = "orderbook_delta"
MARKETS = carries(BOOKS)
PRIVATE = carries("fill")
STALL_MAX_S = 5.0  # a reader may trust a book that nothing reaches for so long
LOOK_MAX_S = 0.5  # what the looking itself takes on a busy machine
HEAL_MAX_S = 30.0  # all well again after a fault has ended, later reconnects' delays included
FILL_MAX_S = 20.0


class Stage:
    """Engine, line, reader and truth."""

    def __init__(self, healthy_max_s: float = HEALTHY_MAX_S, **engine: Any) -> None:
        self._open = ExitStack()
        self.engine = self._open.enter_context(Engine(proxied=True, **engine))
        self.proxy = self.engine.proxy
        self.engine.start_without("stream")
        self.stream = self.engine.launch("stream")
        self.engine.until_healthy(healthy_max_s)
        self._carried = len(self.proxy.lines)
        self.truth = self._open.enter_context(Truth(self.engine, witness.tickers(self.engine)))
        self.reader = self._open.enter_context(Reader(self.engine, self.truth))
        self._ear = self._open.enter_context(
            self.engine.ear("system.pub", "health.stream ", "system ")
        )
        self._told: list[Health | System] = []
        self._pids: dict[str, int] = {}
        self.stale_max = STALL_MAX_S
        self.began = 0.0

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        self._open.__exit__(kind, *rest)

    # Before and after each test

    def calm(self) -> None:
        """Nothing is wrong, and nothing that was is remembered.

        A stream that had to connect again waits longer each time, and forgets it after half a
        minute; we don't wait for that, but start another.
        """
        self.proxy.lift()
        if len(self.proxy.lines) > self._carried:
            self.engine.strike("stream")
            self.stream = self.engine.launch("stream")
            self.engine.until_system(lambda s: s.processes["stream"].pid == self.stream.pid, 10)
        self.heal()
        self._carried = len(self.proxy.lines)
        self._pids = self.engine.pids()
        self.stale_max = STALL_MAX_S
        self.reader.forget()
        self._ear.rest()
        self._told = []
        self.began = time.monotonic()

    def promises(self) -> None:
        """What must hold, whatever was wrong."""
        self.proxy.lift()
        self.heal()
        self.reader.until(self.reader.sure, 5.0, "the age of all that was trusted is known")
        age, ticker = self.reader.oldest
        assert age <= self.stale_max + LOOK_MAX_S, (
            f"{ticker} was trusted when it was {age:.2f} s old"
        )
        assert self.stream.poll() is None, f"the stream has ended\n{self.engine.tail()}"
        assert self.engine.pids() == self._pids, "a process was restarted"
        self.until_booked()
        assert self.reader.wrong == [], "a reader trusted a book that the exchange never had"

    def heal(self, seconds: float = HEAL_MAX_S) -> None:
        """Until all is well again."""
        try:
            self.reader.until(self.reader.in_step, seconds, "all books as the exchange's")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.engine.tail()}") from None
        self.engine.until_healthy(seconds)

    # Doing and waiting

    def arm(
        self,
        fault: Fault,
        when: When = "now",
        where: Where = everywhere,
        skip: int = 0,
        times: int | None = None,
    ) -> Armed:
        """Let it go wrong: on the connections that there are, unless told otherwise."""
        return self.proxy.arm(fault, when, where, skip, times)

    def market_line(self) -> Carried:
        """The connection that carries the books of the busiest market."""
        lines = self.proxy.open_lines(MARKETS)
        ticker = self.truth.busiest()
        for line in lines:
            for command in line.commands:
                if ticker in command.get("params", {}).get("market_tickers", ()):
                    return line
        raise AssertionError(f"nobody has subscribed {ticker}: {lines}")

    def until_hit(self, armed: Armed, times: int = 1, seconds: float = 10.0) -> float:
        """When it went wrong for so many times. Returns the moment of the last of them.

        If it goes on, that of the first is the one which is sure to be no later.
        """
        what = f"{armed.fault} struck {times} times"
        self.proxy.until(lambda: armed.hits >= times, seconds, what)
        moment = armed.hit_at if times == 1 else armed.last_hit_at
        assert moment is not None
        return moment

    def until_lost(self, seconds: float, since: float | None = None) -> float:
        """Until a book that was trusted is said to be lost. Returns the moment."""
        return self._until_said(BookLost, seconds, since)

    def until_stale(self, seconds: float, since: float | None = None) -> float:
        return self._until_said(BookStale, seconds, since)

    def _until_said(self, kind: type, seconds: float, since: float | None) -> float:
        start = self.began if since is None else since
        found = self.reader.until(
            lambda: self.reader.heard(kind, start), seconds, f"{kind.__name__} said"
        )
        return float(found[0].at)

    def until_connected(
        self, lines: int, where: Where, seconds: float = HEAL_MAX_S
    ) -> list[Carried]:
        """Until so many connections that came after the beginning carry something."""

        def fresh() -> list[Carried]:
            found = self.proxy.open_lines(where)
            return [line for line in found if line.opened_at > self.began]

        self.proxy.until(lambda: len(fresh()) >= lines, seconds, f"{lines} new connections")
        return fresh()

    def pause(self, seconds: float) -> None:
        """Let so much time pass on the line: for faults whose story is a time."""
        until = time.monotonic() + seconds
        self.proxy.until(lambda: time.monotonic() >= until, seconds + 10, "time passes")

    def trade(self) -> str:
        """The owner buys a contract by another road. Returns the order's id."""
        body = {"side": "bid", "count": "1.00", "price": "0.9900"}
        done = self.engine.deed("external", ticker=busiest(self.engine), **body)
        assert done["fill_count"] != "0.00", done
        return str(done["order_id"])

    def until_booked(self, seconds: float = FILL_MAX_S) -> None:
        """Until the ledger has each fill that the exchange lists, and has it once."""
        try:
            self.engine.until(lambda: self._ours() == self._theirs(), seconds)
        except AssertionError:
            ours, theirs = self._ours(), self._theirs()
            raise AssertionError(
                f"missing {theirs - ours}, made up {ours - theirs}\n{self.engine.tail()}"
            ) from None
        with self._ledger() as ledger:
            told = ledger.execute("SELECT id FROM entries WHERE id LIKE 'fill:%'").fetchall()
        assert len(told) == len(self._theirs()), "a fill is on record twice"

    def booked(self, order_id: str) -> bool:
        """Whether a fill of this order is on the ledger."""
        return any(order == order_id for order, _ in self._ours())

    def _theirs(self) -> set[tuple[str, str]]:
        rows = witness.rows(self.engine, "fills", "/portfolio/fills")
        return {(row["order_id"], row["trade_id"]) for row in rows}

    def _ours(self) -> set[tuple[str, str]]:
        with self._ledger() as ledger:
            return set(ledger.execute("SELECT order_id, trade_id FROM fills").fetchall())

    def _ledger(self) -> closing[sqlite3.Connection]:
        path = f"file:{self.engine.settings.var_dir}/ledger.db?mode=ro"
        return closing(sqlite3.connect(path, uri=True))

    # What the engine says of itself

    def told(self) -> list[Health | System]:
        """All that the supervisor has said since the beginning."""
        bodies = (envelope.body for envelope in self._ear.rest())
        self._told += [body for body in bodies if isinstance(body, Health | System)]
        return self._told

    def causes(self, signal: str) -> list[str]:
        """Why there were such signals of the stream's."""
        return [
            f"{said.subject}: {said.reason}"
            for said in self.told()
            if isinstance(said, Health) and said.signal == signal
        ]

    def reasons(self) -> set[str]:
        """Why the stream was not ready, or the whole not healthy: all that was said."""
        found: set[str] = set()
        for said in self.told():
            found |= {said.reason} if isinstance(said, Health) else set(said.reasons)
        return found

    def until_said(self, wanted: str, seconds: float) -> None:
        """Until some reason or cause of the stream's has these words."""
        found: Callable[[], bool] = lambda: any(  # noqa: E731
            wanted in text for text in (*self.reasons(), *self.causes("reconnect_scheduled"))
        )
        try:
            self.reader.until(found, seconds, f"{wanted!r} said")
        except AssertionError as e:
            said = sorted(self.reasons()) + self.causes("reconnect_scheduled")
            raise AssertionError(f"{e}; said were {said}\n{self.engine.tail()}") from None
