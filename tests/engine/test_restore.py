"""A restore of the whole engine: what the ledger forgot is brought back, never done again."""

from typing import Any

from tests.engine.running import Engine
from tests.engine.test_orders import busiest


def posts(engine: Engine, id: str) -> int:
    return sum(1 for request in engine.wire() if request.get("client_order_id") == id)


def fills(engine: Engine) -> list[str]:
    rows: list[dict[str, Any]] = engine.get("/v1/fills").json()["fills"]
    return sorted(row["client_order_id"] for row in rows)


def test_an_order_that_a_restore_forgot_is_not_sent_again() -> None:
    with Engine() as engine:
        engine.start()
        engine.until_trading()
        ticker = busiest(engine)
        assert engine.order(ticker, client_order_id="early").status_code == 201
        backup = f"{engine.folder}/copy.db"
        done = engine.sidecar("backup", backup)
        assert done.returncode == 0, done.stderr
        assert engine.order(ticker, client_order_id="late").status_code == 201
        done = engine.sidecar("restore", backup)
        assert (done.returncode, "stop the engine first" in done.stderr) == (73, True)

        engine.stop()
        done = engine.sidecar("restore", backup)
        assert done.returncode == 0, done.stderr
        assert engine.sidecar("verify").returncode == 0
        engine.start()
        engine.until_trading()
        # The front folds what reconciliation brought back, at its own pace.
        engine.until_system(lambda _: fills(engine) == ["early", "late"], 20)
        answer = engine.order(ticker, client_order_id="another")
        assert (answer.status_code, answer.json()["code"]) == (503, "restore_unconfirmed")
        answer = engine.order(ticker, client_order_id="late")
        assert answer.status_code == 201, "known again, with these terms: not sent a second time"
        assert engine.order(ticker, client_order_id="early").status_code == 201, "as it was"
        assert (posts(engine, "early"), posts(engine, "late")) == (1, 1)
        terms = {"ticker": ticker, "side": "bid", "price": "0.9900", "count": "1.00"}
        minted = engine.post("/v1/orders", {**terms, "time_in_force": "immediate_or_cancel"})
        assert minted.status_code == 201, "an id of the engine's own is new for certain"
        done = engine.sidecar("confirm-restore", "--by", "the test")
        assert (done.returncode, "a request from before may land" in done.stderr) == (1, True)
