"""The table of routes: what may be asked over HTTP, by whom, and what comes back.

A route that lacks a scope, a summary or answers does not get past the start of the process. What
every route may answer beside its own (no token, too fast, not now) stands in `EVERYWHERE`.
"""

from typing import Any, Final

from actors.api import (
    amends,
    batches,
    exchange,
    following,
    forms,
    groups,
    lists,
    markets,
    orders,
    stops,
)
from actors.api.cursors import PAGE_CURSOR
from actors.api.route import CLIENT_ID, NUMBER_MAX, Answer, Body, Route, Table
from protocol.brakes import Brakes
from protocol.kalshi.inquiries import INQUIRIES
from protocol.kalshi.parameters import (
    CURSOR,
    GROUP_ID,
    LABEL,
    SECONDS_MAX,
    SHARD,
    TICKER,
    Kind,
    Parameter,
    list_of,
    number,
    one_of,
)
from protocol.limits import DEPTH_MAX, ENTRIES_MAX, PAGE_MAX
from protocol.messages import (
    AmendAnswer,
    CancelAnswer,
    DecreaseAnswer,
    GroupAnswer,
    HaltAnswer,
    OrderAnswer,
    PanicAnswer,
    RestoreAnswer,
)
from protocol.tokens import Scope

NOW = "not now: `retry_after_ms` where waiting helps"


def _problem(status: int, text: str, *codes: str) -> Answer:
    return Answer(status, None, text, codes)


EVERYWHERE: Final = (
    _problem(400, "no request that can be understood", "malformed_request", "repeated_header"),
    _problem(401, "no token, or none that holds", "unauthorized"),
    _problem(403, "a scope that this token has not, or a foreign Origin", "forbidden",
             "wrong_origin", "cross_site"),
    _problem(404, "there is nothing at this path", "not_found"),
    _problem(408, "the request did not come in time", "request_timeout"),
    _problem(414, "the path and query are too long", "target_too_long"),
    _problem(415, "what a request carries has to be application/json", "unsupported_media_type"),
    _problem(413, "the body is too large", "body_too_large"),
    _problem(421, "not served under that Host", "wrong_host"),
    _problem(422, "a parameter that there is not, that is wrong, or that is said twice",
             "unknown_parameter", "repeated_parameter"),
    _problem(429, "this token asks too fast, has too much waiting, or there were too many failures",
             "too_many_requests", "too_many_waiting", "too_many_failures", "too_many_pipelined"),
    _problem(431, "the headers are too large", "headers_too_large"),
    _problem(502, "the engine's answer makes no sense", "unexpected_answer"),
    _problem(503, NOW, "not_ready", "busy", "no_answer", "too_many_connections"),
)  # fmt: skip
CARRYING: Final = (_problem(400, "the body is no JSON", "malformed_json"),)
KEYED: Final = (
    _problem(409, "a request with this Idempotency-Key is under way", "key_in_flight"),
    _problem(422, "an Idempotency-Key that is none, or that another request used",
             "invalid_idempotency_key", "key_reused"),
    _problem(503, "keys can't be kept", "keys_unavailable", "answer_not_kept"),
)  # fmt: skip

