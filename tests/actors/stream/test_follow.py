"""Stories of wishes: what is followed is changed by letter, kept on disk, and never by halves."""

from typing import Any

from actors.stream.core import FollowSaved, SaveFollow
from protocol.envelope import Letter
from protocol.limits import FOLLOWS_WAITING_MAX, MARKETS_MAX, MINUTE, SECOND, WISHES_MAX
from protocol.machine import Answer, Asked, Effect, Report
from protocol.messages import (
    AnyMessage,
    BookLost,
    Follow,
    FollowAnswer,
    MarketsAnswer,
    MarketsRequest,
    Refused,
)
from tests.actors.stream.scene import EPOCH, MARKET, A, B, C, Scene, published, sent
from tests.actors.stream.venue import live


def ask(scene: Scene, id: str = "f1", **wanted: Any) -> list[Effect]:
    return scene.feed(Asked(scene.at, (b"api",), Letter("api", 1, id, scene.at, Follow(**wanted))))


def answers(effects: list[Effect]) -> list[AnyMessage]:
    return [e.letter.body for e in effects if isinstance(e, Answer)]


def saves(effects: list[Effect]) -> list[SaveFollow]:
    return [e for e in effects if isinstance(e, SaveFollow)]


def test_asked_nothing_it_says_how_it_is() -> None:
    scene = Scene((A, B))
    scene.markets(A, B)
    assert answers(ask(scene)) == [FollowAnswer((A, B), 2, 0)]
    scene = Scene(("*",))
    scene.go_live(A, B, C)
    assert answers(ask(scene)) == [FollowAnswer(("*",), 3, 3)]


def test_a_wish_is_followed_once_it_is_on_disk() -> None:
    scene = Scene((A,))
    scene.go_live(A)
    effects = ask(scene, add=(B,))
    assert saves(effects) == [SaveFollow(1, (B,), ())]
    assert answers(effects) == [] and scene.ask_book(B).state == "not followed"
    effects = scene.feed(FollowSaved(scene.at, 1))
    assert answers(effects) == [FollowAnswer((A, B), 2, 1)]
    (change, *_) = sent(effects)
    assert (change["params"]["action"], change["params"]["market_tickers"]) == ("add_markets", [B])
    assert scene.ask_book(A).state == "live"  # no frame of the others is lost
    assert [letter.body for letter in scene.letters(MarketsRequest)][-1] == MarketsRequest((A, B))
    assert scene.feed(FollowSaved(scene.at, 1)) == scene.feed(FollowSaved(scene.at, 99)) == []


def test_a_wish_is_taken_back() -> None:
    scene = Scene((A, "series:KXS"))
    scene.go_live(A, "KXS-1")
    ask(scene, remove=(A,))
    effects = scene.feed(FollowSaved(scene.at, 1))
    assert published(effects) == [BookLost(A, "no longer followed")]
    assert answers(effects) == [FollowAnswer(("series:KXS",), 1, 1)]
    ask(scene, remove=("series:KXS",))
    effects = scene.feed(FollowSaved(scene.at, 2))
    assert answers(effects) == [FollowAnswer((), 0, 0)]
    scene.go_public()
    scene.take()
    scene.wait(MINUTE)
    assert scene.letters(MarketsRequest) == []


def test_what_differs_from_the_settings_is_saved_and_taken_at_the_next_start() -> None:
    scene = Scene((A, B), added=(C,), removed=(B,))
    (request,) = scene.letters(MarketsRequest)
    assert request.body == MarketsRequest((A, C))
    assert saves(ask(scene, add=(B,), remove=(A,))) == [SaveFollow(1, (C,), (A,))]


def test_a_bad_wish_changes_nothing_and_is_named() -> None:
    scene = Scene((A,))
    for wish in (
        "",
        "kx lower",
        "series:",
        "event:a b",
        "trade:KXA",
        "ticker:",
        "book:*",
        "x" * 99,
    ):
        effects = ask(scene, add=(B, wish))
        assert saves(effects) == []
        (answer,) = answers(effects)
        assert isinstance(answer, FollowAnswer) and answer.wishes == (A,)
        assert repr(wish[:80]) in answer.reason
    (answer,) = answers(ask(scene, remove=(C,)))
    assert isinstance(answer, FollowAnswer)
    assert answer.reason == "'KXC-3' is not followed by that name"
    many = tuple(f"KX-{i}" for i in range(WISHES_MAX))
    (answer,) = answers(ask(scene, add=many))
    assert isinstance(answer, FollowAnswer) and answer.reason == f"more than {WISHES_MAX} wishes"


def test_what_can_not_be_saved_is_not_followed() -> None:
    scene = Scene((A,))
    scene.go_live(A)
    ask(scene, add=(B,))
    effects = scene.feed(FollowSaved(scene.at, 1, "follow.json: No space left on device"))
    reason = "could not be saved: follow.json: No space left on device"
    assert answers(effects) == [FollowAnswer((A,), 1, 1, reason=reason)]
    assert scene.ask_book(B).state == "not followed"


def test_several_at_once_go_to_the_disk_one_after_the_other() -> None:
    scene = Scene((A,))
    assert saves(ask(scene, "f1", add=(B,))) == [SaveFollow(1, (B,), ())]
    assert saves(ask(scene, "f2", remove=(A,))) == []
    assert saves(ask(scene, "f3", add=(C,))) == []
    assert saves(scene.feed(FollowSaved(scene.at, 1))) == [SaveFollow(2, (B,), (A,))]
    assert saves(scene.feed(FollowSaved(scene.at, 2))) == [SaveFollow(3, (B, C), (A,))]
    scene.feed(FollowSaved(scene.at, 3))
    assert answers(ask(scene))[0] == FollowAnswer((B, C), 2, 0)


