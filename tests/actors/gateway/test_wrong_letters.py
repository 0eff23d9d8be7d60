"""Orders sent past the front, as letters: what can't be read is refused with its place in the
letter, what can be read and makes no sense gets the answer of an order. Neither leaves a trace."""

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.envelope import decode_letter
from protocol.errors import RemoteProtocolError
from protocol.limits import LEASE_S_MAX, LEASE_S_MIN
from protocol.machine import Asked
from tests.actors.gateway.scene import Scene
from tests.actors.gateway.wrong import GOOD, ID, MEGABYTE, answered, intents, writes

HEAD: Final[dict[str, Any]] = {"source": "mine", "epoch": 1, "id": "place:1", "at": 0}
AMEND: Final[dict[str, Any]] = {
    "type": "AmendOrder", ID: "c1", "amend_id": "a1", "price": "0.5000", "count": "10.00",
}  # fmt: skip
DECREASE: Final = {"type": "DecreaseOrder", ID: "c1", "reduce_to": "1.00"}
CALM: Final = Scene().ready()


def raw(head: dict[str, Any] | None = None, **terms: Any) -> bytes:
    """The letter with an order, with other terms or another head; `...` leaves one out."""
    body = {"type": "PlaceOrder", **GOOD, **terms}
    whole = {**HEAD, "body": {k: v for k, v in body.items() if v is not ...}, **(head or {})}
    return json.dumps({k: v for k, v in whole.items() if v is not ...}).encode()


def instead(old: str, new: str) -> bytes:
    found = raw()
    assert found.count(old.encode()) == 1
    return found.replace(old.encode(), new.encode())


