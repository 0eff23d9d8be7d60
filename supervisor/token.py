"""`sidecar token`: who may ask the front, and for what. It takes a change over within a second.

Exit codes: 0 done, 1 refused, 78 configuration.
"""

import argparse
import datetime
import os
import sys
from typing import Final

from protocol.errors import ConfigError, RemoteProtocolError
from protocol.limits import TOKEN_DAYS_MAX
from protocol.runtime.loop import wall
from protocol.runtime.process import MISCONFIGURED, load_settings, write_private
from protocol.runtime.tokens import (
    changing,
    forget_secret,
    load_tokens,
    new_secret,
    new_token,
    store_tokens,
)
from protocol.tokens import USUAL, Token, Tokens, is_page, read_scopes, unfit_name

DONE: Final = 0
REFUSED: Final = 1
DAY_US: Final = 24 * 3_600 * 1_000_000


class Unfit(Exception):
    """What was asked makes no sense, or can't be done; the text says why."""


def run(arguments: argparse.Namespace) -> int:
    """List, add or remove. Returns the exit code."""
    os.umask(0o077)
    try:
        settings = load_settings()
        if arguments.action == "list":
            _list(load_tokens(settings.var_dir))
            return DONE
        with changing(settings.var_dir):
            tokens = load_tokens(settings.var_dir)
            if arguments.action == "add":
                _add(settings.var_dir, tokens, arguments)
            else:
                _remove(settings.var_dir, tokens, arguments)
        return DONE
    except ConfigError as e:
        return _say(e, MISCONFIGURED)
    except (Unfit, ValueError, RemoteProtocolError) as e:
        return _say(e, REFUSED)
    except OSError as e:
        return _say(f"{arguments.file or settings.var_dir}: {e.strerror}", REFUSED)


def _list(tokens: Tokens) -> None:
    """Each on a line. Nothing of this is secret."""
    now, row = wall(), "{:<20} {:<24} {:<20} {}"
    print(row.format("name", "scopes", "made", "expires"))
    for token in tokens:
        end = _moment(token.expires_at) if token.expires_at else "never"
        over = " (expired)" if token.expired(now) else ""
        print(row.format(token.name, ",".join(token.scopes), _moment(token.made_at), end + over))


def _add(var_dir: str, tokens: Tokens, arguments: argparse.Namespace) -> None:
    name, days = arguments.name, arguments.days
    wrong = unfit_name(name or "")
    if wrong:
        raise Unfit(wrong)
    if is_page(name):
        raise Unfit(f"{name} is a name for pages, which come and go: take another")
    if name in USUAL:  # without its own file, setup would put another in its place
        raise Unfit(f"{name} is one that sidecar setup makes: take another name")
    if tokens.named(name) is not None:
        raise Unfit(f"there is a token {name} already: remove it first, or take another name")
    if arguments.scopes is None:
        raise Unfit("what may it do? --scopes read,trade,kill,admin, or some of them")
    if days is not None and not 1 <= days <= TOKEN_DAYS_MAX:
        raise Unfit(f"--days is {days}, expected 1 to {TOKEN_DAYS_MAX}")
    secret, now = new_secret(), wall()
    expires_at = 0 if days is None else now + days * DAY_US
    token = new_token(name, secret, read_scopes(arguments.scopes), now, expires_at)
    more = tokens.having(token)
    if arguments.file and not write_private(arguments.file, secret + b"\n"):
        raise Unfit(f"{arguments.file}: there is such a file: it is left as it is")
    try:
        store_tokens(var_dir, more)
    except ConfigError:
        if arguments.file:
            os.unlink(arguments.file)  # it would open nothing
        raise
    if arguments.file:
        print(f"made {arguments.file}")
    else:
        print(secret.decode())  # alone on the line, for programs; nobody can show it again
    print(f"token: {name} may {', '.join(token.scopes)}", file=sys.stderr)


def _remove(var_dir: str, tokens: Tokens, arguments: argparse.Namespace) -> None:
    token: Token | None = tokens.named(arguments.name or "")
    if token is None:
        named = ", ".join(t.name for t in tokens) or "none"
        raise Unfit(f"there is no token {(arguments.name or '')[:100]!r}: there are {named}")
    store_tokens(var_dir, tokens.without(token.name))
    print(f"removed {token.name}")
    path = forget_secret(var_dir, token)
    if path:
        print(f"removed {path}: sidecar setup makes a new one")


def _moment(at: int) -> str:
    """Microseconds since the Unix epoch, for people."""
    found = datetime.datetime.fromtimestamp(at / 1_000_000, datetime.UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")


def _say(text: object, code: int) -> int:
    print(f"token: {text}", file=sys.stderr)
    return code
