"""Money on its way from shard to shard, as a fold over journal entries (FACTS.md section 6.3)."""

from actors.paper.entries import TransferArrived, TransferSent


class ShardTransfers:
    """All there ever were, by id and oldest first, and which of them have not arrived."""

    def __init__(self) -> None:
        self.sent: dict[str, TransferSent] = {}
        self.pending: dict[str, TransferSent] = {}
        self.client_transfer_ids: set[str] = set()

    def apply(self, entry: TransferSent | TransferArrived) -> tuple[int, int]:
        """Take one entry, new or read back: which shard has how many micro-dollars more."""
        if isinstance(entry, TransferArrived):
            sent = self.pending.pop(entry.transfer_id)
            return sent.destination, sent.amount
        self.sent[entry.transfer_id] = self.pending[entry.transfer_id] = entry
        if entry.client_transfer_id:
            self.client_transfer_ids.add(entry.client_transfer_id)
        return entry.source, -entry.amount

    def copied(self) -> "ShardTransfers":
        """They as they are now, untouched by what comes later."""
        new = ShardTransfers()
        new.sent, new.pending = dict(self.sent), dict(self.pending)
        new.client_transfer_ids = set(self.client_transfer_ids)
        return new
