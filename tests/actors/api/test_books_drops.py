"""Books over HTTP behind a bus that drops what it likes, and letters that overtake what was
published: a book that is answered is one that the stream had, not changed before its `as_of`."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from actors.api import books
from protocol.limits import MS
from tests.actors.api.scene import Scene
from tests.simulation.planting import planted

A = "KXA-1"
WORDS = ("change", "change", "ask", "ask", "ask", "mark", "time", "time", "letters", "second",
         "lose", "install", "restart", "stale", "fresh")  # fmt: skip
steps = st.lists(
    st.tuples(st.sampled_from(WORDS), st.booleans(), st.integers(0, 40)),
    min_size=20,
    max_size=80,
)
Story = list[tuple[str, bool, int]]


def told(story: Story) -> Scene:
    """The scene holds each answer against what the book has been."""
    scene = Scene()
    scene.install(A, (470_000, 100))
    scene.ask(A)
    scene.second()
    for word, arrives, k in story:
        scene.drops = (lambda _: False) if arrives else (lambda e: e.source == "stream")
        step(scene, word, k)
    return scene


def step(scene: Scene, word: str, k: int) -> None:
    match word:
        case "change" | "install" | "lose" | "stale" | "fresh":
            scene.stream_does(word, A, k)
        case "restart":
            scene.restart_stream()
            scene.install(A, (470_000, 100 * (k + 1)))
        case "ask":  # the stream's answer to the first is there before the second
            scene.passes(k * 25 * MS)
            scene.ask(A)
            scene.letters_arrive(k)
            scene.ask(A)
        case "letters":
            scene.letters_arrive(k)
        case "mark":
            scene.mark()
        case "second":
            scene.second()
        case "time":
            scene.passes((k + 1) * 25 * MS)


@settings(
    max_examples=200, deadline=None, phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(steps)
def test_no_answer_is_older_than_it_says(story: Story) -> None:
    scene = told(story)
    for _ in range(5):
        scene.second()
    assert any(reply.status == 200 for reply in scene.replies.values())


def gullible(self: books.Kept) -> None:
    """A planted mistake: what the stream says of its book is taken for ours, wherever that is."""
    if self.word is not None:
        self.glanced_at, self.as_of = self.word.heard_at, self.word.as_of


@settings(
    max_examples=400, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(steps)
def told_to_the_gullible(story: Story) -> None:
    told(story)


def test_an_answer_that_says_too_much_is_found() -> None:
    with (
        planted(books.Kept, "heed", gullible),
        pytest.raises(AssertionError, match="before `as_of`"),
    ):
        told_to_the_gullible()
