"""What is done to order groups: the bodies, read strictly, and what follows (FACTS.md section 6.4).

No capture shows these calls. A group is looked for on the shard that the query names, 0 if none.
"""

from typing import Any, Final

from actors.paper.answers import Answer, Refused, nested
from actors.paper.entries import GroupDeleted, GroupLimited, GroupMade, GroupReset
from actors.paper.exchange import Exchange
from actors.paper.fixed import CONTRACT
from actors.paper.forms import Form
from actors.paper.groups import GROUPS_MAX, Group
from actors.paper.intake import count_of, primary
from actors.paper.occurrences import GroupChanged

LIMIT_MAX: Final = 1_000_000 * CONTRACT  # docs.kalshi.com/getting_started/order_groups
CREATE: Final = Form(
    "CreateOrderGroup",
    {
        "contracts_limit": int,
        "contracts_limit_fp": str,
        "subaccount": int,
        "exchange_index": int,
    },
)
LIMIT: Final = Form("UpdateOrderGroupLimit", {"contracts_limit": int, "contracts_limit_fp": str})


def create(exchange: Exchange, body: bytes, at: int) -> Answer:
    """Make a group: CreateOrderGroupResponse, 201. Raises Refused."""
    found = CREATE.read(body)
    primary(found.get("subaccount", 0))
    limit, shard = _limit(CREATE, found), found.get("exchange_index", 0)
    if shard not in exchange.account.cash_on:
        raise Refused(nested(400, "invalid_exchange_index", f"there is no shard {shard}"))
    if len(exchange.account.groups) >= GROUPS_MAX:
        raise Refused(nested(400, "order_groups_limit_exceeded"))
    group_id = exchange.new_id()
    exchange.book(GroupMade(group_id, limit, shard, at))
    exchange.tell(GroupChanged("created", group_id, limit))
    return Answer(201, {"order_group_id": group_id, "subaccount": 0, "exchange_index": shard})


def delete(exchange: Exchange, group_id: str, shard: int, at: int) -> Answer:
    """Cancel what rests in a group, and forget it. Raises Refused."""
    group = _group(exchange, group_id, shard)
    exchange.empty(group, at)
    exchange.book(GroupDeleted(group_id, at))
    exchange.tell(GroupChanged("deleted", group_id))
    return Answer(200, {})


def reset(exchange: Exchange, group_id: str, shard: int, at: int) -> Answer:
    """Count what a group matches from nothing, and let it take orders again. Raises Refused."""
    _group(exchange, group_id, shard)
    exchange.book(GroupReset(group_id, at))
    exchange.tell(GroupChanged("reset", group_id))
    return Answer(200, {})


def trigger(exchange: Exchange, group_id: str, shard: int, at: int) -> Answer:
    """Do to a group what exceeding its limit would do; once is enough. Raises Refused."""
    group = _group(exchange, group_id, shard)
    if not group.triggered:
        exchange.trigger(group, at)
    return Answer(200, {})


def limit(exchange: Exchange, group_id: str, shard: int, body: bytes, at: int) -> Answer:
    """Another limit; one that is exceeded already triggers the group. Raises Refused."""
    new = _limit(LIMIT, LIMIT.read(body))
    group = _group(exchange, group_id, shard)
    exchange.book(GroupLimited(group_id, new, at))
    exchange.tell(GroupChanged("limit_updated", group_id, new))
    if group.exceeded(at):
        exchange.trigger(group, at)
    return Answer(200, {})


def _group(exchange: Exchange, group_id: str, shard: int) -> Group:
    group = exchange.account.groups.get(group_id)
    if group is None or group.exchange_index != shard:
        raise Refused(nested(404, "not_found"))
    return group


def _limit(form: Form, found: dict[str, Any]) -> int:
    whole, text = found.get("contracts_limit"), found.get("contracts_limit_fp")
    if whole is None and text is None:
        raise form.wrong("ContractsLimit", "required")
    if whole is not None and whole < 1:
        raise form.wrong("ContractsLimit", "gte")
    counts = {whole * CONTRACT} if whole is not None else set()
    if text is not None:
        counts.add(count_of(text))
    if len(counts) > 1:
        details = "contracts_limit and contracts_limit_fp differ"
        raise Refused(nested(400, "invalid_parameters", details))
    found_limit: int = counts.pop()
    if found_limit > LIMIT_MAX:
        raise form.wrong("ContractsLimit", "lte")
    return found_limit
