"""`sidecar ask` against a ROUTER socket where the gateway's would be."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Raw

from protocol.kalshi.inquiries import INQUIRIES
from protocol.messages import AnyMessage, Inquire, InquiryAnswer, Noted, Refused
from supervisor import ask
from supervisor.cli import main
from tests.supervisor.test_follow import There, folder

__all__ = ["folder"]  # the fixture

BODY = b'{"markets": [], "cursor": ""}'


@pytest.fixture
def there(folder: str) -> Iterator[There]:
    found = There(folder, "gateway", InquiryAnswer("answered", 200, Raw(BODY)))
    yield found
    found.close()


def sidecar(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["sidecar", "ask", *arguments])
    with pytest.raises(SystemExit) as e:
        main()
    return e.value.code


def test_it_prints_what_the_exchange_answers(
    there: There, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sidecar(monkeypatch, "markets", "tickers=KXA-1,KXB-2", "cursor=a=b") == 0
    assert capsys.readouterr() == (BODY.decode() + "\n", "")
    assert there.heard == [Inquire("markets", {"tickers": "KXA-1,KXB-2", "cursor": "a=b"})]


def test_without_a_name_it_lists_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sidecar(monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines] == list(INQUIRIES)
    assert "orderbook ticker* depth" in lines


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (InquiryAnswer("rejected", 404, code="not_found", text="the exchange answers 404"), 1,
         "ask: not_found: the exchange answers 404\n"),
        (InquiryAnswer("refused", code="invalid_parameter", text="t", field="limit"), 1,
         "ask: invalid_parameter: t\n"),
        (InquiryAnswer("unknown", code="no_answer", text="t"), 2, "ask: no_answer: t\n"),
        (Refused("the gateway does not take Inquire"), 1,
         "ask: the gateway does not take Inquire\n"),
        (Noted(), 1, "ask: the gateway answered Noted\n"),
    ],
)  # fmt: skip
def test_why_there_is_no_answer_is_one_line(
    there: There, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    answer: AnyMessage, code: int, says: str,
) -> None:  # fmt: skip
    there.answer = answer
    assert sidecar(monkeypatch, "markets") == code
    assert capsys.readouterr() == ("", says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("status",), "'status' is not NAME=VALUE"),
        (("=open",), "'' is not NAME=VALUE"),
        (("tickers=A", "tickers=B"), "tickers is said twice"),
    ],
)
def test_a_wrong_word_is_named_and_not_told(
    there: There, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    assert sidecar(monkeypatch, "markets", *words) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"ask: {says}"), err.count("\n")) == ("", True, 1)
    assert there.heard == []


def test_without_a_gateway_or_settings_it_says_so(
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ask, "ANSWER_S", 0.2)
    assert sidecar(monkeypatch, "markets") == 2
    assert capsys.readouterr() == ("", "ask: the gateway does not answer\n")
    monkeypatch.setenv("SIDECAR_CONFIG", f"{folder}/none.toml")
    assert sidecar(monkeypatch, "markets") == 78
    assert f"{folder}/none.toml" in capsys.readouterr().err
