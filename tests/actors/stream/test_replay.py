"""Recordings of the exchange through the core: the books are those of a plain replay."""

import gzip
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from protocol.envelope import Outbox
from protocol.follower import BookFollower
from protocol.machine import Publish
from protocol.messages import Append, Level
from tests.actors.stream.scene import MARKET, Scene, published

CAPTURES = Path(__file__).parents[3].parent / "shared" / "captures" / "stream"
DEMO = CAPTURES / "demo-2026-06-30-five-markets.jsonl"
NO_LEG = CAPTURES / "demo-2026-06-11-orderbook-trade-no-leg.jsonl"
INXD = CAPTURES / "prod-2023-08-31-inxd.jsonl.gz"

Plain = dict[tuple[str, str], dict[Decimal, Decimal]]


def lines(path: Path) -> list[bytes]:
    if not path.exists():
        pytest.skip("the captures are not beside this checkout")
    whole = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [line for line in whole.splitlines() if line.strip()]


def plain_step(books: Plain, raw: bytes) -> str:
    """Independent of our code: json, dicts and decimals. Returns the market of a snapshot."""
    frame = json.loads(raw)
    msg = frame.get("msg")
    if frame["type"] == "orderbook_snapshot":
        for side in ("yes", "no"):
            levels = msg.get(f"{side}_dollars_fp", [])
            books[msg["market_ticker"], side] = {Decimal(p): Decimal(c) for p, c in levels}
        return str(msg["market_ticker"])
    if frame["type"] == "orderbook_delta":
        book = books[msg["market_ticker"], msg["side"]]
        price = Decimal(msg["price_dollars"])
        book[price] = book.get(price, Decimal(0)) + Decimal(msg["delta_fp"])
        if book[price] == 0:
            del book[price]
    return ""


def plain_replay(frames: Iterable[bytes]) -> Plain:
    books: Plain = {}
    for frame in frames:
        plain_step(books, frame)
    return books


def decimals(levels: Iterable[Level]) -> dict[Decimal, Decimal]:
    return {Decimal(price).scaleb(-6): Decimal(count).scaleb(-2) for price, count in levels}


def our_books(scene: Scene, tickers: Iterable[str]) -> Plain:
    books: Plain = {}
    for ticker in tickers:
        answer = scene.core.books.answer(ticker, 0)
        assert answer.state == "live"
        books[ticker, "yes"], books[ticker, "no"] = decimals(answer.yes), decimals(answer.no)
    return books


def joined(frames: list[bytes]) -> Scene:
    """The core, subscribed to the markets of a recording as the recording was."""
    tickers = sorted({ticker for ticker, _ in plain_replay(frames)})
    scene = Scene()
    scene.markets(*tickers)
    scene.open()
    for sid, channel in ((1, "orderbook_delta"), (101, "trade"), (102, "ticker")):
        scene.frame({"type": "subscribed", "id": 1, "msg": {"channel": channel, "sid": sid}})
    scene.take()
    return scene


def link_of(frame: bytes) -> str:
    return (
        "private"
        if frame.startswith(b'{"type":"fill"') or b'"channel":"fill"' in frame
        else (MARKET)
    )


def replay(frames: list[bytes]) -> Scene:
    scene = joined(frames)
    for frame in frames:
        scene.raw(frame, link_of(frame))
    return scene


@pytest.mark.parametrize("path", [DEMO, NO_LEG, INXD], ids=["demo", "no leg", "inxd"])
def test_a_recording_gives_the_books_that_a_plain_replay_gives(path: Path) -> None:
    frames = lines(path)
    want = plain_replay(frames)
    scene = replay(frames)
    counters = scene.counters
    assert our_books(scene, {ticker for ticker, _ in want}) == want
    data = sum(frame.startswith(b'{"type":"orderbook_') for frame in frames)
    assert counters["book_frames"] == counters["frames_applied"] == data
    assert [counters[name] for name in ("gaps", "malformed", "unknown_types")] == [0] * 3
    # Answers to the recorder's own commands are none to ours.
    assert counters["strays"] == sum(
        b'"type":"subscribed"' in frame and link_of(frame) == MARKET for frame in frames
    )
    assert len(published(scene.effects)) == data


def test_who_follows_what_is_published_has_the_same_books() -> None:
    scene = replay(lines(DEMO))
    for ticker in scene.core.books.by_ticker:
        follower = BookFollower(ticker, Outbox("reader", 1), 0)
        for effect in scene.effects:
            if isinstance(effect, Publish):
                follower.hear(scene.now, effect.envelope)
        answer = scene.ask_book(ticker)
        assert follower.live and follower.cursor.seq == answer.seq
        assert (follower.book.levels("yes"), follower.book.levels("no")) == (answer.yes, answer.no)


@pytest.mark.parametrize(
    ("path", "least"), [(DEMO, 5), (NO_LEG, 1), (INXD, 40)], ids=["demo", "no leg", "inxd"]
)
def test_at_every_snapshot_of_the_recording_all_books_are_those_of_a_plain_replay(
    path: Path, least: int
) -> None:
    """The core's, and those of whoever follows what it publishes; before it and after."""
    frames = lines(path)
    scene = joined(frames)
    plain: Plain = {}
    followers: dict[str, BookFollower] = {}
    looks = 0

    def look() -> None:
        tickers = {ticker for ticker, _ in plain}
        assert our_books(scene, tickers) == plain
        for ticker in tickers:
            book = followers[ticker].book
            assert followers[ticker].live
            assert decimals(book.levels("yes")) == plain[ticker, "yes"]
            assert decimals(book.levels("no")) == plain[ticker, "no"]

    for number, frame in enumerate(frames):
        if b'"orderbook_snapshot"' in frame[:60] or number % 2_000 == 0:
            look()
        effects = scene.raw(frame, link_of(frame))
        for effect in effects:
            if isinstance(effect, Publish) and effect.envelope.topic.startswith("book."):
                ticker = effect.envelope.topic.removeprefix("book.")
                if ticker not in followers:
                    followers[ticker] = BookFollower(ticker, Outbox("reader", 1), scene.now)
                followers[ticker].hear(scene.now, effect.envelope)
        if plain_step(plain, frame):
            looks += 1
            look()
        scene.take()
    look()
    assert looks >= least
    counters = scene.counters
    again = counters["unsolicited_snapshots"] + counters["repeated_snapshots"]
    assert again == looks - len(followers)  # the recorder asked for them, and we did not


def test_one_lost_frame_of_the_recording_is_noticed_and_no_book_is_wrong() -> None:
    frames = lines(DEMO)
    scene = replay(frames[:500] + frames[501:])
    assert scene.core.tally.gaps == 1
    assert scene.core.books.live == 0


def test_the_fills_of_the_recording_become_facts() -> None:
    scene = Scene()
    scene.go_private()
    for frame in lines(DEMO):
        if frame.startswith(b'{"type":"fill"'):
            scene.raw(frame, "private")
    facts = [letter.body.fact for letter in scene.letters(Append)]
    assert [(f.side, int(f.price), int(f.count), int(f.fee), f.exchange_at) for f in facts] == [
        ("bid", 170_000, 552, 54_600, 1_782_873_388_379_000),
        ("ask", 160_000, 116, 11_000, 1_782_873_396_915_000),
    ]
