"""Faults of streams that happen at once, when they are armed, to everybody who is connected."""

from collections.abc import Iterable

from actors.paper.answers import Answer, Refused
from actors.paper.exchange import Exchange
from actors.paper.faults import Faults
from actors.paper.session import Session


def check(faults: Faults, exchange: Exchange) -> None:
    """Whether they can happen. Raises Refused."""
    if faults.lie_in_book and faults.lie_in_book not in exchange.markets:
        text = f"lie_in_book: no market {faults.lie_in_book!r}"
        raise Refused(Answer(400, {"error": text}))


def happen(faults: Faults, exchange: Exchange, sessions: Iterable[Session], at: int) -> None:
    """Let happen what is armed, and disarm it."""
    if faults.lie_in_book:
        exchange.lie(faults.lie_in_book, at)
    for session in sessions:
        _upset(faults, session, at)
    faults.dead_sids = faults.end_subscriptions = faults.untrusted_errors = None
    faults.restart_seq, faults.unsolicited_snapshots, faults.lie_in_book = None, 0, ""


def _upset(faults: Faults, session: Session, at: int) -> None:
    found = session.by_channel
    if faults.dead_sids in found:
        found[faults.dead_sids].dead = True
    ended = faults.end_subscriptions
    if ended is not None and ended.channel in found:
        session.end(found[ended.channel], ended.code, at)
    untrusted = faults.untrusted_errors
    if untrusted is not None and untrusted.channel in found:
        session.complain(found[untrusted.channel], untrusted.code, at)
    if faults.restart_seq in found:
        found[faults.restart_seq].seq = 0
    books = session.hearing("orderbook_delta")
    if books is not None and faults.unsolicited_snapshots:
        for ticker in sorted(books.tickers)[: faults.unsolicited_snapshots]:
            session.snapshot(books, ticker, 0, at)
