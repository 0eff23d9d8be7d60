"""Where the exchange may be: an order with real money goes nowhere else."""

from pathlib import Path

import pytest

from protocol.config import REST_HOSTS, WS_HOSTS, Stream, read
from protocol.errors import ConfigError
from protocol.limits import WISHES_MAX

CONFIGS = Path(__file__).parents[2] / "configs"
PLACES = [
    (environment, rest, ws)
    for environment in ("live", "demo")
    for rest in REST_HOSTS[environment]
    for ws in WS_HOSTS[environment]
]


def settings(environment: str, rest_url: str, ws_url: str) -> None:
    text = (CONFIGS / f"{environment}.toml").read_text()
    told = {"SIDECAR_EXCHANGE_REST_URL": rest_url, "SIDECAR_EXCHANGE_WS_URL": ws_url}
    read(text, told, "the file")


@pytest.mark.parametrize("name", ["paper", "demo", "live"])
def test_the_profiles_that_come_with_it(name: str) -> None:
    assert read((CONFIGS / f"{name}.toml").read_text(), {}, name).exchange.environment == name


@pytest.mark.parametrize("environment, rest, ws", PLACES)
def test_the_known_hosts(environment: str, rest: str, ws: str) -> None:
    settings(environment, f"https://{rest}/trade-api/v2", f"wss://{ws}/trade-api/ws/v2")


@pytest.mark.parametrize("place", ["127.0.0.1:7602", "localhost", "[::1]:7602"])
@pytest.mark.parametrize("tls", ["", "s"])
def test_paper_stays_on_this_machine(place: str, tls: str) -> None:
    settings("paper", f"http{tls}://{place}/trade-api/v2", f"ws{tls}://{place}/trade-api/ws/v2")


LIVE, LIVE_WS = "https://external-api.kalshi.com", "wss://external-api-ws.kalshi.com"
DEMO, DEMO_WS = "https://external-api.demo.kalshi.co", "wss://external-api-ws.demo.kalshi.co"
HERE, HERE_WS = "http://127.0.0.1:7602", "ws://127.0.0.1:7602"


@pytest.mark.parametrize(
    "environment, rest",
    [
        ("live", DEMO), ("demo", LIVE), ("live", HERE), ("demo", HERE), ("paper", LIVE),
        ("paper", DEMO), ("paper", "http://192.168.0.7:7602"), ("paper", "http://0.0.0.0:7602"),
        ("paper", "http://127.0.0.1.evil.example"), ("paper", "http://localhost:7602@evil.example"),
        ("paper", "http://127.0.0.1:7602\n"), ("paper", "http://127.0.0.1:７６０２"),
        ("live", "http://external-api.kalshi.com"), ("live", f"{LIVE}.evil.example"),
        ("live", "https://evil.example/external-api.kalshi.com"), ("live", f"{LIVE}:8443"),
        ("live", f"{LIVE}@evil.example"),
        ("live", "https://evil.example\\@external-api.kalshi.com"),
        ("live", "https://user:word@external-api.kalshi.com"), ("live", f"{LIVE}/x/.."),
        ("live", "https://trading-api.kalshi.com"), ("live", ""),
        ("live", "external-api.kalshi.com"),
        ("live", "https://EXTERNAL-API.KALSHI.COM"), ("live", "https://external-api.kalshi.com."),
    ],
)  # fmt: skip
def test_any_other_place_is_refused_by_name(environment: str, rest: str) -> None:
    ws = {"live": LIVE_WS, "demo": DEMO_WS, "paper": HERE_WS}[environment]
    with pytest.raises(ConfigError, match=r"^the file: exchange\.rest_url is .* expected http"):
        settings(environment, f"{rest}/trade-api/v2", f"{ws}/trade-api/ws/v2")


@pytest.mark.parametrize(
    "environment, ws",
    [
        ("live", DEMO_WS), ("demo", LIVE_WS), ("live", HERE_WS), ("paper", LIVE_WS),
        ("live", "ws://external-api-ws.kalshi.com"), ("live", "wss://external-api.kalshi.com"),
        ("live", f"{LIVE_WS}.evil.example"), ("paper", "ws://10.0.0.1:7602"),
    ],
)  # fmt: skip
def test_the_same_goes_for_the_stream(environment: str, ws: str) -> None:
    rest = {"live": LIVE, "demo": DEMO, "paper": HERE}[environment]
    with pytest.raises(ConfigError, match=r"^the file: exchange\.ws_url is .* expected ws"):
        settings(environment, f"{rest}/trade-api/v2", f"{ws}/trade-api/ws/v2")


@pytest.mark.parametrize("path", ["", "/", "/trade-api/v2/", "/trade-api/v2?x=1", "/trade-api/v3"])
def test_the_path_is_the_one_that_is_signed(path: str) -> None:
    for environment, rest, ws in (("live", LIVE, LIVE_WS), ("paper", HERE, HERE_WS)):
        with pytest.raises(ConfigError, match=r"exchange\.rest_url"):
            settings(environment, f"{rest}{path}", f"{ws}/trade-api/ws/v2")


