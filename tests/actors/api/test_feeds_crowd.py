"""Clients that want very much, or very often: what that costs is bounded, and others
do not feel it."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import (
    NAMES_ASKED_MAX,
    PREFIXES_A_SECOND,
    PREFIXES_BURST,
    PREFIXES_MAX,
    SECOND,
)
from protocol.messages import Follow
from protocol.topics import under
from tests.actors.api.scene import Scene

MANY = [f"book.KX{number}-" for number in range(PREFIXES_MAX)]


def asked(scene: Scene) -> list[str]:
    """The prefixes whose books the stream is being asked for."""
    bodies = [letter.body for _, letter in scene.letters]
    return [f"book.{body.named}" for body in bodies if isinstance(body, Follow) and body.named]


def test_following_and_leaving_again_and_again_asks_the_stream_once() -> None:
    scene = Scene()
    scene.join(*MANY[:300])
    for _ in range(20):
        scene.say(1, unsubscribe=MANY[:300], subscribe=MANY[:300])
    assert sorted(asked(scene)) == sorted(MANY[:300])


def test_a_stream_that_does_not_answer_is_not_asked_more_and_more() -> None:
    scene = Scene()
    scene.join(*MANY)
    for _ in range(200):
        scene.passes(SECOND)
    told = [letter.id for _, letter in scene.letters if isinstance(letter.body, Follow)]
    assert len(set(told)) == NAMES_ASKED_MAX
    heard: set[str] = set()
    while scene.letters:
        heard |= {letter.id for _, letter in scene.letters}
        scene.letters_arrive()
    assert {f"named:{prefix}" for prefix in MANY} <= heard, "in the end each was asked for"


def test_the_books_of_every_prefix_are_found_however_many_there_are() -> None:
    scene = Scene()
    for number in (1, NAMES_ASKED_MAX, PREFIXES_MAX - 1):
        scene.install(f"KX{number}-A", (470_000, 100))
    reader = scene.join(*MANY)
    for _ in range(4):
        scene.second()
    assert len(reader.books) == 3


def test_a_token_that_subscribes_too_fast_is_told_when_to_come_back() -> None:
    """All its clients together; another token's are not held up."""
    scene = Scene()
    readers = [scene.join(*MANY, token="hasty") for _ in range(PREFIXES_BURST // PREFIXES_MAX)]
    assert all(reader.kinds() == ["subscribed"] for reader in readers)
    late = scene.join("ticker.", token="hasty")
    assert late.said[0]["code"] == "too_many_requests"
    assert 0 < late.said[0]["retry_after_ms"] <= 1_000 // PREFIXES_A_SECOND + 1
    calm = scene.join("ticker.", token="calm")
    assert calm.kinds() == ["subscribed"]
    scene.passes(SECOND)
    scene.say(len(scene.readers) - 1, subscribe=["ticker."])
    assert late.kinds() == ["error", "subscribed"]


def test_a_command_that_is_refused_has_changed_nothing() -> None:
    scene = Scene()
    for _ in range(PREFIXES_BURST // PREFIXES_MAX - 1):
        scene.join(*MANY, token="hasty")
    reader = scene.join("book.KXA-1 ", token="hasty")
    scene.say(len(scene.readers), unsubscribe=["book.KXA-1 "], subscribe=MANY)
    assert reader.kinds() == ["subscribed", "error"]
    scene.say(len(scene.readers), unsubscribe=["book.KXA-1 "])
    assert reader.kinds()[-1] == "unsubscribed"


names = st.lists(st.text("abc. ", min_size=1, max_size=4), unique=True)


@given(names, st.text("abc. ", min_size=1, max_size=4))
def test_what_is_under_a_prefix_is_what_begins_with_it(topics: list[str], prefix: str) -> None:
    there = sorted(f"{topic} " for topic in topics)
    wanted = [topic for topic in topics if f"{topic} ".startswith(prefix)]
    assert sorted(under(there, prefix)) == sorted(wanted)
