"""`sidecar tap`: what it prints, and what `--verify` notices, beside real sockets."""

import subprocess
from collections.abc import Iterator

import pytest

from protocol import topics
from protocol.envelope import Outbox
from protocol.limits import MS, SECOND
from protocol.machine import Elapsed, Finish, Heard, Started, Stopping, Tell
from protocol.messages import BookLost, FollowerReport
from supervisor.tally import Ages, Say, Tally
from supervisor.tap import wanted
from tests.actors.recorder.scene import Day, Scene

AT = 1_795_486_295_000_000
LOST = BookLost("KXA-1", "why")


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


def test_ages_are_told_to_within_six_percent() -> None:
    ages = Ages()
    for age in range(1, 10_001):
        ages.add(age)
    assert 5_000 <= ages.at(0.50) <= 5_000 * 1.07
    assert 9_900 <= ages.at(0.99) <= 10_000
    assert (ages.at(1.0), ages.max, ages.count) == (10_000, 10_000, 10_000)
    ages.add(-5)
    assert ages.at(0.0) == 0
    assert Ages().at(0.5) == 0


def test_each_second_it_says_and_tells_how_it_follows() -> None:
    tally, outbox = Tally("tap-1", 9, ("book.",)), Outbox("stream", 7)
    assert tally.step(0, Started(AT)) == []
    for age in (1_000, 3_000, 2_000):
        envelope = outbox.seal("book.KXA-1", LOST, AT)
        assert tally.step(MS, Heard(AT + age, envelope)) == []
    outbox.seal("book.KXA-1", LOST, AT)
    (missed,) = tally.step(2 * MS, Heard(AT, outbox.seal("book.KXA-1", LOST, AT)))
    assert missed == Say("missed: gap on book.KXA-1 of stream: 1 messages, within 0 ms")
    said, told = tally.step(SECOND, Elapsed(AT + 1_000_000))
    assert isinstance(said, Say)
    assert said.text.startswith("4 messages, 1 lost, 0 duplicates, age p50 ")
    assert said.text.endswith("max 3.00 ms, lag 0.00 ms, 1 topics")
    assert isinstance(told, Tell)
    assert told.peer == "supervisor"
    assert told.letter.body == FollowerReport("tap-1", 1, 0, 1, 3)
    (said, _) = tally.step(2 * SECOND, Elapsed(AT + 2_000_000))
    assert isinstance(said, Say)
    assert said.text.startswith("0 messages, 1 lost")
    assert tally.step(3 * SECOND, Stopping(AT))[-1] == Finish(1)


def test_it_ends_well_after_so_many_messages_if_none_is_lost() -> None:
    tally, outbox = Tally("tap-1", 9, ("book.",), count=2), Outbox("stream", 7)
    tally.step(0, Started(AT))
    assert tally.step(0, Heard(AT, outbox.seal("book.KXA-1", LOST, AT))) == []
    (said, finish) = tally.step(0, Heard(AT, outbox.seal("book.KXA-1", LOST, AT)))
    assert finish == Finish(0)
    assert isinstance(said, Say)
    assert "2 messages, 0 lost, 0 duplicates" in said.text


def test_what_nobody_can_tell_does_not_end_well() -> None:
    deaf = Tally("tap-1", 9, ("book.",), seconds=1)
    deaf.step(0, Started(AT))
    *_, said, finish = deaf.step(SECOND, Elapsed(AT + 1_000_000))
    assert finish == Finish(2)
    assert isinstance(said, Say)
    assert said.text.endswith("nobody spoke: does the engine run?")

    cut_off = Tally("tap-1", 9, ("book.",))
    cut_off.step(0, Started(AT))
    cut_off.step(0, Heard(AT, Outbox("stream", 7).seal("book.KXA-1", LOST, AT)))
    assert cut_off.step(60 * SECOND, Stopping(AT + 60_000_000))[-1] == Finish(2)

    outlived = Tally("tap-1", 9, ("book.",), count=2)
    outlived.step(0, Started(AT))
    outlived.step(0, Heard(AT, Outbox("stream", 7).seal("book.KXA-1", LOST, AT)))
    again = Outbox("stream", 8).seal("book.KXA-1", LOST, AT)
    assert outlived.step(0, Heard(AT, again))[-1] == Finish(2)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--count", "-1"], "--count: -1, expected 0 (no end) or more"),
        (["--verify", "--seconds", "nan"], "--seconds: nan, expected 0 (no end) to 31622400"),
        (["--verify", "--seconds", "inf"], "--seconds: inf, expected"),
        (["--seconds", "2"], "--seconds goes with --verify"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], reason: str, scene: Scene) -> None:
    child = scene.command("tap", *words)
    scene.until(lambda: child.poll() is not None, "it ends")
    assert child.returncode == 78
    assert reason in scene.said()


def test_everything_is_everything_but_the_raw_frames() -> None:
    everything = wanted([])
    assert everything == wanted([""])
    kinds = ("book", "trade", "quote", "market", "event", "reported", "group")
    kinds += ("order", "fill", "position", "health")
    for kind in kinds:
        assert getattr(topics, kind)("KXA-1").startswith(everything)
    for topic in (topics.balance(0), topics.MARK, topics.LEDGER, topics.SYSTEM):
        assert topic.startswith(everything)
    assert not topics.raw("trade").startswith(everything)
    assert not "raw.".startswith(everything)
    assert wanted(["raw.", "book."]) == ("raw.", "book.")


def verifying(scene: Scene, *words: str) -> "subprocess.Popen[bytes]":
    child = scene.command("tap", "--verify", *words)
    scene.until(lambda: len(scene.listened) > 1, "it listens")
    return child


def test_a_loss_is_seen_over_real_sockets_and_ends_with_1(scene: Scene) -> None:
    day = Day(1, ("KXA-1",))
    child = verifying(scene, "raw.")
    for _ in range(50):
        scene.raw(day.delta())
    scene.until(lambda: " messages, 0 lost" in scene.said(), "it has heard some")
    scene.raw(day.delta(), heard=False)
    scene.until(lambda: "missed: tail on raw.orderbook_delta" in scene.said(), "it is noticed")
    scene.until(lambda: scene.reports and scene.reports[-1].gaps, "it is reported")
    assert scene.reports[-1].name == f"tap-{child.pid}"
    assert scene.end(child) == 1
    assert " 1 lost, 0 duplicates" in scene.said().splitlines()[-1]


def test_nothing_lost_ends_with_0(scene: Scene) -> None:
    child = verifying(scene, "--seconds", "2.5", "raw.")
    day = Day(1, ("KXA-1",))
    for _ in range(2_000):
        scene.raw(day.delta())
    scene.until(lambda: child.poll() is not None, "it ends")
    assert child.returncode == 0
    last = scene.said().splitlines()[-1]
    assert " 0 lost, 0 duplicates" in last
    heard = int(last.split(": ")[1].split(" messages")[0])
    assert heard >= 2_000


def test_a_plain_tap_does_not_ask_for_raw_frames(scene: Scene) -> None:
    child = scene.command("tap", "--count", "1", stdout=subprocess.PIPE)
    scene.until(lambda: b"book." in scene.listened, "it listens")
    assert not any(b"raw.".startswith(prefix) for prefix in scene.listened)
    scene.raw(b"{}")
    scene.publish(scene.outbox.seal("book.KXA-1", LOST, AT))
    scene.marking = False
    scene.until(lambda: child.poll() is not None, "it ends")
    assert child.stdout is not None
    text = child.stdout.read()
    child.stdout.close()
    assert text.startswith((b"book.KXA-1 {", b"mark {"))
