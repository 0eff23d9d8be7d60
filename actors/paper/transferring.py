"""Moving cash between shards: the body, read strictly, and what follows (FACTS.md section 6.3).

No capture shows it. The money leaves at once and arrives later; until then it is on no shard.
"""

from typing import Final

from actors.paper.answers import Answer, Refused, nested
from actors.paper.entries import TransferArrived, TransferSent
from actors.paper.exchange import Exchange
from actors.paper.forms import Form
from actors.paper.intake import UUID, primary

CENTI_CENT: Final = 100  # micro-dollars
TRANSFERS_MAX: Final = 100_000  # over all lives: each stays listed
TRANSFER: Final = Form(
    "IntraExchangeInstanceTransfer",
    {
        "source": str,
        "destination": str,
        "amount": int,
        "source_exchange_shard": int,
        "destination_exchange_shard": int,
        "source_subaccount": int,
        "destination_subaccount": int,
        "client_transfer_id": str,
    },
)


def transfer(exchange: Exchange, body: bytes, takes: int, at: int) -> Answer:
    """Send money to another shard: 200 and its id. It is there after `takes` µs. Raises Refused."""
    found, account = TRANSFER.read(body), exchange.account
    for name in ("source", "destination"):
        if not found.get(name):
            raise TRANSFER.wrong(name.title(), "required")
        if found[name] != "event_contract":
            raise _invalid(f"{name}: only event_contract is traded here")
        primary(found.get(f"{name}_subaccount", 0))
    amount = found.get("amount", 0) * CENTI_CENT
    source = found.get("source_exchange_shard", 0)
    destination = found.get("destination_exchange_shard", 0)
    named = found.get("client_transfer_id", "")
    if amount <= 0:
        raise TRANSFER.wrong("Amount", "gt")
    for shard in (source, destination):
        if shard not in account.cash_on:
            raise Refused(nested(400, "invalid_exchange_index", f"there is no shard {shard}"))
    if source == destination:
        raise _invalid("source and destination are the same")
    if named and not UUID.fullmatch(named):
        raise Refused(nested(400, "invalid_UUID"))
    if named in account.shard_transfers.client_transfer_ids:
        raise Refused(nested(409, "transfer_already_exists"))
    if len(account.shard_transfers.sent) >= TRANSFERS_MAX:
        raise Refused(nested(400, "transfers_limit_exceeded"))
    if amount > account.available(source):
        raise Refused(nested(400, "insufficient_balance"))
    sent = TransferSent(exchange.new_id(), named, source, destination, amount, at + takes, at)
    exchange.book(sent)
    return Answer(200, {"transfer_id": sent.transfer_id})


def arrive(exchange: Exchange, at: int) -> None:
    """Let arrive what has been under way for long enough."""
    for sent in list(exchange.account.shard_transfers.pending.values()):
        if sent.due <= at:
            exchange.book(TransferArrived(sent.transfer_id, at))


def _invalid(details: str) -> Refused:
    return Refused(nested(400, "invalid_parameters", details))
