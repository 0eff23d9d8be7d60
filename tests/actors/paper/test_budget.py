"""The rate budget: tiers by name, a bucket for reads, for writes, and for each shard that is named.

What it charged is told to whoever asks; what it refuses comes without a header, in two shapes.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.paper.bucket import TIERS, Bucket, Budgets, Rate
from protocol.config import read
from protocol.errors import ConfigError

from .house import ORDERS, TICKER, Client, snapshot_line

NESTED = {"error": {"code": "too_many_requests", "message": "too many requests"}}
FLAT = {"error": "too many requests"}


@pytest.fixture
def small(tmp_path: Path, opened: Callable[..., Client]) -> Client:
    """An account of tier Basic, whose one market is on shard 2."""
    (tmp_path / "f.jsonl").write_text(snapshot_line())
    shards = {"KXWTACHALLENGERMATCH": 2}
    found = opened(str(tmp_path / "f.jsonl"), tier="basic", shards=shards)
    found.play(TICKER)
    return found


def refuse(client: Client) -> object:
    """Ask until a 429 comes; answers its body."""
    while (got := client.call("DELETE", ORDERS)).status_code == 204:
        pass
    assert got.status_code == 429
    assert not {"retry-after", "x-ratelimit-limit", "x-ratelimit-remaining"} & set(got.headers)
    return got.json()


def test_the_limits_are_those_of_the_tier(small: Client) -> None:
    assert small.get("/account/limits") == {
        "grants": [],
        "read": {"bucket_capacity": 600, "refill_rate": 200},
        "usage_tier": "basic",
        "write": {"bucket_capacity": 100, "refill_rate": 100},
    }


def test_every_tier_of_the_reference_is_there() -> None:
    refills = {name: (tier.read.refill, tier.write.refill) for name, tier in TIERS.items()}
    assert refills == {
        "basic": (200, 100), "advanced": (300, 300), "expert": (600, 600),
        "premier": (1_200, 1_200), "paragon": (2_400, 2_400), "prime": (4_800, 4_800),
        "prestige": (12_000, 9_600),
    }  # fmt: skip


def test_an_unknown_tier_and_an_unknown_shard_are_named() -> None:
    text = Path(__file__).parents[3].joinpath("configs", "paper.toml").read_text()
    for name, value, words in (
        ("TIER", "gold", "gold"),
        ("SHARDS", "{KXA = 16}", "paper.shards.KXA is 16"),
    ):
        with pytest.raises(ConfigError, match=words):
            read(text, {f"SIDECAR_PAPER_{name}": value}, "paper.toml")


def test_what_is_charged_is_what_the_price_list_says(small: Client) -> None:
    costs = small.get("/account/endpoint_costs")
    order_id = small.order("a").json()["order_id"]
    small.get(f"/portfolio/orders/{order_id}")
    small.get("/portfolio/orders")
    small.cancel(order_id, f"?market_ticker={TICKER}")
    small.call("DELETE", ORDERS)
    listed = {(c["method"], c["path"]): c["cost"] for c in costs["endpoint_costs"]}
    assert listed == {
        ("DELETE", ORDERS): 2,
        ("DELETE", f"{ORDERS}/:order_id"): 2,
        ("DELETE", f"{ORDERS}/batched"): 2,
        ("GET", "/trade-api/v2/portfolio/orders/:order_id"): 2,
    }
    assert costs["default_cost"] == 10
    spent = {name: (b["spent"], b["requests"]) for name, b in small.budget().items()}
    assert spent == {"read": (10 + 2 + 10, 3), "write": (10 + 2 + 2, 3)}


def test_a_named_shard_pays_for_itself(small: Client) -> None:
    named = small.order("a", exchange_index=2).json()["order_id"]
    small.order("b", exchange_index=-1)
    small.order("c")
    assert small.order("d", exchange_index=0).status_code == 400  # the market is not there
    assert small.cancel(named, "?exchange_index=2").status_code == 200
    budget = small.budget()
    assert (budget["write:2"]["spent"], budget["write"]["spent"]) == (12, 30)
    assert budget["write:2"]["capacity"] == 100
    small.call("DELETE", f"{ORDERS}?exchange_index=2")  # cancel-all knows no shard
    assert small.budget()["write:2"]["spent"] == 12


def test_a_cancel_by_id_alone_looks_on_shard_0(small: Client) -> None:
    order_id = small.order("a").json()["order_id"]
    assert small.cancel(order_id).status_code == 404
    assert small.cancel(order_id, "?exchange_index=1").status_code == 404
    assert small.cancel(order_id, f"?market_ticker={TICKER}").status_code == 200


def test_refusals_come_in_two_shapes_by_turns_or_as_wished(small: Client) -> None:
    assert [refuse(small), refuse(small), refuse(small)] == [NESTED, FLAT, NESTED]
    small.arm(refusals="string")
    assert [refuse(small), refuse(small)] == [FLAT, FLAT]
    small.arm(refusals="object")
    assert [refuse(small), refuse(small)] == [NESTED, NESTED]
    bucket = small.budget()["write"]
    assert bucket["refused"] == 7
    assert bucket["spent"] == 2 * (bucket["requests"] - bucket["refused"])


def test_a_changed_tier_takes_effect_at_once(client: Client) -> None:
    client.arm(tier="basic")
    assert client.get("/account/limits")["usage_tier"] == "basic"
    assert client.budget()["write"]["capacity"] == 100
    assert client.arm(tier="prestige").json()["tier"] == "prestige"
    found = client.get("/account/limits")
    assert found["write"] == {"bucket_capacity": 19_200, "refill_rate": 9_600}
    grant = {"exchange_instance": "event_contract", "level": "prestige", "source": "manual"}
    assert found["grants"] == [grant]
    assert client.arm(tier="gold").status_code == 400


def test_a_grant_that_ends_gives_the_former_tier_back() -> None:
    budgets = Budgets("basic")
    budgets.change("expert", 5, expires=1_000)
    budgets.expire(6, 999)
    assert budgets.tier == "expert"
    assert budgets.draw("write:3", 1_200, 6)
    budgets.expire(7, 1_000)
    assert (budgets.tier, budgets.expires) == ("basic", None)
    assert budgets.shown(7)["buckets"]["write:3"] == {
        "spent": 1_200, "requests": 1, "refused": 0, "capacity": 100, "refill_rate": 100,
        "level": 0,
    }  # fmt: skip


def test_the_end_of_a_grant_is_told(client: Client) -> None:
    client.arm(tier="expert", tier_expires_s=1_000)
    (grant,) = client.get("/account/limits")["grants"]
    stamp = client.get("/portfolio/balance")["updated_ts"]
    assert stamp + 990 <= grant["expires_ts"] <= stamp + 1_000


def test_a_smaller_tier_cuts_the_level_and_a_larger_gives_nothing() -> None:
    bucket = Bucket(refill=300, capacity=600)
    bucket.change(Rate(100, 100), 0)
    assert bucket.draw(100, 0)
    bucket.change(Rate(300, 600), 0)
    assert not bucket.draw(1, 0)
    assert bucket.draw(300, 1_000_000)
