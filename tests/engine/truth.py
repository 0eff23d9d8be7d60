"""The exchange's own books, heard past the engine: which states each was in, and until when.

A connection of its own, straight to the paper exchange, replayed by plain JSON and dicts.
"""

import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from protocol.kalshi.signing import Signer
from tests.engine.running import Engine, hundredths

Levels = dict[tuple[str, int], int]  # counts in hundredths by side and price in micro-dollars
CLOSE_MAX_S = 1.0
FIRST_MAX_S = 10.0


def digest(levels: Levels) -> int:
    """A number for a book's state, which changes level by level."""
    found = 0
    for level in levels.items():
        found ^= hash(level)
    return found


def micros(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * 1_000_000 + int(part.ljust(6, "0"))


class Truth:
    """All books of the exchange as they are, and all that they have been."""

    def __init__(self, engine: Engine, tickers: list[str]) -> None:
        self.tickers = tickers
        self._engine = engine
        self._lock = threading.Lock()
        self._levels: dict[str, Levels] = {}
        self._now: dict[str, int] = {}
        self._until: dict[str, dict[int, float]] = {ticker: {} for ticker in tickers}
        self._changes: dict[str, int] = {}
        self._seq = 0
        self._whole = threading.Event()
        self._socket: ClientConnection | None = None
        self._closing = False
        self._trouble: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._whole.wait(FIRST_MAX_S), f"no snapshots from the exchange {self._trouble}"

    def age(self, ticker: str, state: int, at: float) -> float | None:
        """How long before `at` the book was last in this state: 0 if it was then or is.

        None: it has never been, as far as we have heard.
        """
        with self._lock:
            if self._now[ticker] == state:
                return 0.0
            until = self._until[ticker].get(state)
        return None if until is None else max(0.0, at - until)

    def changes(self, ticker: str) -> int:
        """How often this book has changed so far."""
        with self._lock:
            return self._changes.get(ticker, 0)

    def busiest(self) -> str:
        """The ticker whose book has changed most often so far."""
        with self._lock:
            return max(self.tickers, key=lambda ticker: self._changes.get(ticker, 0))

    def close(self) -> None:
        """End the connection. A truth that was none fails the test."""
        self._closing = True
        if self._socket is not None:
            self._socket.close_socket()
        self._thread.join(FIRST_MAX_S)
        assert not self._trouble, self._trouble

    def __enter__(self) -> "Truth":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        exchange = self._engine.settings.exchange
        path = urlsplit(exchange.ws_url).path
        key = Path(exchange.read_key_file).read_bytes()
        signer = Signer(exchange.read_key_id, key, exchange.read_key_file)
        headers = signer.headers(time.time_ns() // 1_000_000, "GET", path)
        url = self._engine.exchange.replace("http", "ws") + path
        options: dict[str, Any] = {"max_size": None, "close_timeout": CLOSE_MAX_S, "proxy": None}
        with connect(url, additional_headers=headers, ping_interval=None, **options) as socket:
            self._socket = socket
            params = {
                "channels": ["orderbook_delta"],
                "market_tickers": self.tickers,
                "use_yes_price": False,
            }
            socket.send(
                msgspec.json.encode({"id": 1, "cmd": "subscribe", "params": params}), text=True
            )
            try:
                for raw in socket:
                    self._take(msgspec.json.decode(raw))
            except ConnectionClosed as e:
                if not self._closing:
                    self._trouble.append(f"the exchange has ended our connection: {e}")
            except Exception as e:
                self._trouble.append(repr(e))
                raise

    def _take(self, said: Any) -> None:
        if "seq" not in said:
            return
        assert said["seq"] == self._seq + 1, f"{said['seq']} after {self._seq}: no truth any more"
        self._seq = said["seq"]
        msg = said["msg"]
        ticker = msg["market_ticker"]
        with self._lock:
            if said["type"] == "orderbook_snapshot":
                levels = self._levels[ticker] = {
                    (side, micros(price)): hundredths(count)
                    for side in ("yes", "no")
                    for price, count in msg.get(f"{side}_dollars_fp", ())
                }
                self._turn(ticker, digest(levels))
            else:
                self._move(ticker, (msg["side"], micros(msg["price_dollars"])), msg["delta_fp"])
        if len(self._now) == len(self.tickers):
            self._whole.set()

    def _move(self, ticker: str, level: tuple[str, int], change: str) -> None:
        levels, state = self._levels[ticker], self._now[ticker]
        before = levels.pop(level, 0)
        after = before + hundredths(change)
        if before:
            state ^= hash((level, before))
        if after:
            levels[level] = after
            state ^= hash((level, after))
        self._turn(ticker, state)

    def _turn(self, ticker: str, state: int) -> None:
        before = self._now.get(ticker)
        self._changes[ticker] = self._changes.get(ticker, 0) + 1
        if before is not None:
            self._until[ticker][before] = time.monotonic()
        self._now[ticker] = state
