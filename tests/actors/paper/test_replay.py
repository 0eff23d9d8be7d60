"""A capture goes through the exchange and comes out the same."""

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from actors.paper.capture import grid_of, read_tape
from actors.paper.market import DECI_CENT, LINEAR_CENT

from .house import PATIENCE, Client, capture, hear_until, say, snapshot_line

Levels = dict[tuple[str, str], dict[str, int]]


def cents(text: str) -> int:
    return int(text.replace(".", ""))


def replayed(frames: Iterable[dict]) -> Levels:
    """The books after the frames, by the plainest means."""
    books: Levels = {}
    for frame in frames:
        body = frame.get("msg", {})
        if frame["type"] == "orderbook_snapshot":
            for side in ("yes", "no"):
                levels = body.get(f"{side}_dollars_fp", [])
                books[body["market_ticker"], side] = {p: cents(c) for p, c in levels}
        elif frame["type"] == "orderbook_delta":
            levels = books[body["market_ticker"], body["side"]]
            price = body["price_dollars"]
            levels[price] = levels.get(price, 0) + cents(body["delta_fp"])
            if not levels[price]:
                del levels[price]
    return books


def recorded(path: Path) -> list[dict]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as lines:
        return [msgspec.json.decode(line) for line in lines if line.strip()]


def books_over_rest(client: Client, tickers: Iterable[str]) -> Levels:
    found: Levels = {}
    for ticker in tickers:
        path = f"{client.root}/trade-api/v2/markets/{ticker}/orderbook"
        book = client.session.get(path).json()["orderbook_fp"]
        for side in ("yes", "no"):
            found[ticker, side] = {p: cents(c) for p, c in book[f"{side}_dollars"]}
    return found


@pytest.mark.parametrize(
    "name", ["demo-2026-06-30-five-markets.jsonl", "prod-2023-08-31-inxd.jsonl.gz"]
)
def test_every_frame_arrives_in_order_and_the_books_are_those_of_the_file(
    name: str, opened: Callable[..., Client]
) -> None:
    path = capture(f"stream/{name}")
    frames = [f for f in recorded(path) if f["type"].startswith("orderbook_")]
    tickers = sorted({frame["msg"]["market_ticker"] for frame in frames})
    client = opened(str(path), speed=1e9)
    heard = []
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_tickers=tickers)
        while len(heard) < len(frames) + len(tickers):
            found = msgspec.json.decode(ws.recv(PATIENCE))
            if found["type"] != "subscribed":
                heard.append(found)
    assert [frame["seq"] for frame in heard] == list(range(1, len(heard) + 1))
    want = replayed(frames)
    assert replayed(heard) == want
    assert books_over_rest(client, tickers) == want
    feed = client.session.get(f"{client.root}/paper/feed").json()
    assert feed == {"source": name, "played": len(frames), "total": len(frames), "done": True}
    changes = ("market_ticker", "price_dollars", "delta_fp", "side")
    sent = [frame["msg"] for frame in heard if frame["type"] == "orderbook_delta"]
    kept = [frame["msg"] for frame in frames if frame["type"] == "orderbook_delta"]
    assert [[m[k] for k in changes] for m in sent] == [[m[k] for k in changes] for m in kept]


def test_nothing_is_played_before_somebody_listens(
    tmp_path: Path, opened: Callable[..., Client]
) -> None:
    feed = tmp_path / "two.jsonl"
    feed.write_text(snapshot_line("KXA-1") + snapshot_line("KXA-2"))
    client = opened(str(feed))
    assert client.session.get(f"{client.root}/paper/feed").json()["played"] == 0
    with client.socket() as ws:  # the second ticker is never asked for: a grace passes
        say(ws, "subscribe", channels=["orderbook_delta"], market_tickers=["KXA-1"])
        hear_until(ws, "orderbook_snapshot")
        assert hear_until(ws, "orderbook_snapshot")["seq"] == 2


def test_a_reader_that_stops_is_waited_for_and_loses_nothing(
    tmp_path: Path, opened: Callable[..., Client]
) -> None:
    feed = tmp_path / "many.jsonl"
    feed.write_text("".join(snapshot_line() for _ in range(60_000)))
    client = opened(str(feed), speed=1e9)
    status = f"{client.root}/paper/feed"
    with client.socket() as ws:
        say(ws, "subscribe", channels=["orderbook_delta"], market_tickers=[snapshot_ticker()])
        hear_until(ws, "orderbook_snapshot")
        before = -1
        while (played := client.session.get(status).json()["played"]) != before:
            before = played  # nobody reads meanwhile; the exchange goes on answering
        last = 1
        while last < 60_001:
            last = hear_until(ws, "orderbook_snapshot")["seq"]


def snapshot_ticker() -> str:
    found: str = json.loads(snapshot_line())["msg"]["market_ticker"]
    return found


def test_a_line_that_is_no_frame_is_named() -> None:
    with pytest.raises(ValueError, match="line 2"):
        read_tape("f", [b"\n", b'{"type":"orderbook_delta","msg":{}}\n'])


def test_the_grid_is_that_of_the_prices_seen() -> None:
    assert grid_of({10_000, 990_000}) == LINEAR_CENT
    assert grid_of({10_000, 11_000}) == DECI_CENT
    assert grid_of({10_100})[0].step == 100
