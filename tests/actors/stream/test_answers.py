"""Stories of who asks and who listens: books at a bounded rate, raw frames for recorders."""

from actors.stream.core import Listened
from protocol.envelope import Letter, Outbox, decode, encode
from protocol.limits import BOOK_ANSWERS_A_TURN, BOOK_ANSWERS_PAUSE, BOOK_REQUESTS_MAX
from protocol.machine import Answer, Asked, Effect, Publish
from protocol.messages import BookAnswer, BookRequest, RawFrame
from tests.actors.stream.scene import MARKET, A, B, Scene


def ask(scene: Scene, id: str, ticker: str = A, sender: bytes = b"x") -> list[Effect]:
    letter = Letter("reader", 1, id, scene.at, BookRequest(ticker))
    return [e for e in scene.feed(Asked(scene.at, (sender,), letter)) if isinstance(e, Answer)]


def test_books_are_answered_at_a_bounded_rate_in_the_order_that_they_were_asked_for() -> None:
    scene = Scene()
    scene.go_live(A, B)
    ids: list[str] = []
    for n in range(3 * BOOK_ANSWERS_A_TURN + 7):
        ids += [answer.letter.id for answer in ask(scene, f"q{n}") if isinstance(answer, Answer)]
    assert len(ids) == BOOK_ANSWERS_A_TURN
    for turn in range(2, 5):
        scene.take()
        scene.wait(BOOK_ANSWERS_PAUSE)
        ids += [e.letter.id for e in scene.effects if isinstance(e, Answer)]
        assert len(ids) == min(turn * BOOK_ANSWERS_A_TURN, 3 * BOOK_ANSWERS_A_TURN + 7)
    assert ids == [f"q{n}" for n in range(len(ids))]


def test_a_book_that_is_asked_for_again_before_its_turn_is_answered_once() -> None:
    scene = Scene()
    scene.go_live(A)
    for n in range(BOOK_ANSWERS_A_TURN):
        ask(scene, f"q{n}")
    for _ in range(10):
        assert ask(scene, "again") == []
    assert ask(scene, "again", sender=b"y") == []
    scene.take()
    scene.wait(BOOK_ANSWERS_PAUSE)
    answers = [e for e in scene.effects if isinstance(e, Answer)]
    assert [(e.sender, e.letter.id) for e in answers] == [((b"x",), "again"), ((b"y",), "again")]


def test_an_answer_is_of_the_moment_it_is_given() -> None:
    scene = Scene()
    scene.go_live(A)
    for n in range(BOOK_ANSWERS_A_TURN + 1):
        ask(scene, f"q{n}")
    scene.delta(A, "yes", "0.4700", "1.00")
    scene.take()
    scene.wait(BOOK_ANSWERS_PAUSE)
    (answer,) = (e for e in scene.effects if isinstance(e, Answer))
    body = answer.letter.body
    assert isinstance(body, BookAnswer)
    assert (int(body.yes[0][1]), body.seq) == (400, 2)


def test_more_requests_than_there_is_room_for_are_not_answered() -> None:
    scene = Scene()
    scene.go_live(A)
    for n in range(BOOK_ANSWERS_A_TURN + BOOK_REQUESTS_MAX + 5):
        scene.core._answers.ask(
            scene.now, scene.at, (b"x",), Letter("r", 1, f"q{n}", 0, BookRequest(A)), A
        )
    assert scene.core._answers.dropped == 5
    assert len(scene.core._answers._waiting) == BOOK_REQUESTS_MAX


# Raw frames


def raws(effects: list[Effect]) -> list[tuple[str, RawFrame]]:
    found = [e.envelope for e in effects if isinstance(e, Publish)]
    return [(e.topic, e.body) for e in found if isinstance(e.body, RawFrame)]


def test_raw_frames_are_said_only_while_somebody_listens() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.go_private()
    assert raws(scene.delta(A, "yes", "0.4700", "1.00")) == []
    scene.feed(Listened(scene.at, "raw.", True))
    effects = scene.delta(A, "yes", "0.4700", "1.00")
    ((topic, body),) = raws(effects)
    assert topic == "raw.orderbook_delta"
    assert (body.link, body.connection, body.received_at) == (MARKET, 1, scene.at)
    assert body.frame.startswith(b'{"type": "orderbook_delta"')
    ((topic, _),) = raws(scene.frame({"type": "user_order", "sid": 2, "msg": {}}, "private"))
    assert topic == "raw.user_orders"
    scene.feed(Listened(scene.at, "raw.", False))
    assert raws(scene.delta(A, "yes", "0.4700", "1.00")) == []


def test_who_listens_to_some_raw_frames_gets_those() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.feed(Listened(scene.at, "raw.trade", True))
    scene.feed(Listened(scene.at, "book.", True))
    assert raws(scene.delta(A, "yes", "0.4700", "1.00")) == []
    frame = {"type": "trade", "sid": 2, "seq": 1, "msg": {}}
    assert [topic for topic, _ in raws(scene.frame(frame))] == ["raw.trade"]
    scene.feed(Listened(scene.at, "raw.trade", False))
    assert raws(scene.frame(frame | {"seq": 2})) == []


def test_what_can_not_be_read_is_said_as_it_came() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.feed(Listened(scene.at, "raw.", True))
    for raw, topic in (
        (b'{"type":"subscribed","id":99}', "raw.control"),
        (b'{"type":"event_lifecycle"}', "raw.market_lifecycle_v2"),
        (b'{"type":"pyth_value"}', "raw.pyth_value"),
        (b'{"type":"a b"}', "raw.malformed"),
        (b'{"type":"' + b"x" * 99 + b'"}', "raw.malformed"),
        (b"\xff\x00", "raw.malformed"),
    ):
        scene = Scene()
        scene.go_live(A)
        scene.feed(Listened(scene.at, "raw.", True))
        effects = scene.raw(raw)
        ((got, body),) = raws(effects)
        assert (got, body.frame) == (topic, raw)
        envelope = Outbox("stream", 1).seal(got, body, 1)
        assert decode(encode(envelope)) == envelope
