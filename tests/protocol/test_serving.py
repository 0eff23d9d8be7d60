"""Whom the front serves: settings that make sense, and one line about each that does not."""

import re
from pathlib import Path

import pytest

from protocol.config import Settings, read
from protocol.errors import ConfigError
from protocol.serving import is_loopback, reached_at

PAPER = (Path(__file__).parents[2] / "configs" / "paper.toml").read_text()


def settings(**said: str) -> Settings:
    """As the environment would say it, such as API_HOST."""
    return read(PAPER, {f"SIDECAR_{name}": value for name, value in said.items()}, "the file")


def test_all_that_can_be_said() -> None:
    api = settings(
        API_HOST="0.0.0.0", API_TLS_CERT="own.pem", API_TLS_KEY="own.key", API_CONNECTIONS="10000",
        API_HOSTS='["desk.example", "10.0.0.7:443", "[fe80::1]:7601"]', API_LOOKS_A_SECOND="5",
        API_ORIGINS='["https://desk.example", "https://desk.example:8443"]',
        API_ASKS_A_SECOND="0.1", API_TRADES_A_SECOND="10000",
    ).api  # fmt: skip
    assert (api.hosts[0], api.origins[0]) == ("desk.example", "https://desk.example")
    assert (api.asks_a_second, api.looks_a_second) == (0.1, 5)
    assert settings(API_HOST="192.168.0.7", API_BEHIND_PROXY="true").api.behind_proxy
    page = settings(SUPERVISOR_HOST="::", SUPERVISOR_BEHIND_PROXY="true").supervisor
    assert (page.host, page.behind_proxy) == ("::", True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.7", "desk.example", "127.0.0.1.x",
    "localhost.evil.example", "1270.0.1", "127.1", "::ffff:127.0.0.1", "127.0.0.1 "])  # fmt: skip
def test_what_others_can_reach_has_tls_or_a_proxy_before_it(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError) as wrong:
        settings(API_HOST=host)
    assert str(wrong.value) == (
        f"the file: api.host is {host!r}, which others can reach: "
        "expected api.tls_cert and api.tls_key, or api.behind_proxy = true"
    )
    with pytest.raises(ConfigError, match=r"^the file: supervisor\.host is .*behind_proxy = true$"):
        settings(SUPERVISOR_HOST=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "localhost", "::1"])
def test_this_machine_needs_neither(host: str) -> None:
    assert is_loopback(host)
    settings(API_HOST=host, SUPERVISOR_HOST=host)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"API_TLS_CERT": "own.pem"}, "api.tls_cert goes with api.tls_key"),
        ({"API_TLS_KEY": "own.key"}, "api.tls_cert goes with api.tls_key"),
        ({"API_HOSTS": '["*"]'}, "api.hosts: '*', expected"),
        ({"API_HOSTS": '["Desk.example"]'}, "api.hosts: 'Desk.example', expected"),
        ({"API_HOSTS": '["https://desk.example"]'}, "api.hosts: 'https://desk.example', expected"),
        ({"API_HOSTS": '["a.example/"]'}, "api.hosts: 'a.example/', expected"),
        ({"API_HOSTS": '[""]'}, "api.hosts: '', expected"),
        ({"API_HOSTS": str(["a"] * 17).replace("'", '"')}, "api.hosts has 17, expected at most 16"),
        ({"API_ORIGINS": '["*"]'}, "api.origins: '*', expected"),
        ({"API_ORIGINS": '["null"]'}, "api.origins: 'null', expected"),
        ({"API_ORIGINS": '["desk.example"]'}, "api.origins: 'desk.example', expected"),
        ({"API_ORIGINS": '["https://a/"]'}, "api.origins: 'https://a/', expected"),
        ({"API_CONNECTIONS": "0"}, "api.connections is 0, expected 1 to 10000"),
        ({"API_CONNECTIONS": "10001"}, "api.connections is 10001, expected 1 to 10000"),
        ({"API_SOCKETS_A_TOKEN": "0"}, "api.sockets_a_token is 0, expected 1 to 2000"),
        ({"API_LOOKS_A_SECOND": "0"}, "api.looks_a_second is 0.0, expected 0.1 to"),
        ({"API_ASKS_A_SECOND": "-1"}, "api.asks_a_second is -1.0, expected 0.1 to"),
        ({"API_TRADES_A_SECOND": "inf"}, "api.trades_a_second is inf, expected 0.1 to"),
        ({"API_TRADES_A_SECOND": "nan"}, "api.trades_a_second is nan, expected 0.1 to"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_said_by_name(said: dict[str, str], wrong: str) -> None:
    with pytest.raises(ConfigError, match=f"^the file: {re.escape(wrong)}"):
        settings(**said)


def test_what_listens_everywhere_is_reached_here() -> None:
    hosts = ("0.0.0.0", "", "::", "::1", "10.0.0.7", "localhost")
    assert [reached_at(host, 1) for host in hosts] == [
        "127.0.0.1:1", "127.0.0.1:1", "[::1]:1", "[::1]:1", "10.0.0.7:1", "localhost:1",
    ]  # fmt: skip
