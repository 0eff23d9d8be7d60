"""An exchange of our own that speaks Kalshi's protocol, so that no test needs real money.

It builds its bodies and frames itself, from the reference; it shares no code with the engine that
reads them, because one misreading must not pass on both sides.
"""
