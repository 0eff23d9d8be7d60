"""Every bound of the system, in one place, and how they relate. Times are nanoseconds."""

from typing import Final

US: Final = 1_000
MS: Final = 1_000 * US
SECOND: Final = 1_000 * MS
MINUTE: Final = 60 * SECOND

# Heartbeats, health, the gate
HEARTBEAT_INTERVAL: Final = 1 * SECOND
HEARTBEAT_SUSPECT: Final = 3 * SECOND  # two may be lost, not three
HEARTBEAT_MISSING: Final = 5 * SECOND
GATE_INTERVAL: Final = 1 * SECOND
GATE_LEASE: Final = 10 * SECOND  # longer than a restart of the supervisor
REASONS_MAX: Final = 16  # reasons a process gives at once
FOLLOWERS_MAX: Final = 64  # programs that say how they follow
FOLLOWER_FORGOTTEN: Final = 60 * SECOND  # one that has said nothing for so long
FOLLOWER_NAME_CHARS_MAX: Final = 40
FOLLOWER_SLOW: Final = 1 * SECOND  # a lag above this is shown as trouble

# The bus
MARK_INTERVAL: Final = 1 * SECOND
MARK_SILENCE_MAX: Final = 3 * SECOND  # a follower that hears no mark this long is lost
MARK_TOPICS_MAX: Final = 500
SEND_QUEUE_MAX: Final = 20_000  # messages waiting for one subscriber; then PUB drops
TELL_QUEUE_MAX: Final = 10_000  # letters waiting in one DEALER or ROUTER pipe
LETTER_BYTES_MAX: Final = 16 * 1024 * 1024  # an account's snapshot is the largest
DRAIN_BUDGET: Final = 200  # messages taken from a socket before others get their turn
SAFETY_TICK: Final = 100 * MS  # an edge-triggered descriptor may miss one wake-up

# Tells
TELL_RETRY: Final = 500 * MS
TELLS_MAX: Final = 20_000  # letters one process keeps until they are answered
TELL_RETRY_BATCH: Final = 200  # letters repeated at one go

# Followers
PENDING_MAX: Final = 10_000  # envelopes held while a snapshot or missing entries are fetched
SNAPSHOT_RETRY: Final = 250 * MS
CATCH_UP_RETRY: Final = 250 * MS
ENTRIES_MAX: Final = 500  # ledger entries in one answer
LEDGER_SILENCE_MAX: Final = 2 * SECOND  # then a follower's account is not fit for new risk
TOPICS_WATCHED_MAX: Final = 200_000  # of one speaker, whose numbers a listener remembers

# Recordings
BLOCK_BYTES: Final = 256 * 1024  # of lines, then a block is compressed and written
BLOCK_INTERVAL: Final = 1 * SECOND  # or so long after its first line: what a kill may lose
BLOCKS_MAX: Final = 20_000  # in one segment
BLOCK_BYTES_MAX: Final = 64 * 1024 * 1024  # of one block that is read: no file fills the memory
SEGMENT_BYTES_MIN: Final = 64 * 1024
SECONDS_MAX: Final = 366 * 24 * 3_600  # for which a command is told to run, then it ends
BOOKS_ASKED_MAX: Final = 50  # asked of the stream at once, every SNAPSHOT_RETRY
HELD_MAX: Final = 10_000  # changes of one market that wait for its book, in a replay
HOLE_PLAYED_MAX: Final = 1 * SECOND  # a replay does not wait longer where nothing is recorded

# The account
ORDERS_KEPT: Final = 5_000  # finished orders kept in memory; the database keeps all
FILLS_KEPT: Final = 5_000
OPEN_ORDERS_MAX: Final = 200_000  # FACTS.md section 6.2
SETTLEMENTS_KEPT: Final = 5_000  # the last ones, which the exchange may still amend
POSITIONS_DIFFER_MAX: Final = 10_000  # positions that nothing explains

