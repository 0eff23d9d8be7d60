"""The GETs of cash, with their bodies: balances, and money that came, went or moved."""

from collections.abc import Mapping
from typing import Any, Final

from actors.paper import fixed
from actors.paper.account import Account
from actors.paper.answers import Answer, nested
from actors.paper.entries import Moved, TransferSent
from actors.paper.fixed import dollars4
from actors.paper.market import Market
from actors.paper.matching import Side
from actors.paper.paging import LIMIT_DEFAULT, Query, page, shard
from actors.paper.positions import Position
from actors.paper.view import View

SHARD_TRANSFERS_MAX: Final = 500  # of a page

Body = dict[str, Any]


def balance(view: View, query: Query) -> Answer:
    """As `auth__balance_ok`."""
    markets = view.exchange.markets
    return Answer(200, _balance(view.account, markets, shard(query), view.as_of))


def _balance(account: Account, markets: Mapping[str, Market], shard: int | None, at: int) -> Body:
    """As `auth__balance_ok`: `balance` is cut to whole cents. Of one shard, or of all."""
    available = account.available(shard)
    value = sum(
        _value(position, markets.get(position.ticker))
        for position in account.positions.values()
        if shard in (None, account.shard(position.ticker))
    )
    breakdown = [
        {"balance": dollars4(account.available(index)), "exchange_index": index}
        for index in sorted(account.cash_on)
    ]
    return {
        "balance": available // 10_000,
        "balance_breakdown": breakdown,
        "balance_dollars": dollars4(available),
        "portfolio_value": value // 10_000,
        "updated_ts": at // fixed.SECOND,
    }


def _value(position: Position, market: Market | None) -> int:
    if market is None or not market.last_price:
        return position.cost
    side = Side.BID if position.count > 0 else Side.ASK
    return fixed.cost(side.own_price(market.last_price), abs(position.count))


def subaccounts(view: View) -> Answer:
    """GetSubaccountBalancesResponse of the specification: there is only the primary account."""
    account = view.account
    rows = [
        {
            "balance": dollars4(account.available(index)),
            "exchange_index": index,
            "subaccount_number": 0,
            "updated_ts": view.as_of // fixed.SECOND,
        }
        for index in sorted(account.cash_on)
    ]
    return Answer(200, {"subaccount_balances": rows})


def subaccount_transfers(query: Query) -> Answer:
    """GetSubaccountTransfersResponse of the specification: with one subaccount there are none."""
    none: list[int] = []
    _, cursor = page(none, lambda n: n, query, "GetSubaccountTransfers")
    return Answer(200, {"cursor": cursor, "transfers": []})


def netting(view: View) -> Answer:
    """GetSubaccountNettingResponse of the specification: here YES and NO always net."""
    rows = [
        {"enabled": True, "exchange_index": index, "subaccount_number": 0}
        for index in sorted(view.account.cash_on)
    ]
    return Answer(200, {"netting_configs": rows})


def transfers(view: View, query: Query, word: str) -> Answer:
    """GetDepositsResponse or GetWithdrawalsResponse of the specification."""
    rows = [
        (n, moved)
        for n, moved in enumerate(view.account.transfers, 1)
        if (moved.amount > 0) is (word == "deposits")
    ]
    rows.reverse()
    found, cursor = page(rows, lambda row: row[0], query, f"Get{word.title()}")
    return Answer(200, {"cursor": cursor, word: [transfer(moved) for _, moved in found]})


def transfer(found: Moved) -> Body:
    """A Deposit or a Withdrawal of the specification: here money moves at once and for nothing."""
    seconds = found.at // fixed.SECOND
    return {
        "amount_cents": abs(found.amount) // 10_000,
        "created_ts": seconds,
        "fee_cents": 0,
        "finalized_ts": seconds,
        "id": found.transfer_id,
        "status": "applied",
        "type": "ach",
    }


def shard_transfers(view: View, query: Query) -> Answer:
    """GetIntraExchangeInstanceTransfersResponse of the specification, the newest first."""
    rows = list(enumerate(view.account.shard_transfers.sent.values(), 1))
    rows.reverse()
    found, cursor = page(
        rows,
        lambda row: row[0],
        query,
        "GetIntraExchangeInstanceTransfers",
        SHARD_TRANSFERS_MAX,
        LIMIT_DEFAULT,
    )
    shown = [_shard_transfer(view, sent) for _, sent in found]
    return Answer(200, {"transfers": shown} | ({"cursor": cursor} if cursor else {}))


def shard_transfer(view: View, transfer_id: str) -> Answer:
    """GetIntraExchangeInstanceTransferResponse of the specification."""
    found = view.account.shard_transfers.sent.get(transfer_id)
    if found is None:
        return nested(404, "not_found")
    return Answer(200, {"transfer": _shard_transfer(view, found)})


def _shard_transfer(view: View, found: TransferSent) -> Body:
    pending = found.transfer_id in view.account.shard_transfers.pending
    return {
        "amount": dollars4(found.amount),
        "created_ts": found.at // fixed.SECOND,
        "destination": "event_contract",
        "destination_exchange_shard": found.destination,
        "source": "event_contract",
        "source_exchange_shard": found.source,
        "status": "pending" if pending else "complete",
        "transfer_id": found.transfer_id,
    }
