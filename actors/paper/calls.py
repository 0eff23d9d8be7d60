"""Which writes there are, what they cost, who pays, what a pause forbids, and what does them."""

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from actors.paper import amending, batches, grouping, transferring
from actors.paper.answers import Answer
from actors.paper.bucket import CHEAP, DEFAULT_COST, write_bucket
from actors.paper.exchange import Exchange
from actors.paper.intake import primary, read_order
from actors.paper.paging import number

ORDERS: Final = "/portfolio/events/orders"
GROUPS: Final = "/portfolio/order_groups"
BATCHED: Final = f"{ORDERS}/batched"
INDEX_MAX: Final = 1 << 20

Do = Callable[[Exchange, "Call", int], Answer]  # at what µs; raises Refused


class Write(Struct, frozen=True):
    """A call below /trade-api/v2 that may change something; all of them are signed."""

    method: str
    path: str  # {name} is that of an order or of a group
    do: Do
    cost: int = DEFAULT_COST
    each: bool = False  # that is the price of each member of a batch
    places: bool = False  # not while trading is paused
    shard_in: Literal["", "body", "query"] = ""  # who names the shard that pays (FACTS.md 7)


class Call(NamedTuple):
    """A request for one of the writes. `name` is what stands in its path, or nothing."""

    write: Write
    name: str
    body: bytes
    query: Mapping[str, str]

    @property
    def cost(self) -> int:
        """In tokens. A batch must fit into its bucket whole (FACTS.md section 7)."""
        return self.write.cost * (batches.size(self.body) if self.write.each else 1)

    @property
    def bucket(self) -> str:
        """Who pays: the shard that is named, or the account. Raises Refused."""
        index: int | None = None
        if self.write.shard_in == "body":
            index = _index_in(self.body)
        elif self.write.shard_in == "query":
            index = self.exchange_index
        return write_bucket(-1 if index is None else index)

    @property
    def exchange_index(self) -> int | None:
        """What the query says. Raises Refused."""
        text = self.query.get("exchange_index", "")
        if text in ("", "-1"):
            return -1 if text else None
        return number(self.query, "exchange_index", "", 0, INDEX_MAX)

    def check(self) -> None:
        """Whether it is about the account that there is. Raises Refused."""
        primary(number(self.query, "subaccount", "", 0, INDEX_MAX))


class _Routing(Struct, frozen=True):
    exchange_index: int | None = None


def _index_in(body: bytes) -> int | None:
    try:
        return msgspec.json.decode(body, type=_Routing).exchange_index
    except (msgspec.DecodeError, RecursionError):
        return None


def _create(exchange: Exchange, call: Call, at: int) -> Answer:
    return exchange.create(read_order(call.body, at), at)


def _cancel(exchange: Exchange, call: Call, at: int) -> Answer:
    shard = exchange.routed(call.exchange_index, call.query.get("market_ticker", ""))
    return exchange.cancel(call.name, shard, at)


def _group(
    do: Callable[[Exchange, str, int, int], Answer],
) -> Do:
    return lambda exchange, call, at: do(exchange, call.name, call.exchange_index or 0, at)


# The order is that of the search.
WRITES: Final = (
    Write("POST", ORDERS, _create, places=True, shard_in="body"),
    Write(
        "POST",
        BATCHED,
        lambda exchange, call, at: batches.create(exchange, call.body, at),
        each=True,
        places=True,
    ),
    Write(
        "DELETE",
        BATCHED,
        lambda exchange, call, at: batches.cancel(exchange, call.body, at),
        CHEAP,
        each=True,
    ),
    Write("DELETE", f"{ORDERS}/{{name}}", _cancel, CHEAP, shard_in="query"),
    Write("DELETE", ORDERS, lambda exchange, call, at: exchange.cancel_all(at), CHEAP),
    Write(
        "POST",
        f"{ORDERS}/{{name}}/amend",
        lambda exchange, call, at: amending.amend(exchange, call.name, call.body, at),
        places=True,
        shard_in="body",
    ),
    Write(
        "POST",
        f"{ORDERS}/{{name}}/decrease",
        lambda exchange, call, at: amending.decrease(exchange, call.name, call.body, at),
        shard_in="body",
    ),
    Write(
        "POST",
        f"{GROUPS}/create",
        lambda exchange, call, at: grouping.create(exchange, call.body, at),
    ),
    Write("DELETE", f"{GROUPS}/{{name}}", _group(grouping.delete)),
    Write("PUT", f"{GROUPS}/{{name}}/reset", _group(grouping.reset)),
    Write("PUT", f"{GROUPS}/{{name}}/trigger", _group(grouping.trigger)),
    Write(
        "PUT",
        f"{GROUPS}/{{name}}/limit",
        lambda exchange, call, at: grouping.limit(
            exchange, call.name, call.exchange_index or 0, call.body, at
        ),
    ),
    Write(
        "POST",
        "/portfolio/intra_exchange_instance_transfer",
        lambda exchange, call, at: transferring.transfer(
            exchange, call.body, exchange.transfer_takes, at
        ),
    ),
)
