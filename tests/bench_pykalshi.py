"""The same feed into a published client, pykalshi 2.0: receive, parse, book; it publishes nothing.

Its own asynchronous feed (`AsyncFeed`, the client of `websockets`, pydantic models) and its own
`OrderbookManager`, used as its documentation shows. It is installed into an environment of its
own, under run/; without it the row says so.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.bench_feed import MARKETS, ROOT, Feed, tickers
from tests.bench_ledger import row

NAME: Final = "pykalshi==2.0.0"
FOLDER: Final = ROOT / "run" / "pykalshi"
RATE: Final = 20_000  # more than it can: its own pace is what is measured
FRAMES: Final = 40_000
SECONDS_MAX: Final = 180
PROGRAM: Final = """
import asyncio, json, sys, time
from pykalshi.aclient import AsyncKalshiClient
from pykalshi.orderbook import OrderbookManager

url, key, count, *tickers = sys.argv[1:]
count, books, seen, began = int(count), {}, 0, 0.0


def handle(message):
    global seen, began
    book = books.setdefault(message.market_ticker, OrderbookManager(message.market_ticker))
    if hasattr(message, "yes_dollars"):
        book.apply_snapshot(message.yes_dollars, message.no_dollars)
        return
    if seen == 0:
        began = time.monotonic(), time.process_time()
    book.apply_delta(message.side, message.price_dollars, message.delta_fp)
    seen += 1


async def whole():
    client = AsyncKalshiClient(api_key_id="bench", private_key_path=key)
    feed = client.feed()
    feed._ws_url = url
    feed.on("orderbook_delta", handle)
    feed.subscribe("orderbook_delta", market_tickers=tickers)
    async for _ in feed:
        if len(books) == len(tickers) and seen == 0:
            print("{}", flush=True)
        if seen >= count:
            break
    took, cpu = time.monotonic() - began[0], time.process_time() - began[1]
    print(json.dumps({"seen": seen, "s": took, "cpu_s": cpu}), flush=True)


asyncio.run(whole())
"""


def installed() -> str:
    """Its Python. Raises RuntimeError, with the reason, if it can't be had."""
    python = FOLDER / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", NAME]
        subprocess.run(pip, check=True, capture_output=True, timeout=SECONDS_MAX)
    except (OSError, subprocess.SubprocessError) as e:
        raise RuntimeError(type(e).__name__) from e
    return str(python)


def followed(python: str, key: Path) -> dict[str, Any]:
    """How long it takes over FRAMES changes of MARKETS books."""
    feed = Feed()
    names = tickers(MARKETS)
    process = subprocess.Popen(
        [python, "-c", PROGRAM, feed.url, str(key), str(FRAMES), *names],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        feed.tell(f"run {RATE} {FRAMES}")
        feed.answer()
        text, _ = process.communicate(timeout=SECONDS_MAX)
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
        return found
    finally:
        process.kill()
        process.communicate()
        feed.close()


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    what = "pykalshi 2.0: receive, parse, book"
    try:
        python = installed()
    except RuntimeError as e:
        return [row(f"{what}: not installed ({e})", [0.0], "/s", "")]
    key = FOLDER / "key.pem"
    if not key.exists():
        make = ["openssl", "genrsa", "-out", str(key), "2048"]
        subprocess.run(make, check=True, capture_output=True)
    found = followed(python, key)
    return [
        row(f"{what} (baseline)", [found["seen"] / found["s"]], "/s", ""),
        row("  its processor time a frame", [found["cpu_s"] / found["seen"] * 1e6], "µs", ""),
    ]