_CURSOR: Final = Parameter("cursor", PAGE_CURSOR, about="`cursor` of the page before")
_PAGE: Final = (
    Parameter("limit", number(1, PAGE_MAX), about="rows; left out: 100"),
    _CURSOR,
)
_TICKER: Final = Parameter("ticker", TICKER, required=True, about="a market")
_ID: Final = Parameter("client_order_id", CLIENT_ID, required=True, about="the order")
_GROUP: Final = Parameter("order_group_id", GROUP_ID, required=True, about="the order group")
_MOMENT: Final = number(0, SECONDS_MAX * markets.SECOND_US)
_BETWEEN: Final = (
    Parameter("since", _MOMENT, about="not before this moment, microseconds"),
    Parameter("until", _MOMENT, about="not after it"),
)
_THEIR_CURSOR: Final = Parameter(
    "cursor",
    Kind(
        f'{CURSOR.rule}, or ""',
        lambda text: text == "" or CURSOR.fits(text),
        {"anyOf": [CURSOR.schema, {"type": "string", "enum": [""]}]},
    ),
    about="`cursor` of the page before",
)
_THEIR_PAGE: Final = (
    Parameter("limit", number(1, markets.LIMIT_MAX), about="rows; left out: 100"),
    _THEIR_CURSOR,
)
_THEIRS: Final = (
    *(_problem(status, "the exchange's word about what was asked, under its own code")
      for status in (400, 404, 409, 410, 422)),
    _problem(502, "the exchange refuses us, is in trouble or silent, or makes no sense",
             "no_answer", "unreadable_answer"),
    _problem(503, NOW, "busy", "no_tokens"),
)  # fmt: skip
_REASON: Final = Body(stops.ReasonBody, "invalid_reason")
_NO_ORDER: Final = _problem(404, "nobody knows such an order", "not_found", "order_not_found")
_REFUSED: Final = _problem(422, "refused, by us or the exchange: `code`, `field`, `limit`, `value`")
_INTERRUPTED: Final = Answer(
    202, forms.Interrupted, "with an Idempotency-Key: nobody knows, and it can't be done again"
)
_GROUPED: Final = (
    Answer(202, GroupAnswer, "unknown"),
    _INTERRUPTED,
    _problem(404, "no such group on that shard", "not_found"),
    _problem(422, "refused"),
    _problem(503, NOW, "halted"),
)


def _get(path: str, reader: Any, summary: str, form: Any, *more: Answer, **how: Any) -> Route:
    """A read: all that may go wrong beside what always may stands in `more`."""
    own = (Answer(200, form, "as it is known"), *more)
    return Route("GET", path, "read", summary, reader, own, **how)


def _post(
    path: str, scope: Scope, reader: Any, summary: str, body: Body, *own: Answer, **how: Any
) -> Route:
    return Route("POST", path, scope, summary, reader, own, body=body, **how)


def _list(path: str, what: lists.What, summary: str, form: Any) -> Route:
    return _get(path, lists.rows(what), summary, form, parameters=_PAGE)


_ENGINE: Final = (
    _get("/openapi.json", lists.page, "This API, described (OpenAPI 3.1)", dict[str, Any]),
    _post("/v1/ws/ticket", "read", lists.ticket, "A one-time ticket for a browser's WebSocket",
          Body(lists.NothingBody, "invalid_body", b"{}"),
          Answer(201, forms.Ticket, "to be said within its time"), once=False),
    _get("/v1/status", lists.status, "How the engine is", forms.Status),
    _get("/v1/budget", lists.budget, "The rate budget, and who spends it", forms.BudgetNow),
    _get("/v1/ledger", lists.ledger, "The ledger behind a number, oldest first", forms.Ledger,
         parameters=(
             Parameter("since", number(0, NUMBER_MAX), about="the last number that is known"),
             Parameter("limit", number(1, ENTRIES_MAX), about="entries; left out: 100"),
         )),
)  # fmt: skip

_ACCOUNT: Final = (
    _list("/v1/fills", "fills", "Fills, the newest first", forms.Fills),
    _list("/v1/positions", "positions", "Positions, with what they would bring now",
          forms.Positions),
    _list("/v1/balance", "balance", "Balances, one a shard", forms.Balances),
    _list("/v1/settlements", "settlements", "What settled markets paid", forms.Settlements),
)  # fmt: skip

