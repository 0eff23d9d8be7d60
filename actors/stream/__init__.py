"""The WebSocket to the exchange; the order books, and whether they can be trusted."""
