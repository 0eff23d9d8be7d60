"""Strange values: booked as they are, set aside once, or refused at the door."""

import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from actors.writer.store import Store
from protocol.envelope import Letter, decode_letter, encode_letter
from protocol.errors import RemoteProtocolError
from protocol.facts import AnyFact, OrderUnknown, Reconciled
from protocol.limits import FACT_CHARS_MAX, MONEY_MAX
from protocol.messages import Append
from protocol.units import Count, Money, Price
from tests.actors.writer.files import (
    AT,
    entries,
    everything,
    fold_rows,
    reopened,
    rows,
    table_rows,
    told,
)
from tests.actors.writer.samples import (
    balance,
    cash_differs,
    deposit,
    differs,
    fill,
    intended,
    seen,
    settled,
)

SURROGATE = "\ud800"


STRANGE: dict[str, tuple[AnyFact, str]] = {
    "NUL in an id": (intended("a\0b"), "NEW"),
    "NUL in a reason": (OrderUnknown("c9", "a\0b"), "NEW"),
    "lone surrogate in an id": (intended(f"a{SURROGATE}"), "REFUSED"),
    "lone surrogate in a reason": (OrderUnknown("c9", SURROGATE), "REFUSED"),
    "a million characters": (OrderUnknown("c9", "x" * 10**6), "REFUSED"),
    "an id of a million characters": (intended("x" * 10**6), "REFUSED"),
    "as long as it may be": (OrderUnknown("c9", "x" * (FACT_CHARS_MAX - 100)), "NEW"),
    "every plane": (intended("aä€\U0001f600\u2028\x7f"), "NEW"),
    "2**63": (replace(fill("t9"), exchange_at=2**63), "REFUSED"),
    "2**63 - 1": (replace(fill("t9"), exchange_at=2**63 - 1), "NEW"),
    "-2**63": (replace(fill("t9"), exchange_at=-(2**63)), "NEW"),
    "-2**63 - 1": (replace(fill("t9"), exchange_at=-(2**63) - 1), "REFUSED"),
    "2**70": (replace(fill("t9"), exchange_at=2**70), "REFUSED"),
    "count 2**63": (replace(fill("t9"), count=Count(2**63)), "REFUSED"),
    "count -2**70": (replace(fill("t9"), count=Count(-(2**70))), "REFUSED"),
    "fee 2**70": (replace(fill("t9"), fee=Money(2**70)), "REFUSED"),
    "price 2**63": (replace(fill("t9"), price=Price(2**63)), "REFUSED"),
    "seen_at 2**63": (balance(2**63), "REFUSED"),
    "seen_at 2**70": (balance(2**70), "REFUSED"),
    "shard -2**63 - 1": (replace(balance(), shard=-(2**63) - 1), "REFUSED"),
    "updated_at 2**63": (seen(updated_at=2**63), "REFUSED"),
    "updated_at 2**70": (seen(updated_at=2**70), "REFUSED"),
    "round 2**70": (Reconciled(1, 2**70, 2**70, 0, 0), "NEW"),
    "amount 2**63": (balance(amount=2**63), "REFUSED"),
    "a deposit of a billion": (deposit(MONEY_MAX), "NEW"),
    "a deposit of more": (deposit(MONEY_MAX + 1), "REFUSED"),
    "revenue 2**63": (replace(settled(), revenue=Money(2**63)), "REFUSED"),
    "fee -2**63": (replace(settled(), fee=Money(-(2**63))), "REFUSED"),
    "settled_at 2**70": (replace(settled(), settled_at=2**70), "NEW"),
    "yes_count 2**63": (replace(settled(), yes_count=Count(2**63)), "REFUSED"),
    "theirs 2**63": (replace(differs(), theirs=Count(2**63)), "REFUSED"),
    "ours -2**63": (replace(differs(), ours=Count(-(2**63))), "REFUSED"),
    "cost 2**63": (replace(differs("opened"), cost=Money(2**63)), "REFUSED"),
    "cash 2**63": (replace(cash_differs(), balance=Money(2**63)), "REFUSED"),
    "expected 2**63": (replace(cash_differs(), expected=Money(2**63)), "REFUSED"),
}