_MARKETS: Final = (
    _get("/v1/books/{ticker}", following.book, "The book of a market that is followed",
         forms.Book,
         _problem(404, "it is not followed", "not_followed"),
         _problem(409, "it can't be used: lost, or of a past moment", "book_lost", "book_stale"),
         parameters=(_TICKER, Parameter("allow_stale", one_of("0", "1"),
                                        about="1: a book of a past moment will do"),
                     Parameter("depth", number(1, DEPTH_MAX), about="levels of a side, the best"))),
    _get("/v1/follow", following.followed, "What is followed", forms.Followed),
    _post("/v1/follow", "trade", following.follow, "Follow other markets",
          Body(following.FollowBody, "invalid_follow", one_of=("add", "remove")),
          Answer(200, forms.Followed, "what is followed now"), _INTERRUPTED,
          _problem(422, "nothing was changed", "invalid_wish", "follow_refused")),
    _get("/v1/markets", markets.listing, "Markets with their prices, as the exchange lists them",
         forms.Markets, *_THEIRS,
         parameters=(
             Parameter("series", TICKER, about="of this series"),
             Parameter("event", TICKER, about="of this event"),
             Parameter("tickers", list_of(TICKER, "tickers", 100), about="these"),
             Parameter("status", one_of("unopened", "open", "paused", "closed", "settled")),
             Parameter("text", LABEL, about="only rows of the page with this in ticker, title or "
                       "subtitle: it may have fewer than `limit`, or none, and still a `cursor`"),
             *_THEIR_PAGE,
         )),
    _get("/v1/markets/{ticker}", markets.one, "One market", forms.OneMarket, *_THEIRS,
         parameters=(_TICKER,)),
    _get("/v1/markets/{ticker}/trades", markets.trades, "Public prints, newest first",
         forms.Trades, *_THEIRS, parameters=(_TICKER, *_BETWEEN, *_THEIR_PAGE)),
    _get("/v1/markets/{ticker}/candles", markets.candles, "Candles, oldest first",
         forms.Candles, *_THEIRS,
         parameters=(
             _TICKER,
             Parameter("since", _MOMENT, required=True, about="microseconds"),
             Parameter("until", _MOMENT, required=True, about="not before `since`; at most 10,000 "
                       "candles"),
             Parameter("minutes", one_of("1", "60", "1440"), required=True, about="of one candle"),
         )),
)  # fmt: skip

_ORDERS: Final = (
    _list("/v1/orders", "orders", "Orders, the newest first", forms.Orders),
    _post("/v1/orders", "trade", orders.place, "Place an order",
          Body(orders.OrderBody, "invalid_order"),
          Answer(201, OrderAnswer, "the exchange has it"),
          Answer(202, forms.Unsure, "unknown: ask again with the same client_order_id"),
          _problem(409, "the id belongs to an order with other terms", "order_id_taken"), _REFUSED),
    _post("/v1/orders/batch", "trade", batches.place_many, "Place 1 to 50 orders in one call",
          Body(batches.OrdersBody, "invalid_batch", shown=batches.ShownOrders),
          Answer(200, forms.Members, "one for each"),
          _problem(422, "none of them was placed", "invalid_batch", "batch_too_large")),
    Route("DELETE", "/v1/orders/batch", "trade", "Cancel 1 to 50 orders in one call",
          batches.cancel_many,
          (Answer(200, forms.Members, "one for each"),
           _problem(422, "none of them was canceled", "invalid_batch")),
          body=Body(batches.IdsBody, "invalid_batch")),
    _post("/v1/orders/cancel-all", "kill", orders.cancel_all,
          "Cancel every order of ours; trading goes on",
          Body(orders.CancelAllBody, "invalid_cancel_all", b"{}"),
          Answer(200, forms.CanceledAll, "one for each that was open"),
          Answer(202, forms.CanceledAll, "some are unknown, or left: ask again"),
          _problem(503, NOW, "not_restored", "busy")),
    _get("/v1/orders/{client_order_id}", orders.one, "One order", forms.OneOrder, _NO_ORDER,
         parameters=(_ID,)),
    Route("DELETE", "/v1/orders/{client_order_id}", "trade", "Cancel an order", orders.cancel,
          (Answer(200, CancelAnswer, "canceled"),
           Answer(202, forms.Unsure, "unknown so far: it is repeated until nothing rests"),
           _NO_ORDER, _problem(409, "it does not rest any more", "gone")),
          parameters=(_ID,)),
    _get("/v1/orders/{client_order_id}/evidence", orders.evidence, "What is known of an order",
         forms.Evidence, _NO_ORDER, parameters=(_ID,)),
    _post("/v1/orders/{client_order_id}/amend", "trade", amends.amend, "Other terms for an order",
          Body(amends.AmendBody, "invalid_amend", one_of=("price", "count")),
          Answer(200, AmendAnswer, "the order has them"),
          Answer(202, forms.Unsure, "unknown: ask again with the same amend_id"), _NO_ORDER,
          _problem(409, "not now, or not any more", "amend_id_taken", "order_not_open",
                   "amend_under_way", "order_ended"),
          _REFUSED, parameters=(_ID,)),
    _post("/v1/orders/{client_order_id}/decrease", "trade", orders.decrease,
          "Let less of an order rest", Body(orders.DecreaseBody, "invalid_reduce_to"),
          Answer(200, DecreaseAnswer, "no more than that rests"),
          Answer(202, forms.Unsure, "unknown: asking again is safe"), _NO_ORDER,
          _problem(409, "it does not rest any more", "gone"), _REFUSED, parameters=(_ID,)),
)  # fmt: skip

