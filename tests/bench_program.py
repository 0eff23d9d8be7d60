"""A program that calls the exchange itself, for `tests.bench_budget`: it borrows from the gateway
what its calls cost, or, as the baseline, keeps a bucket of its own and asks nobody."""

import secrets
import sys
import threading
import time
from pathlib import Path
from typing import Final, Protocol

import zmq

from protocol.config import Settings, read
from protocol.envelope import Letter, decode_letter, encode_letter
from protocol.kalshi.signing import Signer
from protocol.messages import AcquireTokens, TokensAnswer
from protocol.runtime.process import read_private
from tests.bench_limiter import Naive
from tests.bench_orders import Caller

PREFIX: Final = "/trade-api/v2"
DEAR, CHEAP = 10, 2  # tokens of most reads, and of reading one order
SIGN_EVERY_S: Final = 2.0  # a signature may be used again, for some seconds
ASK_AGAIN_MS: Final = 250  # a letter is lost when the gateway is killed
WAIT_MS: Final = 5_000
FOREVER: Final = float("inf")


class Lender(Protocol):
    """Where tokens come from."""

    def borrow(self, tokens: int) -> float:
        """Wait for so many. Until when they may be spent (monotonic seconds)."""
        ...


class Gateway:
    """Tokens of the one budget."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._name = name
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(settings.endpoint("gateway.in"))

    def borrow(self, tokens: int) -> float:
        wish = AcquireTokens("read", tokens, 0, WAIT_MS)
        while True:
            answer = self._ask(Letter(self._name, 1, secrets.token_hex(8), 0, wish))
            if answer.state == "granted":
                return time.monotonic() + answer.valid_ms / 1e3
            assert answer.state == "later", answer
            time.sleep(answer.retry_after_ms / 1e3)

    def _ask(self, letter: Letter) -> TokensAnswer:
        """Told again under its id until it is answered: it is granted once."""
        while True:
            self._socket.send(encode_letter(letter))
            while self._socket.poll(ASK_AGAIN_MS):
                answer = decode_letter(self._socket.recv_multipart()[-1])
                if answer.id == letter.id:
                    assert isinstance(answer.body, TokensAnswer), answer
                    return answer.body


class Alone:
    """A share of the tier, by a bucket of one's own: full at the start, nobody is asked."""

    def __init__(self, capacity: float, rate: float) -> None:
        self._bucket, self._rate = Naive(capacity, rate), rate

    def borrow(self, tokens: int) -> float:
        while not self._bucket.draw(time.monotonic(), tokens):
            time.sleep(tokens / self._rate / 4)
        return FOREVER


class Program:
    """Makes signed calls, as cheaply as it can."""

    def __init__(self, settings: Settings, url: str, order_id: str) -> None:
        exchange = settings.exchange
        self._signer = Signer(exchange.key_id, read_private(exchange.key_file), exchange.key_file)
        self._paths = {DEAR: "/portfolio/balance", CHEAP: f"/portfolio/orders/{order_id}"}
        self._requests: dict[int, bytes] = {}
        self._signed_at = -SIGN_EVERY_S
        self._exchange = Caller(url)

    def spend(self, calls: list[int], until: float) -> None:
        """Make calls that cost so much each, none after the loan has ended."""
        if time.monotonic() - self._signed_at > SIGN_EVERY_S:
            self._sign()
        for cost in calls:
            if time.monotonic() < until:
                self._exchange.send(self._requests[cost])

    def _sign(self) -> None:
        self._signed_at = time.monotonic()
        for cost, path in self._paths.items():
            headers = self._signer.headers(time.time_ns() // 1_000_000, "GET", PREFIX + path)
            lines = [f"{name}: {value}" for name, value in headers.items()]
            self._requests[cost] = self._exchange.request("GET", PREFIX + path, b"", *lines)


def main(config: str, url: str, order_id: str, dear: str, cheap: str, *own: str) -> None:
    """Borrow and spend until stdin ends. `own`: a name, or capacity and rate of an own bucket."""
    settings = read(Path(config).read_text(), {}, config)
    lender: Lender = Gateway(settings, own[0]) if len(own) == 1 else Alone(*map(float, own))
    program, over = Program(settings, url, order_id), threading.Event()
    calls = [DEAR] * int(dear) + [CHEAP] * int(cheap)
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not over.is_set():
        program.spend(calls, lender.borrow(sum(calls)))


if __name__ == "__main__":
    main(*sys.argv[1:])
