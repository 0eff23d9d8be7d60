"""A real process that is killed between amends, batches, groups and transfers."""

import signal
from pathlib import Path

from .house import ORDERS, TICKER, Client, settings_in, snapshot_line
from .test_life import Life, folder  # noqa: F401

ROOT = "/trade-api/v2/portfolio"
READS = (
    "/portfolio/orders", "/portfolio/fills", "/portfolio/positions", "/portfolio/order_groups",
    "/portfolio/intra_exchange_instance_transfers", "/portfolio/orders/queue_positions",
)  # fmt: skip


def seen(client: Client, group_id: str) -> list[object]:
    found = [client.get(path) for path in (*READS, f"/portfolio/order_groups/{group_id}")]
    return [*found, client.cash(), client.held(), client.wire()]


def test_it_comes_back_with_all_it_said(folder: Path) -> None:  # noqa: F811
    (folder / "f.jsonl").write_text(snapshot_line())
    settings = settings_in(folder, str(folder / "f.jsonl"), shards={"KXB": 2})
    client, life = Client(settings), Life(settings, folder)
    client.open()
    client.play(TICKER)
    group_id = client.call("POST", f"{ROOT}/order_groups/create", {"contracts_limit": 2}).json()[
        "order_group_id"
    ]
    first = client.order("a", price="0.4000", count="5.00", order_group_id=group_id).json()
    client.order("b", price="0.4000")
    amend = {"ticker": TICKER, "side": "bid", "price": "0.5200", "count": "2.00"}
    amended = client.call("POST", f"{ORDERS}/{first['order_id']}/amend", amend).json()
    assert (amended["fill_count"], amended["remaining_count"]) == ("2.00", "0.00")
    rows = [
        {
            "ticker": TICKER, "client_order_id": f"c{n}", "side": "bid", "count": "3.00",
            "price": "0.4000", "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "maker", "order_group_id": group_id,
        }
        for n in range(3)
    ]  # fmt: skip
    made = client.call("POST", f"{ORDERS}/batched", {"orders": rows}).json()["orders"]
    gone = {"orders": [{"order_id": made[1]["order_id"]}]}
    assert client.call("DELETE", f"{ORDERS}/batched", gone).status_code == 200
    less = {"reduce_to": "1.50"}
    client.call("POST", f"{ORDERS}/{made[0]['order_id']}/decrease", less)
    body = {"source": "event_contract", "destination": "event_contract", "amount": 5_000_000}
    path = f"{ROOT}/intra_exchange_instance_transfer"
    client.arm(transfer_takes_ms=600_000)
    client.call("POST", path, body | {"destination_exchange_shard": 2})
    before = seen(client, group_id)
    assert life.end(signal.SIGKILL) == -signal.SIGKILL
    client.session.close()
    client, life = Client(settings), Life(settings, folder)
    client.open()
    client.play(TICKER)
    assert seen(client, group_id) == before
    assert len(client.listed("?status=resting")) == 3
    assert client.cash() == "19496.7250"  # what is on its way is on no shard
    client.session.close()
    assert life.end(signal.SIGTERM) == 0
