"""Hosts the gateway: signs calls and sends each once, keeps the halt latch on disk."""

import contextlib
import functools
import json
import os
import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter

from actors.gateway.core import Gateway, HaltSaved, SaveHalt
from actors.gateway.desk import CallAnswered, CallFailed, MakeCall
from protocol.config import Settings
from protocol.errors import ConfigError
from protocol.kalshi.calls import Call
from protocol.kalshi.signing import Signer
from protocol.limits import CALL_CONNECT_MAX, CALL_READ_MAX, CALLS_IN_FLIGHT_MAX, SECOND
from protocol.machine import Cause, Effect
from protocol.pulse import Identity
from protocol.runtime.bus import Bus
from protocol.runtime.loop import Loop, wall
from protocol.runtime.process import (
    generation,
    next_epoch,
    read_private,
    replace_file,
    sync_folder,
)

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANSWER_BYTES_MAX = 32 * 1024 * 1024
IDLE_MAX_S = 5.0  # a connection idle for longer may be closed by the time an order is written


async def serve(settings: Settings) -> int:
    """Run until asked to stop. Returns the exit code."""
    wire = Wire(settings)
    identity = Identity(
        "gateway", next_epoch(settings.var_dir, "gateway"), os.getpid(), generation()
    )
    latch = f"{settings.var_dir}/halt"
    bus = Bus(settings)
    bus.answer_on("gateway.in")
    bus.hear("ledger.pub", ["ledger ", "mark "])
    bus.hear("system.pub", ["system "])
    core = Gateway(identity, time.monotonic_ns(), random.Random(), read_latch(latch))

    def perform(effect: Effect) -> None:
        match effect:
            case MakeCall(id=id, call=call):
                work = callers.submit(wire.send, id, call)
            case SaveHalt(halted=halted, reason=reason):
                work = saver.submit(save_latch, latch, halted, reason)
            case _:
                raise AssertionError(f"unexpected effect: {effect}")
        work.add_done_callback(functools.partial(_told, loop))

    with (
        ThreadPoolExecutor(CALLS_IN_FLIGHT_MAX, "call") as callers,
        ThreadPoolExecutor(1, "latch") as saver,
    ):
        loop = Loop(core, bus, perform)
        return await loop.run()


def _told(loop: Loop, work: "Future[Cause]") -> None:
    loop.feed_from_thread(work.result())


def read_latch(path: str) -> str:
    """Why trading is halted; "" if it is not. A latch that can't be read halts."""
    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file)["reason"]) or "halted"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as e:
        return f"halted: {path} can't be read: {e}"


def save_latch(path: str, halted: bool, reason: str) -> Cause:
    """Make the latch last, or remove it for good."""
    try:
        if halted:
            replace_file(path, json.dumps({"reason": reason, "at": wall()}).encode())
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            sync_folder(os.path.dirname(path))
    except OSError as e:
        return HaltSaved(wall(), halted, reason, f"{path}: {e.strerror}")
    return HaltSaved(wall(), halted, reason)


class Wire:
    """Sends signed calls: no redirects, no retries, no proxies, certificates always verified."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError if the address or the key can't be used."""
        url = urlsplit(settings.exchange.rest_url)
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
            raise ConfigError(f"exchange.rest_url: {settings.exchange.rest_url}: expected https")
        key_file = settings.exchange.key_file
        self._signer = Signer(settings.exchange.key_id, read_private(key_file), key_file)
        self._url = settings.exchange.rest_url
        self._path = url.path
        self._local = threading.local()

    def send(self, id: int, call: Call) -> Cause:
        """Send once. What is not an answer is told as it is, never tried again."""
        path = self._path + call.path
        headers = self._signer.headers(wall() // 1_000, call.method, path)
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
