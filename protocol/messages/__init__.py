"""The vocabulary: every message that crosses a process boundary, frozen.

In JSON each message says its `type`, the name of its class; prices, counts and money are decimal
strings; times are microseconds since the Unix epoch. Fields are only ever added, at the end and
with a default; unknown fields are ignored.
"""

from protocol.facts import ExchangeStatus
from protocol.messages.account import (
    AccountAnswer,
    AccountRequest,
    AccountState,
    Balance,
    BookedFill,
    CashBase,
    EvidenceAnswer,
    EvidenceRequest,
    Order,
    Position,
    Restored,
)
from protocol.messages.commands import (
    AcquireTokens,
    CancelAnswer,
    CancelOrder,
    ConfirmRestore,
    DoubtAnswer,
    DoubtRequest,
    Halt,
    HaltAnswer,
    MarketsAnswer,
    MarketsRequest,
    OrderAnswer,
    OrderGlimpsed,
    Panic,
    PanicAnswer,
    PlaceOrder,
    Reconcile,
    ReconcileAnswer,
    RestoreAnswer,
    Resume,
    TokensAnswer,
)
from protocol.messages.health import (
    Health,
    Heartbeat,
    ProcessHealth,
    Signal,
    System,
)
from protocol.messages.ledger import (
    Append,
    Appended,
    Entries,
    EntriesRequest,
    Entry,
)
from protocol.messages.market import (
    BookAnswer,
    BookDelta,
    BookLost,
    BookRequest,
    BookSide,
    BookSnapshot,
    Level,
    Mark,
    Quote,
    Trade,
)
from protocol.messages.message import (
    Message,
    Refused,
)

AnyMessage = (
    BookSnapshot
    | BookDelta
    | BookLost
    | Trade
    | Quote
    | Mark
    | BookRequest
    | BookAnswer
    | Append
    | Appended
    | Entry
    | EntriesRequest
    | Entries
    | Order
    | BookedFill
    | Position
    | Balance
    | EvidenceRequest
    | EvidenceAnswer
    | AccountRequest
    | AccountAnswer
    | PlaceOrder
    | OrderAnswer
    | CancelOrder
    | CancelAnswer
    | Halt
    | Resume
    | HaltAnswer
    | Panic
    | PanicAnswer
    | DoubtRequest
    | DoubtAnswer
    | AcquireTokens
    | TokensAnswer
    | ConfirmRestore
    | RestoreAnswer
    | MarketsRequest
    | MarketsAnswer
    | OrderGlimpsed
    | Reconcile
    | ReconcileAnswer
    | Heartbeat
    | Signal
    | Health
    | System
    | Refused
)

__all__ = [
    "AccountAnswer",
    "AccountRequest",
    "AccountState",
    "AcquireTokens",
    "AnyMessage",
    "Append",
    "Appended",
    "Balance",
    "BookAnswer",
    "BookDelta",
    "BookLost",
    "BookRequest",
    "BookSide",
    "BookSnapshot",
    "BookedFill",
    "CancelAnswer",
    "CancelOrder",
    "CashBase",
    "ConfirmRestore",
    "DoubtAnswer",
    "DoubtRequest",
    "Entries",
    "EntriesRequest",
    "Entry",
    "EvidenceAnswer",
    "EvidenceRequest",
    "ExchangeStatus",
    "Halt",
    "HaltAnswer",
    "Health",
    "Heartbeat",
    "Level",
    "Mark",
    "MarketsAnswer",
    "MarketsRequest",
    "Message",
    "Order",
    "OrderAnswer",
    "OrderGlimpsed",
    "Panic",
    "PanicAnswer",
    "PlaceOrder",
    "Position",
    "ProcessHealth",
    "Quote",
    "Reconcile",
    "ReconcileAnswer",
    "Refused",
    "RestoreAnswer",
    "Restored",
    "Resume",
    "Signal",
    "System",
    "TokensAnswer",
    "Trade",
]
