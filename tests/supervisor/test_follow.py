"""`sidecar follow` against a ROUTER socket where the stream's would be."""

import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from protocol.envelope import Letter, decode_letter, encode_letter
from protocol.limits import WISHES_MAX
from protocol.messages import AnyMessage, Follow, FollowAnswer, Noted, Refused
from supervisor import follow
from supervisor.cli import main

SETTINGS = """
profile = "test"
run_dir = "{dir}"
var_dir = "{dir}"
[exchange]
environment = "demo"
rest_url = "https://external-api.demo.kalshi.co/trade-api/v2"
ws_url = "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2"
key_id = ""
key_file = ""
[stream]
follow = []
"""
FOLLOWED = FollowAnswer(("series:KXBTCD", "trade:*"), 188, 187)


class There:
    """Takes letters as the stream, or another, would, and always says the same."""

    def __init__(self, folder: str, who: str = "stream", answer: AnyMessage = FOLLOWED) -> None:
        self.answer = answer
        self._who = who
        self.heard: list[AnyMessage] = []
        (Path(folder) / "bus").mkdir()
        self._context = zmq.Context()
        self._router: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._router.bind(f"ipc://{folder}/bus/{who}.in")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            if not self._router.poll(20):
                continue
            sender, raw = self._router.recv_multipart()
            letter = decode_letter(raw)
            self.heard.append(letter.body)
            answer = Letter(self._who, 1, letter.id, 0, self.answer)
            self._router.send_multipart([sender, encode_letter(answer)])

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._context.destroy(linger=0)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Short: the path of a socket has to fit."""
    made = tempfile.mkdtemp(prefix="ks-", dir="/tmp")
    Path(made, "test.toml").write_text(SETTINGS.format(dir=made))
    monkeypatch.setenv("SIDECAR_CONFIG", f"{made}/test.toml")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def there(folder: str) -> Iterator[There]:
    found = There(folder)
    yield found
    found.close()


def sidecar(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["sidecar", "follow", *arguments])
    with pytest.raises(SystemExit) as e:
        main()
    return e.value.code


def test_it_lists_what_is_followed(
    there: There, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ((), ("list",)):
        assert sidecar(monkeypatch, *arguments) == 0
        said = "series:KXBTCD\ntrade:*\n188 markets with books, 187 of them live\n"
        assert capsys.readouterr() == (said, "")
    assert there.heard == [Follow(), Follow()]


def test_it_adds_and_removes(
    there: There, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there.answer = FollowAnswer(("*",), 20_000, 0, 80_000)
    assert sidecar(monkeypatch, "add", "*", "event:KXE-1") == 0
    assert "80000 or more markets are left out" in capsys.readouterr().out
    assert sidecar(monkeypatch, "remove", "KXA-1") == 0
    assert there.heard == [Follow(("*", "event:KXE-1")), Follow((), ("KXA-1",))]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (FollowAnswer(("*",), 1, 1, 0, "KXA-1 is not followed"), "follow: KXA-1 is not followed\n"),
        (Refused("the stream does not take Follow"), "follow: the stream does not take Follow\n"),
        (Noted(), "follow: the stream answered Noted\n"),
    ],
)
def test_a_refusal_is_one_line(
    there: There, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    answer: AnyMessage, says: str,
) -> None:  # fmt: skip
    there.answer = answer
    assert sidecar(monkeypatch, "remove", "KXA-1") == 1
    assert capsys.readouterr() == ("", says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "KXA-1", "kxa"), "'kxa' is none of TICKER, event:TICKER, series:TICKER, *, "),
        (("remove", "fill:*"), "'fill:*' is none of "),
        (("add",), "add what? TICKER, "),
        (("list", "KXA-1"), "list takes no wishes: KXA-1"),
        (
            ("add", *(f"KX-{i}" for i in range(WISHES_MAX + 1))),
            f"{WISHES_MAX + 1} wishes, at most {WISHES_MAX} at once",
        ),
    ],
    ids=lambda case: str(case)[:30],
)
def test_a_wrong_wish_is_named_and_not_told(
    there: There, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    assert sidecar(monkeypatch, *arguments) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"follow: {says}"), err.count("\n")) == ("", True, 1)
    assert there.heard == []


def test_without_a_stream_it_says_so(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "ANSWER_S", 0.2)
    assert sidecar(monkeypatch) == 2
    assert capsys.readouterr() == ("", "follow: the stream does not answer\n")


def test_wrong_settings_are_named(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIDECAR_CONFIG", f"{folder}/none.toml")
    assert sidecar(monkeypatch) == 78
    assert f"{folder}/none.toml" in capsys.readouterr().err
