"""The gate before every handler: who comes in, and what everybody else is told."""

from typing import Any

import pytest

from actors.api.asks import Place
from actors.api.batches import CancelMany, PlaceMany
from actors.api.bodies import Problem
from actors.api.guard import Caller, Guard, Head, names_of
from actors.api.quota import Meter, Quota, kind_of, weight_of
from protocol.limits import (
    BATCH_MAX,
    BODY_BYTES_MAX,
    CANCELS_WAITING_A_TOKEN,
    FAILURES_A_MINUTE,
    KILLS_A_SECOND,
    KILLS_WAITING_A_TOKEN,
    MINUTE,
    SECOND,
    TRADES_WAITING_A_TOKEN,
)
from protocol.messages import PlaceOrder
from protocol.runtime.tokens import new_token
from protocol.serving import Api
from protocol.tokens import SCOPES, Scope, Tokens
from protocol.units import Count, Price

PORT = 7601
AT = 1_800_000_000_000_000
READ = new_token("read", b"reader", ("read",), AT)
TRADE = new_token("trade", b"trader", ("read", "trade", "kill"), AT)
OTHER = new_token("other", b"another", ("read", "trade", "kill"), AT)
ADMIN = new_token("admin", b"boss", SCOPES, AT)
SPENT = new_token("spent", b"spent", SCOPES, AT - 2, AT - 1)
TOKENS = Tokens([READ, TRADE, OTHER, ADMIN, SPENT])


class Gate:
    """A gate, and whoever stands before it."""

    def __init__(self, **settings: Any) -> None:
        api = Api(port=PORT, **settings)
        self.guard = Guard(names_of(api, PORT), TOKENS, Quota(api))
        self.now = 0

    def ask(
        self,
        method: str = "GET",
        path: str = "/v1/status",
        needed: Scope | None = "read",
        address: str = "127.0.0.1",
        **headers: str | None,
    ) -> Caller | Problem:
        said: dict[str, str | None] = {"host": f"127.0.0.1:{PORT}", "authorization": "Bearer boss"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = [(k.encode(), v.encode("latin-1")) for k, v in said.items() if v is not None]
        return self.guard.admit(self.now, AT, Head(method, path, raw, address), needed)

    def refused(self, *what: Any, **more: Any) -> tuple[int, str]:
        found = self.ask(*what, **more)
        assert isinstance(found, Problem), found
        return found.status, found.code


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LocalHost:{PORT}",
                                  f"[::1]:{PORT}"])  # fmt: skip
def test_under_our_own_names_we_are_reached(host: str) -> None:
    assert Gate().ask(host=host) == Caller(ADMIN, "look")


@pytest.mark.parametrize("host", [None, "", "evil.example", f"evil.example:{PORT}", "127.0.0.1",
    "127.0.0.1:80", f"127.0.0.1:{PORT}.evil.example", f"0.0.0.0:{PORT}", f"127.0.0.1:{PORT} ",
    f"localhost.:{PORT}", f"user@127.0.0.1:{PORT}"])  # fmt: skip
def test_under_another_name_nobody_is(host: str | None) -> None:
    """A page that has its own name lead to this machine still says that name."""
    assert Gate().refused(host=host) == (421, "wrong_host")


def test_settings_add_names_and_origins() -> None:
    gate = Gate(hosts=("desk.example", "a:1"), origins=("https://desk.example",), host="10.0.0.7",
                behind_proxy=True)  # fmt: skip
    for host in ("desk.example", f"desk.example:{PORT}", "a:1", f"10.0.0.7:{PORT}"):
        assert isinstance(gate.ask(host=host), Caller)
    assert gate.refused(host="a") == (421, "wrong_host")
    assert isinstance(gate.ask(origin="https://desk.example"), Caller)
    cross = gate.ask(origin="https://desk.example", sec_fetch_site="cross-site")
    assert isinstance(cross, Caller), "it was let in by name"
    assert gate.refused(origin="http://desk.example.evil") == (403, "wrong_origin")


def test_with_tls_our_own_origin_has_it_too() -> None:
    gate = Gate(tls_cert="c", tls_key="k", hosts=("desk.example",))
    assert isinstance(gate.ask(origin=f"https://127.0.0.1:{PORT}"), Caller)
    assert isinstance(gate.ask(origin="https://desk.example"), Caller)
    assert gate.refused(origin=f"http://127.0.0.1:{PORT}") == (403, "wrong_origin")
    assert "desk.example" in names_of(Api(tls_cert="c", hosts=("desk.example",)), 443).hosts
    assert "localhost" in names_of(Api(tls_cert="c"), 443).hosts


@pytest.mark.parametrize("origin", ["null", "", "https://evil.example", "http://127.0.0.1",
    f"https://127.0.0.1:{PORT}", "http://localhost:3000", "file://"])  # fmt: skip
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert Gate().refused(origin=origin) == (403, "wrong_origin")
    assert isinstance(Gate().ask(origin=f"http://127.0.0.1:{PORT}"), Caller)


