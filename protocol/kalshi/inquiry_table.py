"""The table of reads: path, parameters and answer of each (FACTS.md sections 5 to 7)."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from protocol.kalshi import answers, candles, market_data, portfolio, status
from protocol.kalshi.parameters import (
    ANY_SUBACCOUNT,
    CURSOR,
    FLAG,
    GROUP_ID,
    LABEL,
    ORDER_ID,
    SECONDS,
    SHARD,
    SUBACCOUNT,
    TICKER,
    TRANSFER_ID,
    Kind,
    Parameter,
    list_of,
    number,
    one_of,
)

TICKERS_MAX: Final = 100  # in one list (FACTS.md sections 5, 6.4 and 6.5)
EVENTS_MAX: Final = 10  # event tickers in one list (section 6.2)
NOTHING: Final[Mapping[str, tuple[str, ...]]] = {}


class Inquiry(Struct, frozen=True):
    """One read. `path` stands below /trade-api/v2, with its named parts in braces.

    `excludes`: with this parameter, those can't be said. `also`: statuses other than 200 with
    which the exchange answers the same shape.
    """

    name: str
    path: str
    answer: type[Any]
    parameters: tuple[Parameter, ...] = ()
    excludes: Mapping[str, tuple[str, ...]] = NOTHING
    also: tuple[int, ...] = ()

    def find(self, name: str) -> Parameter | None:
        return next((found for found in self.parameters if found.name == name), None)

    def in_path(self, name: str) -> bool:
        return f"{{{name}}}" in self.path


def _part(name: str, kind: Kind = TICKER) -> Parameter:
    return Parameter(name, kind, required=True)


def _limit(least: int, most: int) -> Parameter:
    return Parameter("limit", number(least, most))


def _optional(kind: Kind, *names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, kind) for name in names)


def _tickers(name: str, **how: Any) -> Parameter:
    return Parameter(name, list_of(TICKER, "tickers", TICKERS_MAX), **how)


def _combos(*words: str) -> Parameter:
    """Multivariate markets would flood the first page; who names markets means those."""
    unless = ("tickers", "event_ticker")
    return Parameter("mve_filter", one_of(*words), default="exclude", unless=unless)


_HELD: Final = ("position", "total_traded")
_CURSOR: Final = Parameter("cursor", CURSOR)
_PAGE: Final = (_limit(1, 1_000), _CURSOR)
_WIDE_PAGE: Final = (_limit(0, 1_000), _CURSOR)
_EVENT_PAGE: Final = (_limit(1, 200), _CURSOR)
_TRANSFER_PAGE: Final = (_limit(1, 500), _CURSOR)
_BETWEEN: Final = _optional(SECONDS, "min_ts", "max_ts")
_MINE: Final = Parameter("subaccount", ANY_SUBACCOUNT, default="0")  # the exchange's: all
_MAIN: Final = Parameter("subaccount", SUBACCOUNT)  # the exchange's default is 0
_SHARD: Final = Parameter("exchange_index", SHARD)
_PERIOD: Final = Parameter("period_interval", one_of("1", "60", "1440"), required=True)
_TIMES: Final = (_part("start_ts", SECONDS), _part("end_ts", SECONDS))
_LATEST: Final = Parameter("include_latest_before_start", FLAG)
_NESTED: Final = Parameter("with_nested_markets", FLAG)
_MOMENTS: Final = _optional(
    SECONDS,
    *(f"{end}_{what}_ts" for what in ("created", "close", "settled") for end in ("min", "max")),
)

_EXCHANGE: Final = (
    Inquiry("exchange_status", "/exchange/status", status.StatusBody, also=(503, 504)),
    Inquiry("exchange_schedule", "/exchange/schedule", status.Schedule),
    Inquiry("user_data_timestamp", "/exchange/user_data_timestamp", status.UserDataBody),
    Inquiry("account_limits", "/account/limits", answers.LimitsBody),
    Inquiry("endpoint_costs", "/account/endpoint_costs", answers.CostsBody),
)

_PORTFOLIO: Final = (
    Inquiry("balance", "/portfolio/balance", answers.BalanceBody, (_MAIN, _SHARD)),
    Inquiry(
        "positions", "/portfolio/positions", portfolio.PositionPage,
        (
            *_optional(TICKER, "ticker", "event_ticker"),
            Parameter("count_filter", list_of(one_of(*_HELD), f"of {' and '.join(_HELD)}", 2)),
            Parameter("settlement_status", one_of("unsettled", "settled", "all")),
            _MAIN, _SHARD, *_PAGE,
        ),
    ),
    Inquiry(
        "orders", "/portfolio/orders", answers.OrderPage,
        (
            Parameter("ticker", TICKER),
            Parameter("event_ticker", list_of(TICKER, "tickers", EVENTS_MAX)),
            Parameter("status", one_of("resting", "canceled", "executed")),
            *_BETWEEN, _MINE, _SHARD, *_PAGE,
        ),
    ),
    Inquiry("queue_positions", "/portfolio/orders/queue_positions", portfolio.QueuePositions,
            (_tickers("market_tickers"), Parameter("event_ticker", TICKER), _MAIN)),
    Inquiry("order", "/portfolio/orders/{order_id}", answers.OneOrder,
            (_part("order_id", ORDER_ID),)),
    Inquiry("queue_position", "/portfolio/orders/{order_id}/queue_position",
            portfolio.QueuePosition, (_part("order_id", ORDER_ID),)),
    Inquiry(
        "fills", "/portfolio/fills", answers.FillPage,
        (_tickers("ticker"), Parameter("order_id", ORDER_ID), *_BETWEEN, _MINE, _SHARD, *_PAGE),
    ),
    Inquiry(
        "settlements", "/portfolio/settlements", portfolio.SettlementPage,
        (*_optional(TICKER, "ticker", "event_ticker"), *_BETWEEN, _MINE, *_PAGE),
    ),
    Inquiry("deposits", "/portfolio/deposits", portfolio.DepositPage, _TRANSFER_PAGE),
    Inquiry("withdrawals", "/portfolio/withdrawals", portfolio.WithdrawalPage, _TRANSFER_PAGE),
    Inquiry("order_groups", "/portfolio/order_groups", portfolio.OrderGroups, (_MINE,)),
    Inquiry("order_group", "/portfolio/order_groups/{order_group_id}", portfolio.OneOrderGroup,
            (_part("order_group_id", GROUP_ID), _MINE)),
    Inquiry("subaccount_balances", "/portfolio/subaccounts/balances",
            portfolio.SubaccountBalances),
    Inquiry("subaccount_transfers", "/portfolio/subaccounts/transfers",
            portfolio.SubaccountTransferPage, _PAGE),
    Inquiry("subaccount_netting", "/portfolio/subaccounts/netting", portfolio.SubaccountNetting),
    Inquiry("shard_transfers", "/portfolio/intra_exchange_instance_transfers",
            portfolio.ShardTransferPage, _TRANSFER_PAGE),
    Inquiry("shard_transfer", "/portfolio/intra_exchange_instance_transfers/{transfer_id}",
            portfolio.OneShardTransfer, (_part("transfer_id", TRANSFER_ID),)),
)  # fmt: skip

_MARKETS: Final = (
    Inquiry(
        "markets", "/markets", market_data.MarketPage,
        (
            _tickers("tickers"),
            *_optional(TICKER, "event_ticker", "series_ticker"),
            Parameter("status", one_of("unopened", "open", "paused", "closed", "settled")),
            *_MOMENTS,
            Parameter("min_updated_ts", SECONDS),
            _combos("exclude", "only", "all"),
            *_WIDE_PAGE,
        ),
        {"min_updated_ts": ("tickers", "event_ticker", "status", *(p.name for p in _MOMENTS))},
    ),
    Inquiry(
        "trades", "/markets/trades", market_data.TradePage,
        (Parameter("ticker", TICKER), *_BETWEEN, Parameter("is_block_trade", FLAG), *_WIDE_PAGE),
    ),
    Inquiry("orderbooks", "/markets/orderbooks", market_data.Books,
            (_tickers("tickers", required=True, repeated=True),)),
    Inquiry(
        "candlesticks_of_markets", "/markets/candlesticks", candles.CandlesOfMarkets,
        (
            _tickers("market_tickers", required=True), *_TIMES,
            Parameter("period_interval", number(1, 1_440), required=True), _LATEST,
        ),
    ),
    Inquiry("market", "/markets/{ticker}", market_data.OneMarket, (_part("ticker"),)),
    Inquiry("orderbook", "/markets/{ticker}/orderbook", market_data.OneBook,
            (_part("ticker"), Parameter("depth", number(0, 100)))),
    Inquiry("candlesticks", "/series/{series_ticker}/markets/{ticker}/candlesticks",
            candles.Candles,
            (_part("series_ticker"), _part("ticker"), *_TIMES, _PERIOD, _LATEST)),
)  # fmt: skip

_GROUPS: Final = (
    Inquiry(
        "events", "/events", market_data.EventPage,
        (
            _tickers("tickers"), Parameter("series_ticker", TICKER),
            Parameter("status", one_of("unopened", "open", "closed", "settled")),
            *_optional(SECONDS, "min_close_ts", "min_updated_ts"),
            _NESTED, Parameter("with_milestones", FLAG), *_EVENT_PAGE,
        ),
    ),
    Inquiry(
        "multivariate_events", "/events/multivariate", market_data.EventPage,
        (*_optional(TICKER, "series_ticker", "collection_ticker"), _NESTED, *_EVENT_PAGE),
        {"series_ticker": ("collection_ticker",)},
    ),
    Inquiry("event_fee_changes", "/events/fee_changes", market_data.EventFeeChanges,
            (Parameter("event_ticker", TICKER), *_PAGE)),
    Inquiry("event", "/events/{event_ticker}", market_data.OneEvent,
            (_part("event_ticker"), _NESTED)),
    Inquiry("event_metadata", "/events/{event_ticker}/metadata", market_data.EventMetadata,
            (_part("event_ticker"),)),
    Inquiry("candlesticks_of_event", "/series/{series_ticker}/events/{event_ticker}/candlesticks",
            candles.CandlesOfEvent,
            (_part("series_ticker"), _part("event_ticker"), *_TIMES, _PERIOD)),
    Inquiry(
        "series_list", "/series", market_data.SeriesList,
        (
            *_optional(LABEL, "category", "tags"),
            *_optional(FLAG, "include_product_metadata", "include_volume"),
            Parameter("min_updated_ts", SECONDS),
        ),
    ),
    Inquiry("series_fee_changes", "/series/fee_changes", market_data.SeriesFeeChanges,
            (Parameter("series_ticker", TICKER), Parameter("show_historical", FLAG))),
    Inquiry("series", "/series/{series_ticker}", market_data.OneSeries,
            (_part("series_ticker"), Parameter("include_volume", FLAG))),
)  # fmt: skip

_HISTORY: Final = (
    Inquiry("historical_cutoff", "/historical/cutoff", status.CutoffBody),
    Inquiry(
        "historical_markets", "/historical/markets", market_data.MarketPage,
        (
            _tickers("tickers"), *_optional(TICKER, "event_ticker", "series_ticker"),
            _combos("exclude", "all"), *_WIDE_PAGE,
        ),
    ),
    Inquiry("historical_market", "/historical/markets/{ticker}", market_data.OneMarket,
            (_part("ticker"),)),
    Inquiry("historical_candlesticks", "/historical/markets/{ticker}/candlesticks",
            candles.Candles, (_part("ticker"), *_TIMES, _PERIOD)),
    Inquiry(
        "historical_trades", "/historical/trades", market_data.TradePage,
        (Parameter("ticker", TICKER), *_BETWEEN, Parameter("is_block_trade", FLAG), *_WIDE_PAGE),
    ),
    Inquiry("historical_fills", "/historical/fills", answers.FillPage,
            (Parameter("ticker", TICKER), *_BETWEEN, _MINE, *_PAGE)),
    Inquiry("historical_orders", "/historical/orders", answers.OrderPage,
            (Parameter("ticker", TICKER), *_BETWEEN, _MINE, *_PAGE)),
    Inquiry("historical_positions", "/historical/positions", portfolio.PositionPage,
            (*_optional(TICKER, "ticker", "event_ticker"), *_PAGE)),
)  # fmt: skip

INQUIRIES: Final[Mapping[str, Inquiry]] = {
    inquiry.name: inquiry for inquiry in (*_EXCHANGE, *_PORTFOLIO, *_MARKETS, *_GROUPS, *_HISTORY)
}
"""By name. Of two paths that fit, the one without a named part comes first."""