# The writer
APPENDS_MAX: Final = 10_000  # appends waiting for a commit
INTENTS_MAX: Final = 8_000  # beyond this many waiting, new intents are refused; facts are not
COMMIT_ROWS_MAX: Final = 500
SNAPSHOT_EVERY: Final = 20_000  # ledger entries between two snapshots
SNAPSHOTS_KEPT: Final = 3
LOCKED_RETRY_MIN: Final = 50 * MS  # doubled at each try
LOCKED_RETRY_LAST: Final = 1 * SECOND
LOCKED_RETRY_MAX: Final = 5 * SECOND  # how long a locked database is retried before unready
OPEN_RETRY: Final = 5 * SECOND  # between two tries to open a database that is damaged
CHECKPOINT_COMMITS: Final = 1_000  # commits between two checkpoints of the log file
CHECKPOINT_ROWS: Final = 20_000  # or entries
LOG_PAGES_MAX: Final = 65_536  # of 4 KiB that can't be checkpointed: a reader pins them
TAIL_CHECKED: Final = 500  # entries before the snapshot whose chain is checked at every start

# The keeper of trades and quotes: nobody waits for it
KEEP_DAYS_MAX: Final = 3_650
KEEP_BYTES_MIN: Final = 256 * 1024 * 1024
KEEP_BYTES_MAX: Final = 8 * 1024**4  # SQLite's pages end there or later
KEEP_BATCH_ROWS: Final = 1_000
KEEP_BATCH_WAIT: Final = 500 * MS  # a row waits this long for others
KEEP_QUEUE_MAX: Final = 50_000  # rows waiting while the database can't be written; then holes
KEEP_TOPICS_MAX: Final = 100_000  # topics whose last number is known, and holes that wait
KEEP_PRUNE_ROWS: Final = 2 * KEEP_BATCH_ROWS  # deleted beside one batch, so deleting keeps up
KEEP_PRUNE_PAUSE: Final = 100 * MS  # between two deletions with nothing to write
KEEP_LOOK: Final = 10 * SECOND  # the database is looked at so often with nothing to write
KEEP_LOG_BYTES_MAX: Final = 64 * 1024 * 1024  # of its log file, before a commit
KEEP_SLACK_BYTES: Final = 16 * 1024 * 1024  # deleting begins so far below the bound
KEEP_RETRY: Final = 500 * MS  # a locked database is tried again
KEEP_REOPEN: Final = 5 * SECOND  # one that failed is opened again, an ended keeper started again
KEEP_REPORT: Final = 1 * SECOND
KEEP_SILENT: Final = 10 * SECOND  # a keeper that says nothing is in trouble
KEEP_STOP_MAX: Final = 1 * SECOND  # for its last batch, when the writer ends

# What the ledger's tables take
ENTRY_ID_CHARS_MAX: Final = 400
FACT_CHARS_MAX: Final = 64 * 1024
MONEY_MAX: Final = 10**15  # micro-dollars: a billion dollars
COUNT_MAX: Final = 10**13  # hundredths: a hundred billion contracts

# The rehydrator
READ_ENTRIES: Final = 1_000  # entries in one read: far below the 2 s that a reader may take
AUDIT_INTERVAL: Final = 60 * MINUTE  # between two audits of the whole ledger
AUDIT_RETRY: Final = 10 * SECOND  # after a page that could not be read
AUDIT_PAUSE: Final = 75 * MS  # between two pages of an audit, which runs beside everything else

