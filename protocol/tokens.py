"""Bearer tokens of the front: what each may do, and how a given one is found.

Only a token's SHA-256 is kept. A secret has 256 bits of chance, so nothing slower is needed, and
whoever reads the file learns none of them.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from protocol.errors import RemoteProtocolError
from protocol.limits import TOKEN_NAME_CHARS_MAX, TOKEN_SECRET_BYTES_MAX, TOKENS_MAX

Scope = Literal["read", "trade", "kill", "admin", "page"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
USUAL: Final[dict[str, tuple[Scope, ...]]] = {  # that every profile has, in `token.<name>`
    "read": ("read",),
    "trade": ("read", "trade", "kill"),
    "admin": ("read", "trade", "kill", "admin"),
}
CODE: Final[tuple[Scope, ...]] = ("page",)  # what a code for signing in may
PAGE: Final = USUAL["trade"]  # what a page may that has signed in
VERSION: Final = 1

_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{TOKEN_NAME_CHARS_MAX}}}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
NAME_RULE: Final = f"1 to {TOKEN_NAME_CHARS_MAX} letters, digits or . _ -"


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may ask, for what, and until when. Times are microseconds since the Unix epoch."""

    id: str  # never used again, unlike a name
    name: str
    hash: str  # SHA-256 of the secret, in hexadecimal digits
    scopes: tuple[Scope, ...]
    made_at: int
    expires_at: int = 0  # 0: never

    def expired(self, at: int) -> bool:
        """Whether it counts no more."""
        return 0 < self.expires_at <= at


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    tokens: tuple[Token, ...]


class Tokens:
    """All tokens of a profile. Raises RemoteProtocolError if they make no sense together."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens = tuple(tokens)
        wrong = _flaw(self._tokens)
        if wrong:
            raise RemoteProtocolError(wrong)

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, secret: bytes) -> Token | None:
        """Whose secret this is, expired or not. All are compared, each in the same time, so how
        long it takes tells nothing."""
        if not 0 < len(secret) <= TOKEN_SECRET_BYTES_MAX:
            return None
        given, found = hash_of(secret), None
        for token in self._tokens:
            if hmac.compare_digest(token.hash, given):
                found = token
        return found

    def holds(self, id: str, at: int) -> Token | None:
        """A token by its id, unless it was withdrawn or has expired."""
        for token in self._tokens:
            if token.id == id:
                return None if token.expired(at) else token
        return None

    def named(self, name: str) -> Token | None:
        """A token by its name."""
        return next((token for token in self._tokens if token.name == name), None)

    def having(self, token: Token) -> "Tokens":
        """With one more, in the place of the one of the same name if there is one.

        Raises RemoteProtocolError if there are too many.
        """
        return Tokens((*(t for t in self._tokens if t.name != token.name), token))

    def without(self, name: str) -> "Tokens":
        """Without the one of this name."""
        return Tokens(t for t in self._tokens if t.name != name)


def hash_of(secret: bytes) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret).hexdigest()


def is_page(name: str) -> bool:
    """Whether a token of this name is a page's, or the code for one: those are made by `sidecar
    page` and the front, and go by themselves."""
    return name.startswith(("code-", "page-"))


def unfit_name(name: str) -> str:
    """What is wrong with a token's name; "" if nothing is."""
    return "" if _NAME.fullmatch(name) else f"{name[:100]!r} is no name: {NAME_RULE}"


def read_scopes(text: str) -> tuple[Scope, ...]:
    """The scopes of `read,trade`, in the order of SCOPES. Raises ValueError that names what is
    wrong."""
    said = text.split(",")
    for word in said:
        if word not in SCOPES:
            raise ValueError(f"{word[:50]!r} is no scope: {', '.join(SCOPES)}")
        if said.count(word) > 1:
            raise ValueError(f"{word} is said twice")
    return tuple(scope for scope in SCOPES if scope in said)


def decode_tokens(content: bytes) -> Tokens:
    """What a file says. Raises RemoteProtocolError, which shows nothing of a token's hash."""
    try:
        found = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RemoteProtocolError(str(e)[:200]) from None
    if found.version != VERSION:
        raise RemoteProtocolError(f"version {found.version}, expected {VERSION}")
    return Tokens(found.tokens)


def encode_tokens(tokens: Tokens) -> bytes:
    """What a file says, one token a line."""
    lines = ",\n".join(msgspec.json.encode(token).decode() for token in tokens)
    return f'{{"version":{VERSION},"tokens":[\n{lines}\n]}}\n'.encode()


def _flaw(tokens: tuple[Token, ...]) -> str:
    if len(tokens) > TOKENS_MAX:
        return f"{len(tokens)} tokens, expected at most {TOKENS_MAX}"
    for place, token in enumerate(tokens):
        wrong = unfit_name(token.name) or _misshapen(token)
        if wrong:
            return f"tokens[{place}]: {wrong}"
        for field in ("id", "name", "hash"):
            if any(getattr(token, field) == getattr(other, field) for other in tokens[:place]):
                return f"tokens[{place}]: another token has the same {field}"
    return ""


def _misshapen(token: Token) -> str:
    if not _ID.fullmatch(token.id):
        return "id is not 16 hexadecimal digits"
    if not _HASH.fullmatch(token.hash):
        return "hash is not 64 hexadecimal digits"
    if not token.scopes or len(set(token.scopes)) != len(token.scopes):
        return "scopes are none, or one is said twice"
    if token.made_at < 0 or token.expires_at < 0:
        return "a time before 1970"
    return ""
