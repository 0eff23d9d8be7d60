"""A follower behind a bus that drops what it likes: never wrong without knowing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.envelope import Envelope, Outbox
from protocol.follower import BookFollower
from protocol.limits import MARK_INTERVAL, SECOND
from protocol.messages import BookAnswer
from tests.protocol.test_follower import Speaker, T

WORDS = ("snapshot", "delta", "lost", "stale", "fresh", "mark", "ask", "answer", "restart", "wait")
WEIGHTS = (1, 8, 1, 1, 2, 2, 2, 4, 1, 1)
steps = st.lists(
    st.tuples(
        st.sampled_from([w for w, n in zip(WORDS, WEIGHTS, strict=True) for _ in range(n)]),
        st.sampled_from([True, True, True, False]),
        st.integers(0, 3),
    ),
    min_size=10,
    max_size=80,
)


def possible(speaker: Speaker, word: str) -> bool:
    """A stream says each word only where it has a meaning."""
    state = speaker.now.state
    match word:
        case "delta" | "lost":
            return state in ("live", "stale")
        case "stale":
            return state == "live"
        case "fresh":
            return state == "stale"
    return True


def check(follower: BookFollower, speaker: Speaker) -> None:
    if follower.state == "lost":
        return
    then = speaker.history[follower.cursor.epoch, follower.cursor.seq]
    assert follower.state == then.state
    assert follower.book == then.book


@settings(max_examples=300)
@given(steps)
def test_whatever_is_dropped_it_is_never_wrong_without_knowing(
    story: list[tuple[str, bool, int]],
) -> None:
    """`arrives`: whether this message does. Answers come late, twice, or never."""
    speaker = Speaker()
    follower = BookFollower(T, Outbox("reader", 1), 0)
    answers: list[BookAnswer] = []
    now = 0
    follower.hear(now, speaker.snapshot((470_000, 300)))
    for word, arrives, number in story:
        said: list[Envelope] = []
        match word:
            case "ask":
                answers.append(speaker.answer())
            case "answer" if answers:
                follower.adopt(answers[number % len(answers)])
            case "restart" if number == 0:
                speaker.restart(speaker.outbox.epoch + 1)
            case "wait":
                now += number * SECOND
                follower.due(now, 0)
            case "mark":
                now += MARK_INTERVAL
                said = speaker.mark(now)
            case "snapshot":
                said = [speaker.snapshot((470_000, 100 * (number + 1)), (460_000, 100))]
            case "delta" if possible(speaker, word):
                said = [speaker.delta(100, 450_000 + number * 10_000)]
            case _ if word in ("lost", "stale", "fresh") and possible(speaker, word):
                said = [getattr(speaker, word)()]
        for envelope in said if arrives else []:
            follower.hear(now, envelope)
            if number == 3:
                follower.hear(now, envelope)  # twice
        check(follower, speaker)
    # And once nothing is dropped any more, it is as the stream is.
    for _ in range(2):
        now += MARK_INTERVAL
        for envelope in speaker.mark(now):
            follower.hear(now, envelope)
        follower.due(now, 0)
        follower.adopt(speaker.answer())
    check(follower, speaker)
    if speaker.now.state in ("live", "stale"):
        assert follower.state == speaker.now.state and follower.book == speaker.now.book
    else:
        assert follower.state == "lost"
