"""A real process: killed, restarted, asked to stop, misconfigured."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import requests

from protocol.config import Settings

from .house import ORDERS, PATIENCE, Client, House, hear_until, say, settings_in, snapshot_line

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the settings refuse long socket paths."""
    with tempfile.TemporaryDirectory(prefix="px") as path:
        yield Path(path)


def toml(settings: Settings) -> str:
    """The settings as a file; only the tables that differ from the defaults."""
    found = msgspec.to_builtins(settings)
    lines = [f'{name} = "{found[name]}"' for name in ("profile", "run_dir", "var_dir")]
    for table in ("exchange", "stream", "paper"):
        lines.append(f"[{table}]")
        lines += [f"{k} = {inline(v)}" for k, v in found[table].items()]
    return "\n".join(lines)


def inline(value: object) -> str:
    """A TOML value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {inline(v)}" for k, v in value.items()) + "}"
    return msgspec.json.encode(value).decode()


class Life:
    """One life of the process."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        (folder / "paper.toml").write_text(toml(settings))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SIDECAR_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actors.paper"],
            cwd=ROOT,
            env=environment | {"SIDECAR_CONFIG": str(folder / "paper.toml")},
            stderr=subprocess.PIPE,
        )

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.exit()

    def exit(self) -> int:
        _, self.said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


def test_a_killed_exchange_comes_back_with_all_it_said(folder: Path) -> None:
    feed = folder / "f.jsonl"
    feed.write_text(snapshot_line())
    settings = settings_in(folder, str(feed))
    client = Client(settings)
    life = Life(settings, folder)
    client.open()
    client.play(msgspec.json.decode(snapshot_line())["msg"]["market_ticker"])
    resting = client.order("rests", price="0.3000", count="2.50").json()
    client.order("fills", price="0.5200", time_in_force="immediate_or_cancel")
    gone = client.order("goes").json()
    client.cancel(gone["order_id"])
    reads = ("/portfolio/balance", "/portfolio/orders", "/portfolio/fills", "/portfolio/positions")
    before = {path: client.get(path) for path in reads}
    wire = client.wire()
    assert life.end(signal.SIGKILL) == -signal.SIGKILL

    journal = Path(settings.var_dir, "exchange", "journal.jsonl")
    assert journal.parent.stat().st_mode & 0o777 == 0o700
    with journal.open("ab") as file:
        file.write(b'{"type":"happened","entr')  # what a kill leaves of a line
    client.session.close()
    client = Client(settings)
    life = Life(settings, folder)
    client.open()
    after = {path: client.get(path) for path in reads}
    for found in (before, after):
        del found["/portfolio/balance"]["updated_ts"]
        del found["/portfolio/balance"]["portfolio_value"]  # the last price is forgotten
    assert after == before
    assert client.wire() == wire
    assert [r["client_order_id"] for r in wire] == ["rests", "fills", "goes", None]
    assert [r["status"] for r in wire] == [201, 201, 201, 200]
    assert client.order("goes").status_code == 409
    assert client.cancel(resting["order_id"]).json()["reduced_by"] == "2.50"
    client.session.close()

    began = time.monotonic()
    assert life.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 8, "it waits for nobody"


def test_a_made_market_outlives_a_kill(folder: Path) -> None:
    settings = settings_in(folder)
    client, life = Client(settings), Life(settings, folder)
    client.open()
    new = "KXNEW-27JAN01-T5"
    assert client.paper("market", ticker=new, title="New?", grid="deci_cent").status_code == 200
    assert client.order("mine", ticker=new, price="0.4010").status_code == 201
    client.paper("metadata", ticker=new, yes_sub_title="above")
    client.paper("fee", event_ticker="KXNEW-27JAN01", fee_type="quadratic", fee_multiplier=2)
    reads = (f"/markets/{new}", "/events/fee_changes")
    before = {path: client.get(path) for path in reads}
    life.end(signal.SIGKILL)
    client.session.close()
    client, life = Client(settings), Life(settings, folder)
    client.open()
    after = {path: client.get(path) for path in reads}
    for found in (before, after):
        del found[f"/markets/{new}"]["market"]["updated_time"]  # it is always now
    assert after == before
    assert after[f"/markets/{new}"]["market"]["yes_bid_dollars"] == "0.4010"
    assert client.get("/events/KXNEW-27JAN01")["event"]["fee_multiplier_override"] == 2
    assert client.listed() == ["mine"]
    client.session.close()
    assert life.end(signal.SIGTERM) == 0


