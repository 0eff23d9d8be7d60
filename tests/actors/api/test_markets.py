"""Markets, trades and candles in our own form: what is asked of the exchange, what it becomes."""

import json
from typing import Any

import pytest
from msgspec import Raw

from actors.api import forms
from actors.api.asks import AskMarkets, Problem
from actors.api.core import Requested
from actors.api.replies import translate
from protocol.kalshi.parameters import SECONDS_MAX
from protocol.limits import LISTING_CACHED, MS
from protocol.messages import Inquire, InquiryAnswer
from tests.actors.api.reading import read
from tests.actors.api.test_evidence import AT, Host
from tests.actors.api.test_pages import fits, replied, told
from tests.protocol.inquiry_samples import CANDLE, MARKET, OLD_CANDLE

SECOND = 1_000_000
ONE = AskMarkets("market", Inquire("market", {"ticker": "KXA-1"}))
TRADE = {
    "trade_id": "t1", "ticker": "KXA-1", "count_fp": "2.50", "yes_price_dollars": "0.4700",
    "created_time": "2026-06-11T05:39:29Z", "taker_book_side": "ask",
}  # fmt: skip


def get(path: str, **query: str) -> Any:
    return read("GET", f"/v1/markets{path}", query, b"", "")


def shown(ask: AskMarkets, body: Any) -> dict[str, Any]:
    """What an answer of the exchange becomes."""
    raw = Raw(json.dumps(body).encode())
    reply = translate(1, ask, InquiryAnswer("answered", 200, raw), AT + 3_000, AT)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    kept_ms = LISTING_CACHED // MS if ask.what == "markets" else 0  # by the exchange, before that
    asked = AT - 1_000 * kept_ms
    assert (found["as_of"], found["age_ms"]) == (asked, 3 + kept_ms), "as of when it was asked"
    return found


@pytest.mark.parametrize(
    ("path", "query", "what", "name", "parameters", "text"),
    [
        ("", {}, "markets", "markets", {}, ""),
        ("", {"series": "KXA", "status": "open", "limit": "5"}, "markets", "markets",
         {"series_ticker": "KXA", "status": "open", "limit": "5"}, ""),
        ("", {"event": "KXA-1", "cursor": ""}, "markets", "markets", {"event_ticker": "KXA-1"}, ""),
        ("", {"tickers": "KXA-1,KXB-2", "text": "Rain"}, "markets", "markets",
         {"tickers": "KXA-1,KXB-2"}, "Rain"),
        ("/KXA-1", {}, "market", "market", {"ticker": "KXA-1"}, ""),
        ("/KXA-1/trades", {"limit": "2", "cursor": "x"}, "trades", "trades",
         {"ticker": "KXA-1", "limit": "2", "cursor": "x"}, ""),
        ("/KXA-1/candles", {"since": "0", "until": "60000000", "minutes": "1"}, "candles",
         "candlesticks_of_markets", {"market_tickers": "KXA-1", "start_ts": "0", "end_ts": "60",
                                     "period_interval": "1"}, ""),
    ],
)  # fmt: skip
def test_what_is_asked_of_the_exchange(
    path: str, query: dict[str, str], what: Any, name: str, parameters: dict[str, Any], text: str
) -> None:
    assert get(path, **query) == ("read", AskMarkets(what, Inquire(name, parameters), text))


@pytest.mark.parametrize(
    ("path", "query", "code", "field"),
    [
        ("", {"limit": "201"}, "invalid_limit", "limit"),
        ("", {"status": "sad"}, "invalid_status", "status"),
        ("", {"series_ticker": "KXA"}, "unknown_parameter", "series_ticker"),
        ("", {"tickers": "KXA-1,"}, "invalid_tickers", "tickers"),
        ("/kxa", {}, "invalid_ticker", "ticker"),
        ("/KXA-1/trades", {"since": "2000000", "until": "1000000"}, "invalid_until", "until"),
        ("/KXA-1/trades", {"since": "2000001", "until": "2000000"}, "invalid_until", "until"),
        ("/KXA-1/candles", {}, "missing_parameter", "since"),
        ("/KXA-1/candles", {"since": "0", "until": "60", "minutes": "5"}, "invalid_minutes",
         "minutes"),
        ("/KXA-1/candles", {"since": "0", "until": str(10_001 * 60 * SECOND), "minutes": "1"},
         "invalid_until", "until"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_our_own_words(
    path: str, query: dict[str, str], code: str, field: str
) -> None:
    found = get(path, **query)
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.field) == (422, code, field)


def test_a_market_is_one_row() -> None:
    found = shown(ONE, {"market": MARKET | {"title": "Rain?", "yes_sub_title": "Yes"}})
    fits(forms.OneMarket, found)
    assert found["market"] == {
        "ticker": "KXA-1", "event_ticker": "KXA", "title": "Rain?", "subtitle": "Yes",
        "status": "active", "bid": "0.4700", "bid_size": "3.00", "ask": "0.5200",
        "ask_size": "2.00", "last": "0.9900", "volume": "2.00", "open_interest": "2.00",
        "open_at": 1_781_156_369_000_000, "close_at": 1_782_403_200_000_000, "result": "",
        "settlement": None, "shard": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("side", "price", "size", "want"),
    [
        ("bid", "0.4700", "0.00", None),
        ("bid", "0.0000", "3.00", None),
        ("ask", "0.5200", "0.00", None),
        ("ask", "0.5200", "0.01", "0.5200"),
    ],
)
def test_an_empty_side_has_no_price(side: str, price: str, size: str, want: str | None) -> None:
    changed = {f"yes_{side}_dollars": price, f"yes_{side}_size_fp": size}
    assert shown(ONE, {"market": MARKET | changed})["market"][side] == want


def test_a_text_is_looked_for_in_what_a_page_has() -> None:
    rows = [MARKET | {"ticker": f"KXA-{n}", "title": title} for n, title in
            enumerate(("Rain in Oslo", "Snow", "No rain"))]  # fmt: skip
    ask = AskMarkets("markets", Inquire("markets"), "RAIN")
    found = shown(ask, {"markets": rows, "cursor": "more"})
    fits(forms.Markets, found)
    assert [row["ticker"] for row in found["markets"]] == ["KXA-0", "KXA-2"]
    assert found["cursor"] == "more"


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ({"taker_book_side": "ask"}, "no"),
        ({"taker_book_side": "bid"}, "yes"),
        ({"taker_book_side": "bid", "taker_outcome_side": "no"}, "no"),
        ({"taker_side": "yes"}, "yes"),
        ({"taker_side": "somebody"}, None),
    ],
)
def test_a_trade_says_what_the_taker_bought(words: dict[str, str], want: str | None) -> None:
    ask = AskMarkets("trades", Inquire("trades", {"ticker": "KXA-1"}))
    trade = {key: value for key, value in TRADE.items() if key != "taker_book_side"} | words
    found = shown(ask, {"trades": [trade], "cursor": None})
    fits(forms.Trades, found)
    assert found["cursor"] == ""
    assert found["trades"] == [{
        "trade_id": "t1", "ticker": "KXA-1", "price": "0.4700", "count": "2.50",
        "taker_side": want, "exchange_at": 1_781_156_369_000_000, "block": False,
    }]  # fmt: skip


