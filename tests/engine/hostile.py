"""Pages of somebody else in a real browser: where they are served, and what they found out."""

import html
import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

PAGE: Final = Path(__file__).with_name("hostile.html").read_text()
CHROMIUM: Final = shutil.which("chromium")
BROWSER_MAX_S: Final = 60
HOLD_MAX_S: Final = 45
REBINDS_TO: Final = "127.0.0.2"  # another loopback address: the front listens on 127.0.0.1


class Place:
    """Serves a page, on a port of its own or under the front's port at another address.

    There, whatever else is asked goes to the front as it came, as after a DNS rebinding: to the
    browser it is one origin.
    """

    def __init__(self, page: str = "", onward: int = 0) -> None:
        """`onward`: the front's port, which is ours at another address."""
        address = (REBINDS_TO if onward else "127.0.0.1", onward)
        self.page = page
        self._onward = ("127.0.0.1", onward) if onward else None
        self._done = threading.Event()
        self._listener = socket.create_server(address)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                some = connection.recv(65_536)
                if not some:
                    return
                data += some
            path = data.split(b" ", 2)[1]
            if path == b"/":
                connection.sendall(_answer(self.page.encode()))
            elif path == b"/hold":
                self._done.wait(HOLD_MAX_S)
                connection.sendall(_answer(b""))
            elif path == b"/done":
                self._done.set()
                connection.sendall(_answer(b""))
            elif self._onward is not None:
                self._pass_on(connection, data)

    def _pass_on(self, connection: socket.socket, data: bytes) -> None:
        """Bytes both ways, until one side has ended."""
        assert self._onward is not None
        with socket.create_connection(self._onward) as front:
            front.sendall(data)
            back = threading.Thread(target=_pour, args=(front, connection), daemon=True)
            back.start()
            _pour(connection, front)
            back.join()

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # one of them is gone: so is the other, in a moment


def _answer(body: bytes) -> bytes:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Open:
    """A server without any protection: whatever a page tries, it gets through."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []  # method, path, body
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                got.append((self.command, self.path, self.rfile.read(length).decode()))
                kind, body = "text/html", b"<p>a secret</p>"
                if "image" in self.headers.get("Accept", "").partition(",")[0]:
                    kind, body = "image/svg+xml", SQUARE
                elif "event-stream" in self.headers.get("Accept", ""):
                    kind, body = "text/event-stream", b"data: a secret\n\n"
                elif self.path.endswith(".js"):
                    kind, body = "text/javascript", b"window.stolen = 'a secret'"
                self.send_response(200)
                origin = self.headers.get("Origin", "*")
                for name, value in {
                    "Content-Type": kind,
                    "Content-Length": str(len(body)),
                    "Access-Control-Allow-Origin": origin,
                    "Access-Control-Allow-Credentials": "true",
                    "Access-Control-Allow-Methods": "GET, POST, DELETE",
                    "Access-Control-Allow-Headers": "authorization, content-type",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = do_OPTIONS = answer

            def log_message(self, format: str, *args: Any) -> None:
                """Silent: what came is in `got`."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def __enter__(self) -> "Open":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


SQUARE: Final = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"></svg>'


class OpenSocket:
    """A WebSocket server that asks nobody who he is."""

    def __init__(self) -> None:
        self._server = serve(self._one, "127.0.0.1", 0, origins=None)
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def _one(connection: ServerConnection) -> None:
        try:
            connection.send(f"you said {connection.recv()}")
        except ConnectionClosed:
            return

    def __enter__(self) -> "OpenSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


def page(front: str, socket: str, token: str, ticket: str, order: str, code: str) -> str:
    """The page, aimed at this front."""
    aims = {"@FRONT@": front, "@SOCKET@": socket, "@TOKEN@": token, "@TICKET@": ticket}
    aims |= {"@ORDER@": order, "@CODE@": code}
    text = PAGE
    for mark, aim in aims.items():
        assert mark in text
        text = text.replace(mark, aim)
    return text


def visit(url: str, rebound: bool = False) -> dict[str, dict[str, Any]]:
    """Open a page, and read from its DOM what each of its attempts could see.

    Every name under `example` leads to this machine; `rebound`: to its other address.
    """
    assert CHROMIUM is not None
    where = REBINDS_TO if rebound else "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="kc", dir="/tmp") as folder:
        command = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server",
            "--disable-popup-blocking",
            f"--user-data-dir={folder}", f"--host-resolver-rules=MAP *.example {where}",
            f"--timeout={HOLD_MAX_S * 1_000}", "--dump-dom", url,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=BROWSER_MAX_S)
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.S)
    assert found, f"the page has found nothing: {done.stdout[-500:]}\n{done.stderr[-2_000:]}"
    told: dict[str, dict[str, Any]] = json.loads(html.unescape(found[1]))
    return told