# The gateway
INTENT_ACK_MAX: Final = 2 * SECOND  # then the intent is withdrawn and the client told 503
OUTCOME_ACK_MAX: Final = 1 * SECOND  # then the client gets the outcome before it is on disk
CALLS_IN_FLIGHT_MAX: Final = 8
LANE_QUEUE_MAX: Final = 1_000  # calls waiting in one lane
AMENDS_MAX: Final = 200  # amends under way
LEASE_S_MIN: Final = 30  # an order waits up to 5 s for tokens, and clocks may be 5 s apart
LEASE_S_MAX: Final = 24 * 3_600
LEASE_AGAIN: Final = 3 * SECOND  # after a renewal that was not answered, or not let go
CALL_CONNECT_MAX: Final = 5 * SECOND
CALL_READ_MAX: Final = 10 * SECOND
RECALL_MAX: Final = 3 * SECOND  # an order that ended long ago is looked up for so long
QUEUED_MAX: Final = 5 * SECOND  # an order that waited longer for tokens is denied, unsent
SIGNATURE_WINDOW: Final = 30 * SECOND  # refused beyond it (captures: skew of 30 s)
CLOCK_SKEW_MAX: Final = 5 * SECOND
RESOLVE_INTERVAL: Final = 5 * SECOND  # between listings that look for unknown orders
ABSENCE_AFTER: Final = SIGNATURE_WINDOW + CLOCK_SKEW_MAX  # a lost POST can't land later
RECONCILE_OVERLAP_US: Final = 60_000_000  # microseconds of wall time read again
RECONCILE_RETRY: Final = 1 * SECOND
RECONCILE_AGAIN: Final = 10 * SECOND  # reads lag behind writes (FACTS.md section 6.1)
BALANCE_INTERVAL: Final = 15 * SECOND
LIMITS_INTERVAL: Final = 60 * SECOND
LIMITS_AGAIN: Final = 2 * SECOND  # to the second reading of limits or costs that have changed
PAGES_MAX: Final = 1_000  # pages of one listing
PAGE_LIMIT: Final = 200  # rows asked for a page of orders or fills
MARKETS_PAGE: Final = 1_000
MARKETS_MAX: Final = 20_000  # tickers one stream follows
RECONCILE_INTERVAL: Final = 60 * SECOND
DIFFER_AGAIN: Final = 5 * SECOND  # between the two readings that a difference must be in
CASH_ROUNDING: Final = 10_000  # micro-dollars: a balance is cut to whole cents (FACTS.md 9)
PAGE_TRIES: Final = 3  # of one page, before a reading is given up
LAG_MAX: Final = 30 * SECOND  # of reads, where the exchange doesn't say how far they lag
DIFFER_TIMES: Final = 6  # readings in a row with the same difference count, whatever moved
SETTLING_MAX: Final = 60 * MINUTE  # a market's end and the settlement's row are not one moment
CANCEL_RETRY_MIN: Final = 250 * MS  # between two tries of one cancel, doubled at each
CANCEL_RETRY_MAX: Final = 5 * SECOND
CANCEL_TOLD_AFTER: Final = 5 * SECOND  # then the asker is told "unknown", and the cancel goes on
CALL_TOTAL_MAX: Final = 12 * SECOND  # from the first byte asked for to the last one answered
ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024  # of one answer, as it comes and unpacked
CONNECTION_IDLE_MAX: Final = 5 * SECOND  # idle for longer, it may be dead by the next call
OFFLINE_AFTER: Final = 10 * SECOND  # without the exchange a boot ends read-only
HOLD_AFTER_CANCEL_ALL: Final = 60 * SECOND  # it may take orders of the next minute (FACTS 6.2)
PANIC_RETRY: Final = 1 * SECOND  # between two listings, or a failed call and the next
PANIC_ANSWER: Final = 3 * SECOND  # whoever asked hears "running" after this, and asks again
PANIC_FRESH: Final = 5 * SECOND  # asked again so soon after its end, it is the same panic
HALT_ASKERS_MAX: Final = 64  # who waits for a halt or a panic, and whom we told of it
LATCH_LOOK: Final = 50 * MS  # how often the halt latch is looked at: others may write it
ARMING_MIN: Final = 1 * SECOND  # an arming for the real exchange, at least
ARMING_USUAL: Final = 12 * 60 * MINUTE  # if nobody says for how long
ARMING_MAX: Final = 24 * 60 * MINUTE
TOKENS_VALID: Final = 1 * SECOND  # tokens granted to a program are to be spent within this
ACQUIRES_MAX: Final = 1_000  # programs' wishes for tokens that wait
REFUSALS_KEPT: Final = 10_000  # orders refused at the door: the same letter gets the same answer
GRANTS_KEPT: Final = 10_000  # answers to programs that are given again, not granted again
CALLERS_MAX: Final = 256  # callers whose spending is counted by name; the rest together
SHARDS_MAX: Final = 64  # shards with a write budget of their own
MARKETS_KNOWN_MAX: Final = 20_000  # markets whose rules the gateway remembers
CANCEL_ASKERS_MAX: Final = 16  # who waits for one cancel, or one decrease
GROUP_CALLS_MAX: Final = 64  # calls for order groups under way
GROUP_ANSWERS_KEPT: Final = 1_000  # what came of them: the same letter gets the same answer
GROUP_CONTRACTS_MAX: Final = 100_000_000  # hundredths: a million (docs.kalshi.com, order groups)
DECREASES_MAX: Final = 200  # decreases under way
DECREASES_KEPT: Final = 10_000  # of those that ended lately, and may not be seen yet
DECREASE_LOOK_MAX: Final = 2 * SECOND  # then its asker is told, whatever the order's row shows
SEARCH_INTERVAL: Final = 1 * SECOND  # between two listings for cancels that have no order id
SEARCHED_FOR: Final = 60 * SECOND  # then a cancel of an order that nobody knows is given up
RECONCILE_ASKERS_MAX: Final = 64  # who waits for one round
SLEPT_MIN: Final = 5 * SECOND  # the wall clock ahead of the monotonic one: the host slept
PAUSE_LOOK: Final = 15 * SECOND  # between two looks at the exchange's status while it pauses
PAUSE_WORD: Final = 2 * SECOND  # an older word about it is read again for whoever asks
PAUSE_AGAIN: Final = 6 * SECOND  # between two questions whether it does: sooner, an old word comes
PAUSE_ANSWER: Final = 3 * SECOND  # whoever asks whether it pauses waits so long for a look
PAUSE_ASKERS_MAX: Final = 16  # who waits for one look
AUDIT_TICKERS_MAX: Final = 100  # books in one listing (FACTS.md section 5)
AUDITS_MAX: Final = 4  # listings of books under way
AUDIT_WAIT_MAX: Final = 10 * SECOND  # a listing that has no tokens by then is given up
MARKET_LOOK_MAX: Final = 3 * SECOND  # an order waits this long for its market's rules
BATCH_MAX: Final = 50  # orders in one batch
MARKS_MAX: Final = 200  # books that one page of positions is marked by
MARKS_ASKED_MAX: Final = 400  # books that all such pages together wait for
CANCEL_OPEN_MAX: Final = 500  # orders that one request cancels; half of a lane
BATCHES_MAX: Final = 200  # batches that are not answered yet
GATHER_MAX: Final = MARKET_LOOK_MAX + INTENT_ACK_MAX  # a recorded order waits for its batch so long
MARKET_FRESH: Final = 5 * SECOND  # an order is refused by rules read at most so long ago
LISTING_CACHED: Final = 15 * SECOND  # the exchange's own, of its markets (FACTS.md section 1)
MARKET_KEPT: Final = 10 * MINUTE  # rules older than this are read again before an order
BOOKS_FOLLOWED_MAX: Final = 500  # by the gateway, of the markets that orders are for
BOOK_LAG_MAX: Final = 1 * SECOND  # what the stream says comes later: the book is not of now
BOOK_AGAIN: Final = 250 * MS  # an order refused for its book is worth another try after this
RATE_WINDOW: Final = 1 * SECOND  # of the limit on orders a second
SAME_ORDERS_KEPT: Final = 70_000  # terms of orders that passed, for the window on the same one
TIGHTENINGS_MAX: Final = 16  # of the brakes, that wait for the disk
MONEY_FRESH: Final = 5 * SECOND  # an order is refused by a balance read at most so long ago
EVIDENCE_MAX: Final = 500  # entries in one answer about an order
EVIDENCE_LOOKED_MAX: Final = 20_000  # entries looked at for it: their ids may only begin alike
EVIDENCE_ASKERS_MAX: Final = 64  # questions about orders that wait for the database
CONFIRM_ASKERS_MAX: Final = 64  # who waits for one confirmation, and whom we told of it
INQUIRIES_MAX: Final = 200  # reads for others that wait or are under way
INQUIRY_ASKERS_MAX: Final = 64  # who waits for the same one
INQUIRY_WAIT_MAX: Final = 5 * SECOND  # one that has no tokens by then is given up
INQUIRY_BYTES_MAX: Final = 8 * 1024 * 1024  # of an answer that is handed on; /series has 2 or 3
INQUIRY_CANDLES_MAX: Final = 10_000  # in one answer (FACTS.md section 6.5)
CURSOR_CHARS_MAX: Final = 2_048
SUBACCOUNT_MAX: Final = 63  # FACTS.md section 2
JITTER: Final = 250 * MS  # one-way delay may vary this much; the bucket keeps room for it

