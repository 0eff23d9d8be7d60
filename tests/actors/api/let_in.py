"""A gate for tests of what lies behind it: who is let in, and for what."""

import asyncio

from actors.api.guard import Guard, names_of
from actors.api.quota import Quota
from actors.api.replies import Reply
from protocol.runtime.tokens import new_token
from protocol.serving import Api
from protocol.tokens import Scope, Token, Tokens


def guard(port: int, secrets: dict[bytes, tuple[Scope, ...]]) -> Guard:
    """Lets these secrets in at this port; each token has its secret for a name."""
    made = (new_token(secret.decode(), secret, may, 0) for secret, may in secrets.items())
    return Guard(names_of(Api(), port), Tokens(made), Quota(Api()))


def nobody_signs_in(code: Token) -> "asyncio.Future[Reply]":
    """For a front whose test has no page."""
    raise AssertionError(f"{code.name} signs in")