def test_a_lost_reply_was_executed_and_a_dropped_request_was_not(client: Client) -> None:
    client.arm(lose_replies=1)
    with pytest.raises(requests.ConnectionError):
        client.order("lost")
    client.arm(drop_requests=1)
    with pytest.raises(requests.ConnectionError):
        client.order("dropped")
    found = {r["client_order_id"]: r for r in client.wire()}
    assert [found[name]["answer"] for name in ("lost", "dropped")] == [None, None]
    assert found["lost"]["path"] == ORDERS
    assert found["lost"]["body"]["price"] == "0.0100"
    placed = [order["client_order_id"] for order in client.get("/portfolio/orders")["orders"]]
    assert placed == ["lost"]
    assert client.order("lost").status_code == 409
    assert client.order("dropped").status_code == 201


def test_a_resting_order_is_filled_by_the_public(folder: Path) -> None:
    with House(settings_in(folder, speed=50.0)) as client:
        markets = client.get("/markets")["markets"]
        with client.socket() as ws:
            say(ws, "subscribe", channels=["fill"])
            hear_until(ws, "subscribed")
            sent = {}
            for market in markets[:12]:
                price = market["yes_bid_dollars"]
                got = client.order(f"m{len(sent)}", ticker=market["ticker"], price=price)
                sent[got.json()["order_id"]] = price
            fill = hear_until(ws, "fill")["msg"]
            assert fill["order_id"] in sent
            if not fill["is_taker"]:
                assert (fill["yes_price_dollars"], fill["fee_cost"]) == (
                    sent[fill["order_id"]],
                    "0.000000",
                )


def test_a_journal_that_cannot_be_written_ends_the_process(folder: Path) -> None:
    settings = settings_in(folder)
    client, life = Client(settings), Life(settings, folder)
    client.open()
    ticker = client.get("/markets?limit=1")["markets"][0]["ticker"]
    client.order("kept", ticker=ticker)
    journal = Path(settings.var_dir, "exchange", "journal.jsonl")
    most = journal.stat().st_size + 20  # the next line is torn
    resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE, (most, most))
    assert client.order("torn", ticker=ticker).status_code == 500
    assert life.exit() not in (0, None)
    assert "File too large" in life.said.decode()
    client.session.close()
    client, life = Client(settings), Life(settings, folder)
    client.open()
    assert [row["client_order_id"] for row in client.wire()] == ["kept"]
    assert client.order("torn", ticker=ticker).status_code == 201
    client.session.close()
    life.end(signal.SIGTERM)


def test_a_port_in_use_is_said_in_one_line(folder: Path) -> None:
    settings = settings_in(folder)
    with House(settings):
        life = Life(settings, folder)
        assert life.exit() == 78
    said = life.said.decode()
    assert f"paper.port: 127.0.0.1:{settings.paper.port} is in use" in said
    assert said.count("\n") == 1


def test_a_missing_key_is_named(folder: Path) -> None:
    settings = settings_in(folder)
    os.unlink(settings.exchange.key_file)
    life = Life(settings, folder)
    assert life.exit() == 78
    assert settings.exchange.key_file in life.said.decode()


def test_in_demo_the_process_parks(folder: Path) -> None:
    settings = settings_in(folder)
    parked = msgspec.structs.replace(
        settings,
        exchange=msgspec.structs.replace(
            settings.exchange,
            environment="demo",
            rest_url="https://external-api.demo.kalshi.co/trade-api/v2",
            ws_url="wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
        ),
        paper=msgspec.structs.replace(settings.paper, enabled=False),
    )
    life = Life(parked, folder)
    assert life.process.stderr is not None
    line = life.process.stderr.readline().decode()
    assert "parked" in line
    assert life.end(signal.SIGTERM) == 0
