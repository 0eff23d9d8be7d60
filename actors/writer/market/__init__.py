"""Keeps trades and quotes in a database beside the ledger, in a process of its own.

So money waits for none of it: not for a lock, an fsync, the interpreter, or a file that is broken.
"""
