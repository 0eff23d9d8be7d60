"""A paper exchange on a free loopback port, its keys, and a client that signs."""

import asyncio
import base64
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from websockets.sync.client import ClientConnection, connect

from actors.paper.shell import run
from protocol.config import Exchange, Paper, Settings, Stream

CAPTURES = Path(__file__).parents[3].parent / "shared" / "captures"
SOCKET = "/trade-api/ws/v2"
ORDERS = "/trade-api/v2/portfolio/events/orders"
PATIENCE = 30.0  # seconds until a frame that does not come fails the test
TICKER = "KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP"

RSA = generate_private_key(65537, 2048)
ED25519 = Ed25519PrivateKey.generate()
KEYS: dict[str, RSAPrivateKey | Ed25519PrivateKey] = {"paper": RSA, "paper-read": ED25519}


def capture(path: str) -> Path:
    """A file of the captures beside the checkout, or a skip."""
    if not (CAPTURES / path).exists():
        pytest.skip(f"captures/{path} is not beside this checkout")
    return CAPTURES / path


def snapshot_line(ticker: str = TICKER, yes: Any = None, no: Any = None) -> str:
    """One line of a capture: a book."""
    body = {
        "market_ticker": ticker,
        "market_id": "f5ed38e2-0991-4c8f-817e-08c4fd9cbfdb",
        "yes_dollars_fp": yes or [["0.4700", "3.00"]],
        "no_dollars_fp": no or [["0.4800", "3.00"]],
    }
    return json.dumps({"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": body}) + "\n"


def settings_in(
    folder: Path, feed: str = "synthetic", speed: float = 1.0, **paper: Any
) -> Settings:
    """Settings of an exchange that keeps everything under `folder`."""
    for name, key in KEYS.items():
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{name}.pem").write_bytes(pem)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Settings(
        profile="paper",
        run_dir=str(folder / "run"),
        var_dir=str(folder / "var"),
        exchange=Exchange(
            environment="paper",
            rest_url=f"http://127.0.0.1:{port}/trade-api/v2",
            ws_url=f"ws://127.0.0.1:{port}{SOCKET}",
            key_id="paper",
            key_file=str(folder / "paper.pem"),
            read_key_id="paper-read",
            read_key_file=str(folder / "paper-read.pem"),
        ),
        stream=Stream(follow=("*",)),
        paper=Paper(enabled=True, port=port, feed=feed, speed=speed, **paper),
    )


def signed(method: str, path: str, key: str = "paper", skew_ms: int = 0) -> dict[str, str]:
    """The three headers of FACTS.md section 2."""
    stamp = str(time.time_ns() // 1_000_000 + skew_ms)
    text = f"{stamp}{method}{path}".encode()
    secret = KEYS[key]
    if isinstance(secret, RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        signature = secret.sign(text, pss, hashes.SHA256())
    else:
        signature = secret.sign(text)
    return {
        "KALSHI-ACCESS-KEY": key,
        "KALSHI-ACCESS-TIMESTAMP": stamp,
        "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
    }


class Client:
    """What a trader's program would be."""

    def __init__(self, settings: Settings) -> None:
        self.root = f"http://127.0.0.1:{settings.paper.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self._ws_url = settings.exchange.ws_url

    def call(
        self, method: str, path: str, body: Any = None, timeout: float = PATIENCE, **how: Any
    ) -> requests.Response:
        """A signed request; `path` is from the root and may have a query."""
        headers = signed(method, path.partition("?")[0], **how)
        return self.session.request(
            method,
            self.root + path,
            json=body,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        )

    def get(self, path: str, **how: Any) -> Any:
        return self.call("GET", f"/trade-api/v2{path}", **how).json()

    def order(
        self, client_order_id: str, timeout: float = PATIENCE, **changes: Any
    ) -> requests.Response:
        """Create: by default 1 at 0.01, good till cancelled."""
        body = {
            "ticker": TICKER,
            "client_order_id": client_order_id,
            "side": "bid",
            "count": "1.00",
            "price": "0.0100",
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
        }
        return self.call("POST", ORDERS, body | changes, timeout)

    def cancel(self, order_id: str, query: str = "") -> requests.Response:
        return self.call("DELETE", f"{ORDERS}/{order_id}{query}")

    def listed(self, query: str = "") -> list[str]:
        """The client order ids of a listing, newest first."""
        found = self.get(f"/portfolio/orders{query}")["orders"]
        return [order["client_order_id"] for order in found]

    def cash(self) -> str:
        found: str = self.get("/portfolio/balance")["balance_dollars"]
        return found

    def held(self) -> dict[str, str]:
        """Positions by ticker."""
        found = self.get("/portfolio/positions")["market_positions"]
        return {position["ticker"]: position["position_fp"] for position in found}

    def budget(self) -> Any:
        return self.session.get(f"{self.root}/paper/budget").json()["buckets"]

    def paper(self, deed: str, **body: Any) -> requests.Response:
        """One of the exchange's own calls, `POST /paper/...`."""
        return self.session.post(f"{self.root}/paper/{deed}", json=body, timeout=PATIENCE)

    def socket(self, key: str = "paper-read") -> ClientConnection:
        return connect(
            self._ws_url,
            additional_headers=signed("GET", SOCKET, key),
            proxy=None,
            max_size=None,
            close_timeout=1,
        )

    def wire(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.session.get(f"{self.root}/paper/wire").json()["requests"]
        return found

    def arm(self, **faults: Any) -> requests.Response:
        return self.session.post(f"{self.root}/paper/faults", json=faults)

    def open(self) -> None:
        """Wait until the port answers."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.session.get(f"{self.root}/paper/health", timeout=PATIENCE)
                return
            except requests.ConnectionError:
                assert time.monotonic() < until, "the exchange does not come up"

    def play(self, *tickers: str) -> None:
        """Subscribe, so that the capture runs, and wait for its end."""
        with self.socket() as ws:
            say(ws, "subscribe", channels=["orderbook_delta"], market_tickers=list(tickers))
            while not self.session.get(f"{self.root}/paper/feed").json()["done"]:
                hear(ws)


class House:
    """The exchange in a thread of its own, for as long as the `with` lasts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = Client(settings)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(run(self.settings, self._stop))

    def __enter__(self) -> Client:
        self._thread.start()
        self.client.open()
        return self.client

    def __exit__(self, *error: object) -> None:
        self.client.session.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def say(ws: ClientConnection, word: str, number: int = 1, **params: Any) -> None:
    ws.send(json.dumps({"id": number, "cmd": word, "params": params}))


def hear(ws: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ws.recv(PATIENCE))
    return found


def hear_until(ws: ClientConnection, kind: str) -> dict[str, Any]:
    while (found := hear(ws))["type"] != kind:
        pass
    return found