@pytest.mark.parametrize(("strange", "verdict"), STRANGE.values(), ids=STRANGE)
def test_a_strange_value_is_booked_or_set_aside_once(
    store: Store, path: str, strange: AnyFact, verdict: str
) -> None:
    results = told(store, fill("t1"), strange, fill("t2"))
    assert [r.verdict for r in results] == ["NEW", verdict, "NEW"]
    asides = len(rows(path, "SELECT k FROM poison"))
    assert asides == results[1].aside == (verdict == "REFUSED")
    before = everything(path)
    again = told(store, fill("t1"), strange, fill("t2"))
    known = "REPEAT" if verdict == "NEW" else "REFUSED"
    assert [r.verdict for r in again] == ["REPEAT", known, "REPEAT"]
    assert again[1].aside == results[1].aside
    assert everything(path) == before
    found = entries(path)
    assert len(found) == (3 if verdict == "NEW" else 2)
    if verdict == "NEW":
        assert found[1].fact == strange
    assert table_rows(path) == fold_rows(found)
    store.close()
    assert reopened(path) == len(found)


def sent(fact: AnyFact) -> bytes:
    return encode_letter(Letter("stream", 1, "id", AT, Append(fact)))


def instead(fact: AnyFact, what: str, value: bytes) -> bytes:
    """The letter with another value in one field, as somebody else's JSON may have it."""
    letter, count = re.subn(rb'"%s":("[^"]*"|\d+)' % what.encode(), b"", sent(fact), count=1)
    assert count == 1
    return letter.replace(b',}', b"}").replace(b',,', b",")[:-2] + b',"%s":%s}}' % (
        what.encode(), value
    )  # fmt: skip


FRAMES: dict[str, Callable[[], bytes]] = {
    "NUL": lambda: instead(OrderUnknown("c9", "r"), "reason", rb'"a\u0000b"'),
    "raw NUL": lambda: instead(OrderUnknown("c9", "r"), "reason", b'"a\0b"'),
    "lone surrogate": lambda: instead(OrderUnknown("c9", "r"), "reason", rb'"\ud800"'),
    "lone surrogate in an id": lambda: instead(
        OrderUnknown("c9", "r"), "client_order_id", rb'"\udfff-x"'
    ),
    "two halves": lambda: instead(OrderUnknown("c9", "r"), "reason", rb'"\ud83d\ude00"'),
    "raw surrogate": lambda: instead(OrderUnknown("c9", "r"), "reason", b'"\xed\xa0\x80"'),
    "no UTF-8": lambda: instead(OrderUnknown("c9", "r"), "reason", b'"\xff"'),
    "a million": lambda: instead(OrderUnknown("c9", "r"), "reason", b'"%s"' % (b"x" * 10**6)),
    **{
        f"{field} {value[:12]}": (
            lambda field=field, value=value: instead(  # type: ignore[misc]
                balance(), field, value.encode()
            )
        )
        for field in ("seen_at", "shard")
        for value in (
            str(2**63), str(-(2**63) - 1), str(2**64), str(2**70), "9" * 5_000, "1e400", "1.5",
            "NaN", "-0", "true", '"1"',
        )
    },
    **{
        f"balance {value[:12]}": (
            lambda value=value: instead(balance(), "balance", value.encode())  # type: ignore[misc]
        )
        for value in (
            '"9223372036854.775808"', '"999999999999.999999"', '"-999999999999"', '"1e3"', '"NaN"',
            '"١"', str(2**70), '"1.0000001"', '"1000000000.000001"',
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_strange_letter_is_refused_at_the_door_or_survived(
    store: Store, path: str, frame: Callable[[], bytes]
) -> None:
    try:
        letter = decode_letter(frame())
    except RemoteProtocolError:
        return
    assert isinstance(letter.body, Append)
    first, result, last = told(store, fill("t1"), letter.body.fact, fill("t2"))
    assert (first.verdict, last.verdict) == ("NEW", "NEW")
    assert result.verdict in ("NEW", "REFUSED")
    found = entries(path)
    assert table_rows(path) == fold_rows(found)
    store.close()
    assert reopened(path) == len(found)
