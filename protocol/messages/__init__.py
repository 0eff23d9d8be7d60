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
    Amend,
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
    AmendAnswer,
    AmendOrder,
    BatchAnswer,
    BrakesAnswer,
    BudgetAnswer,
    BudgetRequest,
    BudgetState,
    CancelAnswer,
    CancelBatch,
    CancelBatchAnswer,
    CancelOpen,
    CancelOpenAnswer,
    CancelOrder,
    ConfirmRestore,
    DecreaseAnswer,
    DecreaseOrder,
    DoubtAnswer,
    DoubtRequest,
    ExchangeAnswer,
    ExchangeRequest,
    GroupAnswer,
    Halt,
    HaltAnswer,
    Inquire,
    InquiryAnswer,
    ManageGroup,
    MarketsAnswer,
    MarketsRequest,
    OrderAnswer,
    OrderGlimpsed,
    Panic,
    PanicAnswer,
    PlaceBatch,
    PlaceOrder,
    Reconcile,
    ReconcileAnswer,
    RestoreAnswer,
    Resume,
    Spender,
    TightenBrakes,
    TokensAnswer,
)
from protocol.messages.health import (
    FollowerHealth,
    FollowerReport,
    Health,
    Heartbeat,
    Noted,
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
    AuditAnswer,
    AuditRequest,
    BookAnswer,
    BookDelta,
    BookFresh,
    BookLost,
    BookRequest,
    BookSide,
    BookSnapshot,
    BookStale,
    EventChanged,
    FeeChanged,
    Follow,
    FollowAnswer,
    GroupChanged,
    Level,
    ListedBook,
    Mark,
    MarketChanged,
    PositionReported,
    Quote,
    RawFrame,
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
    | BookStale
    | BookFresh
    | Trade
    | Quote
    | MarketChanged
    | EventChanged
    | FeeChanged
    | PositionReported
    | GroupChanged
    | RawFrame
    | Mark
    | BookRequest
    | BookAnswer
    | AuditRequest
    | AuditAnswer
    | Follow
    | FollowAnswer
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
    | AmendOrder
    | AmendAnswer
    | PlaceBatch
    | BatchAnswer
    | CancelOrder
    | CancelAnswer
    | DecreaseOrder
    | DecreaseAnswer
    | ManageGroup
    | GroupAnswer
    | CancelBatch
    | CancelBatchAnswer
    | CancelOpen
    | CancelOpenAnswer
    | Halt
    | Resume
    | HaltAnswer
    | Panic
    | PanicAnswer
    | DoubtRequest
    | DoubtAnswer
    | AcquireTokens
    | TightenBrakes
    | BrakesAnswer
    | BudgetRequest
    | BudgetAnswer
    | TokensAnswer
    | ConfirmRestore
    | RestoreAnswer
    | MarketsRequest
    | MarketsAnswer
    | Inquire
    | InquiryAnswer
    | ExchangeRequest
    | ExchangeAnswer
    | OrderGlimpsed
    | Reconcile
    | ReconcileAnswer
    | Heartbeat
    | Signal
    | Health
    | System
    | FollowerReport
    | Noted
    | Refused
)

__all__ = [
    "BrakesAnswer",
    "AccountAnswer",
    "AccountRequest",
    "AccountState",
    "AcquireTokens",
    "Amend",
    "AmendAnswer",
    "AmendOrder",
    "AnyMessage",
    "Append",
    "Appended",
    "AuditAnswer",
    "AuditRequest",
    "Balance",
    "BatchAnswer",
    "BookAnswer",
    "BookDelta",
    "BookFresh",
    "BookLost",
    "BookRequest",
    "BookSide",
    "BookSnapshot",
    "BookStale",
    "BookedFill",
    "CancelAnswer",
    "CancelBatch",
    "BudgetAnswer",
    "BudgetRequest",
    "BudgetState",
    "CancelBatchAnswer",
    "CancelOpen",
    "CancelOpenAnswer",
    "CancelOrder",
    "CashBase",
    "ConfirmRestore",
    "DecreaseAnswer",
    "DecreaseOrder",
    "DoubtAnswer",
    "DoubtRequest",
    "Entries",
    "EntriesRequest",
    "Entry",
    "EventChanged",
    "EvidenceAnswer",
    "EvidenceRequest",
    "ExchangeAnswer",
    "ExchangeRequest",
    "ExchangeStatus",
    "FeeChanged",
    "Follow",
    "FollowAnswer",
    "FollowerHealth",
    "FollowerReport",
    "GroupChanged",
    "GroupAnswer",
    "Halt",
    "HaltAnswer",
    "Health",
    "Heartbeat",
    "Inquire",
    "InquiryAnswer",
    "Level",
    "ListedBook",
    "ManageGroup",
    "Mark",
    "MarketChanged",
    "MarketsAnswer",
    "MarketsRequest",
    "Message",
    "Noted",
    "Order",
    "OrderAnswer",
    "OrderGlimpsed",
    "Panic",
    "PanicAnswer",
    "PlaceBatch",
    "PlaceOrder",
    "Position",
    "PositionReported",
    "ProcessHealth",
    "Quote",
    "RawFrame",
    "Reconcile",
    "ReconcileAnswer",
    "Refused",
    "RestoreAnswer",
    "Restored",
    "Resume",
    "Signal",
    "Spender",
    "System",
    "TightenBrakes",
    "TokensAnswer",
    "Trade",
]
