"""Bodies as the exchange's specification describes them, for the reads that nobody has recorded."""

from typing import Any

MARKET: dict[str, Any] = {
    "ticker": "KXA-1",
    "event_ticker": "KXA",
    "status": "active",
    "result": "",
    "open_time": "2026-06-11T05:39:29Z",
    "close_time": "2026-06-25T16:00:00Z",
    "yes_bid_dollars": "0.4700",
    "yes_ask_dollars": "0.5200",
    "yes_bid_size_fp": "3.00",
    "yes_ask_size_fp": "2.00",
    "last_price_dollars": "0.9900",
    "volume_fp": "2.00",
    "open_interest_fp": "2.00",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    "floor_strike": 60499.99,
}
QUOTES = {
    "open_dollars": "0.5000",
    "low_dollars": "0.4000",
    "high_dollars": "0.6000",
    "close_dollars": "0.5500",
}
CANDLE: dict[str, Any] = {
    "end_period_ts": 1_781_159_400,
    "yes_bid": QUOTES,
    "yes_ask": QUOTES,
    "price": {**dict.fromkeys(QUOTES), "mean_dollars": None, "previous_dollars": "0.5000"},
    "volume_fp": "10.00",
    "open_interest_fp": "4.00",
}
OLD_QUOTES = {key.removesuffix("_dollars"): value for key, value in QUOTES.items()}
OLD_CANDLE: dict[str, Any] = {
    "end_period_ts": 1_781_159_400,
    "yes_bid": OLD_QUOTES,
    "yes_ask": OLD_QUOTES,
    "price": {**OLD_QUOTES, "mean": "0.5100", "previous": None},
    "volume": "10.00",
    "open_interest": "4.00",
}
EVENT: dict[str, Any] = {
    "event_ticker": "KXA",
    "series_ticker": "KXA",
    "title": "A",
    "sub_title": "",
    "mutually_exclusive": False,
    "collateral_return_type": "",
    "fee_multiplier_override": 0.5,
}
SERIES: dict[str, Any] = {
    "ticker": "KXA",
    "title": "A",
    "category": "Sports",
    "tags": None,
    "fee_type": "quadratic",
    "fee_multiplier": 1,
    "frequency": "custom",
}
DAY = [{"open_time": "00:00", "close_time": "00:00"}]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
POSITION = {
    "ticker": "KXA-1",
    "position_fp": "-3.00",
    "market_exposure_dollars": "2.500000",
    "exchange_index": 0,
}
TRANSFER = {
    "id": "d1",
    "status": "applied",
    "type": "ach",
    "amount_cents": 10_000,
    "fee_cents": 0,
    "created_ts": 1_781_159_400,
}
SHARD_TRANSFER: dict[str, Any] = {
    "transfer_id": "6f1f0b5e-0000-4000-8000-000000000001",
    "source": "event_contract",
    "destination": "event_contract",
    "source_exchange_shard": 0,
    "destination_exchange_shard": 2,
    "amount": "2500.000100",
    "status": "pending",
    "created_ts": 1_781_159_400,
}
SUBACCOUNT_TRANSFER: dict[str, Any] = {
    "transfer_id": "t1",
    "from_subaccount": 0,
    "to_subaccount": 3,
    "amount_cents": 10_000,
    "created_ts": 1_781_159_400,
    "exchange_index": 2,
}
ORDER_ID = "2597b999-f887-4195-8bac-c3f97a1f2021"

