"""A page trades its code for a token: on a thread, since the file of tokens is replaced."""

import asyncio
from collections.abc import Callable

from actors.api.bodies import Problem
from actors.api.forms import SignedIn
from actors.api.replies import Reply, as_json, refuse
from protocol.errors import ConfigError
from protocol.runtime.loop import wall
from protocol.runtime.tokens import trade_code
from protocol.tokens import CODE, Token, Tokens

NO_CODE = Problem(409, "not_a_code", "this token is more than a code: it signs in by itself")
USED = Problem(401, "unauthorized", "this code was used already: sidecar page makes another")


class SignIn:
    """`taken` is told which tokens count from now on, before the page hears of its own."""

    def __init__(self, var_dir: str, taken: Callable[[Tokens], None]) -> None:
        self._var_dir = var_dir
        self._taken = taken

    def begin(self, code: Token) -> asyncio.Future[Reply]:
        """Trade this code."""
        return asyncio.ensure_future(self._trade(code))

    async def _trade(self, code: Token) -> Reply:
        if code.scopes != CODE:
            return refuse(0, NO_CODE)
        try:
            found = await asyncio.to_thread(trade_code, self._var_dir, code.id, wall())
        except ConfigError as e:
            return refuse(0, Problem(503, "not_signed_in", str(e), retry_after_ms=1_000))
        if found is None:
            return refuse(0, USED)
        tokens, secret = found
        self._taken(tokens)
        token = tokens.find(secret)
        assert token is not None
        told = SignedIn(secret.decode(), token.scopes, token.expires_at)
        return Reply(0, 201, as_json(told))
