"""Lease orders in a running engine: renewed while it may trade, and gone when it may not."""

from typing import Any

import pytest

from protocol.limits import LEASE_S_MIN
from tests.engine import witness
from tests.engine.running import Engine
from tests.engine.test_amends import order, until
from tests.engine.witness import RESTS

RENEWED_MAX_S = LEASE_S_MIN  # at half of it
OVER_MAX_S = LEASE_S_MIN + 10


def expiry(engine: Engine, id: str) -> str:
    return str(witness.orders(engine)[id]["expiration_time"])


def test_it_is_renewed_until_trading_is_halted_and_then_it_ends(
    engine: Engine, free: list[str]
) -> None:
    for id, ticker, more in (("leased", free[0], {"lease_s": LEASE_S_MIN}), ("free", free[1], {})):
        answer = engine.order(ticker, client_order_id=id, count="10.00", **RESTS, **more)
        assert answer.status_code == 201, answer.text
    first = expiry(engine, "leased")
    assert "expiration_time" not in witness.orders(engine)["free"]

    def renewed() -> Any:
        return expiry(engine, "leased") > first

    engine.until(renewed, RENEWED_MAX_S, "the lease is renewed")
    assert order(engine, "leased")["lease_s"] == LEASE_S_MIN
    assert order(engine, "leased")["amend"] is None, "a renewal leaves no entry"
    assert engine.post("/v1/halt", {"reason": "no more"}).status_code == 200
    until(engine, "leased", OVER_MAX_S, state="canceled")
    assert order(engine, "free")["state"] == "resting"
    engine.resume()


@pytest.mark.parametrize("lease_s", [LEASE_S_MIN - 1, 86_401, -5, "60", 1.5, True])
def test_a_lease_that_makes_no_sense_is_one_problem(engine: Engine, lease_s: Any) -> None:
    ticker = witness.tickers(engine)[0]
    answer = engine.order(ticker, client_order_id="odd", count="1.00", lease_s=lease_s, **RESTS)
    assert (answer.status_code, answer.json()["field"]) == (422, "lease_s"), answer.text
