"""A market day for the page: 40 markets that all move, made of a recording of three that did."""

from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.engine.running import ROOT, lines_of

RECORDED: Final = (
    ROOT.parent / "shared" / "captures" / "stream" / "demo-2026-06-30-five-markets.jsonl"
)
MARKETS: Final = 40
APART_MS: Final = 1_000  # each market is so much later than the one before: they don't beat as one
BUSIEST: Final = "KXPAGE-26JUN30-M00"


def write_tape(path: Path, seconds: float, markets: int = MARKETS) -> None:
    """Write a capture of so many seconds: the recording's markets in turn, under other names.

    Two of its five markets never moved, so each of ours is one of the other three; the first is
    the busiest. Where the recording ends too early it begins again, with a snapshot.
    """
    snapshots: dict[str, dict[str, Any]] = {}
    moves: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines_of(RECORDED):
        frame = msgspec.json.decode(line)
        if frame["type"] == "orderbook_snapshot":
            snapshots[frame["msg"]["market_ticker"]] = frame["msg"]
        elif frame["type"] == "orderbook_delta":
            moves[frame["msg"]["market_ticker"]].append(frame["msg"])
    times = [move["ts_ms"] for found in moves.values() for move in found]
    began, long_ms = min(times), max(times) - min(times) + APART_MS
    originals = sorted(moves, key=lambda ticker: -len(moves[ticker]))
    events: list[tuple[int, int, str, dict[str, Any]]] = []
    for number in range(markets):
        original = originals[number % len(originals)]
        name = {"market_ticker": f"{BUSIEST[:-2]}{number:02}", "market_id": f"page-{number:02}"}
        for start in range(0, int(seconds * 1_000), long_ms):
            shift = start + number * APART_MS
            at = began + (shift if start else 0)  # all of them are there from the beginning
            whole = {**snapshots[original], **name, "ts_ms": at}
            events.append((at, len(events), "orderbook_snapshot", whole))
            for move in moves[original]:
                at = move["ts_ms"] + shift
                events.append((at, len(events), "orderbook_delta", {**move, **name, "ts_ms": at}))
    with path.open("wb") as file:
        for _, _, kind, body in sorted(events, key=lambda event: event[:2]):
            file.write(msgspec.json.encode({"type": kind, "msg": body}) + b"\n")
