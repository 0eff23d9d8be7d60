"""Orders wrong by themselves: each as the bytes that came over HTTP, and the one error that
it gets, before the exchange sees a byte.

With `test_refused_orders.py` (wrong in the state that it meets) and `test_wrong_letters.py` (past
the front) this is the whole matrix. `tests/engine/test_wrong_orders.py` has rows of it in a running
engine.
"""

import json
from typing import Any, Final

import pytest

from tests.actors.gateway.scene import Scene
from tests.actors.gateway.wrong import GOOD, ID, MEGABYTE, Refusal, body, instead, over_http, writes

CALM: Final = Scene().ready()
"""Nothing of what is wrong by itself changes it."""

NOT_A: Final[dict[str, tuple[Any, ...]]] = {
    "ticker": (None, 7, True, [], {}, ["KXA-1"], 1e308, -1, 2**63),
    "side": (None, 1, True, ["bid"], {}, "buy", "BID", "yes", "", " bid", "ｂｉｄ"),
    "price": (
        None, 0.5, 1, True, [], {}, ["0.5"], {"dollars": "0.5"}, -1, 1e308, 2**63, "", " ", "NaN",
        "Infinity", "-0.5000", "+0.5", "-1", "1e308", "1e2", "０.5000", "٠.5", "0x1", "0,5", ".5",
        "0.", "1_0", " 0.5", "0.5\n", "0.5\x00", "0.1234567", f"{2**63}", "9" * MEGABYTE,
    ),
    "count": (
        None, 1, 1.0, False, [], {}, ["1.00"], -1, 1e308, 2**63, "", "NaN", "+1", "1e308", "１.00",
        "1.001", "1.", ".5", "1_000", "1 ", f"{2**63}", "1" * MEGABYTE,
    ),
    "time_in_force": (None, 0, True, [], {}, "", "forever", "GTC", "good_till_cancelled"),
    ID: (None, 7, True, [], {}, ["x"], -1, 1e308, 2**63),
    "post_only": (None, 0, 1, "false", "true", [], {}),
    "minted": (True, False, None),
    "colour": ("red", None),
    "expiration_ts": (1_795_000_000,),
}  # fmt: skip
"""By field: what has not the type that it must have, or is no field."""

NOT_SO: Final[dict[str, tuple[Any, ...]]] = {
    "invalid_price": ("0", "0.0000", "1.0000", "1.5000", "9999999"),
    "invalid_count": ("0.00", "-1.00", "-0.01", "999999999999.99"),
    "invalid_ticker": ("", "kxa-1", "KX A", "KXA\x00", "../..", "ＫＸＡ", "K" * 65, "K" * MEGABYTE),
    "invalid_client_order_id": ("", " ", "a b", "a\n", "a\x7f", "é", "a/b", "c" * 65,
                                "c" * MEGABYTE),
}  # fmt: skip
"""By code: values that a field of this type can't have."""

BODIES: Final[dict[str, tuple[bytes, Refusal]]] = {
    "empty": (b"", (400, "malformed_json", "")),
    "null": (b"null", (422, "invalid_order", "")),
    "a list": (b"[]", (422, "invalid_order", "")),
    "a list of it": (b"[" + body() + b"]", (422, "invalid_order", "")),
    "a text": (b'"order"', (422, "invalid_order", "")),
    "nested": (b'{"order":' + body() + b"}", (422, "invalid_order", "order")),
    "deep": (b"[" * 100_000, (422, "invalid_order", "")),
    "cut off": (body()[:-1], (400, "malformed_json", "")),
    "more": (body() + b"{}", (400, "malformed_json", "")),
    "no UTF-8": (body().replace(b"KXA", b"\xff\xfe"), (400, "malformed_json", "")),
    "half a character": (instead("KXA-1", "\\ud800"), (400, "malformed_json", "")),
    "NaN": (instead('"0.5000"', "NaN"), (400, "malformed_json", "")),
    "Infinity": (instead('"0.5000"', "-Infinity"), (400, "malformed_json", "")),
    "1e400": (instead('"0.5000"', "1e400"), (422, "invalid_order", "price")),
    "many digits": (instead('"0.5000"', "9" * 5_000), (422, "invalid_order", "price")),
    "price twice": (instead("}", ',"price":"0.9900"}'), (422, "invalid_order", "price")),
    "side twice": (instead("}", ',"side":"ask"}'), (422, "invalid_order", "side")),
    "id twice": (instead("}", f',"{ID}":"wrong"}}'), (422, "invalid_order", ID)),
    "twice, escaped": (instead("}", ',"pr\\u0069ce":"0.9900"}'), (422, "invalid_order", "price")),
}
BY_ITSELF: Final[dict[str, tuple[bytes, Refusal]]] = {
    **{
        f"{field} {ascii(value)[:30]}": (body(**{field: value}), (422, "invalid_order", field))
        for field, values in NOT_A.items()
        for value in values
    },
    **{
        f"{code} {ascii(value)[:30]}": (body(**{field: value}), (422, code, field))
        for code, values in NOT_SO.items()
        for field in [code.removeprefix("invalid_")]
        for value in values
    },
    **{
        f"no {field}": (
            json.dumps({k: v for k, v in GOOD.items() if k != field}).encode(),
            (422, "invalid_order", field),
        )
        for field in ("ticker", "side", "price", "count")
    },
    "post_only immediate_or_cancel": (
        body(post_only=True, time_in_force="immediate_or_cancel"),
        (422, "invalid_order", "post_only"),
    ),
    "post_only fill_or_kill": (
        body(post_only=True, time_in_force="fill_or_kill"),
        (422, "invalid_order", "post_only"),
    ),
    **BODIES,
}


@pytest.mark.parametrize("name", BY_ITSELF)
def test_what_is_wrong_by_itself(name: str) -> None:
    raw, want = BY_ITSELF[name]
    assert over_http(CALM, raw) == want
    assert (writes(CALM), CALM.appends, CALM.core.trading.orders.tickets.unfinished) == ([], [], 0)
