"""The gate before every handler, for HTTP requests and for WebSockets alike: who may come in.

Pure: what a request says before its body goes in, and the caller comes out, or why not. A foreign
page in the trader's browser is stopped by what browsers say themselves (Host, Origin,
Sec-Fetch-Site), whoever else by not having a token. Tokens stand in `Authorization` and nowhere
else: what stands in a URL ends up in logs and histories.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from actors.api.bodies import Problem
from actors.api.quota import Kind, Meter, Quota, kind_of
from protocol.limits import (
    ADDRESSES_MAX,
    BODY_BYTES_MAX,
    FAILURES_A_MINUTE,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    MINUTE,
    MS,
)
from protocol.serving import Api, is_loopback
from protocol.tokens import Scope, Token, Tokens
from protocol.twice import repeated

METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
ONCE: Final = frozenset(
    {
        b"host", b"origin", b"authorization", b"content-type", b"content-length",
        b"transfer-encoding", b"sec-fetch-site",
    }
)  # fmt: skip
_ANY: Final = frozenset({"0.0.0.0", "::", ""})  # to listen on, and nobody's name


class Head(Struct, frozen=True):
    """A request as far as its body. Names of headers in small letters, as ASGI has them."""

    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]]
    address: str  # of the other end, without its port


class Caller(Struct, frozen=True):
    """Who asks, and what this request counts as."""

    token: Token
    kind: Kind


class Names(Struct, frozen=True):
    """What may stand in Host, and whose pages may ask."""

    hosts: frozenset[str]
    origins: frozenset[str]


def names_of(api: Api, port: int) -> Names:
    """Our own addresses at this port, and what the settings add."""
    known = [] if is_loopback(api.host) or api.host in _ANY else [api.host]
    own = ["127.0.0.1", "localhost", "[::1]", *(f"[{h}]" if ":" in h else h for h in known)]
    usual = 443 if api.tls_cert else 80  # a port that nobody says
    hosts = {f"{name}:{port}" for name in own} | ({*own} if port == usual else set())
    for name in api.hosts:
        hosts |= {name} if name.rpartition("]")[2].count(":") else {name, f"{name}:{port}"}
    scheme = "https" if api.tls_cert else "http"
    return Names(frozenset(hosts), frozenset({f"{scheme}://{h}" for h in hosts} | {*api.origins}))


class Guard:
    """Lets in, or says why not, in the order of this file."""

    def __init__(self, names: Names, tokens: Tokens, quota: Quota) -> None:
        self._names = names
        self._tokens = tokens
        self._quota = quota
        self._failures = Meter(MINUTE // FAILURES_A_MINUTE, FAILURES_A_MINUTE, ADDRESSES_MAX)

    def admit(self, now: int, at: int, head: Head, needed: Scope | None) -> Caller | Problem:
        """Who asks, if they may; the one question for HTTP and WebSocket.

        `needed` is what the route declares, None where there is no such route: only who has a
        token learns that. `now` is monotonic nanoseconds, `at` the wall clock in microseconds.
        """
        said = _said(head)
        problem = self.knock(head, said)
        if problem is not None:
            return problem
        token = self._bearer(now, at, head.address, said.get(b"authorization", ""))
        if isinstance(token, Problem):
            return token
        if needed is not None and needed not in token.scopes:
            has = ", ".join(token.scopes)
            text = f"the scope `{needed}` is needed, and this token has: {has}"
            return Problem(403, "forbidden", text)
        kind = kind_of(needed, head.method, head.path)
        wait = self._quota.take(now, token.id, kind)
        return _too_fast(kind, wait) if wait else Caller(token, kind)

    def knock(self, head: Head, said: dict[bytes, str] | None = None) -> Problem | None:
        """Everything but who asks: what is wrong with it, if anything is.

        Alone it is for a WebSocket that says who it is in its first message.
        """
        said = _said(head) if said is None else said
        once = (name.decode("latin-1") for name, _ in head.headers if name in ONCE)
        twice = repeated(once) if len(said) < len(head.headers) else ""
        if twice:
            return Problem(400, "repeated_header", f"{twice} is said twice", twice)
        return self._stranger(said) or _misshapen(head, said) or _oversized(head, said)

    def visit(self, head: Head) -> Problem | None:
        """What is wrong with a request for a file of the page, if anything is.

        Another site (also one of this machine: ports don't matter to it) may lead to the page,
        as the status page does. It opens in a window of its own: its headers let nobody frame it or
        hold on to it. Only a browser says `navigate` and `document`, of a window and nothing else.
        """
        said = _said(head)
        mode, dest = said.get(b"sec-fetch-mode"), said.get(b"sec-fetch-dest")
        if (mode, dest) == ("navigate", "document") and b"sec-fetch-site" in said:
            said[b"sec-fetch-site"] = "none"  # as if its address had been typed
        return self.knock(head, said)

    def charge(self, now: int, caller: Caller, count: int) -> Problem | None:
        """Take for a request that counts as more than one, once its body says so."""
        wait = self._quota.take(now, caller.token.id, caller.kind, count) if count else 0
        return _too_fast(caller.kind, wait) if wait else None

    def begin(self, caller: Caller) -> Callable[[], None] | Problem:
        """The request waits for the engine now: what to call at its end, or that too many wait."""
        end = self._quota.begin(caller.token.id, caller.kind)
        text = "too many requests of this token are waiting"
        return end or Problem(429, "too_many_waiting", text, retry_after_ms=500)

    def take_over(self, tokens: Tokens) -> None:
        """From now on these tokens count, and no others."""
        self._tokens = tokens

    def holds(self, token_id: str, at: int) -> Token | None:
        """The token as it is now; None once it was withdrawn or has expired."""
        return self._tokens.holds(token_id, at)

    def _stranger(self, said: dict[bytes, str]) -> Problem | None:
        if said.get(b"host", "").lower() not in self._names.hosts:
            return Problem(421, "wrong_host", "this address is not served under that name")
        origin = said.get(b"origin")
        if origin is not None and origin not in self._names.origins:
            return Problem(403, "wrong_origin", "pages of other origins may not ask")
        site = said.get(b"sec-fetch-site", "none")
        if site not in ("none", "same-origin") and origin is None:
            return Problem(403, "cross_site", "pages of other sites may not ask")
        return None

    def _bearer(self, now: int, at: int, address: str, said: str) -> Token | Problem:
        """Whose token a header gives. A token that counts is never refused for what others at
        the same address got wrong: all of this machine's programs share one."""
        word, _, secret = said.partition(" ")
        token = self._tokens.find(secret.strip().encode("latin-1"))
        if token is not None and word.lower() == "bearer" and not token.expired(at):
            return token
        wait = self._failures.take(now, address)
        if wait:
            text = "too many requests without a token that counts"
            return Problem(429, "too_many_failures", text, retry_after_ms=-(-wait // MS))
        if token is not None and token.expired(at):
            return Problem(401, "unauthorized", f"the token {token.name} has expired")
        text = "a bearer token is needed" if not said else "no token of ours, or withdrawn"
        return Problem(401, "unauthorized", text)


def _said(head: Head) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in head.headers}


def _misshapen(head: Head, said: dict[bytes, str]) -> Problem | None:
    if head.method not in METHODS:
        text = f"{head.method[:20]} is not spoken here: {', '.join(METHODS)}"
        return Problem(405, "method_not_allowed", text, allow=", ".join(METHODS))
    kind = said.get(b"content-type", "").partition(";")[0].strip().lower()
    sized = said.get(b"content-length", "0") != "0" or b"transfer-encoding" in said
    if (head.method == "POST" or sized) and kind != "application/json":
        return Problem(415, "unsupported_media_type", "send application/json")
    return None


def _oversized(head: Head, said: dict[bytes, str]) -> Problem | None:
    size = sum([len(name) + len(value) for name, value in head.headers])
    if size > HEAD_BYTES_MAX or len(head.headers) > HEADERS_MAX:
        text = f"at most {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} headers"
        return Problem(431, "headers_too_large", text)
    length = said.get(b"content-length", "0")
    if len(length) > 18 or not length.isascii() or not length.isdecimal():
        return Problem(400, "malformed_request", "Content-Length is no number", "content-length")
    if int(length) > BODY_BYTES_MAX:
        return Problem(413, "body_too_large", f"at most {BODY_BYTES_MAX} bytes")
    return None


def _too_fast(kind: Kind, wait: int) -> Problem:
    text = f"this token asks too fast ({kind})"
    return Problem(429, "too_many_requests", text, retry_after_ms=-(-wait // MS))
