"""Keys over real sockets: the example of docs/API.md, restarts, and what the header may be."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from actors.api.answers_thread import Answers
from actors.api.asks import Ask
from actors.api.core import Requested
from actors.api.keyed import Begin, Drop, Keep, Keyed
from actors.api.replies import Reply
from actors.api.web import Web
from protocol.machine import Answered, Cause, Effect, Tell
from protocol.runtime.http import listen, server
from protocol.tokens import SCOPES
from tests.actors.api.keyed_world import ASKED, AT, Gateway, World
from tests.actors.api.let_in import guard

PAGE = (Path(__file__).parents[3] / "docs" / "API.md").read_text()
SECTION = PAGE.partition("\n## Idempotency-Key\n")[2].partition("\n## ")[0]
EXAMPLE = re.findall(
    r"^(POST) (\S+)  Idempotency-Key: (.+?)  (\{.*\})\n(\d+) (.+)$", SECTION, re.MULTILINE
)


class Front(World):
    """The front's core, its store and its sockets, beside an engine that answers at once."""

    def __init__(self, path: str, gateway: Gateway, life: int) -> None:
        self._listener = listen("api", "127.0.0.1", 0)
        port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._web = Web(guard(port, {b"secret": SCOPES, b"reader": ("read",)}), self._asked)
        self._http = server(self._web.app(), direct=self._web.direct)
        self._path = path
        self._ready = threading.Event()
        super().__init__(life=life)
        self.gateway = gateway
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(cause: Cause) -> None:
            loop.call_soon_threadsafe(self.feed, cause)

        self._answers = Answers(self._path, tell, lambda: AT)
        self._ready.set()
        await self._http.serve(sockets=[self._listener])
        self._answers.close()

    def _asked(self, id: int, ask: Ask, keyed: Keyed | None) -> None:
        self.feed(Requested(self.at, id, ask, keyed))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Reply():
                self._web.reply(effect)
            case Begin() | Keep() | Drop():
                self._answers.perform(effect)
            case Tell(peer="gateway", letter=letter):
                answer = self.gateway.take(self.at, letter)
                self.feed(Answered(self.at, "gateway", answer))
            case _:
                super()._perform(effect)

    def post(self, path: str, body: str, *keys: str, token: str = "secret") -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if keys:
            headers["Idempotency-Key"] = keys[0]
        return requests.post(self.url + path, body, headers=headers, timeout=10)

    def close(self) -> None:
        self._http.should_exit = True
        self._thread.join()
        self._listener.close()


class Fronts:
    """One life after the other, over one file and one engine."""

    def __init__(self, path: str) -> None:
        self.path, self.gateway, self.lives = path, Gateway(), 0

    @contextlib.contextmanager
    def life(self) -> Iterator[Front]:
        self.lives += 1
        front = Front(self.path, self.gateway, self.lives)
        try:
            yield front
        finally:
            front.close()


@pytest.fixture
def fronts(tmp_path: Path) -> Fronts:
    return Fronts(str(tmp_path / "answers.db"))


def test_the_example_of_the_page_is_what_happens(fronts: Fronts) -> None:
    assert len(EXAMPLE) == 4
    told: list[requests.Response] = []
    for _, path, key, body, status, word in EXAMPLE:
        with fronts.life() as front:  # each in a life of its own
            found = front.post(path, body, key)
        told.append(found)
        assert found.status_code == int(status)
        if word == "the same":
            assert found.content == told[-2].content
            assert found.headers["Location"] == told[-2].headers["Location"]
        else:
            assert word in (found.json().get("code"), found.json().get("outcome"))
    assert len(fronts.gateway.orders) == 1


def test_every_code_of_the_page_is_one_of_the_code_and_the_other_way_round() -> None:
    folder = Path(__file__).parents[3] / "actors" / "api"
    source = "".join((folder / f"{name}.py").read_text() for name in ("keyed", "keys"))
    codes = set(re.findall(r'Problem\(\s*\d+, "(\w+)"', source))
    assert codes == set(re.findall(r"^\| \d+ `(\w+)` \|", SECTION, re.MULTILINE))


def test_what_is_wrong_by_itself_binds_no_key(fronts: Fronts) -> None:
    body = '{"ticker": "KXA-1", "side": "bid", "price": "0.5600", "count": "10.00"}'
    with fronts.life() as front:
        assert front.post("/v1/orders", "{}", "k1").status_code == 422
        assert front.post("/v1/orders", "{", "k1").status_code == 400
        assert front.post("/v1/orders", body, "k1", token="reader").status_code == 403
        assert front.post("/v1/orders", body, "k1").status_code == 201
        assert front.post("/v1/orders", body).status_code == 201
    assert [id.startswith("k-") for id in fronts.gateway.orders] == [True, False]
    assert [order.minted for order in fronts.gateway.orders.values()] == [False, True]


def test_every_post_there_is_takes_a_key(fronts: Fronts) -> None:
    with fronts.life() as front:
        for what, (path, content) in ASKED.items():
            if what == "follow":
                continue  # the stream's, which is not here
            body = requests.models.complexjson.dumps(content)
            first, again = (front.post(path, body, f"key-{what}") for _ in range(2))
            assert first.status_code in (200, 201)
            assert (first.status_code, first.content) == (again.status_code, again.content)
    assert fronts.gateway.groups == 1
    assert len(fronts.gateway.did) == len(set(fronts.gateway.did))
