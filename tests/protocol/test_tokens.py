"""Who may ask: tokens, their file, and what happens to them."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import ConfigError, RemoteProtocolError
from protocol.limits import TOKENS_MAX
from protocol.runtime.tokens import (
    TokenWatch,
    changing,
    load_tokens,
    make_usual,
    new_secret,
    new_token,
    store_tokens,
    tokens_path,
)
from protocol.tokens import Token, Tokens, decode_tokens, encode_tokens, hash_of, read_scopes

NOW = 1_800_000_000_000_000
ADMIN = new_token("admin", b"boss", ("read", "trade", "kill", "admin"), NOW)
BRIEF = new_token("brief", b"guest", ("read",), NOW, NOW + 1_000)
BOTH = Tokens([ADMIN, BRIEF])


def test_a_secret_is_found_and_nothing_like_it() -> None:
    assert BOTH.find(b"boss") == ADMIN
    assert BOTH.find(b"guest") == BRIEF
    for other in (b"", b"Boss", b"boss ", b"bos", b"x" * 10_000, ADMIN.hash.encode()):
        assert BOTH.find(other) is None


def test_a_token_counts_until_its_end_or_until_it_is_withdrawn() -> None:
    assert BOTH.holds(BRIEF.id, NOW + 999) == BRIEF
    assert BOTH.holds(BRIEF.id, NOW + 1_000) is None
    assert BOTH.holds(ADMIN.id, NOW * 2) == ADMIN
    assert BOTH.without("admin").holds(ADMIN.id, NOW) is None
    again = BOTH.having(new_token("admin", b"another", ("read",), NOW))
    assert (again.find(b"boss"), len(again)) == (None, 2), "a name is not who had it before"


def test_what_is_written_is_read_again_and_has_no_secret_in_it() -> None:
    text = encode_tokens(BOTH)
    assert list(decode_tokens(text)) == [ADMIN, BRIEF]
    assert b"boss" not in text
    assert decode_tokens(encode_tokens(Tokens())).find(b"boss") is None


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"scopes": []}, "scopes are none"),
        ({"scopes": ["read", "read"]}, "said twice"),
        ({"scopes": ["root"]}, "Invalid enum value"),
        ({"hash": "ab"}, "64 hexadecimal"),
        ({"hash": ADMIN.hash.upper()}, "64 hexadecimal"),
        ({"id": "1"}, "16 hexadecimal"),
        ({"name": "a b"}, "no name"),
        ({"name": ""}, "no name"),
        ({"name": "brief"}, "same name"),
        ({"hash": BRIEF.hash}, "same hash"),
        ({"id": BRIEF.id}, "same id"),
        ({"expires_at": -1}, "before 1970"),
        ({"made_at": "today"}, "int"),
        ({"admin": True}, "unknown field"),
    ],
    ids=str,
)
def test_a_file_that_makes_no_sense_is_no_file(change: dict[str, Any], wrong: str) -> None:
    tree = json.loads(encode_tokens(BOTH))
    tree["tokens"][0] |= change
    with pytest.raises(RemoteProtocolError, match=wrong):
        decode_tokens(json.dumps(tree).encode())


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"version":2,"tokens":[]}'])
def test_neither_is_something_else(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_tokens(text)


def test_there_are_not_more_than_can_be_compared_each_time() -> None:
    many = Tokens(new_token(f"t{n}", b"%d" % n, ("read",), NOW) for n in range(TOKENS_MAX))
    with pytest.raises(RemoteProtocolError, match="at most"):
        many.having(ADMIN)


def test_scopes_are_said_by_name() -> None:
    assert read_scopes("kill,read") == ("read", "kill")
    for wrong in ("", "read,", "root", "read,read", "read trade", "READ"):
        with pytest.raises(ValueError, match=r"is no scope|said twice"):
            read_scopes(wrong)


# The file


def secrets_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes().strip() for path in folder.glob("token.*")}


def scopes_of(folder: Path, secret: bytes) -> tuple[str, ...]:
    found = load_tokens(str(folder)).find(secret)
    return () if found is None else found.scopes


def test_a_profile_gets_three_and_keeps_them(tmp_path: Path) -> None:
    made = make_usual(str(tmp_path), NOW)
    assert made == [f"made {tmp_path}/token.{name}" for name in ("read", "trade", "admin")]
    for path in tmp_path.glob("token*"):
        assert path.stat().st_mode & 0o777 == 0o600
    secrets = secrets_in(tmp_path)
    assert {name: scopes_of(tmp_path, secret) for name, secret in secrets.items()} == {
        "token.read": ("read",),
        "token.trade": ("read", "trade", "kill"),
        "token.admin": ("read", "trade", "kill", "admin"),
    }
    assert {len(secret) for secret in secrets.values()} == {43}
    before = (tmp_path / "tokens.json").read_bytes()
    assert make_usual(str(tmp_path), NOW + 1) == []
    assert (tmp_path / "tokens.json").read_bytes() == before


def test_a_profile_from_before_keeps_its_secrets(tmp_path: Path) -> None:
    for name in ("token.read", "token.trade"):
        (tmp_path / name).write_bytes(name.encode() + b"\n")
        (tmp_path / name).chmod(0o600)
    assert make_usual(str(tmp_path), NOW) == [f"made {tmp_path}/token.admin"]
    assert scopes_of(tmp_path, b"token.read") == ("read",)
    assert scopes_of(tmp_path, b"token.trade") == ("read", "trade", "kill")


def test_a_withdrawn_token_does_not_come_back_to_life(tmp_path: Path) -> None:
    var = str(tmp_path)
    make_usual(var, NOW)
    old = secrets_in(tmp_path)["token.trade"]
    store_tokens(var, load_tokens(var).without("trade"))
    (line,) = make_usual(var, NOW)
    assert line == f"{var}/token.trade is no token of ours any more: remove it for a new one"
    assert scopes_of(tmp_path, old) == ()
    (tmp_path / "token.trade").unlink()
    assert make_usual(var, NOW) == [f"made {var}/token.trade"]
    assert scopes_of(tmp_path, old) == ()
    assert scopes_of(tmp_path, secrets_in(tmp_path)["token.trade"]) == ("read", "trade", "kill")


def test_a_secret_whose_file_is_gone_is_made_anew_in_its_place(tmp_path: Path) -> None:
    make_usual(str(tmp_path), NOW)
    old = secrets_in(tmp_path)["token.admin"]
    (tmp_path / "token.admin").unlink()
    make_usual(str(tmp_path), NOW)
    assert scopes_of(tmp_path, old) == ()
    assert len(load_tokens(str(tmp_path))) == 3


def test_two_commands_do_not_change_them_at_once(tmp_path: Path) -> None:
    with (tmp_path / "tokens.json.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another command"), changing(str(tmp_path)):
            pytest.fail("both are at it")
    with changing(str(tmp_path)):
        store_tokens(str(tmp_path), BOTH)


@pytest.mark.parametrize("flaw", ["gone", "open to others", "damaged", "empty", "a folder"])
def test_at_a_start_there_is_no_way_around_the_file(tmp_path: Path, flaw: str) -> None:
    make_usual(str(tmp_path), NOW)
    spoil(tmp_path / "tokens.json", flaw)
    with pytest.raises(ConfigError, match=r"tokens\.json"):
        TokenWatch(str(tmp_path))


@pytest.mark.parametrize("flaw", ["gone", "open to others", "damaged", "empty", "a folder"])
def test_later_what_was_withdrawn_stays_so_whatever_becomes_of_the_file(
    tmp_path: Path, flaw: str, caplog: pytest.LogCaptureFixture
) -> None:
    var, path = str(tmp_path), tmp_path / "tokens.json"
    store_tokens(var, BOTH)
    watch = TokenWatch(var)
    assert (watch.news(), watch.tokens.find(b"guest")) == (None, BRIEF)
    store_tokens(var, BOTH.without("brief"))
    assert watch.news() is not None
    spoil(path, flaw)
    for _ in range(3):
        assert watch.news() is None
    assert watch.tokens.find(b"boss") == ADMIN
    assert watch.tokens.find(b"guest") is None
    grave = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert len(grave) == 1
    assert "the tokens from before stay in force" in grave[0]
    if flaw == "a folder":
        path.rmdir()
    store_tokens(var, Tokens([BRIEF]))
    assert watch.news() is not None
    assert watch.tokens.find(b"boss") is None, "a file that can be read again counts at once"


def spoil(path: Path, flaw: str) -> None:
    match flaw:
        case "gone":
            path.unlink()
        case "open to others":
            path.chmod(0o644)
        case "damaged":
            path.write_bytes(path.read_bytes()[:-20])
        case "empty":
            os.truncate(path, 0)
        case "a folder":
            path.unlink()
            path.mkdir()


def test_secrets_are_of_chance() -> None:
    several = {new_secret() for _ in range(100)}
    assert len(several) == 100
    assert all(secret.replace(b"-", b"").replace(b"_", b"").isalnum() for secret in several)
    assert Token("0" * 16, "x", hash_of(b"x"), ("read",), 0).expired(NOW) is False
    assert tokens_path("var") == "var/tokens.json"
