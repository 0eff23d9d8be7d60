"""Which markets a list of wishes means: all of them, or why not."""

from typing import Any

import pytest

from actors.gateway.lookups import UNDER_WAY_MAX
from protocol.limits import MARKETS_MAX, MARKETS_PAGE, SECOND, WISHES_MAX
from protocol.messages import AnyMessage, MarketsAnswer, MarketsRequest
from tests.actors.gateway.scene import Scene


def ready() -> Scene:
    scene = Scene().ready()
    scene.pass_time(SECOND)
    scene.answers.clear()
    return scene


def told(scene: Scene) -> list[AnyMessage]:
    found, scene.answers = scene.answers, []
    return found


def page(first: int, count: int, cursor: str = "") -> Any:
    markets = [{"ticker": f"KXN-{number}"} for number in range(first, first + count)]
    return {"markets": markets, "cursor": cursor}


def asked(scene: Scene) -> list[dict[str, str]]:
    return [dict(m.call.query) for m in scene.made if m.call.path == "/markets"]


def test_tickers_and_channels_are_not_looked_up() -> None:
    scene = ready()
    scene.ask(MarketsRequest(("KXA-1", "trade:*", "ticker:*", "KXB-2", "KXA-1")))
    assert told(scene) == [MarketsAnswer(("KXA-1", "KXB-2"), True)]
    assert asked(scene) == []


def test_groups_are_read_page_by_page() -> None:
    scene = ready()
    scene.ask(MarketsRequest(("KXA-1", "event:KXE-1", "series:KXS")))
    scene.reply(200, page(0, 2, "next"))
    scene.reply(200, page(1, 2))
    scene.reply(200, page(0, 0))
    assert told(scene) == [MarketsAnswer(("KXA-1", "KXN-0", "KXN-1", "KXN-2"), True)]
    kept = [{k: v for k, v in q.items() if k not in ("limit", "mve_filter")} for q in asked(scene)]
    assert kept == [
        {"status": "open", "event_ticker": "KXE-1"},
        {"status": "open", "event_ticker": "KXE-1", "cursor": "next"},
        {"status": "open", "series_ticker": "KXS"},
    ]


@pytest.mark.parametrize(
    "wish", ["kxa", "", "event:", "series:kx s", "trade:KXA-1", "fill:*", "**", "*:*", "event:*"]
)
def test_a_bad_wish_is_named_and_nothing_is_asked(wish: str) -> None:
    scene = ready()
    scene.ask(MarketsRequest(("KXA-1", wish, "*")))
    [answer] = told(scene)
    assert isinstance(answer, MarketsAnswer)
    assert (answer.tickers, answer.complete) == ((), False)
    assert answer.reason == (
        f"{wish!r} is none of TICKER, event:TICKER, series:TICKER, *, trade:* or ticker:*"
    )
    assert asked(scene) == []


def test_too_many_wishes_are_refused_by_number() -> None:
    scene = ready()
    scene.ask(MarketsRequest(tuple(f"KX-{i}" for i in range(WISHES_MAX + 1))))
    said = f"{WISHES_MAX + 1} wishes, at most {WISHES_MAX} are looked up"
    assert told(scene) == [MarketsAnswer((), False, said)]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            503,
            {"error": {"code": "unavailable"}},
            "markets, behind 1 pages: status 503 unavailable",
        ),
        (200, b"{}", "markets, behind 1 pages: MarketPage: "),
        (200, page(0, 1, "c1"), "markets, behind 1 pages: the pages go round in a circle"),
    ],
)
def test_half_a_list_is_none(status: int, body: Any, says: str) -> None:
    scene = ready()
    scene.ask(MarketsRequest(("*",)))
    scene.reply(200, page(0, 1, "c1"))
    scene.reply(status, body)
    [answer] = told(scene)
    assert isinstance(answer, MarketsAnswer)
    assert (answer.tickers, answer.complete) == ((), False)
    assert answer.reason.startswith(says)


def test_no_answer_is_said_and_the_next_letter_asks_again() -> None:
    scene = ready()
    scene.ask(MarketsRequest(("*",)))
    scene.fail(sent=True)
    assert told(scene) == [MarketsAnswer((), False, "markets: no answer")]
    scene.ask(MarketsRequest(("*",)))
    scene.reply(200, page(0, 1))
    assert told(scene) == [MarketsAnswer(("KXN-0",), True)]


@pytest.mark.parametrize(
    ("named", "pages", "left_out"), [("KXN-3", 21, MARKETS_PAGE), ("KXA-1", 20, 1)]
)
def test_of_100_000_markets_no_more_pages_are_read_than_say_that_there_are_too_many(
    named: str, pages: int, left_out: int
) -> None:
    assert MARKETS_MAX // MARKETS_PAGE == 20
    scene = ready()
    scene.ask(MarketsRequest((named, "*", "series:KXS")))
    for number in range(pages):
        scene.pass_time(SECOND)  # for tokens
        cursor = f"c{number}"
        scene.reply(200, page(number * MARKETS_PAGE, MARKETS_PAGE, cursor))
        scene.beat()
    [answer] = told(scene)
    assert isinstance(answer, MarketsAnswer)
    assert len(answer.tickers) == len(set(answer.tickers)) == MARKETS_MAX
    assert answer.tickers[0] == named, "what is named comes first"
    assert (answer.complete, answer.left_out) == (True, left_out)
    assert answer.reason == f"at least {left_out} markets are above the 20000 that are followed"
    assert len(asked(scene)) == pages
    assert scene.calls == []


def test_as_many_as_can_be_followed_are_all_there_is() -> None:
    scene = ready()
    scene.ask(MarketsRequest(("*",)))
    for number in range(MARKETS_MAX // MARKETS_PAGE):
        last = number == MARKETS_MAX // MARKETS_PAGE - 1
        scene.pass_time(SECOND)
        scene.reply(200, page(number * MARKETS_PAGE, MARKETS_PAGE, "" if last else f"c{number}"))
        scene.beat()
    [answer] = told(scene)
    assert isinstance(answer, MarketsAnswer)
    found = (len(answer.tickers), answer.complete, answer.left_out, answer.reason)
    assert found == (MARKETS_MAX, True, 0, "")


def test_names_that_are_none_are_counted() -> None:
    scene = ready()
    scene.ask(MarketsRequest(("*",)))
    scene.reply(200, {"markets": [{"ticker": "KXA-1"}, {"ticker": "k x"}], "cursor": None})
    assert told(scene) == [MarketsAnswer(("KXA-1",), True, "1 markets have names that are none")]


def test_the_same_letter_is_one_look_up_and_few_are_under_way() -> None:
    scene = ready()
    for number in range(UNDER_WAY_MAX):
        for _ in range(2):
            scene.ask(MarketsRequest(("*",)), f"m{number}")
    assert told(scene) == []
    scene.ask(MarketsRequest(("*",)))
    assert told(scene) == [MarketsAnswer((), False, f"{UNDER_WAY_MAX} look-ups are under way")]
