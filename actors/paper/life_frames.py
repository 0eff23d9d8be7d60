"""Bodies of the life cycle channels and of order groups (FACTS.md section 4.5; no capture).

The members are those of the specification's `marketLifecycleV2Payload`, `eventLifecyclePayload`,
`eventFeeUpdatePayload` and `orderGroupUpdatesPayload`, each there when it says so.
"""

from typing import Any, Final

from actors.paper.entries import FeeOverridden
from actors.paper.fixed import SECOND, contracts, dollars4
from actors.paper.frames import encode
from actors.paper.market import Market
from actors.paper.occurrences import GroupChanged, MarketChanged

LIFECYCLE: Final = "market_lifecycle_v2"
COMBO_LIFECYCLE: Final = "multivariate_market_lifecycle"


def channel_of(market: Market) -> str:
    """Where the life of a market, and of its event, is told."""
    return COMBO_LIFECYCLE if market.combo else LIFECYCLE


def grid_members(market: Market) -> dict[str, Any]:
    """The grid, as Market objects and the life cycle have it."""
    return {
        "price_level_structure": market.structure,
        "price_ranges": [
            {"end": dollars4(s.end), "start": dollars4(s.start), "step": dollars4(s.step)}
            for s in market.grid
        ],
    }


def changed_body(changed: MarketChanged, at: int) -> bytes:
    """`market_lifecycle_v2` or `multivariate_market_lifecycle`; `at` is when it happened."""
    market = changed.market
    body: dict[str, Any] = {"market_ticker": market.ticker, "event_type": changed.word}
    match changed.word:
        case "created":
            body |= _created(market)
        case "activated" | "deactivated":
            body["is_deactivated"] = changed.word == "deactivated"
        case "close_date_updated":
            body["close_ts"] = market.closes // SECOND
        case "determined":
            body["result"] = market.result
            body["determination_ts"] = at // SECOND
            body["settlement_value"] = "1.0000" if market.result == "yes" else "0.0000"
        case "settled":
            body["settled_ts"] = at // SECOND
        case "price_level_structure_updated":
            body |= grid_members(market)
        case "metadata_updated":
            body |= changed.members
        case word:
            raise AssertionError(word)
    return encode(body)


def _created(market: Market) -> dict[str, Any]:
    closes = market.closes // SECOND
    return {
        "exchange_index": market.exchange_index,
        "open_ts": market.opened // SECOND,
        "close_ts": closes,
        **grid_members(market),
        "additional_metadata": {
            "name": market.title,
            "title": market.title,
            "yes_sub_title": market.title,
            "no_sub_title": market.title,
            "rules_primary": f"{market.title}: a market of the paper exchange.",
            "rules_secondary": "",
            "can_close_early": True,
            "event_ticker": market.event_ticker,
            "expected_expiration_ts": closes,
            "strike_type": "structured",
        },
    }


def event_body(market: Market) -> bytes:
    """`event_lifecycle`: the event of this market is new."""
    return encode(
        {
            "event_ticker": market.event_ticker,
            "exchange_index": market.exchange_index,
            "title": market.event_ticker,
            "subtitle": market.event_ticker,
            "collateral_return_type": "",
            "series_ticker": market.series_ticker,
        }
    )


def fee_body(entry: FeeOverridden) -> bytes:
    """`event_fee_update`; nulls say that the override is cleared."""
    return encode(
        {
            "event_ticker": entry.event_ticker,
            "fee_type_override": entry.fee_type,
            "fee_multiplier_override": entry.fee_multiplier,
        }
    )


def group_body(changed: GroupChanged, at: int) -> bytes:
    """`order_group_updates`."""
    body: dict[str, Any] = {"event_type": changed.word, "order_group_id": changed.group_id}
    if changed.contracts_limit is not None:
        body["contracts_limit_fp"] = contracts(changed.contracts_limit)
    return encode(body | {"ts_ms": at // 1_000})
