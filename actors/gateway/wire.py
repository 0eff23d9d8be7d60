"""The wire to the exchange: signs a call and sends it, once."""

import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.halt import STOPPED
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.kalshi.calls import Call
from protocol.kalshi.signing import Signer
from protocol.limits import CALL_CONNECT_MAX, CALL_READ_MAX, SECOND
from protocol.machine import Cause
from protocol.runtime.loop import wall
from protocol.runtime.process import read_private

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANSWER_BYTES_MAX = 32 * 1024 * 1024
IDLE_MAX_S = 5.0  # a connection idle for longer may be closed by the time an order is written


class Wire:
    """Sends signed calls: no redirects, no retries, no proxies, certificates always verified.

    `stopped` is asked right before an order is signed; it says why the order may not leave.
    """

    def __init__(self, settings: Settings, stopped: Callable[[], str] = str) -> None:
        """Raises ConfigError if the address or the key can't be used."""
        url = urlsplit(settings.exchange.rest_url)
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
            raise ConfigError(f"exchange.rest_url: {settings.exchange.rest_url}: expected https")
        key_file = settings.exchange.key_file
        self._signer = Signer(settings.exchange.key_id, read_private(key_file), key_file)
        self._stopped = stopped
        self._url = settings.exchange.rest_url
        self._path = url.path
        self._local = threading.local()

    def send(self, id: int, call: Call) -> Cause:
        """Send once. What is not an answer is told as it is, never tried again."""
        path = self._path + call.path
        signed_at = wall() // 1_000  # first: an order held up after the look expires with it
        why = self._stopped() if call.lane == "order" else ""
        if why:
            return CallFailed(wall(), id, STOPPED + why, sent=False)
        headers = self._signer.headers(signed_at, call.method, path)
        headers["Content-Type"] = "application/json"
        query = f"?{urlencode(call.query)}" if call.query else ""
        try:
            with self._session(call.method == "POST").request(
                call.method,
                f"{self._url}{call.path}{query}",
                data=call.body or None,
                headers=headers,
                allow_redirects=False,
                timeout=(CALL_CONNECT_MAX / SECOND, CALL_READ_MAX / SECOND),
                stream=True,
            ) as answer:
                body = answer.raw.read(ANSWER_BYTES_MAX, decode_content=True)
                return CallAnswered(wall(), id, answer.status_code, body)
        except requests.exceptions.ConnectTimeout as e:
            return CallFailed(wall(), id, f"no connection: {_brief(e)}", sent=False)
        except requests.exceptions.SSLError as e:
            return CallFailed(wall(), id, f"TLS: {_brief(e)}", sent=True)
        except requests.exceptions.ConnectionError as e:
            refused = "NewConnectionError" in repr(e) or "NameResolutionError" in repr(e)
            return CallFailed(wall(), id, f"no answer: {_brief(e)}", sent=not refused)
        except (requests.exceptions.RequestException, OSError) as e:
            return CallFailed(wall(), id, f"no answer: {_brief(e)}", sent=True)
        except Exception as e:  # urllib3's own errors while a body is read
            return CallFailed(wall(), id, f"no answer: {_brief(e)}", sent=True)

    def _session(self, fresh: bool) -> requests.Session:
        """This thread's session; a new connection for an order if the old one has been idle."""
        session: requests.Session | None = getattr(self._local, "session", None)
        now = time.monotonic()
        stale = fresh and now - getattr(self._local, "used", 0.0) > IDLE_MAX_S
        if session is None or stale:
            if session is not None:
                session.close()
            session = requests.Session()
            session.trust_env = False
            for scheme in ("https://", "http://"):
                session.mount(scheme, HTTPAdapter(max_retries=0, pool_maxsize=1))
            self._local.session = session
        self._local.used = now
        return session


def _brief(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
