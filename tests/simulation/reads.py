"""What the exchange's reads show: the account as it was a moment ago, in pages that may lie.

Each row lags by a time of its own, so that a newer one may be there before an older one. Never by
more than the user-data timestamp admits.
"""

import json
import random
from typing import TYPE_CHECKING, Any

from protocol.limits import US
from tests.simulation.markets import Markets
from tests.simulation.rates import COSTS
from tests.simulation.trading import TICKERS, Row, Trading, count, money, price, rfc

if TYPE_CHECKING:
    from tests.simulation.world import World

PAGE = 7
SHARD = {TICKERS[2]: 2}  # of a market that does not lie on the default one
NOT_FOUND = {"error": {"code": "not_found", "message": "not found"}}


class Reads:
    """Answers every GET of `protocol/kalshi/calls.py`."""

    def __init__(
        self, world: "World", dice: random.Random, trading: Trading, markets: Markets
    ) -> None:
        self._world = world
        self._dice = dice
        self._trading = trading
        self._markets = markets
        self._left_out: set[str] = set()  # orders that a complete listing did not have, once
        self._pages = 0

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        """Raises KeyError for a path that nothing is at."""
        name = path.rpartition("/")[2]
        match path:
            case "/portfolio/orders" | "/historical/orders":
                rows = self._orders(query, path.startswith("/historical"))
                return self._page("orders", rows, query)
            case "/portfolio/fills":
                return self._page("fills", self._fills(query), query)
            case "/portfolio/settlements":
                return self._page("settlements", self._settlements(query), query)
            case "/portfolio/positions":
                return self._page("market_positions", self._positions(), query)
            case "/portfolio/deposits" | "/portfolio/withdrawals":
                return self._page(name, self._transfers(name), query)
            case _ if path.startswith("/portfolio/orders/"):
                return self._one("order", self._order(self._trading.orders.get(name)))
            case _ if path.startswith("/markets/"):
                known = name in self._markets.tickers
                return self._one("market", self._market(name) if known else None)
        return 200, json.dumps(self._plain(path)).encode()

    def _plain(self, path: str) -> Any:
        clock, faults = self._world.clock, self._world.faults
        match path:
            case "/account/endpoint_costs":
                return COSTS
            case "/exchange/status":
                return {"exchange_active": True, "trading_active": True}
            case "/exchange/user_data_timestamp":
                return {"as_of_time": rfc(clock - faults.listing_lag_max // US)}
            case "/historical/cutoff":
                since = clock - faults.archive_after // US if faults.archive_after else 0
                never = rfc(0)
                return {
                    "market_settled_ts": never, "trades_created_ts": never,
                    "orders_updated_ts": rfc(since),
                }  # fmt: skip
            case "/portfolio/balance":
                shown = money(self._trading.free.at(self._then()))
                return {"balance_dollars": shown, "balance_breakdown": []}
            case "/markets":
                return {"markets": [self._market(t) for t in self._markets.tickers], "cursor": ""}
        raise KeyError(path)

    def _market(self, ticker: str) -> Row:
        return {
            "ticker": ticker,
            "status": "finalized" if ticker in self._trading.settled else "active",
            "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0050"}],
            "close_time": "2099-01-01T00:00:00Z", "exchange_index": SHARD.get(ticker, 0),
        }  # fmt: skip

    def books(self, tickers: list[str]) -> tuple[int, bytes]:
        """The listed books; an unknown ticker has an empty one (FACTS.md section 5)."""
        if self._dice.random() < self._world.faults.books_garbage:
            return 200, self._dice.choice((b"<html>", b'{"orderbooks":[7]}'))
        rows = []
        for ticker in tickers:
            book = self._markets.listed(ticker)
            listed = {
                f"{side}_dollars": [[price(p), count(c)] for p, c in levels]
                for side, levels in zip(("yes", "no"), book, strict=True)
            }
            rows.append({"ticker": ticker, "orderbook_fp": listed})
        return 200, json.dumps({"orderbooks": rows}).encode()

    # Rows

    def _then(self) -> int:
        """A moment ago: what is read is as it was then."""
        most = self._world.faults.listing_lag_max
        return self._world.now - (self._dice.randint(0, most) if most else 0)

    def _order(self, order: Row | None) -> Row | None:
        """As live reads show an order: not yet, as it was, or not any more."""
        return None if order is None or self._archived(order) else self._shown(order)

    def _shown(self, order: Row) -> Row | None:
        row: Row | None = order["past"].at(self._then())
        return row

    def _archived(self, order: Row) -> bool:
        after = self._world.faults.archive_after
        return bool(after and order["ended"] and order["ended"] + after < self._world.now)

    def _orders(self, query: dict[str, str], historical: bool) -> list[tuple[int, Row]]:
        since, status = int(query.get("min_ts", "0")) * 1_000_000, query.get("status")
        found = []
        for order in self._trading.orders.values():
            if order["created"] < since or self._archived(order) != historical:
                continue
            row = self._shown(order)
            if row is None or status not in (None, row["status"]):
                continue
            if status is None and self._lies(order["order_id"]):
                continue
            found.append((order["number"], row))
        return found

    def _lies(self, order_id: str) -> bool:
        """Whether a listing leaves an order out that has long been there: once for each."""
        if order_id in self._left_out or self._dice.random() >= self._world.faults.row_missing:
            return False
        self._left_out.add(order_id)
        self._world.happened["an order was left out"] += 1
        return True

    def _fills(self, query: dict[str, str]) -> list[tuple[int, Row]]:
        since = int(query.get("min_ts", "0")) * 1_000_000
        return [
            (f["number"], {
                "trade_id": f["trade_id"], "order_id": f["order_id"], "ticker": f["ticker"],
                "count_fp": count(f["size"]), "yes_price_dollars": price(f["cents"]),
                "fee_cost": f["fee"], "is_taker": True, "book_side": f["side"],
                "created_time": rfc(f["at"]),
            })
            for f in self._trading.fills
            if since <= f["at"] and f["now"] <= self._then()
        ]  # fmt: skip

    def _settlements(self, query: dict[str, str]) -> list[tuple[int, Row]]:
        since = int(query.get("min_ts", "0")) * 1_000_000
        rows = [s for s in self._trading.settlements if since <= s["at"]]
        return [(s["number"], s) for s in rows if s["shown"] <= self._then()]

    def _positions(self) -> list[tuple[int, Row]]:
        found = []
        for number, ticker in enumerate(TICKERS, 1):
            held = self._trading.held[ticker].at(self._then())
            if held:
                row = {
                    "ticker": ticker, "position_fp": count(held), "exchange_index": 0,
                    "market_exposure_dollars": money(abs(held) * 5_000),
                }  # fmt: skip
                found.append((number, row))
        return found

    def _transfers(self, kind: str) -> list[tuple[int, Row]]:
        rows = [t for t in self._trading.transfers if t["kind"] == kind]
        return [(t["number"], t) for t in rows if t["shown"] <= self._then()]

    # Pages

    def _one(self, name: str, row: Row | None) -> tuple[int, bytes]:
        if row is None:
            return 404, json.dumps(NOT_FOUND).encode()
        return 200, json.dumps({name: row}).encode()

    def _page(
        self, name: str, rows: list[tuple[int, Row]], query: dict[str, str]
    ) -> tuple[int, bytes]:
        """Rows behind the cursor. A cursor names a row, so no row is passed over unseen."""
        cursor = query.get("cursor", "0")
        faults, dice = self._world.faults, self._dice
        if dice.random() < faults.page_garbage:
            return 200, dice.choice((b"<html>", b'{"%s":[{"ticker":7}]}' % name.encode()))
        after = int(cursor.partition("e")[0])
        left = [(number, row) for number, row in rows if number > after]
        shown, more = left[:PAGE], len(left) > PAGE
        then = str(shown[-1][0]) if more else ""
        if dice.random() < faults.page_loops:
            then = cursor
        elif dice.random() < faults.page_empty:
            self._pages += 1
            shown, then = [], f"{after}e{self._pages}"
        return 200, json.dumps({name: [row for _, row in shown], "cursor": then}).encode()