def test_what_could_not_be_saved_is_not_in_the_next_file_either() -> None:
    scene = Scene((A,))
    ask(scene, "f1", add=(B,))
    ask(scene, "f2", add=(C,))
    effects = scene.feed(FollowSaved(scene.at, 1, "no space left"))
    assert [a.reason for a in answers(effects)] == ["could not be saved: no space left"]
    assert saves(effects) == [SaveFollow(2, (C,), ())]


def test_a_change_is_held_against_what_the_one_before_has_left() -> None:
    scene = Scene((A,))
    ask(scene, "f1", remove=(A,))
    ask(scene, "f2", remove=(A,))
    effects = scene.feed(FollowSaved(scene.at, 1))
    assert saves(effects) == []
    first, second = answers(effects)
    assert first.reason == "" and second.reason == "'KXA-1' is not followed by that name"


def test_too_many_changes_at_once_are_refused() -> None:
    scene = Scene((A,))
    for n in range(FOLLOWS_WAITING_MAX):
        assert answers(ask(scene, f"f{n}", add=(f"KXM-{n}",))) == []
    effects = ask(scene, "one too many", add=(B,))
    assert saves(effects) == []
    assert [type(body) for body in answers(effects)] == [Refused]


def test_a_market_that_closes_by_the_clock_gets_its_book_anew() -> None:
    """No frame tells it: the gateway has said when, and so may the life cycle."""
    scene = Scene(("series:KXS",))
    id = scene.letters(MarketsRequest)[-1].id
    close = scene.at + 10_000_000
    answer = MarketsAnswer(("KXS-1", "KXS-2"), True, closing={"KXS-1": close})
    scene.answer("gateway", id, answer)
    scene.go_public()
    scene.open()
    scene.subscribed()
    for ticker in answer.tickers:
        scene.snapshot(ticker, [["0.4700", "3.00"]])
    scene.take()

    def busy(seconds: int) -> list[Effect]:
        for _ in range(seconds):
            scene.wait(SECOND)
            scene.delta("KXS-2", "yes", "0.4700", "1.00")
        return scene.take()

    assert [b for b in published(busy(10)) if isinstance(b, BookLost)] == []
    effects = busy(2)
    lost = [b for b in published(effects) if isinstance(b, BookLost)]
    assert lost == [BookLost("KXS-1", "its market has closed")]
    assert ["KXS-1"] in [c.get("params", {}).get("market_tickers") for c in sent(effects)]
    scene.snapshot("KXS-1")
    assert (scene.ask_book("KXS-1").state, scene.ask_book("KXS-1").yes) == ("live", ())


def test_a_whole_channel_is_wished_for_at_run_time() -> None:
    scene, venue = live(A, follow=(A,))
    ask(scene, add=("trade:*",))
    venue.actions()
    scene.feed(FollowSaved(scene.at, 1))
    assert "trade" in venue.sessions["public"].sids
    assert "trade" not in venue.sessions[MARKET].sids
    assert scene.ask_book(A).state == "live"
    ask(scene, remove=("trade:*",))
    scene.feed(FollowSaved(scene.at, 2))
    assert "trade" not in venue.sessions["public"].sids
    assert "trade" in venue.sessions[MARKET].sids
    assert scene.ask_book(A).state == "live" and scene.counters["reconnects"] == 0


# The gateway's word


def test_markets_above_the_bound_are_left_out_and_that_is_said_once() -> None:
    scene = Scene()
    many = tuple(f"KXM-{i}" for i in range(MARKETS_MAX + 5))
    for look in range(2):
        id = f"markets:{EPOCH}:{scene.core._following._looks}"
        scene.answer("gateway", id, MarketsAnswer(many, True, left_out=7))
        said = [e for e in scene.take() if isinstance(e, Report) and "left out" in e.text]
        assert [e.grave for e in said] == ([True] if look == 0 else [])
        scene.core._following._follows.look_at = scene.now
        scene.wait(0)
    (state,) = answers(ask(scene))
    assert isinstance(state, FollowAnswer) and state.markets == MARKETS_MAX


def test_a_full_outbox_of_letters_does_not_make_it_spin() -> None:
    scene = Scene((A,))
    scene.go_live(A)
    tells = scene.core._tells
    while not tells.full:
        tells.tell(scene.now, scene.at, "writer", f"x{len(tells)}", Follow())
    scene.core._following._follows.look_at = scene.now
    rung = 0
    end = scene.now + SECOND
    while scene.now < end and rung < 1_000:
        deadline = scene.core.deadline()
        assert deadline is not None
        scene.now = max(scene.now, deadline)
        scene.core.step(scene.now, Asked(scene.at, (b"api",), Letter("api", 1, "x", 0, Follow())))
        rung += 1
    assert rung < 500


def test_the_answer_to_what_was_wished_before_counts_no_more() -> None:
    scene = Scene(("series:KXS",))
    old = f"markets:{EPOCH}:1"
    ask(scene, add=(A,), remove=("series:KXS",))
    scene.feed(FollowSaved(scene.at, 1))
    assert scene.letters(MarketsRequest)[-1].body == MarketsRequest((A,))
    scene.answer("gateway", old, MarketsAnswer(("KXS-1",), True))
    assert scene.ask_book("KXS-1").state == "not followed"
    scene.markets(A)
    assert answers(ask(scene)) == [FollowAnswer((A,), 1, 0)]
