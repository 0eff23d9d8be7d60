"""Stories of markets that are split over connections: what befalls one costs the others nothing."""

import json

import pytest

from actors.stream.core import Link, SocketClosed
from protocol.limits import MINUTE, SECOND, TICKERS_A_COMMAND
from protocol.machine import Report
from protocol.messages import BookLost
from tests.actors.stream.scene import MARKET, Scene, published, sent
from tests.actors.stream.venue import Venue, live

SIX = tuple(f"KXM-{i}" for i in range(1, 7))


def carried(scene: Scene) -> dict[Link, list[str]]:
    return {line.link: list(line.markets) for line in scene.core.lines.markets}


def test_each_connection_has_its_share() -> None:
    scene, venue = live(*SIX, connections=2, tickers_a_connection=3)
    assert carried(scene) == {"market1": list(SIX[:3]), "market2": list(SIX[3:])}
    for ticker in SIX:
        venue.change(scene, ticker, "yes", 470_000, 100)
        assert int(scene.ask_book(ticker).yes[0][1]) == 400
    assert scene.counters["gaps"] == scene.counters["markets_left_out"] == 0


def test_a_gap_on_one_connection_costs_the_other_nothing() -> None:
    scene, venue = live(*SIX, connections=2, tickers_a_connection=3)
    venue.deaf = {"get_snapshot"}
    venue.sessions["market2"].seqs[1] += 1
    venue.change(scene, SIX[5], "yes", 470_000, 100)
    lost = [body.ticker for body in published(scene.take()) if isinstance(body, BookLost)]
    assert lost == list(SIX[3:])
    assert [scene.ask_book(ticker).state for ticker in SIX] == ["live"] * 3 + ["lost"] * 3
    venue.change(scene, SIX[0], "yes", 470_000, 100)
    assert int(scene.ask_book(SIX[0]).yes[0][1]) == 400
    assert set(venue.actions(MARKET)) == set()


def test_the_loss_of_one_connection_costs_the_other_nothing() -> None:
    scene, venue = live(*SIX, connections=2, tickers_a_connection=3)
    venue.shut = {"market2"}
    scene.feed(SocketClosed(scene.at, "market2", "closed 1006"))
    assert [scene.ask_book(ticker).state for ticker in SIX] == ["live"] * 3 + ["lost"] * 3
    scene.wait(3 * SECOND)
    assert any(reason.startswith("market2: ") for reason in scene.reasons)
    assert not any(reason.startswith("market1: ") for reason in scene.reasons)
    venue.shut = set()
    scene.wait(30 * SECOND)
    assert scene.core.books.live == 6 and scene.reasons == ()


def test_markets_without_room_are_left_out_and_said() -> None:
    scene = Scene(respond=Venue(*SIX, "KXM-7"), connections=2, tickers_a_connection=3)
    scene.hear_writer()
    assert scene.counters["markets_left_out"] == 1
    answer = scene.ask_book("KXM-7")
    assert (answer.state, answer.reason) == ("lost", "no connection has room for it")
    assert scene.core.books.live == 6


def test_room_that_comes_free_is_given_to_those_left_out() -> None:
    venue = Venue(*SIX, "KXM-7")
    scene = Scene(respond=venue, connections=2, tickers_a_connection=3)
    scene.hear_writer()
    scene.wait(2 * SECOND)
    venue.open = (*SIX[1:], "KXM-7")
    scene.wait(MINUTE)
    assert scene.ask_book("KXM-7").state == "live"
    assert scene.counters["markets_left_out"] == 0
    assert scene.ask_book(SIX[0]).state == "not followed"


def full(most: int, links: set[Link]) -> Venue:
    """An exchange that lets some connections have so many markets of a subscription."""

    class Full(Venue):
        def _command(self, link: Link, command: dict[str, object]) -> list[bytes]:
            params = command.get("params", {})
            assert isinstance(params, dict)
            sids = params.get("sids", [0])
            session = self.sessions[link]
            there = next((c for c, sid in session.sids.items() if sid == sids[0]), "")
            had = len(session.tickers.get(there, []))
            more = len(params.get("market_tickers", []))
            adds = command["cmd"] == "subscribe" or params.get("action") == "add_markets"
            if link in links and adds and had + more > most:
                body = {"code": 26, "msg": "subscription market limit exceeded"}
                return [json.dumps({"id": command["id"], "type": "error", "msg": body}).encode()]
            return super()._command(link, command)

    many = [f"KXM-{i}" for i in range(2 * TICKERS_A_COMMAND)]
    return Full(*many)


def test_markets_above_the_exchanges_limit_are_moved_to_another_connection() -> None:
    venue = full(TICKERS_A_COMMAND, {MARKET})
    scene = Scene(respond=venue, connections=2)
    scene.hear_writer()
    scene.wait(SECOND)
    assert {link: len(found) for link, found in carried(scene).items()} == {
        "market1": TICKERS_A_COMMAND,
        "market2": TICKERS_A_COMMAND,
    }
    assert scene.core.books.live == 2 * TICKERS_A_COMMAND
    texts = [e.text for e in scene.effects if isinstance(e, Report)]
    assert "market1: 500 markets above its 500 are moved" in texts
    for ticker in ("KXM-0", f"KXM-{2 * TICKERS_A_COMMAND - 1}"):
        venue.change(scene, ticker, "yes", 470_000, 100)
        assert int(scene.ask_book(ticker).yes[0][1]) == 400


def test_and_left_out_if_there_is_none() -> None:
    venue = full(TICKERS_A_COMMAND, {MARKET})
    scene = Scene(respond=venue, connections=1)
    scene.hear_writer()
    scene.wait(30 * SECOND)
    assert scene.core.books.live == TICKERS_A_COMMAND
    assert scene.counters["markets_left_out"] == TICKERS_A_COMMAND
    assert scene.counters["reconnects"] == 0


@pytest.mark.parametrize("most", [1, 100, 499])
def test_a_limit_below_one_command_is_found_by_halves(most: int) -> None:
    venue = full(most, {MARKET})
    scene = Scene(respond=venue, connections=2)
    scene.hear_writer()
    scene.wait(20 * MINUTE)
    mine = carried(scene)
    assert 0 < len(mine["market1"]) <= most
    assert scene.core.books.live == 2 * TICKERS_A_COMMAND


def test_many_tickers_are_subscribed_in_commands_of_five_hundred() -> None:
    many = [f"KXM-{i}" for i in range(10_000)]
    venue = Venue(*many)
    scene = Scene(respond=venue)
    scene.hear_writer()
    assert scene.core.books.live == 10_000
    assert sorted(carried(scene)) == ["market1", "market2", "market3", "market4"]
    for effect in sent(scene.effects, MARKET):
        assert len(effect["params"].get("market_tickers", [])) <= TICKERS_A_COMMAND