# The stream: connections
RECONNECT_MIN: Final = 250 * MS
RECONNECT_MAX: Final = 60 * SECOND
REFUSED_RETRY: Final = 5 * SECOND  # at least, after a 429 for a handshake
PAUSE_RETRY: Final = 15 * SECOND  # at most, while the exchange pauses
AUTH_TRIES_MAX: Final = 3
AUTH_RETRY: Final = 5 * MINUTE  # then, lest a mistake of the exchange's blinds us for good
CONNECT_MAX: Final = 10 * SECOND
COMMAND_MAX: Final = 5 * SECOND  # an unanswered command of ours means a new connection
COMMAND_RETRY: Final = 1 * SECOND  # after "too many requests", or where one ends again
PING_INTERVAL: Final = 2 * SECOND
PINGS_KEPT: Final = 8  # unanswered pings that are remembered
SILENCE_MAX: Final = 4 * SECOND  # without a frame, a ping or a pong
SILENCE_GRACE: Final = 2 * SECOND  # for what waits in the socket when it was we who did not run
UNNAMED_MAX: Final = 20  # markets refused one by one: then it is something else that is refused
TICKERS_A_COMMAND: Final = 500  # FACTS.md section 4.1
CONNECTIONS_MAX: Final = 64  # for market data, that settings may ask for
TICKERS_A_CONNECTION_MAX: Final = 10_000  # has been seen to work (FACTS.md section 4.1)
FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
FRAMES_A_TURN: Final = 256  # worked off before reading, pongs and letters have their turn
FRAMES_WAITING_MAX: Final = 100_000  # taken off one socket and not worked off yet
FRAMES_WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
UNSENT_BYTES_MAX: Final = 4 * 1024 * 1024  # what the exchange does not take from us