_GROUPS: Final = (
    _post("/v1/groups", "trade", groups.limited("create"), "Make an order group",
          Body(groups.LimitBody, "invalid_group"), Answer(201, GroupAnswer, "it is there"),
          *_GROUPED),
    *(_post(f"/v1/groups/{{order_group_id}}/{action}", "trade", groups.doing(action), summary,
            Body(groups.ShardBody, "invalid_group", b"{}"), Answer(200, GroupAnswer, "done"),
            *_GROUPED, parameters=(_GROUP,))
      for action, summary in groups.ACTIONS.items()),
    _post("/v1/groups/{order_group_id}/limit", "trade", groups.limited("limit"),
          "Another limit for an order group", Body(groups.LimitBody, "invalid_group"),
          Answer(200, GroupAnswer, "done"), *_GROUPED, parameters=(_GROUP,)),
    Route("DELETE", "/v1/groups/{order_group_id}", "trade", "Cancel and delete an order group",
          groups.delete, (Answer(200, GroupAnswer, "done"), *_GROUPED),
          (_GROUP, Parameter("exchange_index", SHARD, about="its shard; left out: 0"))),
)  # fmt: skip

_STOPS: Final = (
    _post("/v1/halt", "kill", stops.because(lambda text: stops.SetHalt(True, text)),
          "No new order until somebody resumes", _REASON,
          Answer(200, HaltAnswer, "halted"),
          _problem(503, "halted, but not on disk", "latch_not_saved")),
    _post("/v1/panic", "kill", stops.because(stops.PressPanic),
          "Halt, cancel everything on the account, hold creates for a minute", _REASON,
          Answer(200, PanicAnswer, "nothing rests any more"),
          Answer(202, PanicAnswer, "something may: ask again")),
    _post("/v1/resume", "admin", stops.because(lambda text: stops.SetHalt(False, text)),
          "Lift a halt", _REASON, Answer(200, HaltAnswer, "lifted"),
          _problem(409, "somebody has halted since", "still_halted"),
          _problem(503, NOW, "latch_not_saved")),
    _get("/v1/brakes", stops.limits, "The limits that hold", forms.BrakesNow),
    _post("/v1/brakes", "admin", stops.tighten, "Tighter limits from now on",
          Body(Brakes, "invalid_brakes", one_of=Brakes.__struct_fields__),
          Answer(200, forms.BrakesNow, "they hold"),
          _problem(422, "nothing was changed", "invalid_brakes", "brakes_refused"),
          _problem(503, "they hold, but are not on disk", "brakes_not_saved")),
    _post("/v1/restore/confirm", "admin", stops.confirm, "Answer for a restore from a backup",
          Body(stops.ConfirmBody, "invalid_confirmed_by"),
          Answer(200, RestoreAnswer, "on record"), _INTERRUPTED,
          _problem(409, "there is none, or it may not be yet", "no_restore", "restore_refused")),
)  # fmt: skip

_EXCHANGE: Final = tuple(
    _get(f"{exchange.PREFIX}{inquiry.path}", exchange.look,
         f"The exchange's own read `{inquiry.name}`", dict[str, Any], *_THEIRS,
         parameters=inquiry.parameters, own_words=False)
    for inquiry in INQUIRIES.values()
)  # fmt: skip

TABLE: Final = Table((*_ENGINE, *_ACCOUNT, *_MARKETS, *_ORDERS, *_GROUPS, *_STOPS, *_EXCHANGE))
