"""Whether an order may leave for the real exchange: four things, and only all of them together."""

import itertools

import pytest
from msgspec.structs import replace

from protocol.arming import (
    Arming,
    Moment,
    Registration,
    Unread,
    decode_arming,
    decode_registration,
    encode,
    is_real,
    why_not,
)
from protocol.config import REST_HOSTS, Exchange
from protocol.errors import RemoteProtocolError
from protocol.limits import ARMING_MAX, US

SECOND = 1_000_000
HOUR = 3_600 * SECOND
START = 1_795_000_000 * SECOND
NOW = Moment(START + HOUR, 2 * HOUR)
KEY = Registration("the-key", "live", START)
ARMED = Arming("the-key", "this boot", START, START + 12 * HOUR, HOUR, 13 * HOUR)


def exchange(environment: str = "live", host: str = REST_HOSTS["live"][0]) -> Exchange:
    return Exchange(environment, f"https://{host}/trade-api/v2", "", "the-key", "")


def wrong(
    arming: object = ARMED, key: object = KEY, now: Moment = NOW, boot: str = "this boot"
) -> str:
    assert isinstance(arming, Arming | Unread | None)
    assert isinstance(key, Registration | Unread | None)
    return why_not(exchange(), key, arming, boot, now)


@pytest.mark.parametrize(
    "environment, key, host, arming", list(itertools.product([True, False], repeat=4))
)
def test_of_sixteen_ways_one_is_let_through_and_the_others_say_what_is_missing(
    environment: bool, key: bool, host: bool, arming: bool
) -> None:
    place = exchange("live" if environment else "demo", REST_HOSTS["live" if host else "demo"][0])
    said = why_not(place, KEY if key else None, ARMED if arming else None, "this boot", NOW)
    assert (said == "") == (environment and key and host and arming)
    assert ("the settings say" in said) == (not environment)
    assert ("the key is not registered" in said) == (not key)
    assert ("no host of the real exchange" in said) == (not host)
    assert ("not armed: run `sidecar arm`" in said) == (not arming)


@pytest.mark.parametrize("environment", ["paper", "demo", "LIVE", ""])
def test_no_other_word_than_live_will_do(environment: str) -> None:
    said = why_not(exchange(environment), KEY, ARMED, "this boot", NOW)
    assert said == f'the settings say environment "{environment}", not "live"'


@pytest.mark.parametrize("host", REST_HOSTS["live"])
def test_each_host_of_the_real_exchange_will_do_and_is_known_as_one(host: str) -> None:
    assert why_not(exchange(host=host), KEY, ARMED, "this boot", NOW) == ""
    assert is_real(exchange(host=host))
    assert is_real(exchange("demo", host)), "whatever the settings call it"


def test_other_exchanges_are_not_the_real_one() -> None:
    assert not is_real(exchange("demo", REST_HOSTS["demo"][0]))
    assert not is_real(exchange("paper", "127.0.0.1:7602"))
    assert is_real(exchange("live", REST_HOSTS["demo"][0])), "it says so itself"


@pytest.mark.parametrize(
    "key, said",
    [
        (Registration("the-key", "demo", START), "the key is registered for the demo exchange"),
        (Registration("other", "live", START), "another key is registered"),
        (Unread("registered-key: empty"), "can't be read: registered-key: empty: run"),
    ],
)
def test_only_this_key_as_one_of_the_real_exchange(key: object, said: str) -> None:
    assert said in wrong(key=key)
    assert "armed" not in wrong(key=key)


def test_a_key_without_an_id_is_never_the_registered_one() -> None:
    nobody = replace(exchange(), key_id="")
    arming = replace(ARMED, key_id="")
    said = why_not(nobody, replace(KEY, key_id=""), arming, "this boot", NOW)
    assert said.startswith("another key is registered")


@pytest.mark.parametrize("boot", ["", "that boot"])
def test_an_arming_counts_for_the_boot_it_was_made_for(boot: str) -> None:
    assert "older than this start of the engine" in wrong(boot=boot)
    assert "older than this start" in wrong(replace(ARMED, boot=""), boot="")


def test_an_arming_of_another_key_counts_for_nothing() -> None:
    assert "the arming is for another key" in wrong(replace(ARMED, key_id="other"))


def test_an_arming_that_can_not_be_read_counts_for_nothing() -> None:
    assert "can't be read: armed: mode is 0644: run `sidecar arm`" in wrong(
        Unread("armed: mode is 0644")
    )


@pytest.mark.parametrize(
    "now, ended",
    [
        (Moment(ARMED.until - 1, ARMED.ends - 1), False),
        (Moment(ARMED.until, ARMED.ends - 1), True),
        (Moment(ARMED.until - 1, ARMED.ends), True),  # the wall's clock was set back since
        (Moment(ARMED.at, ARMED.since), False),
    ],
)
def test_it_ends_by_the_clock_that_comes_first(now: Moment, ended: bool) -> None:
    said = wrong(now=now)
    assert said.startswith("not armed, the arming has ended (2026-") == ended
    assert (said == "") == (not ended)


@pytest.mark.parametrize("now", [Moment(ARMED.at - 1, NOW.steady), Moment(NOW.wall, HOUR - 1)])
def test_a_clock_set_back_behind_the_arming_ends_it(now: Moment) -> None:
    assert "the clock says a time before the arming" in wrong(now=now)


@pytest.mark.parametrize("field, first", [("until", "at"), ("ends", "since")])
def test_nobody_writes_an_arming_for_ever(field: str, first: str) -> None:
    most = getattr(ARMED, first) + ARMING_MAX // US
    assert wrong(replace(ARMED, **{field: most})) == ""
    assert "for longer than may be" in wrong(replace(ARMED, **{field: most + 1}))


def test_what_is_written_is_read() -> None:
    assert decode_arming(encode(ARMED)) == ARMED
    assert decode_registration(encode(KEY)) == KEY


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"{}", b"\xff", b"null", b"[" * 100_000, encode(ARMED)[:-3],
        encode(ARMED) * 2, encode(ARMED).replace(b'"boot"', b'"Boot"'), encode(KEY),
        encode(ARMED).replace(b"{", b'{"more":1,', 1),
        encode(ARMED).replace(b'"the-key"', b"null"),
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_one_clear_error(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_arming(raw)


@pytest.mark.parametrize("raw", [b"", b"{}", encode(ARMED), encode(KEY).replace(b"live", b"prod")])
def test_the_same_of_a_registration(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_registration(raw)