# The stream: what is late
LATE_MAX: Final = 1 * SECOND  # a frame that was so long on its way is late
LATE_CALM: Final = 500 * MS  # and with such a one it is over
LATE_CURE: Final = 10 * SECOND  # late for so long: a new connection leaves the backlog behind
SLOW_MAX: Final = 500 * MS  # frames that wait so long on our side: we are slow
LOOP_LAG_MAX: Final = 1 * SECOND  # a timer that rings so late: we did not run
OFFSET_WINDOW: Final = 60 * SECOND  # how long the smallest delay stands for the clocks' offset
CLOCK_STEP_MIN: Final = 250 * MS  # a jump of the wall clock that is one

# The stream: books
RESYNC_MIN: Final = 250 * MS  # between two requests for snapshots
RESYNC_RETRY: Final = 1 * SECOND
SNAPSHOT_TRIES: Final = 3  # snapshots asked for in vain before the next stronger means
QUIET_PROBE: Final = 2 * SECOND  # a book subscription that is silent so long is asked for a sign
LATE_PROBE: Final = 1 * SECOND  # one whose data was late, whether it still is
PROBE_MAX: Final = 2_500 * MS  # in which the sign has to come
LIST_INTERVAL: Final = 30 * SECOND  # between two looks at which subscriptions the exchange has
DIVERGED_WINDOW: Final = 5 * MINUTE  # a subscription that lies twice within it is made anew
CROSSED_MAX: Final = 500 * MS  # a book that is crossed for longer is wrong
BOOK_REQUESTS_MAX: Final = 10_000  # requests for books that wait; more are not answered
BOOK_ANSWERS_A_TURN: Final = 50
BOOK_ANSWERS_PAUSE: Final = 5 * MS  # between two turns
AUDIT_ROUND: Final = 60 * SECOND  # in which each book is compared with the exchange's listing
AUDITS_UNDER_WAY_MAX: Final = 16
AUDIT_PACE_MIN: Final = 250 * MS  # between two audits
AUDIT_LEAD: Final = 1 * SECOND  # a listing may be older than the moment it is asked for
AUDIT_GRACE: Final = 3 * SECOND  # or newer than what the stream has brought so far
AUDIT_ANSWER_MAX: Final = 15 * SECOND
AUDIT_CHANGES_MAX: Final = 20_000  # of the books under one audit; busier ones are audited later
QUARANTINE_AFTER: Final = 3  # audits in a row that found another book
QUARANTINE: Final = 60 * SECOND

# The stream: what to follow
WISHES_MAX: Final = 20_000
FOLLOWS_WAITING_MAX: Final = 16  # changes under way to the disk
NEWBORN_KEPT: Final = 10 * MINUTE  # a market that the life cycle told of may not be listed yet
CLOSING_SOON: Final = 5 * MINUTE  # a market's close is told so long before: no frame tells it
CLOSED_LOOK: Final = 1 * SECOND  # after the close its book is got anew
CLOSED_DOUBT: Final = 5 * SECOND  # and audited: what rests is canceled "shortly after" (FACTS 5)
ENDED_KEPT: Final = 20_000  # markets known to be settled

