"""Owns the database: appends facts, acknowledges after commit, publishes what it committed."""
