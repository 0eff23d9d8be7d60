"""The file of a profile's tokens: read strictly, replaced in one step, watched for changes."""

import base64
import contextlib
import fcntl
import logging
import os
import secrets
from collections.abc import Iterator
from typing import Final

from protocol.errors import ConfigError, RemoteProtocolError
from protocol.limits import CODE_TIME, SIGNED_IN_MAX, SIGNED_IN_TIME, US
from protocol.runtime.process import read_private, replace_file, write_private
from protocol.tokens import (
    CODE,
    PAGE,
    USUAL,
    Scope,
    Token,
    Tokens,
    decode_tokens,
    encode_tokens,
    hash_of,
    is_page,
)

SECRET_BYTES: Final = 32
ID_BYTES: Final = 8

log = logging.getLogger(__name__)


def tokens_path(var_dir: str) -> str:
    """Where the hashes of a profile's tokens are."""
    return f"{var_dir}/tokens.json"


def secret_path(var_dir: str, name: str) -> str:
    """Where the secret of one of the usual tokens is, for programs to read."""
    return f"{var_dir}/token.{name}"


def load_tokens(var_dir: str) -> Tokens:
    """What the file says. Raises ConfigError, with one line that shows nothing secret."""
    path = tokens_path(var_dir)
    if not os.path.lexists(path):
        raise ConfigError(f"{path}: there is no such file: run sidecar setup")
    try:
        return decode_tokens(read_private(path))
    except RemoteProtocolError as e:
        raise ConfigError(f"{path}: {e}") from None
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None


def store_tokens(var_dir: str, tokens: Tokens) -> None:
    """Replace the file, mode 0600. Raises ConfigError if the disk does not take it."""
    path = tokens_path(var_dir)
    try:
        replace_file(path, encode_tokens(tokens))
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None


@contextlib.contextmanager
def changing(var_dir: str) -> Iterator[None]:
    """While one command changes the tokens, no other does. Raises ConfigError if one is at it."""
    path = f"{tokens_path(var_dir)}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{path}: another command is changing the tokens") from None
        yield
    finally:
        os.close(descriptor)


def new_secret() -> bytes:
    """256 bits of chance, as 43 letters that need no quoting anywhere."""
    return base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=")


def new_token(
    name: str, secret: bytes, scopes: tuple[Scope, ...], at: int, expires_at: int = 0
) -> Token:
    """A token under an id of its own; `at` is now, in microseconds since the Unix epoch."""
    id = secrets.token_hex(ID_BYTES)
    return Token(id, name, hash_of(secret), scopes, at, expires_at)


def new_code(var_dir: str, at: int) -> bytes:
    """A code by which a page signs in: good once, for CODE_TIME. Raises ConfigError."""
    with changing(var_dir):
        return _for_pages(var_dir, load_tokens(var_dir), "code", CODE, at, CODE_TIME)[1]


def trade_code(var_dir: str, id: str, at: int) -> tuple[Tokens, bytes] | None:
    """What counts from now on, and the secret of a page's token, in the place of the code of this
    id; None if it was used meanwhile. Raises ConfigError."""
    with changing(var_dir):
        tokens = load_tokens(var_dir)
        code = tokens.holds(id, at)
        if code is None:
            return None
        return _for_pages(var_dir, tokens.without(code.name), "page", PAGE, at, SIGNED_IN_TIME)


def _for_pages(
    var_dir: str, tokens: Tokens, kind: str, scopes: tuple[Scope, ...], at: int, time: int
) -> tuple[Tokens, bytes]:
    """One more code or page; those that are over go, and with too many the oldest."""
    pages = [token for token in tokens if is_page(token.name)]
    counting = [token for token in pages if not token.expired(at)]
    gone = {token.id for token in pages} - {token.id for token in counting[1 - SIGNED_IN_MAX :]}
    secret = new_secret()
    name = f"{kind}-{secrets.token_hex(4)}"
    token = new_token(name, secret, scopes, at, at + time // US)
    more = _having(Tokens(t for t in tokens if t.id not in gone), token)
    store_tokens(var_dir, more)
    return more, secret


def make_usual(var_dir: str, at: int) -> list[str]:
    """Make the tokens that every profile has, and leave alone what is there.

    Returns a line for each that was made, or is of no use. Raises ConfigError. Without a file of
    tokens, the secrets that lie there count (a profile from before there was one); with one, only
    what it says counts, and a secret that is gone is made anew.
    """
    with changing(var_dir):
        begun = os.path.lexists(tokens_path(var_dir))
        before = load_tokens(var_dir) if begun else Tokens()
        tokens, made, lines = before, {}, []
        for name, scopes in USUAL.items():
            path = secret_path(var_dir, name)
            if os.path.lexists(path):
                secret = read_private(path).strip()
                known = tokens.find(secret) is not None
                if begun and not known:
                    lines.append(f"{path} is no token of ours any more: remove it for a new one")
                if begun or known:
                    continue
            else:
                secret = made[path] = new_secret()
            tokens = _having(tokens, new_token(name, secret, scopes, at))
        if list(tokens) != list(before) or not begun:
            store_tokens(var_dir, tokens)
        for path, secret in made.items():  # behind their hashes: a crash in between makes new ones
            if write_private(path, secret + b"\n"):
                lines.append(f"made {path}")
    return lines


def _having(tokens: Tokens, token: Token) -> Tokens:
    try:
        return tokens.having(token)
    except RemoteProtocolError as e:
        raise ConfigError(f"token.{token.name} can't be made: {e}") from None


def forget_secret(var_dir: str, token: Token) -> str:
    """Remove the file in which a withdrawn token's secret lies, if it is one of the usual ones.
    Returns its path, or "" if there is none. Raises OSError."""
    path = secret_path(var_dir, token.name)
    try:
        if token.name not in USUAL or hash_of(read_private(path).strip()) != token.hash:
            return ""
    except ConfigError:
        return ""  # there is none, or one that is not ours to judge
    os.unlink(path)
    return path


class TokenWatch:
    """The tokens in force. Raises ConfigError if they can't be read at the start.

    Later, a file that is gone or can't be read leaves those in force that were: whoever was
    withdrawn stays so, since nothing but this file brings a token to life.
    """

    def __init__(self, var_dir: str) -> None:
        self._var_dir = var_dir
        self._seen = self._look()
        self._trouble = ""
        self.tokens = load_tokens(var_dir)

    def news(self) -> Tokens | None:
        """The tokens, if they are others than at the last look. What can't be read is logged."""
        seen = self._look()
        if seen == self._seen and not self._trouble:
            return None
        try:
            found = load_tokens(self._var_dir)
        except ConfigError as e:
            if str(e) != self._trouble:
                log.error("the tokens from before stay in force: %s", e)
            self._seen, self._trouble = seen, str(e)
            return None
        if self._trouble:
            log.info("%s can be read again", tokens_path(self._var_dir))
        self._seen, self._trouble = seen, ""
        if list(found) == list(self.tokens):
            return None
        self.tokens = found
        log.info("%d tokens are in force", len(found))
        return found

    def _look(self) -> tuple[int, ...]:
        """What changes with the file's content. It is taken before the content is read, so a
        change in between is seen at the next look."""
        try:
            found = os.stat(tokens_path(self._var_dir))
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