# The front
BODY_BYTES_MAX: Final = 64 * 1024
PAGE_MAX: Final = 1_000  # rows of one answer
REQUEST_MAX: Final = 15 * SECOND  # an HTTP request waits this long for the engine
READS_WAITING_MAX: Final = 1_000  # of either kind, of all tokens, that wait for the engine
INQUIRY_MAX: Final = 18 * SECOND  # and one that is a read of the exchange so long
BOOKS_KEPT_MAX: Final = 2_000  # books that the front keeps in step
BOOK_KEPT: Final = 5 * MINUTE  # one that nobody follows, after the last request for it
BOOK_LOOK: Final = 10 * SECOND  # between two looks at which of them nobody wants any more
BOOK_GLANCE: Final = 1 * SECOND  # the stream is asked again how far a book can be trusted
BOOK_GLANCE_MAX: Final = 3 * SECOND  # and what it said then stands for so long
BOOKS_NAMED_EVERY: Final = 30 * SECOND  # the stream is asked which books are under a prefix
NAMES_ASKED_MAX: Final = 500  # prefixes at once; others wait until one is answered
PAGES_ASKED_MAX: Final = 200  # of the ledger, for clients that are behind
BOOK_MISSING_RETRY: Final = 2 * SECOND  # whether the stream follows a book now
DEPTH_MAX: Final = 10_000  # levels of a side: no grid has more
SUBSCRIBED_AFTER: Final = 50 * MS  # a mark that comes so long after a subscription covers it

# WebSocket clients
SOCKETS_MAX: Final = 2_000  # in all
STRANGERS_MAX: Final = 64  # sockets that have yet to say their ticket
TICKET_MAX: Final = 5 * SECOND  # in which a socket without a token has to say it
TICKET_KEPT: Final = 60 * SECOND
TICKETS_A_TOKEN: Final = 100
PREFIXES_MAX: Final = 1_000  # one client may follow
PREFIXES_A_SECOND: Final = 1_000  # that the clients of one token may add or leave
PREFIXES_BURST: Final = 10_000  # more at once
PREFIX_CHARS_MAX: Final = 100
COMMAND_FRAME_BYTES_MAX: Final = 64 * 1024  # of what a client says
CLIENT_READ_BYTES: Final = 1_024  # of what a client says, looked at before more of it is read
HANDSHAKE_LINE_BYTES_MAX: Final = 8_190  # the library reads no line over 8192 with its end
COMMANDS_A_SECOND: Final = 20  # frames of any kind, of one client
COMMANDS_BURST: Final = 100  # more at once
COMMAND_ID_CHARS_MAX: Final = 64
CLIENT_PING: Final = 10 * SECOND
CLIENT_SILENCE_MAX: Final = 30 * SECOND
CLIENT_LOOK: Final = 1 * SECOND  # how often the clients' clocks are looked at
CLIENT_CLOSE_MAX: Final = 5 * SECOND  # for a close frame to be taken
UNSENT_A_CLIENT_BYTES_MAX: Final = 1024 * 1024  # that waits for one client; then 1013
CLIENTS_UNSENT_BYTES_MAX: Final = 256 * 1024 * 1024  # for all together
CLIENT_WRITE_BYTES_HIGH: Final = 64 * 1024  # from here on a client counts as slow
CLIENT_WRITE_BYTES_LOW: Final = 16 * 1024
CLIENT_KERNEL_BYTES: Final = 256 * 1024  # of the system's own buffer for what is sent to one
SNAPSHOT_BYTES_A_TURN: Final = 256 * 1024  # of snapshots, before a client has taken the last ones
ENTRIES_A_PAGE: Final = 200  # ledger entries in one message
TICKER_CHARS_MAX: Final = 64
CLIENT_ORDER_ID_CHARS_MAX: Final = 64
CONFIRMED_BY_CHARS_MAX: Final = 200