@pytest.mark.parametrize("environment", ["papre", "", "LIVE"])
def test_the_environment_is_one_of_three(environment: str) -> None:
    text = (CONFIGS / "live.toml").read_text()
    with pytest.raises(ConfigError, match=r"exchange\.environment is .* expected"):
        read(text, {"SIDECAR_EXCHANGE_ENVIRONMENT": environment}, "the file")


def stream(**changed: str) -> Stream:
    told = {f"SIDECAR_STREAM_{name.upper()}": value for name, value in changed.items()}
    return read((CONFIGS / "paper.toml").read_text(), told, "the file").stream


def test_what_is_not_said_of_the_stream() -> None:
    assert stream() == Stream(("*",), 8, 2_500)


@pytest.mark.parametrize("number", ["1", "64"])
def test_so_many_connections_may_be(number: str) -> None:
    assert stream(connections=number).connections == int(number)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("connections", "0", "stream.connections is 0, expected 1 to 64"),
        ("connections", "65", "stream.connections is 65, expected 1 to 64"),
        ("connections", '"8"', "Expected `int`, got `str` - at `$.stream.connections`"),
        ("tickers_a_connection", "0", "stream.tickers_a_connection is 0, expected 1 to 10000"),
        (
            "tickers_a_connection", "10001",
            "stream.tickers_a_connection is 10001, expected 1 to 10000",
        ),
        (
            "follow", '["KXA-1", "kxa"]',
            "stream.follow: 'kxa' is none of TICKER, event:TICKER, series:TICKER, *, trade:* or "
            "ticker:*",
        ),
        (
            "follow", str([f"KX-{i}" for i in range(WISHES_MAX + 1)]),
            f"stream.follow has {WISHES_MAX + 1} wishes, expected at most {WISHES_MAX}",
        ),
    ],
)  # fmt: skip
def test_a_setting_of_the_stream_that_can_not_be(name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError) as e:
        stream(**{name: value})
    assert str(e.value) == f"the file: {says}"


@pytest.mark.parametrize("count", [-1, 200_001])
def test_idle_markets_are_bounded(count: int) -> None:
    text = (CONFIGS / "paper.toml").read_text()
    with pytest.raises(ConfigError, match=rf"paper\.idle_markets is {count}, expected 0 to 200000"):
        read(text, {"SIDECAR_PAPER_IDLE_MARKETS": str(count)}, "the file")
    assert read(text, {"SIDECAR_PAPER_IDLE_MARKETS": "7"}, "the file").paper.idle_markets == 7


def kept(**told: str) -> tuple[float, int]:
    overrides = {f"SIDECAR_WRITER_{name.upper()}": value for name, value in told.items()}
    writer = read((CONFIGS / "paper.toml").read_text(), overrides, "the file").writer
    return writer.keep_market_days, writer.keep_market_bytes


def test_nothing_of_the_market_is_kept_unless_it_is_wanted() -> None:
    assert kept() == (0, 4 * 1024**3)
    assert kept(keep_market_days="0.5", keep_market_bytes="268435456") == (0.5, 2**28)
    assert kept(keep_market_days="3650") == (3650, 4 * 1024**3)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("keep_market_days", "-1", r"is -1.0, expected 0 \(off\) to 3650"),
        ("keep_market_days", "3651", r"is 3651.0, expected 0 \(off\) to 3650"),
        ("keep_market_days", "nan", r"is nan, expected 0 \(off\) to 3650"),
        ("keep_market_days", "inf", r"is inf, expected 0 \(off\) to 3650"),
        ("keep_market_bytes", "1000", "is 1000, expected 268435456 to "),
        ("keep_market_bytes", "9223372036854775807", "expected 268435456 to 8796093022208"),
    ],
)
def test_what_can_not_be_kept_is_refused_by_name(name: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"^the file: writer\.{name} .*{expected}"):
        kept(**{name: value})


def test_days_are_a_number() -> None:
    with pytest.raises(ConfigError, match=r"Expected `float`, got `str` - at `\$\.writer\.keep"):
        kept(keep_market_days='"7"')


@pytest.mark.parametrize("id", ["3b1f0c52-6f0e-4f4e-9a53-6a1f7d1d2c11", ""])
def test_the_group_of_all_orders_over_http(id: str) -> None:
    text = (CONFIGS / "paper.toml").read_text()
    assert read(text, {"SIDECAR_API_ORDER_GROUP": id}, "the file").api.order_group == id


@pytest.mark.parametrize("id", ["a b", "a/b", "g" * 65])
def test_what_can_t_be_a_group_stops_the_start(id: str) -> None:
    text = (CONFIGS / "paper.toml").read_text()
    with pytest.raises(ConfigError, match="the file: api.order_group is "):
        read(text, {"SIDECAR_API_ORDER_GROUP": id}, "the file")