def test_prints_are_those_between_two_moments_to_the_microsecond() -> None:
    """The exchange is asked for whole seconds, and for one more on each side."""
    at = 1_781_156_369_000_000
    _, ask = get("/KXA-1/trades", since=str(at + 250_000), until=str(at + 1_000_001), limit="5")
    seconds = at // SECOND
    assert ask.inquire.parameters == {
        "ticker": "KXA-1", "limit": "5", "min_ts": str(seconds - 1), "max_ts": str(seconds + 2),
    }  # fmt: skip
    times = ("30.000002", "30.000001", "30", "29.250", "29.249999", "28")
    prints = [TRADE | {"trade_id": t, "created_time": f"2026-06-11T05:39:{t}Z"} for t in times]
    found = shown(ask, {"trades": prints, "cursor": "more"})
    assert [row["trade_id"] for row in found["trades"]] == ["30.000001", "30", "29.250"]
    assert found["cursor"] == "more", "the pages go on, whatever is left out of one"


@pytest.mark.parametrize(("said", "theirs"), [("since", "min_ts"), ("until", "max_ts")])
def test_the_first_and_the_last_moment_that_may_be_said(said: str, theirs: str) -> None:
    first, last = 0, SECONDS_MAX * SECOND
    _, ask = get("/KXA-1/trades", **{said: str(first if said == "since" else last)})
    seconds = {"min_ts": "0", "max_ts": str(SECONDS_MAX)}
    assert ask.inquire.parameters == {"ticker": "KXA-1", theirs: seconds[theirs]}


def test_both_spellings_of_a_candle_are_one() -> None:
    ask = AskMarkets("candles", Inquire("candlesticks_of_markets"))
    body = {"markets": [{"market_ticker": "KXA-1", "candlesticks": [CANDLE, OLD_CANDLE]}]}
    found = shown(ask, body)
    fits(forms.Candles, found)
    new, old = found["candles"]
    assert new["end_at"] == old["end_at"] == 1_781_159_400 * SECOND
    assert new["bid"] == old["bid"] == {
        "open": "0.5000", "low": "0.4000", "high": "0.6000", "close": "0.5500",
    }  # fmt: skip
    assert new["price"] == dict.fromkeys(("open", "low", "high", "close"))
    assert (new["mean"], old["mean"]) == (None, "0.5100")
    assert (new["volume"], old["open_interest"]) == ("10.00", "4.00")
    assert shown(ask, {"markets": []})["candles"] == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (InquiryAnswer("answered", 200, Raw(b'{"market":{}}')), 502, "unreadable_answer"),
        (InquiryAnswer("rejected", 404, code="not_found"), 404, "not_found"),
        (InquiryAnswer("rejected", 401, code="unauthorized"), 502, "unauthorized"),
        (InquiryAnswer("unknown", code="no_answer"), 502, "no_answer"),
        (InquiryAnswer("refused", code="busy", retry_after_ms=9), 503, "busy"),
    ],
)
def test_what_is_no_answer_is_a_problem(answer: InquiryAnswer, status: int, code: str) -> None:
    host = Host()
    [(peer, letter, body)] = told(host.step(Requested(AT, 1, ONE)))
    assert (peer, body) == ("gateway", ONE.inquire)
    found, problem = replied(host.answer("gateway", letter, answer))
    assert (found, problem["code"]) == (status, code)