def test_and_one_that_the_browser_says_is_of_another_site() -> None:
    assert Gate().refused(sec_fetch_site="cross-site") == (403, "cross_site")
    assert Gate().refused(sec_fetch_site="same-site") == (403, "cross_site")
    for site in ("none", "same-origin"):
        assert isinstance(Gate().ask(sec_fetch_site=site), Caller)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_not_spoken(method: str) -> None:
    """OPTIONS among them: no page is ever told that it may ask."""
    assert Gate().refused(method) == (405, "method_not_allowed")


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x", "application/jsonp", "text/json"])  # fmt: skip
def test_what_a_form_can_send_is_not_read(kind: str | None) -> None:
    want = (415, "unsupported_media_type")
    assert Gate().refused("POST", content_type=kind) == want
    assert Gate().refused("GET", content_length="2", content_type=kind) == want
    assert Gate().refused("DELETE", transfer_encoding="chunked", content_type=kind) == want
    right = Gate().ask("POST", content_type="Application/JSON; charset=utf-8", content_length="2")
    assert isinstance(right, Caller)


def test_sizes() -> None:
    json = {"content_type": "application/json"}
    assert isinstance(Gate().ask("POST", content_length=str(BODY_BYTES_MAX), **json), Caller)
    over = str(BODY_BYTES_MAX + 1)
    assert Gate().refused("POST", content_length=over, **json) == (413, "body_too_large")
    assert Gate().refused("POST", content_length="9" * 400, **json)[0] == 400
    assert Gate().refused(x_long="a" * 20_000) == (431, "headers_too_large")
    assert Gate().refused(**{f"x{n}": "" for n in range(64)}) == (431, "headers_too_large")


@pytest.mark.parametrize("name", ["host", "origin", "authorization", "content-type"])
def test_what_is_said_twice_is_not_weighed(name: str) -> None:
    head = Head("GET", "/", [(b"host", b"localhost:7601"), (name.encode(), b"a")] * 2, "::1")
    found = Gate().guard.admit(0, AT, head, "read")
    assert isinstance(found, Problem)
    assert (found.status, found.code) == (400, "repeated_header")


@pytest.mark.parametrize("said", [None, "", "Bearer", "Bearer ", "boss", "Basic boss",
    "Bearer nobody", "Bearer boss boss", "Bearer \xff\xfe", "Bearer " + "x" * 9_000,
    "Bearer spent", "Bearer boss,Bearer boss"])  # fmt: skip
def test_without_a_token_that_counts_nobody_learns_what_there_is(said: str | None) -> None:
    for needed in ("read", None):
        assert Gate().refused(authorization=said, needed=needed) == (401, "unauthorized")
    path = "/v1/status?token=boss"
    assert Gate().refused("GET", path, authorization=None) == (401, "unauthorized")


def test_too_many_failures_are_told_so_and_hold_up_nobody_who_has_a_token() -> None:
    """All programs of a machine have one address: one that is wrong must not stop a halt."""
    gate = Gate()
    for _ in range(FAILURES_A_MINUTE):
        assert gate.refused(authorization="Bearer guess") == (401, "unauthorized")
    found = gate.ask(authorization="Bearer guess")
    assert isinstance(found, Problem)
    assert (found.status, found.code, found.retry_after_ms) == (429, "too_many_failures", 6_000)
    assert isinstance(gate.ask("POST", "/v1/halt", "kill", content_type="application/json"), Caller)
    assert gate.refused(authorization="Bearer guess", address="10.0.0.8")[0] == 401
    gate.now += MINUTE // FAILURES_A_MINUTE
    assert gate.refused(authorization="Bearer guess")[0] == 401


@pytest.mark.parametrize("needed", SCOPES)
@pytest.mark.parametrize("token", [READ, TRADE, ADMIN], ids=lambda token: token.name)
def test_a_token_may_what_it_was_made_for(needed: Scope, token: Any) -> None:
    secret = {"read": "reader", "trade": "trader", "admin": "boss"}[token.name]
    found = Gate().ask(needed=needed, authorization=f"Bearer {secret}")
    if needed in token.scopes:
        assert isinstance(found, Caller)
        assert found.token == token
    else:
        assert isinstance(found, Problem)
        assert (found.status, found.code) == (403, "forbidden")
        assert f"`{needed}` is needed" in found.detail


def test_what_was_withdrawn_counts_no_more() -> None:
    gate = Gate()
    assert gate.guard.holds(TRADE.id, AT) == TRADE
    gate.guard.take_over(TOKENS.without("trade"))
    assert gate.guard.holds(TRADE.id, AT) is None
    assert gate.refused(authorization="Bearer trader") == (401, "unauthorized")
    assert isinstance(gate.ask(), Caller)


def test_a_socket_that_says_later_who_it_is_passes_all_the_rest_first() -> None:
    guard = Gate().guard
    here, there = [(b"host", f"localhost:{PORT}".encode())], [(b"host", b"evil.example")]
    assert guard.knock(Head("GET", "/v1/ws", here, "::1")) is None
    found = guard.knock(Head("GET", "/v1/ws", there, "::1"))
    assert found is not None
    assert found.status == 421


