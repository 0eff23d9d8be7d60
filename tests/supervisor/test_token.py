"""`sidecar token` and what `sidecar setup` makes of it, as commands."""

import sys
from pathlib import Path

import pytest

from protocol.runtime.loop import wall
from protocol.runtime.tokens import load_tokens
from supervisor.cli import main
from tests.supervisor.test_confirm import SETTINGS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "var"
    (tmp_path / "test.toml").write_text(SETTINGS.format(dir=folder, port=7601))
    monkeypatch.setenv("SIDECAR_CONFIG", str(tmp_path / "test.toml"))
    assert sidecar(monkeypatch, "setup") == 0
    return folder


def sidecar(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sidecar", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_a_secret_is_shown_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    add = ("token", "add", "bot", "--scopes", "trade,read", "--days", "3")
    assert sidecar(monkeypatch, *add) == 0
    secret = capsys.readouterr().out
    token = load_tokens(str(folder)).find(secret.strip().encode())
    assert token is not None
    assert (token.name, token.scopes) == ("bot", ("read", "trade"))
    assert 0 <= wall() + 3 * 86_400_000_000 - token.expires_at < 60_000_000
    assert sidecar(monkeypatch, "token") == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [
        "read",
        "trade",
        "admin",
        "bot",
    ]
    assert sidecar(monkeypatch, *add) == 1
    assert "there is a token bot already" in capsys.readouterr().err
    assert secret.strip() not in listed + (folder / "tokens.json").read_text()
    assert token.hash not in listed


def test_or_written_to_a_file_that_is_ours_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "desk"
    add = ("token", "add", "desk", "--scopes", "kill", "--file", str(path))
    assert sidecar(monkeypatch, *add) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    secret = path.read_bytes().strip()
    assert secret.decode() not in "".join(capsys.readouterr())
    assert sidecar(monkeypatch, "token", "remove", "desk") == 0
    assert sidecar(monkeypatch, *add) == 1, "there is such a file"
    assert path.read_bytes().strip() == secret
    assert load_tokens(str(folder)).named("desk") is None


def test_what_is_withdrawn_is_gone_with_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = (folder / "token.trade").read_bytes().strip()
    assert sidecar(monkeypatch, "token", "remove", "trade") == 0
    assert not (folder / "token.trade").exists()
    assert load_tokens(str(folder)).find(old) is None
    assert sidecar(monkeypatch, "token", "remove", "trade") == 1
    assert "there is no token 'trade'" in capsys.readouterr().err
    assert sidecar(monkeypatch, "token", "add", "trade", "--scopes", "read") == 1, (
        "it would not last"
    )
    assert load_tokens(str(folder)).named("trade") is None
    assert sidecar(monkeypatch, "setup") == 0
    assert load_tokens(str(folder)).find(old) is None
    new = load_tokens(str(folder)).find((folder / "token.trade").read_bytes().strip())
    assert new is not None
    assert new.name == "trade"


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("add", "bot"), "what may it do?"),
        (("add", "bot", "--scopes", "root"), "'root' is no scope: read, trade, kill, admin"),
        (("add", "bot", "--scopes", ""), "'' is no scope"),
        (("add", "bot", "--scopes", "read,read"), "read is said twice"),
        (("add", "bot", "--scopes", "read", "--days", "0"), "--days is 0, expected 1 to 3650"),
        (("add", "a b", "--scopes", "read"), "'a b' is no name"),
        (("add", "--scopes", "read"), "'' is no name"),
        (("add", "read", "--scopes", "admin"), "read is one that sidecar setup makes"),
        (("add", "b", "--scopes", "read", "--file", "/nowhere/at/all"), "/nowhere/at/all: No such"),
        (("remove",), "there is no token ''"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], wrong: str,
) -> None:  # fmt: skip
    before = (folder / "tokens.json").read_bytes()
    assert sidecar(monkeypatch, "token", *words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"token: {wrong}")
    assert (folder / "tokens.json").read_bytes() == before


def test_a_file_that_can_not_be_read_is_configuration(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tokens.json").chmod(0o640)
    for command in (("token",), ("token", "remove", "read"), ("setup",)):
        assert sidecar(monkeypatch, *command) == 78
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{folder}/tokens.json: mode is 0640, expected 0600" in line


def test_preflight_looks_at_the_tokens_and_at_the_certificate(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIDECAR_API_TLS_CERT", str(folder / "own.pem"))
    monkeypatch.setenv("SIDECAR_API_TLS_KEY", str(folder / "own.key"))
    assert sidecar(monkeypatch, "preflight") == 78
    assert capsys.readouterr().err == f"sidecar: {folder}/own.key: No such file or directory\n"
    (folder / "tokens.json").unlink()
    assert sidecar(monkeypatch, "preflight") == 78
    assert "tokens.json: there is no such file: run sidecar setup" in capsys.readouterr().err