# The front: idempotency keys
IDEMPOTENCY_KEY_CHARS_MAX: Final = 64
IDEMPOTENCY_KEYS_MAX: Final = 200_000  # that are kept
IDEMPOTENCY_KEEP: Final = 24 * 60 * MINUTE  # a key is not forgotten before, whatever is full
IDEMPOTENCY_BYTES_MAX: Final = 512 * 1024 * 1024  # of all answers
IDEMPOTENCY_ANSWER_BYTES_MAX: Final = 128 * 1024  # of one; a batch's has about 50 kB
IDEMPOTENCY_WAIT: Final = 5 * SECOND  # for the disk to take a key, or an answer
IDEMPOTENCY_HALT_WAIT: Final = 50 * MS  # then a halt or a panic goes on without it
IDEMPOTENCY_COMMIT_MAX: Final = 256  # records in one commit
IDEMPOTENCY_PRUNED: Final = 2_000  # forgotten at once, where all are old enough
IDEMPOTENCY_REOPEN: Final = 5 * SECOND  # between two tries of a file that is no good

# Who may: tokens, and what each may do
TOKENS_MAX: Final = 64  # all are compared for each request
TOKEN_NAME_CHARS_MAX: Final = 40
TOKEN_SECRET_BYTES_MAX: Final = 256  # of what is given; ours have 43 letters
TOKEN_DAYS_MAX: Final = 3_650
CODE_TIME: Final = 10 * MINUTE  # a code for signing in counts so long, and once
SIGNED_IN_TIME: Final = 12 * 60 * MINUTE  # a page stays so
SIGNED_IN_MAX: Final = 16  # codes and pages; with more, those that were made first go
TOKENS_LOOK: Final = 500 * MS  # how often the front looks whether tokens were made or withdrawn
NAMES_MAX: Final = 16  # hosts, and origins, that settings may allow
FAILURES_A_MINUTE: Final = 10  # of one address that gives no token that counts; then 429
ADDRESSES_MAX: Final = 1_000  # addresses whose failures are counted; the oldest are forgotten
LOOKS_A_SECOND_MAX: Final = 1_000_000  # what settings may allow a token
TRADES_A_SECOND_MAX: Final = 10_000
CANCELS_A_TRADE: Final = 5  # a token may cancel so many times as fast as it may trade
KILLS_A_SECOND: Final = 10  # cancel-alls, halts and panics of one token, beside all it else does
WAITING_A_TOKEN: Final = 250  # reads of one kind, of one token, that wait for the engine
TRADES_WAITING_A_TOKEN: Final = 200  # orders and all else that trades, on top of these
CANCELS_WAITING_A_TOKEN: Final = 50  # cancels and decreases, on top of those
KILLS_WAITING_A_TOKEN: Final = 8  # cancel-alls, halts and panics, on top of those

# Serving HTTP
HEAD_BYTES_MAX: Final = 16 * 1024  # of a request's line and headers
HEADERS_MAX: Final = 64
TARGET_BYTES_MAX: Final = 8 * 1024  # of a request's path and query
HEAD_TIME: Final = 5 * SECOND  # to finish line and headers, or a TLS handshake
BODY_TIME: Final = 10 * SECOND  # to finish a body
ANSWER_TIME: Final = 30 * SECOND  # to take what was answered
TAKEN_BYTES_MIN: Final = 16 * 1024  # and so much of it has to be taken each time
READS_KEPT: Final = 4_096  # what requests said that ask for the same again and again
READ_CHARS_KEPT: Final = 200  # of path and query: longer ones are not kept
KEEP_ALIVE: Final = 5 * SECOND  # between two requests on one connection
LINGER: Final = 1 * SECOND  # what a refused client still sends is let go for so long
PIPELINED_MAX: Final = 16  # requests that wait behind the one that is being answered
FRONT_CONNECTIONS_MAX: Final = 10_000  # that settings may allow
OVERFLOW_MAX: Final = 64  # connections above the bound that are told so; the rest are cut
AT_ONCE_MAX: Final = 16  # requests that the front takes up in one turn of its loop
HOT: Final = 100 * MS  # who asks again so soon after an answer is refused first when there are more
REFUSED_AFTER: Final = 30 * MS  # when such a one is told: told at once, it would ask again at once
FILES_BESIDE: Final = 256  # a process opens beside its connections

# Secrets
PRIVATE_BYTES_MAX: Final = 64 * 1024  # of a key or token file

