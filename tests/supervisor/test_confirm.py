"""`sidecar confirm-restore` against the real front on loopback."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.api.asks import Ask
from actors.api.core import Api, Requested
from actors.api.keyed import Keyed
from actors.api.replies import Reply
from actors.api.web import Web
from protocol.envelope import Letter
from protocol.machine import Answered, Cause, Tell
from protocol.messages import ConfirmRestore, RestoreAnswer
from protocol.pulse import Identity
from protocol.runtime.http import listen, server
from protocol.tokens import Scope
from supervisor.cli import main
from tests.actors.api.let_in import guard, nobody_signs_in

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
[api]
port = {port}
"""


class Front:
    """The API's core and web, with a gateway that always says the same."""

    def __init__(self) -> None:
        self.answer = RestoreAnswer("confirmed")
        self.heard: list[str] = []
        self._core = Api(Identity("api", 1))
        self._listener = listen("api", "127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        may: dict[bytes, tuple[Scope, ...]] = {b"secret": ("read", "admin"), b"trader": ("trade",)}
        self._web = Web(guard(self.port, may), self._ask, nobody_signs_in)
        self._http = server(self._web.app(), direct=self._web.direct)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._http.serve(sockets=[self._listener]))
        )
        self._thread.start()

    def _ask(self, id: int, ask: Ask, keyed: Keyed | None) -> None:
        self._feed(Requested(0, id, ask, keyed))

    def _feed(self, cause: Cause) -> None:
        for effect in self._core.step(1, cause):
            match effect:
                case Reply():
                    self._web.reply(effect)
                case Tell(letter=Letter(id=id, body=ConfirmRestore(confirmed_by=by))):
                    self.heard.append(by)
                    self._feed(Answered(0, "gateway", Letter("gateway", 1, id, 0, self.answer)))

    def close(self) -> None:
        self._http.should_exit = True
        self._thread.join()
        self._listener.close()


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    front = Front()
    (tmp_path / "test.toml").write_text(SETTINGS.format(dir=tmp_path, port=front.port))
    (tmp_path / "token.admin").write_text("secret\n")
    (tmp_path / "token.admin").chmod(0o600)
    monkeypatch.setenv("SIDECAR_CONFIG", str(tmp_path / "test.toml"))
    yield front
    front.close()


def sidecar(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sidecar", "confirm-restore", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_what_the_gateway_says_is_the_exit_code(
    front: Front, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sidecar(monkeypatch, "--by", "alice") == 0
    assert front.heard == ["alice"]
    assert capsys.readouterr().out == "confirmed: ids chosen by clients may be used again\n"
    front.answer = RestoreAnswer("none", "no restore waits for confirmation")
    assert sidecar(monkeypatch, "--by", "alice") == 1
    front.answer = RestoreAnswer("refused", "not reconciled")
    assert sidecar(monkeypatch, "--by", "alice") == 1
    assert capsys.readouterr().err.splitlines() == [
        "confirm-restore: not confirmed: no restore waits for confirmation",
        "confirm-restore: not confirmed: not reconciled",
    ]


def test_the_login_name_is_said_if_no_other_is(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "bob")
    assert sidecar(monkeypatch) == 0
    assert front.heard == ["bob"]


def test_a_token_that_may_trade_is_not_enough(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token.admin").write_text("trader\n")
    assert sidecar(monkeypatch, "--by", "alice") == 1
    assert front.heard == []


def test_no_token_is_a_matter_of_configuration(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token.admin").chmod(0o644)
    assert sidecar(monkeypatch, "--by", "alice") == 78
    (tmp_path / "token.admin").unlink()
    assert sidecar(monkeypatch, "--by", "alice") == 78
    assert front.heard == []


def test_nobody_there_is_unreachable(
    front: Front, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    front.close()
    assert sidecar(monkeypatch, "--by", "alice") == 2
    assert "does not answer" in capsys.readouterr().err
