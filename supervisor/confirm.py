"""`sidecar confirm-restore`: the front is told, over HTTP, that a restore is as it should be.

Exit codes: 0 confirmed, 1 refused, 2 the front does not answer, 78 configuration.
"""

import argparse
import json
import ssl
import sys
from getpass import getuser
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from protocol.errors import ConfigError
from protocol.runtime.process import MISCONFIGURED, load_settings, read_private
from protocol.runtime.tokens import secret_path
from protocol.serving import Api, front_at

UNREACHABLE: Final = 2
CONFIRM_WAIT_S: Final = 20.0  # longer than the front waits for the engine
PEM_BYTES_MAX: Final = 256 * 1024


def run(arguments: argparse.Namespace) -> int:
    """Ask, and say what came of it. Returns the exit code."""
    try:
        settings = load_settings()
        secret = read_private(secret_path(settings.var_dir, "admin"))
        address, trust = front(settings.api)
    except ConfigError as e:
        return _say(e, MISCONFIGURED)
    try:
        body = json.dumps({"confirmed_by": arguments.by or getuser()}).encode()
    except (KeyError, OSError):
        return _say("you have no login name: say --by NAME", MISCONFIGURED)
    token = secret.strip().decode("ascii", "replace")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trust))
    try:
        request = Request(f"{address}/v1/restore/confirm", body, headers, method="POST")
        with opener.open(request, timeout=CONFIRM_WAIT_S):
            print("confirmed: ids chosen by clients may be used again")
            return 0
    except HTTPError as e:
        return _say(f"not confirmed: {_detail(e.read())}", 1 if e.code < 500 else UNREACHABLE)
    except (URLError, OSError, ValueError, HTTPException) as e:
        return _say(f"{address} does not answer: {getattr(e, 'reason', e)}", UNREACHABLE)


def front(api: Api) -> tuple[str, ssl.SSLContext | None]:
    """Where the front answers this machine, and how it is known. Raises ConfigError.

    Its own certificate is trusted, and nobody else's: so under whichever name we reach it, only
    who has its key can answer.
    """
    if not api.tls_cert:
        return front_at(api), None
    try:
        with open(api.tls_cert, encoding="ascii") as file:
            text = file.read(PEM_BYTES_MAX)
        own = text[: text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)]
        trust = ssl.create_default_context(cadata=own)
    except (OSError, ValueError) as e:
        raise ConfigError(f"api.tls_cert: {api.tls_cert}: {e}") from None
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trust.check_hostname = False
    return front_at(api), trust


def _detail(body: bytes) -> str:
    """What a problem+json says, or the beginning of whatever else it is."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _say(text: object, code: int) -> int:
    print(f"confirm-restore: {text}", file=sys.stderr)
    return code
