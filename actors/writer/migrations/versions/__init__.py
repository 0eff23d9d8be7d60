"""The revisions. Each is frozen: what has run on somebody's ledger is never edited."""