# How much


def test_what_a_request_counts_as() -> None:
    assert [
        kind_of("read", "GET", "/v1/books/KXA-1"),
        kind_of("read", "GET", "/v1/exchange/markets"),
        kind_of("read", "GET", "/v1/markets/KXA-1"),
        kind_of("trade", "POST", "/v1/orders"),
        kind_of("trade", "POST", "/v1/orders/a/amend"),
        kind_of("trade", "POST", "/v1/follow"),
        kind_of("trade", "DELETE", "/v1/groups/g"),
        kind_of("trade", "DELETE", "/v1/orders/a"),
        kind_of("trade", "POST", "/v1/orders/a/decrease"),
        kind_of("kill", "POST", "/v1/panic"),
        kind_of("admin", "POST", "/v1/resume"),
        kind_of(None, "GET", "/nothing"),
    ] == ["look", "ask", "ask", *["trade"] * 4, "cancel", "cancel", "kill", "trade", "look"]


def test_a_batch_counts_for_all_its_orders() -> None:
    order = PlaceOrder("a", "KXA-1", "bid", Price(1), Count(1), "good_till_canceled")
    assert weight_of(PlaceMany((order,) * 7)) == 7
    assert weight_of(CancelMany(("a", "b"))) == 2
    assert weight_of(Place(order)) == 1
    gate = Gate(trades_a_second=1.0)
    caller = gate.ask("POST", "/v1/orders/batch", "trade", content_type="application/json")
    assert isinstance(caller, Caller)
    assert gate.guard.charge(0, caller, BATCH_MAX - 1) is None, "a whole batch fits"
    found = gate.guard.charge(0, caller, 1)
    assert found is not None
    assert (found.status, found.code, found.retry_after_ms) == (429, "too_many_requests", 1_000)
    assert gate.guard.charge(SECOND, caller, 1) is None


def test_a_bucket_fills_with_time_and_overflows() -> None:
    meter = Meter(SECOND // 10, 3, 2)
    assert [meter.take(0, "a") for _ in range(4)] == [0, 0, 0, SECOND // 10]
    assert meter.take(0, "b") == 0, "another's is not touched"
    assert meter.take(SECOND // 10 - 1, "a") == 1
    assert meter.take(SECOND // 10, "a") == 0
    later = 3_600 * SECOND
    assert [meter.take(later, "a") for _ in range(4)] == [0, 0, 0, SECOND // 10]
    assert meter.take(later, "c") == 0
    assert meter.take(later, "a") == 0, "too many keys: the first one begins anew"
    assert meter.take(later, "c", 1_000) > 0
    assert Meter(SECOND, 5, 1).take(0, "a", 1_000) == 0, "more than it holds is all that it holds"


def test_no_load_of_others_and_none_of_its_own_orders_stops_a_cancel_or_a_halt() -> None:
    gate = Gate(trades_a_second=1.0)
    kinds: list[tuple[str, str, Scope]] = [
        ("DELETE", "/v1/orders/a", "trade"), ("POST", "/v1/halt", "kill"),
        ("POST", "/v1/panic", "kill"),
    ]  # fmt: skip
    body = {"content_type": "application/json"}
    for name in ("trader", "boss"):
        for _ in range(200):
            gate.ask("POST", "/v1/orders", "trade", authorization=f"Bearer {name}", **body)
        assert gate.refused("POST", "/v1/orders", "trade", authorization=f"Bearer {name}",
                            **body) == (429, "too_many_requests")  # fmt: skip
        for method, path, needed in kinds:
            assert isinstance(gate.ask(method, path, needed, authorization=f"Bearer {name}",
                                       **body), Caller)  # fmt: skip
    for method, path, needed in kinds:  # one who calls them for fun stops only itself
        for _ in range(1_000):
            gate.ask(method, path, needed, authorization="Bearer trader", **body)
        assert gate.refused(method, path, needed, authorization="Bearer trader", **body)[0] == 429
        other = gate.ask(method, path, needed, authorization="Bearer another", **body)
        assert isinstance(other, Caller)
    gate.now += SECOND // KILLS_A_SECOND
    again = gate.ask("POST", "/v1/halt", "kill", authorization="Bearer trader", **body)
    assert isinstance(again, Caller)


def test_so_many_may_wait_and_each_that_is_answered_makes_room() -> None:
    guard = Gate().guard
    for kind, most in (
        ("trade", TRADES_WAITING_A_TOKEN), ("cancel", CANCELS_WAITING_A_TOKEN),
        ("kill", KILLS_WAITING_A_TOKEN),
    ):  # fmt: skip
        caller: Any = Caller(TRADE, kind)  # type: ignore[arg-type]
        ends = [guard.begin(caller) for _ in range(most)]
        full = guard.begin(caller)
        assert isinstance(full, Problem)
        assert (full.status, full.code) == (429, "too_many_waiting")
        assert callable(guard.begin(Caller(OTHER, caller.kind)))
        end = ends[0]
        assert callable(end)
        end()
        assert callable(guard.begin(caller))
