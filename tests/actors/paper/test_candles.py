"""Candles and the archive: what the prints say, in the shapes that the engine proves."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.paper import archive, candles
from actors.paper.answers import Answer, Refused
from actors.paper.paging import Query
from actors.paper.portfolio import HISTORY
from actors.paper.view import View
from protocol.kalshi import inquiries

from .quiet import BEGAN, SECOND, A, B, C, Quiet

T = BEGAN // SECOND  # a whole hour
HOUR = {"start_ts": T, "end_ts": T + 3_600, "period_interval": 1}
DAY = 86_400
EVENT = "KXIDLE-E00000"

Read = Callable[[View, str, Query, int], Answer]


def ask(quiet: Quiet, read: Read, name: str = "", **query: Any) -> tuple[int, Any]:
    """Status and body, as they come over HTTP."""
    pairs = Query([(key, str(value)) for key, value in query.items()])
    try:
        answer = read(quiet.core.view(quiet.at), name, pairs, quiet.at)
    except Refused as e:
        answer = e.answer
    return answer.status, answer.body


def proved(name: str, found: tuple[int, Any]) -> Any:
    """A body that the engine would hand on."""
    assert found[0] == 200, found
    inquiries.proved(name, json.dumps(found[1]).encode())
    return found[1]


def traded() -> Quiet:
    """2 sold at 0.10; 1 bought at 0.12 half a minute later; 30 bought after a minute, at 3 prices.

    Nothing happens in the minute behind, then 1 is sold at 0.10.
    """
    quiet = Quiet()
    quiet.do("public", ticker=A, side="ask", price="0.1000", count="2.00")
    quiet.later(30)
    quiet.do("public", ticker=A, side="bid", price="0.1200", count="1.00")
    quiet.later(31)
    quiet.do("public", ticker=A, side="bid", price="0.1400", count="30.00")
    quiet.later(119)
    quiet.do("public", ticker=A, side="ask", price="0.1000", count="1.00")
    return quiet


def closes(through: dict[str, str]) -> list[str]:
    return [through[f"{word}_dollars"] for word in ("open", "low", "high", "close")]


def test_candles_are_what_the_prints_say() -> None:
    quiet = traded()
    body = proved("candlesticks", ask(quiet, candles.of_series, f"KXIDLE/markets/{A}", **HOUR))
    assert body["ticker"] == A
    found = body["candlesticks"]
    assert [c["end_period_ts"] - T for c in found] == [0, 60, 120, 180], "an end is its period's"
    assert [c["volume_fp"] for c in found] == ["2.00", "1.00", "30.00", "1.00"]
    assert [c["open_interest_fp"] for c in found] == ["1.00", "1.50", "16.50", "17.00"]
    assert closes(found[2]["price"]) == ["0.1200", "0.1200", "0.1400", "0.1400"]
    assert found[2]["price"]["mean_dollars"] == "0.1273"
    assert [c["price"]["previous_dollars"] for c in found] == [None, "0.1000", "0.1200", "0.1400"]
    assert [c["yes_bid"]["close_dollars"] for c in found] == ["0.1000"] * 4
    assert [c["yes_ask"]["close_dollars"] for c in found] == [
        "1.0000", "0.1200", "0.1400", "0.1400",
    ]  # fmt: skip
    assert closes(found[2]["yes_ask"]) == ["0.1200", "0.1200", "0.1400", "0.1400"]


def test_longer_periods_have_all_that_shorter_ones_have() -> None:
    quiet = traded()
    span = {**HOUR, "period_interval": 60}
    body = proved("candlesticks", ask(quiet, candles.of_series, f"KXIDLE/markets/{A}", **span))
    first, second = body["candlesticks"]
    assert (first["end_period_ts"], second["end_period_ts"]) == (T, T + 3_600)
    assert (first["volume_fp"], second["volume_fp"]) == ("2.00", "32.00")
    assert closes(second["price"]) == ["0.1200", "0.1000", "0.1400", "0.1000"]


def test_the_last_candle_before_stands_at_the_first_end_with_nothing_but_the_price_before() -> None:
    quiet = traded()
    span = {"start_ts": T + 61, "end_ts": T + 200, "period_interval": 1}
    name = f"KXIDLE/markets/{A}"
    plain = ask(quiet, candles.of_series, name, **span)[1]["candlesticks"]
    latest = {**span, "include_latest_before_start": "true"}
    body = proved("candlesticks", ask(quiet, candles.of_series, name, **latest))
    first, *rest = body["candlesticks"]
    assert rest == plain
    assert (first["end_period_ts"], first["volume_fp"]) == (T + 120, "0.00")
    assert (first["price"]["close_dollars"], first["price"]["previous_dollars"]) == (None, "0.1200")
    late = {**latest, "start_ts": T + 600, "end_ts": T + 700}
    [only] = ask(quiet, candles.of_series, name, **late)[1]["candlesticks"]
    assert only["price"]["previous_dollars"] == "0.1000"
    early = {**latest, "start_ts": T - 600, "end_ts": T - 500}
    assert ask(quiet, candles.of_series, name, **early)[1]["candlesticks"] == []


def test_candles_of_many_markets_and_of_an_event() -> None:
    quiet = traded()
    quiet.do("public", ticker=B, side="ask", price="0.1100", count="5.00")
    many = proved(
        "candlesticks_of_markets",
        ask(quiet, candles.of_markets, market_tickers=f"{B},KXNO-1,{A}", **HOUR),
    )
    assert [(m["market_ticker"], len(m["candlesticks"])) for m in many["markets"]] == [
        (B, 1), (A, 4),
    ]  # fmt: skip
    event = proved(
        "candlesticks_of_event", ask(quiet, candles.of_series, f"KXIDLE/events/{EVENT}", **HOUR)
    )
    assert event["market_tickers"] == [A, B, C]
    assert [len(found) for found in event["market_candlesticks"]] == [4, 1, 0]
    assert event["adjusted_end_ts"] == T + 3_600


def test_an_event_s_answer_ends_early_rather_than_be_too_long() -> None:
    span = {"start_ts": T, "end_ts": T + 10 * DAY, "period_interval": 1}
    body = ask(traded(), candles.of_series, f"KXIDLE/events/{EVENT}", **span)[1]
    assert body["adjusted_end_ts"] == T + 3_333 * 60 - 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"start_ts": ""}, "'StartTs' failed on the 'required'"),
        ({"period_interval": 5}, "'PeriodInterval' failed on the 'oneof'"),
        ({"end_ts": T - 1}, "'EndTs' failed on the 'gtefield'"),
        ({"end_ts": T + 600_000}, "'EndTs' failed on the 'max'"),
        ({"start_ts": "soon"}, "Invalid format for parameter start_ts"),
    ],
)
def test_a_wrong_span_is_refused(change: dict[str, Any], says: str) -> None:
    status, body = ask(Quiet(), candles.of_series, f"KXIDLE/markets/{A}", **{**HOUR, **change})
    assert status == 400
    assert says in body["msg"]


@pytest.mark.parametrize(
    "name",
    [f"KXB/markets/{A}", "KXIDLE/markets/KXIDLE-1", f"KXIDLE/x/{A}", "KXIDLE", "KXIDLE/events/"],
)
def test_what_nobody_knows_has_no_candles(name: str) -> None:
    assert ask(Quiet(), candles.of_series, name, **HOUR)[0] == 404


def aged() -> Quiet:
    """A and B have settled, the account held A; what happened in B is younger than the cut-off."""
    quiet = traded()
    quiet.do("external", ticker=A, side="bid", price="0.9900", count="1.00")
    quiet.do("settle", ticker=A, result="yes")
    quiet.later(DAY)
    quiet.do("public", ticker=B, side="ask", price="0.1100", count="1.00")
    quiet.do("settle", ticker=B, result="no")
    quiet.later(HISTORY // SECOND - DAY + 300)
    return quiet


def test_what_ended_before_the_cut_off_is_in_the_archive_and_the_rest_is_not() -> None:
    quiet = aged()
    body = proved("historical_markets", ask(quiet, archive.markets))
    assert [m["ticker"] for m in body["markets"]] == [A]
    assert proved("historical_market", ask(quiet, archive.market, A))["market"]["result"] == "yes"
    assert [ask(quiet, archive.market, name)[0] for name in (B, C, "KXNO")] == [404] * 3
    held = proved("historical_positions", ask(quiet, archive.positions))
    assert [p["ticker"] for p in held["market_positions"]] == [A]
    assert [p["event_ticker"] for p in held["event_positions"]] == [EVENT]
    quiet.later(DAY)
    body = proved("historical_markets", ask(quiet, archive.markets))
    assert [m["ticker"] for m in body["markets"]] == [B, A], "the newest first"


def test_the_archive_has_filters_and_pages() -> None:
    quiet = aged()
    quiet.later(DAY)
    first = ask(quiet, archive.markets, limit=1)[1]
    second = ask(quiet, archive.markets, limit=1, cursor=first["cursor"])[1]
    assert [m["ticker"] for m in (*first["markets"], *second["markets"])] == [B, A]
    assert second["cursor"] == ""
    for query, count in (
        ({"tickers": f"{A},{C}"}, 1), ({"event_ticker": EVENT}, 2), ({"event_ticker": "KXNO"}, 0),
        ({"series_ticker": "KXIDLE"}, 2), ({"mve_filter": "exclude"}, 2),
    ):  # fmt: skip
        assert len(ask(quiet, archive.markets, **query)[1]["markets"]) == count, query
    assert ask(quiet, archive.positions, ticker=B)[1]["market_positions"] == []


def test_old_trades_and_candles_are_in_the_archive_under_their_old_names() -> None:
    quiet = aged()
    body = proved("historical_trades", ask(quiet, archive.trades))
    assert {t["ticker"] for t in body["trades"]} == {A}
    assert len(body["trades"]) == len(quiet.exchange.trades) - 1
    assert ask(quiet, archive.trades, max_ts=T)[1]["trades"][0]["count_fp"] == "2.00"
    assert ask(quiet, archive.trades, min_ts=T + DAY)[1]["trades"] == []
    assert ask(quiet, archive.trades, is_block_trade="true")[1]["trades"] == []

    assert ask(quiet, candles.of_series, f"KXIDLE/markets/{A}", **HOUR)[0] == 404
    assert ask(quiet, candles.of_archive, B, **HOUR)[0] == 404
    found = proved("historical_candlesticks", ask(quiet, candles.of_archive, A, **HOUR))
    first = found["candlesticks"][0]
    assert (first["volume"], first["price"]["close"], first["yes_bid"]["open"]) == (
        "2.00", "0.1000", "0.1000",
    )  # fmt: skip
    assert not any("_dollars" in name or "_fp" in name for name in (*first, *first["price"]))
