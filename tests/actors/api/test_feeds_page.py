"""The WebSocket part of docs/API.md against the code: its conversation, its program, its words."""

import contextlib
import json
import re
import threading
import typing
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from actors.api import notices
from actors.api.commands import BARE, KINDS
from tests.actors.api.scene import Reader, Scene, levels_of
from tests.actors.api.serving import serving

PAGE = (Path(__file__).parents[3] / "docs" / "API.md").read_text()
SECTION = PAGE.partition("\n## WebSocket\n")[2].partition("\n## ")[0]
A = "KXA-1"


def is_in(part: Any, whole: Any) -> bool:
    """Whether all that the page shows is so; it leaves out some fields."""
    if isinstance(part, dict):
        return all(key in whole and is_in(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


def happens(scene: Scene, what: str) -> None:
    match what:
        case "a level changes":
            scene.change(A, 480_000, 100)
        case "a change is lost on its way, and the next mark shows it":
            scene.drops = lambda envelope: envelope.topic == f"book.{A}"
            scene.change(A, 480_000, 100)
            scene.second()
        case _:
            raise AssertionError(what)


def test_the_conversation_is_as_it_is_shown() -> None:
    [text] = re.findall(r"```\n(> .*?)\n```", SECTION, re.DOTALL)
    scene = Scene()
    scene.install(A, (470_000, 300))
    reader = scene.join()
    heard = 0
    for line in text.splitlines():
        sign, _, said = line.partition(" ")
        match sign:
            case ">":
                scene.say(1, **json.loads(said))
                scene.second()
            case "#":
                happens(scene, said)
            case "<":
                assert is_in(json.loads(said), reader.said[heard]), reader.said[heard]
                heard += 1
    assert heard == len(reader.said)


def test_the_program_keeps_the_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [program] = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    assert len(program.splitlines()) <= 20
    scene = Scene()
    texts: list[bytes] = []

    class Recorded(Reader):
        def take(self, text: bytes) -> None:
            super().take(text)
            texts.append(text)

    scene.readers[1] = Recorded()
    scene.install("KXBTCD-1", (470_000, 300))
    scene.install("KXBTCD-2", (470_000, 300))
    scene.join("book.KXBTCD-")
    scene.readers[scene._last_id] = Recorded()
    scene.second()
    scene.change("KXBTCD-1", 480_000, 100)
    scene.lose("KXBTCD-2")
    token = tmp_path / "var" / "paper"
    token.mkdir(parents=True)
    (token / "token.read").write_text("one\n")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with serving() as front:
        code = program.replace("127.0.0.1:7601", f"127.0.0.1:{front.port}")

        def run() -> None:
            with contextlib.suppress(ConnectionClosedError):  # the front stops
                exec(code, names)

        thread = threading.Thread(target=run)
        thread.start()
        front.wait(lambda: len(front.causes) == 2)  # joined, and said what it follows
        front.causes.clear()
        for text in texts:
            front.say(text)
        front.stop()
        thread.join(20)
    truth = levels_of(scene.books.by_ticker["KXBTCD-1"].book)
    counts = {side: {p: round(c * 100) for p, c in names["books"]["book.KXBTCD-1"][side].items()}
              for side in ("yes", "no")}  # fmt: skip
    assert counts == truth
    assert [*names["books"]] == ["book.KXBTCD-1"]


def test_every_word_stands_on_the_page() -> None:
    words = {*typing.get_args(notices.Why), *KINDS, *BARE}
    assert not [word for word in words if f"`{word}`" not in SECTION]
