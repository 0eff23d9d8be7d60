"""The bad line itself, between a plain WebSocket client and a plain server: each fault does what it
says, to whom it says, and nothing else."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidMessage,
    InvalidStatus,
)
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.engine.framing import PING, PONG, Splitter, text
from tests.engine.mischief import (
    Alter,
    Break,
    Hole,
    Late,
    Misdate,
    Of,
    Refuse,
    Renumber,
    Slow,
    Swap,
    Unanswered,
    repeat,
    replace,
    rewrite,
    skip,
)
from tests.engine.proxy import Proxy, carries, only

PATIENCE = 5.0
DELTA = "orderbook_delta"


def frame(n: int, sid: int = 1, **msg: Any) -> str:
    said = {"type": DELTA, "sid": sid, "seq": n, "msg": {"market_ticker": "KXA-1", **msg}}
    return json.dumps(said, separators=(",", ":"))


def exchange(connection: ServerConnection) -> None:
    """Subscribes to whatever it is asked, then sends each text that it is told to send."""
    try:
        for message in connection:
            command = json.loads(message)
            if command["cmd"] == "subscribe":
                for sid, channel in enumerate(command["params"]["channels"], start=1):
                    body = {"channel": channel, "sid": sid}
                    connection.send(json.dumps({"id": 1, "type": "subscribed", "msg": body}))
            for sent in command.get("say", []):
                connection.send(sent)
    except ConnectionClosed:
        return


class Bench:
    """A server, the proxy before it, and clients."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._clients = ExitStack()

    def client(self, *channels: str, **options: Any) -> ClientConnection:
        options = {"open_timeout": PATIENCE, "close_timeout": 0.1, "max_size": None, **options}
        url = f"ws://127.0.0.1:{self.proxy.port}/"
        opening = connect(url, proxy=None, ping_interval=None, **options)
        client: ClientConnection = self._clients.enter_context(opening)
        if channels:
            command = {"id": 1, "cmd": "subscribe", "params": {"channels": channels}}
            client.send(json.dumps(command))
            for _ in channels:
                assert json.loads(client.recv(PATIENCE))["type"] == "subscribed"
        return client

    def close(self) -> None:
        self._clients.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(exchange, "127.0.0.1", 0, ping_interval=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
    thread.join(PATIENCE)


@pytest.fixture
def bench(server: Server) -> Iterator[Bench]:
    with Proxy(server.socket.getsockname()[1]) as proxy:
        bench = Bench(proxy)
        yield bench
        bench.close()


def say(client: ClientConnection, *texts: str) -> None:
    """Have the server say this to the client."""
    client.send(json.dumps({"cmd": "say", "say": texts}))


def hear(client: ClientConnection, count: int) -> list[Any]:
    return [client.recv(PATIENCE) for _ in range(count)]


def numbers(client: ClientConnection, count: int) -> list[int]:
    return [json.loads(text)["seq"] for text in hear(client, count)]


def silent(client: ClientConnection, seconds: float = 0.2) -> bool:
    try:
        client.recv(seconds)
    except TimeoutError:
        return True
    return False


def test_nothing_is_wrong_until_it_is_armed(bench: Bench) -> None:
    client = bench.client(DELTA, "trade")
    sent = [frame(n, text="x" * size) for n, size in enumerate((0, 100, 200, 70_000, 1_000_000))]
    say(client, *sent)
    assert hear(client, 5) == sent
    assert client.ping().wait(PATIENCE), "a ping comes back"
    [line] = bench.proxy.lines
    assert line.channels == {DELTA, "trade"}
    assert line.sids == {DELTA: 1, "trade": 2}
    assert line.commands[0]["cmd"] == "subscribe"
    client.close()
    bench.proxy.until(lambda: not line.open, PATIENCE, "the connection is over")
    assert line.left_at is not None


def test_frames_are_found_in_any_pieces() -> None:
    payloads = [b"x" * size for size in (0, 1, 125, 126, 65_535, 65_536, 70_000)]
    whole = b"HTTP/1.1 101 OK\r\n\r\n" + b"".join(text(payload) for payload in payloads)
    for piece in (1, 2, 3, 1_000, len(whole)):
        splitter, found = Splitter(), []
        head = None
        for start in range(0, len(whole), piece):
            data = whole[start : start + piece]
            if head is None:
                head = splitter.head(data)
                data = b""
            if head is not None:
                found += [frame.payload for frame in splitter.frames(data)]
        assert head == b"HTTP/1.1 101 OK\r\n\r\n"
        assert found == payloads, piece


def test_a_black_hole_in_both_ways_that_ends(bench: Bench) -> None:
    client = bench.client(DELTA)
    armed = bench.proxy.arm(Hole())
    say(client, frame(1))
    waiting = client.ping()
    assert silent(client)
    assert bench.proxy.open_lines(), "nobody has been told that anything ended"
    bench.proxy.lift(armed)
    assert numbers(client, 1) == [1]
    assert waiting.wait(PATIENCE)


def test_a_black_hole_for_a_time(bench: Bench) -> None:
    client = bench.client(DELTA)
    began = time.monotonic()
    bench.proxy.arm(Hole(seconds=0.5))
    say(client, frame(1))
    assert numbers(client, 1) == [1]
    assert 0.45 < time.monotonic() - began < 0.5 + PATIENCE


def test_one_way_may_be_a_black_hole_alone(bench: Bench) -> None:
    client = bench.client(DELTA)
    armed = bench.proxy.arm(Hole(("down",)))
    say(client, frame(1), frame(2))
    [line] = bench.proxy.lines
    bench.proxy.until(lambda: len(line.commands) == 2, PATIENCE, "the server hears us")
    assert silent(client)
    bench.proxy.lift(armed)
    assert numbers(client, 2) == [1, 2]


def test_the_end_of_a_connection_does_not_leave_the_hole(bench: Bench) -> None:
    client = bench.client(DELTA)
    armed = bench.proxy.arm(Hole())
    client.close_socket()
    [line] = bench.proxy.lines
    bench.proxy.until(lambda: line.left_at is not None, PATIENCE, "the client left")
    assert line.open, "the server has heard of it"
    bench.proxy.lift(armed)
    bench.proxy.until(lambda: not line.open, PATIENCE, "the server has heard of it now")


def test_only_connections_that_are_open_or_only_later_ones(bench: Bench) -> None:
    old = bench.client(DELTA)
    bench.proxy.arm(Alter(Of(type=DELTA), skip), when="now")
    new = bench.client(DELTA)
    for client in (old, new):
        say(client, frame(1))
    assert numbers(new, 1) == [1]
    assert silent(old, 0.1)
    bench.proxy.lift()
    bench.proxy.arm(Alter(Of(type=DELTA), skip), when="later")
    newest = bench.client(DELTA)
    for client in (new, newest):
        say(client, frame(2))
    assert numbers(new, 1) == [2]
    assert silent(newest, 0.1)


def test_connections_are_told_apart_by_what_they_subscribe(bench: Bench) -> None:
    private, market = bench.client("fill", "user_orders"), bench.client(DELTA)
    bench.proxy.arm(Alter(Of(), skip), where=carries("fill"))
    for client in (private, market):
        say(client, frame(1))
    assert numbers(market, 1) == [1]
    assert silent(private, 0.1)
    assert [line.number for line in bench.proxy.open_lines(carries("fill"))] == [1]
    assert len(bench.proxy.lines) == 2


def test_no_answer_to_the_handshake(bench: Bench) -> None:
    armed = bench.proxy.arm(Unanswered(), times=1)
    with pytest.raises(TimeoutError):
        bench.client(open_timeout=0.3)
    assert armed.hits == 1
    assert bench.client(DELTA), "the next one is answered"


@pytest.mark.parametrize("status", [401, 429, 503])
def test_the_handshake_is_refused(bench: Bench, status: int) -> None:
    bench.proxy.arm(Refuse(status, clock_off_s=3_600), times=2)
    for _ in range(2):
        with pytest.raises(InvalidStatus) as refused:
            bench.client()
        response = refused.value.response
        assert response.status_code == status
        said = parsedate_to_datetime(response.headers["Date"]).timestamp()
        assert 3_590 < said - time.time() < 3_610
    assert bench.client(DELTA)


def test_the_clock_of_a_good_handshake_is_wrong(bench: Bench) -> None:
    bench.proxy.arm(Misdate(-3_600))
    client = bench.client(DELTA)
    assert client.response is not None
    said = parsedate_to_datetime(client.response.headers["Date"]).timestamp()
    assert -3_610 < said - time.time() < -3_590


def test_a_reset_in_the_middle_of_a_frame(bench: Bench) -> None:
    client, other = bench.client(DELTA), bench.client(DELTA)
    [line, _] = bench.proxy.lines
    bench.proxy.arm(Break(Of(type=DELTA)), where=only(line), skip=1)
    say(client, frame(1), frame(2), frame(3))
    assert numbers(client, 1) == [1]
    with pytest.raises(ConnectionClosedError) as ended:
        client.recv(PATIENCE)
    assert isinstance(ended.value.__cause__, ConnectionResetError | EOFError)
    say(other, frame(1))
    assert numbers(other, 1) == [1]


@pytest.mark.parametrize("reset", [True, False])
def test_all_connections_end_at_once(bench: Bench, reset: bool) -> None:
    clients = [bench.client(DELTA) for _ in range(3)]
    assert bench.proxy.cut(reset=reset) == 3
    for client in clients:
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
    bench.proxy.until(lambda: not bench.proxy.open_lines(), PATIENCE, "all are over")


def test_a_slow_line(bench: Bench) -> None:
    client = bench.client(DELTA)
    armed = bench.proxy.arm(Slow(20_000))
    began = time.monotonic()
    say(client, frame(1, text="x" * 10_000), frame(2, text="x" * 100_000))
    assert numbers(client, 1) == [1]
    assert 0.4 < time.monotonic() - began < 0.5 + PATIENCE
    bench.proxy.lift(armed)
    assert numbers(client, 1) == [2]
    assert time.monotonic() - began < 5.0, "as fast as it goes again"


def test_data_comes_late_and_in_order_and_pongs_in_time(bench: Bench) -> None:
    client = bench.client(DELTA)
    armed = bench.proxy.arm(Late(2.0))
    (line,) = bench.proxy.open_lines()
    before = line.frames["down"]
    began = time.monotonic()
    say(client, frame(1), frame(2))
    assert client.ping().wait(PATIENCE)
    assert time.monotonic() - began < 1.9, "a pong waits behind nothing"
    taken = before + 3  # of them the pong is one
    bench.proxy.until(lambda: line.frames["down"] >= taken, PATIENCE, "both are on their way")
    bench.proxy.lift(armed)
    say(client, frame(3))
    assert numbers(client, 3) == [1, 2, 3]
    assert time.monotonic() - began > 1.95


def test_all_comes_late(bench: Bench) -> None:
    client = bench.client(DELTA)
    bench.proxy.arm(Late(0.3, all_frames=True))
    began = time.monotonic()
    assert client.ping().wait(PATIENCE)
    assert time.monotonic() - began > 0.25


@pytest.mark.parametrize(
    ("by", "heard"),
    [
        (lambda: skip, [1, 4]),
        (lambda: repeat, [1, 2, 2, 3, 3, 4]),
        (Swap, [1, 3, 2, 4]),
        (lambda: replace(frame(99).encode()), [1, 99, 99, 4]),
        (lambda: rewrite(rb'"seq":(\d)', rb'"seq":7\1'), [1, 72, 73, 4]),
    ],
    ids=["skip", "repeat", "swap", "replace", "rewrite"],
)
def test_two_frames_of_a_kind_are_altered(
    bench: Bench, by: Callable[[], Any], heard: list[int]
) -> None:
    client = bench.client(DELTA, "trade")
    armed = bench.proxy.arm(Alter(Of(type=DELTA), by()), skip=1, times=2)
    trade = json.dumps({"type": "trade", "sid": 2, "seq": 0, "msg": {}})
    say(client, frame(1), frame(2), trade, frame(3), frame(4))
    told = [json.loads(text) for text in hear(client, len(heard) + 1)]
    assert [said["seq"] for said in told if said["type"] == DELTA] == heard
    assert sum(said["type"] == "trade" for said in told) == 1
    assert armed.hits == 2
    assert armed.hit_at is not None


def test_a_sid_counts_anew(bench: Bench) -> None:
    client = bench.client(DELTA, "trade")
    bench.proxy.arm(Alter(Of(sid=1), Renumber(lambda true: 1)))
    say(client, *(frame(n) for n in (41, 42, 43)), frame(9, sid=2))
    assert numbers(client, 4) == [1, 2, 3, 9]


def test_one_sid_is_mute_and_the_others_go_on(bench: Bench) -> None:
    client = bench.client(DELTA, "trade")
    [line] = bench.proxy.lines
    bench.proxy.arm(Alter(Of(sid=line.sids[DELTA]), skip), where=only(line))
    say(client, frame(1), frame(5, sid=2), frame(2), frame(6, sid=2))
    assert numbers(client, 2) == [5, 6]
    assert silent(client, 0.1)


def test_any_bytes_for_a_frame(bench: Bench) -> None:
    client = bench.client(DELTA)
    bench.proxy.arm(Alter(Of(type=DELTA), replace(b"x" * 50_000_000)), times=1)
    say(client, frame(1), frame(2))
    assert len(client.recv(PATIENCE)) == 50_000_000
    assert numbers(client, 1) == [2]
    bench.proxy.arm(Alter(Of(type=DELTA), replace(b"\xff\xfe")), times=1)
    say(client, frame(3))
    assert client.recv(PATIENCE, decode=False) == b"\xff\xfe"


def test_pongs_are_mute_and_data_is_not(bench: Bench) -> None:
    client = bench.client(DELTA)
    bench.proxy.arm(Alter(Of(opcode=PONG), skip))
    waiting = client.ping()
    say(client, frame(1))
    assert numbers(client, 1) == [1]
    assert not waiting.wait(0.1)
    bench.proxy.arm(Alter(Of(opcode=PING, way="up"), skip))
    assert not client.ping().wait(0.1)


def test_the_exchange_is_not_there(bench: Bench) -> None:
    with Proxy(1) as proxy, pytest.raises(InvalidMessage):
        Bench(proxy).client()


def test_a_mistake_in_here_is_told(server: Server) -> None:
    proxy = Proxy(server.socket.getsockname()[1])
    bench = Bench(proxy)
    client = bench.client(DELTA)
    proxy.arm(Alter(Of(type=DELTA), rewrite(b"no such text", b"")))
    say(client, frame(1))
    with pytest.raises(ConnectionClosed):
        client.recv(PATIENCE)
    bench.close()
    with pytest.raises(BaseExceptionGroup):
        proxy.close()
