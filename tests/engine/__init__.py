"""The real processes under honcho, from outside: over HTTP, ZeroMQ and their files."""