SAMPLES: dict[str, Any] = {
    "exchange_schedule": {
        "schedule": {
            "standard_hours": [
                {
                    "start_time": "2026-01-01T05:00:00Z",
                    "end_time": "2100-01-01T05:00:00Z",
                    **dict.fromkeys(DAYS, DAY),
                }
            ],
            "maintenance_windows": [
                {"start_datetime": "2026-06-11T07:00:00Z", "end_datetime": "2026-06-11T09:00:00Z"}
            ],
        }
    },
    "user_data_timestamp": {"as_of_time": "2026-06-11T07:00:00Z"},
    "queue_positions": {
        "queue_positions": [
            {"order_id": ORDER_ID, "market_ticker": "KXA-1", "queue_position_fp": "12.00"}
        ]
    },
    "queue_position": {"queue_position_fp": "0.00"},
    "order_groups": {
        "order_groups": [
            {"id": "g1", "is_auto_cancel_enabled": True, "contracts_limit_fp": "50.00"}
        ]
    },
    "order_group": {"is_auto_cancel_enabled": True, "orders": [ORDER_ID]},
    "subaccount_balances": {
        "subaccount_balances": [
            {
                "subaccount_number": 3,
                "exchange_index": 0,
                "balance": "98.0186",
                "updated_ts": 1_781_159_348,
            }
        ]
    },
    "subaccount_transfers": {"transfers": [SUBACCOUNT_TRANSFER], "cursor": "p7"},
    "subaccount_netting": {
        "netting_configs": [
            {"subaccount_number": 0, "enabled": True, "exchange_index": 0},
            {"subaccount_number": 3, "enabled": False, "exchange_index": 2},
        ]
    },
    "shard_transfers": {"transfers": [SHARD_TRANSFER], "cursor": "p7"},
    "shard_transfer": {"transfer": {**SHARD_TRANSFER, "status": "complete"}},
    "deposits": {"deposits": [TRANSFER], "cursor": ""},
    "withdrawals": {"withdrawals": [TRANSFER], "cursor": ""},
    "orderbooks": {
        "orderbooks": [
            {
                "ticker": "KXA-1",
                "orderbook_fp": {"yes_dollars": [["0.4700", "3.00"]], "no_dollars": []},
            }
        ]
    },
    "candlesticks_of_markets": {
        "markets": [{"market_ticker": "KXA-1", "candlesticks": [CANDLE, OLD_CANDLE]}]
    },
    "candlesticks": {"ticker": "KXA-1", "candlesticks": [CANDLE]},
    "candlesticks_of_event": {
        "market_tickers": ["KXA-1", "KXA-2"],
        "market_candlesticks": [[CANDLE], []],
        "adjusted_end_ts": 1_781_159_400,
    },
    "events": {"events": [{**EVENT, "markets": [MARKET]}], "milestones": [], "cursor": "p7"},
    "multivariate_events": {"events": [EVENT], "cursor": ""},
    "event": {"event": EVENT, "markets": [MARKET]},
    "event_metadata": {
        "image_url": "https://x.example/a.png",
        "market_details": [{"market_ticker": "KXA-1", "image_url": "", "color_code": ""}],
        "settlement_sources": [],
    },
    "event_fee_changes": {
        "event_fee_changes": [
            {
                "id": "f1",
                "event_ticker": "KXA",
                "series_ticker": "KXA",
                "fee_type_override": None,
                "fee_multiplier_override": 1.5,
                "scheduled_ts": "2026-06-11T07:00:00Z",
            }
        ],
        "cursor": "",
    },
    "series_list": {"series": [SERIES, {**SERIES, "fee_multiplier": 0.25}]},
    "series": {"series": SERIES},
    "series_fee_changes": {
        "series_fee_change_arr": [
            {
                "id": "f1",
                "series_ticker": "KXA",
                "fee_type": "quadratic",
                "fee_multiplier": 0.5,
                "scheduled_ts": "2026-06-11T07:00:00Z",
            }
        ]
    },
    "historical_cutoff": {
        "market_settled_ts": "2026-03-11T07:00:00Z",
        "trades_created_ts": "2026-03-11T07:00:00Z",
        "orders_updated_ts": "2026-05-28T07:00:00Z",
    },
    "historical_markets": {"markets": [MARKET], "cursor": ""},
    "historical_market": {"market": MARKET},
    "historical_candlesticks": {"ticker": "KXA-1", "candlesticks": [OLD_CANDLE]},
    "historical_positions": {
        "market_positions": [POSITION],
        "event_positions": [],
        "cursor": "",
    },
}
"""By the read's name."""
