"""A gate for tests of what lies behind it: who is let in, and for what."""

from actors.api.guard import Guard, names_of
from actors.api.quota import Quota
from protocol.runtime.tokens import new_token
from protocol.serving import Api
from protocol.tokens import Scope, Tokens


def guard(port: int, secrets: dict[bytes, tuple[Scope, ...]]) -> Guard:
    """Lets these secrets in at this port; each token has its secret for a name."""
    made = (new_token(secret.decode(), secret, may, 0) for secret, may in secrets.items())
    return Guard(names_of(Api(), port), Tokens(made), Quota(Api()))
