"""The account as of now: restored at boot, proven against the exchange, kept in step."""
