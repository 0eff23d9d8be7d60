"""The last look at the latch, in the thread that signs: over a real socket, no byte of an order."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.passes import Pass, digest_of
from actors.gateway.wire import Wire
from protocol.config import read
from protocol.kalshi import calls
from protocol.latch import Latch
from protocol.runtime.latch import LatchFile
from supervisor.setup import set_up
from tests.actors.gateway.scene import order
from tests.engine.running import ROOT

CREATE = calls.create(order())
PASS = Pass(digest_of(CREATE))


class Exchange:
    """Takes whatever comes and answers 204; keeps the first line of each request."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line, line.makefile("rb") as file:
                first = file.readline().decode()
                while file.readline().strip():
                    continue
                if not first:
                    continue  # connected, and not a byte came
                self.heard.append(" ".join(first.split()[:2]))
                line.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.close()


def test_a_halt_stops_creates_at_the_signature_and_nothing_else(
    exchange: Exchange, tmp_path: Path
) -> None:
    text = (ROOT / "configs" / "paper.toml").read_text().replace("7602", str(exchange.port))
    text = text.replace('"var/paper', f'"{tmp_path}/var').replace('"run/paper', f'"{tmp_path}/run')
    settings = read(text, {}, "paper.toml")
    set_up(settings)
    latch = LatchFile(settings.var_dir)
    wire = Wire(settings, latch.stopped)
    orders = "/trade-api/v2/portfolio/events/orders"
    assert isinstance(wire.send(1, CREATE, PASS), CallAnswered)
    latch.write(Latch(True, "by another process"))
    stopped = wire.send(2, CREATE, PASS)
    assert isinstance(stopped, CallFailed)
    assert (stopped.id, stopped.reason, stopped.sent) == (2, "halted: by another process", False)
    assert isinstance(wire.send(3, calls.CANCEL_ALL), CallAnswered)
    assert isinstance(wire.send(6, calls.get_market("KXA-1", "order")), CallAnswered), "no risk"
    Path(latch.path).write_text("damaged")
    assert isinstance(wire.send(4, CREATE, PASS), CallFailed)
    Path(latch.path).unlink()
    assert isinstance(wire.send(5, CREATE, PASS), CallAnswered)
    market = "GET /trade-api/v2/markets/KXA-1"
    assert exchange.heard == [f"POST {orders}", f"DELETE {orders}", market, f"POST {orders}"]