NO_TEXT: Final = (None, 7, True, [], {}, -1, 1e308, 2**63)
UNREADABLE: Final[dict[str, tuple[bytes, str]]] = {
    **{
        f"{field} {ascii(value)[:30]}": (raw(**{field: value}), f"$.body.{field}")
        for field, values in {
            "ticker": NO_TEXT,
            "side": (*NO_TEXT, "buy", "BID", ""),
            "price": (*NO_TEXT, 0.5, "", "NaN", "-0.5000", "1e2", "０.5", "0.5\n", "9" * MEGABYTE),
            "count": (*NO_TEXT, 1.0, "", "NaN", "+1", "1e308", "１", "1.001", "9" * MEGABYTE),
            "time_in_force": (*NO_TEXT, "", "forever"),
            ID: NO_TEXT,
            "post_only": (None, 0, 1, "true", [], {}),
            "minted": (None, 0, "true"),
            "order_group_id": NO_TEXT,
            "lease_s": (None, 1.5, True, "60", []),
        }.items()
        for value in values
    },
    **{
        f"no {field}": (raw(**{field: ...}), f"`{field}` - at `$.body`")
        for field in ("ticker", "side", "price", "count", "time_in_force", ID)
    },
    **{
        f"{field} of the letter {value}": (raw({field: value}), f"$.{field}")
        for field, values in {
            "source": (None, 7),
            "epoch": (None, "1", 1.5),
            "id": (None, 7),
            "at": (None, "now"),
            "body": (None, [], "PlaceOrder", 7),
        }.items()
        for value in values
    },
    "no id": (raw({"id": ...}), "`id`"),
    "no body": (raw({"body": ...}), "`body`"),
    "no type": (raw(type=...), "`type`"),
    "an unknown type": (raw(type="PlaceOrders"), "'PlaceOrders'"),
    "another's fields": (raw(type="CancelAll"), "'CancelAll'"),
    "empty": (b"", "truncated"),
    "no JSON": (b"place", "malformed"),
    "null": (b"null", "`object`"),
    "deep": (raw().replace(b'"0.5000"', b"[" * 100_000), "recursion"),
    "NaN": (instead('"0.5000"', "NaN"), "malformed"),
    "more": (raw() + b"{}", "malformed"),
    "no UTF-8": (raw().replace(b"KXA", b"\xff\xfe"), "utf-8"),
    # What is not known may be what matters most: it is not passed over in what costs money.
    "an unknown field": (raw(post_onyl=True), "`post_onyl`"),
    "an unknown field of an amend": (raw({"body": {**AMEND, "side": "ask"}}), "`side`"),
    "an unknown field of a decrease": (
        raw({"body": {**DECREASE, "reduce_by": "1.00"}}),
        "`reduce_by`",
    ),
    "a decrease, twice": (
        raw({"body": DECREASE}).replace(b'"reduce_to"', b'"reduce_to": "9.00", "reduce_to"'),
        "`body.reduce_to`",
    ),
    "price twice": (instead('"price"', '"price": "0.9900", "price"'), "`body.price`"),
    "side twice": (instead('"bid"', '"bid", "side": "ask"'), "`body.side`"),
    "side twice, escaped": (instead('"bid"', '"bid", "s\\u0069de": "ask"'), "`body.side`"),
    "id twice": (instead('"id"', '"id": "x", "id"'), "`id`"),
    "two bodies": (instead('"body"', '"body": {"type": "Noted"}, "body"'), "`body`"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_can_not_be_read_is_refused_with_its_place(name: str) -> None:
    frame, where = UNREADABLE[name]
    with pytest.raises(RemoteProtocolError) as raised:
        decode_letter(frame)
    said = str(raised.value)
    assert where.lower() in said.lower()
    assert len(said) <= 500


SENSELESS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "a price of nothing": ({"price": "0.0000"}, "price"),
    "a price of a dollar": ({"price": "1.0000"}, "price"),
    "a price of dollars": ({"price": "9999999"}, "price"),
    "no contracts": ({"count": "0.00"}, "count"),
    "contracts the other way": ({"count": "-1.00"}, "count"),
    "too many contracts": ({"count": "999999999999.99"}, "count"),
    "no ticker": ({"ticker": ""}, "ticker"),
    "a ticker in small letters": ({"ticker": "kxa-1"}, "ticker"),
    "a path for a ticker": ({"ticker": "../.."}, "ticker"),
    "full-width letters": ({"ticker": "ＫＸＡ"}, "ticker"),
    "a ticker of a megabyte": ({"ticker": "K" * MEGABYTE}, "ticker"),
    "no id": ({ID: ""}, ID),
    "a space in the id": ({ID: "a b"}, ID),
    "an id that can't be printed": ({ID: "a\x00"}, ID),
    "an id in another script": ({ID: "ордер"}, ID),
    "a long id": ({ID: "c" * 65}, ID),
    "post-only that can't rest": (
        {"post_only": True, "time_in_force": "fill_or_kill"}, "post_only",
    ),
    "a lease backwards": ({"lease_s": -1}, "lease_s"),
    "a lease of 2 ** 64": ({"lease_s": 2**64}, "lease_s"),
    "a short lease": ({"lease_s": LEASE_S_MIN - 1}, "lease_s"),
    "a long lease": ({"lease_s": LEASE_S_MAX + 1}, "lease_s"),
    "a lease of what can't rest": (
        {"lease_s": LEASE_S_MIN, "time_in_force": "immediate_or_cancel"}, "lease_s",
    ),
    "a space in the group": ({"order_group_id": "a b"}, "order_group_id"),
    "a long group": ({"order_group_id": "g" * 65}, "order_group_id"),
}  # fmt: skip


@pytest.mark.parametrize("name", SENSELESS)
def test_what_can_be_read_and_makes_no_sense(name: str) -> None:
    terms, field = SENSELESS[name]
    letter = decode_letter(raw({"id": name}, **terms))
    answer = answered(CALM, letter)
    assert (answer.outcome, answer.code, answer.field) == ("denied", "invalid_order", field)
    assert 0 < len(answer.text) <= 200
    assert answer.text.startswith(f"{field}: ")
    assert (writes(CALM), intents(CALM), CALM.core.trading.orders.tickets.unfinished) == (
        [],
        set(),
        0,
    )


def test_the_letter_that_all_of_these_are_made_of_is_right() -> None:
    scene = Scene().ready()
    scene.feed(Asked(scene.at, (b"mine",), decode_letter(raw())))
    scene.settle()
    assert [json.loads(written)[ID] for written in writes(scene)] == ["wrong"]


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(raw())), st.integers(0, 8), st.binary(max_size=8))
def test_a_damaged_letter_is_a_letter_or_one_error(at: int, gone: int, more: bytes) -> None:
    whole = raw()
    try:
        letter = decode_letter(whole[:at] + more + whole[at + gone :])
    except RemoteProtocolError as e:
        assert str(e)
        return
    assert letter.body is not None