# Stopping
DRAIN_MAX: Final = 4 * SECOND  # honcho kills at 5

assert HEARTBEAT_SUSPECT > 2 * HEARTBEAT_INTERVAL
assert HEARTBEAT_MISSING > HEARTBEAT_SUSPECT
assert GATE_LEASE > 2 * HEARTBEAT_MISSING - GATE_INTERVAL
assert MARK_SILENCE_MAX > 2 * MARK_INTERVAL
assert LEDGER_SILENCE_MAX > MARK_INTERVAL
assert INTENTS_MAX < APPENDS_MAX, "fills must find room when intents do not"
assert COMMIT_ROWS_MAX <= APPENDS_MAX
assert LOCKED_RETRY_MIN < LOCKED_RETRY_LAST < LOCKED_RETRY_MAX
assert TAIL_CHECKED < SNAPSHOT_EVERY
assert KEEP_BATCH_ROWS < KEEP_PRUNE_ROWS < KEEP_QUEUE_MAX
assert KEEP_LOG_BYTES_MAX + KEEP_SLACK_BYTES < KEEP_BYTES_MIN
assert KEEP_REPORT < KEEP_SILENT
assert TELL_RETRY < INTENT_ACK_MAX, "an intent is told again before it is given up"
assert MARKET_LOOK_MAX + INTENT_ACK_MAX + QUEUED_MAX + OUTCOME_ACK_MAX < REQUEST_MAX
assert ABSENCE_AFTER > SIGNATURE_WINDOW
assert CANCEL_RETRY_MIN < CANCEL_RETRY_MAX
assert CANCEL_TOLD_AFTER < REQUEST_MAX
assert CALL_CONNECT_MAX < CALL_READ_MAX < CALL_TOTAL_MAX
assert CALL_TOTAL_MAX + OUTCOME_ACK_MAX < REQUEST_MAX, "the gateway knows before the front gives up"
assert INQUIRY_WAIT_MAX + CALL_TOTAL_MAX < INQUIRY_MAX, "as well of a read"
assert INQUIRY_BYTES_MAX <= LETTER_BYTES_MAX // 2, "an answer fits a letter with all around it"
assert INQUIRIES_MAX < LANE_QUEUE_MAX // 2, "look-ups find room in the same lane"
assert MARKET_FRESH < MARKET_KEPT
assert IDEMPOTENCY_KEEP > 100 * REQUEST_MAX, "what is in flight is never old"
assert IDEMPOTENCY_HALT_WAIT < IDEMPOTENCY_WAIT < REQUEST_MAX
assert RECONNECT_MIN < REFUSED_RETRY < RECONNECT_MAX < AUTH_RETRY
assert PING_INTERVAL < SILENCE_MAX, "a quiet connection answers in between"
assert SILENCE_MAX + HEARTBEAT_INTERVAL <= 5 * SECOND, "a dead socket is flagged within 5 s"
assert SILENCE_MAX < QUIET_PROBE + PROBE_MAX < 5 * SECOND, "a dead subscription, too, but not first"
assert LATE_CALM < LATE_MAX < LATE_CURE
assert FRAMES_WAITING_BYTES_MAX > FRAME_BYTES_MAX
assert PAUSE_ANSWER < PAUSE_LOOK
assert PAUSE_WORD + PAUSE_ANSWER < PAUSE_AGAIN < PAUSE_LOOK, "who asks again gets a new word"
assert BOOK_GLANCE + MARK_INTERVAL < BOOK_GLANCE_MAX
assert CLIENT_LOOK < CLIENT_PING < CLIENT_SILENCE_MAX // 2, "two pings may be lost"
assert CLIENT_WRITE_BYTES_LOW < CLIENT_WRITE_BYTES_HIGH < SNAPSHOT_BYTES_A_TURN
assert 2 * SNAPSHOT_BYTES_A_TURN < UNSENT_A_CLIENT_BYTES_MAX, "joining makes nobody too slow"
assert CLIENTS_UNSENT_BYTES_MAX // SOCKETS_MAX > CLIENT_WRITE_BYTES_HIGH
assert ARMING_MIN < ARMING_USUAL < ARMING_MAX
assert BLOCK_BYTES + LETTER_BYTES_MAX < BLOCK_BYTES_MAX, "what is written can be read"
assert DRAIN_MAX < 5 * SECOND
