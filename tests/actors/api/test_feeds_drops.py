"""Clients behind a bus that drops what it likes: in step, or told that they are not.

Each reader fails at a change that does not follow what it has, and what it has is compared with
what the stream had at that number. In the end, when nothing is dropped any more, all have the
truth. Mistakes that are planted are found by the same stories.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from actors.api import books, entries, in_step
from actors.api.in_step import Topic
from protocol.continuity import Continuity
from protocol.envelope import Envelope
from protocol.limits import BOOKS_NAMED_EVERY, MARK_SILENCE_MAX, SECOND
from protocol.sequence import Verdict
from tests.actors.api.scene import Reader, Scene, levels_of
from tests.actors.writer.samples import accepted, fill, intended
from tests.simulation.planting import planted

TICKERS = ("KXA-1", "KXA-2", "KXB-1")
PREFIXES: tuple[tuple[str, ...], ...] = (
    ("book.",), ("book.KXA-",), ("book.KXA-1 ",), ("book.", "book.KXB-1 "), ("order.", "fill."),
    ("ledger",), ("fill.KXA-1 ", "book.KXA-2 "), ("trade.", "position.", "system"),
)  # fmt: skip
WORDS = {
    "change": 10, "install": 2, "lose": 1, "stale": 1, "fresh": 1, "drop": 1, "restart": 1,
    "fact": 5, "join": 3, "leave": 1, "less": 1, "second": 4, "letters": 4, "time": 2, "mark": 2,
    "slow": 1, "taken": 1, "silence": 1, "late": 1,
}  # fmt: skip
steps = st.lists(
    st.tuples(
        st.sampled_from([word for word, n in WORDS.items() for _ in range(n)]),
        st.sampled_from([True, True, True, False]),
        st.integers(0, 40),
    ),
    min_size=20,
    max_size=90,
)
Story = list[tuple[str, bool, int]]


class Day:
    """One story: what is said, whether it arrives, who listens."""

    def __init__(self) -> None:
        self.arrives = True
        self.scene = Scene(lambda _: not self.arrives)
        self.fills = 0

    def run(self, story: Story) -> None:
        self.scene.book_fact(intended(), accepted())
        for word, arrives, number in story:
            self.arrives = arrives
            self.step(word, number)
            self.scene.check()
        self.arrives = True
        self.settle()

    def step(self, word: str, k: int) -> None:
        scene, ticker = self.scene, TICKERS[k % len(TICKERS)]
        followed = scene.books.by_ticker.get(ticker)
        readers = sorted(scene.readers)
        match word:
            case "change" | "install" | "lose" | "stale" | "fresh":
                scene.stream_does(word, ticker, k)
            case "drop" if followed is not None:
                scene.say_all(scene.books.drop(followed, "not followed any more", scene.at))
            case "restart":
                scene.restart_stream()
            case "fact":
                self.fills += 1
                scene.book_fact(fill(f"t{self.fills}"))
            case "join" if len(readers) < 6:
                self.join(PREFIXES[k % len(PREFIXES)], k)
            case "leave" if readers:
                scene.leave(readers[k % len(readers)])
            case "less" if readers:
                self.less(readers[k % len(readers)])
            case "second":
                scene.second()
            case "letters":
                scene.letters_arrive(k)
            case "late" if scene.letters:
                scene.letters.rotate(1)  # the last one overtakes
            case "time":
                scene.passes((k + 1) * 25_000_000)
            case "mark":
                scene.mark()
            case "silence":
                scene.passes(MARK_SILENCE_MAX + k)
            case "slow" | "taken":
                scene.drained = word == "taken"

    def join(self, prefixes: tuple[str, ...], k: int) -> None:
        scene = self.scene
        account = scene.api._ledger.account
        if "ledger" in prefixes and account is not None:
            scene.join(*prefixes, since=min(k, account.n) if k % 2 else None)
        elif "ledger" not in prefixes:
            scene.join(*prefixes)

    def less(self, id: int) -> None:
        """One subscription less: what is under it is nobody's business any more."""
        reader = self.scene.readers[id]
        followed = reader.said[0]["prefixes"][0]
        rest = reader.said[0]["prefixes"][1:]
        if any(said.get("kind") == "unsubscribed" for said in reader.said):
            return
        self.scene.say(id, unsubscribe=[followed])
        for topic in [*reader.at]:
            if not any(f"{topic} ".startswith(prefix) for prefix in rest):
                reader.forget(topic)

    def settle(self) -> None:
        """Nothing is dropped any more; in the end everybody has the truth."""
        scene = self.scene
        scene.drained = True
        for ticker in TICKERS:
            scene.install(ticker, (470_000, 100))
            scene.change(ticker, 480_000, 200)
        for _ in range(BOOKS_NAMED_EVERY // SECOND + 8):
            scene.system()
            scene.second()
        scene.check()
        for reader in scene.readers.values():
            self.whole(reader)

    def whole(self, reader: Reader) -> None:
        scene = self.scene
        unsubscribed = {
            p for s in reader.said if s.get("kind") == "unsubscribed" for p in s["prefixes"]
        }
        prefixes = [p for p in reader.said[0]["prefixes"] if p not in unsubscribed]
        for ticker in TICKERS:
            topic = f"book.{ticker}"
            if any(f"{topic} ".startswith(prefix) for prefix in prefixes):
                assert reader.books.get(topic) == levels_of(scene.books.by_ticker[ticker].book)
        fills = {row.trade_id for row in scene.account.fills()}
        if any("fill.KXA-1 ".startswith(prefix) for prefix in prefixes) and fills:
            assert {*reader.rows["fill.KXA-1"]} - {"n"} == fills
        if "order." in prefixes:
            [order] = scene.account.orders()
            row = reader.rows["order.KXA-1"]["c1"]
            assert (row["n"], row["state"]) == (order.n, order.state)
        if "ledger" in prefixes:
            assert reader.entries[-1] == len(scene.entries)


@settings(
    max_examples=200, deadline=None, phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(steps)
def test_whatever_is_dropped_nobody_is_left_in_the_dark(story: Story) -> None:
    Day().run(story)


# Planted mistakes: each is found by some story.


def believed(self: Any, envelope: Envelope) -> None:
    """A gap in a book is taken for the next change."""
    follower = self
    follower.cursor.admit(envelope.epoch, envelope.seq)
    follower._take(envelope)


def early(self: in_step.InStep, topic: Topic, *_: Any, **__: Any) -> list[Any]:
    """Who has missed something stays in step."""
    return []


def deaf(self: Continuity, now: int, envelope: Envelope) -> tuple[Verdict, list[Any]]:
    return Verdict.NEXT, []


def skipped(self: entries.Ledger, head: int) -> None:
    """What was not heard of the ledger is passed over."""
    self.head = max(self.head, head)


MISTAKES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "a gap is believed": lambda: planted(books.BookFollower, "_said", believed),
    "who missed something stays in step": lambda: planted(in_step.InStep, "close", early),
    "losses of the account are not looked for": lambda: planted(Continuity, "hear", deaf),
    "entries are passed over": lambda: planted(entries.Ledger, "reach", skipped),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(mistake: str) -> None:
    @settings(
        max_examples=400, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @given(steps)
    def stories(story: Story) -> None:
        with MISTAKES[mistake]():
            Day().run(story)

    with pytest.raises((AssertionError, KeyError)):
        stories()
