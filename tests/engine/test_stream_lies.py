"""What no number gives away: a change that says something else than the exchange did."""

from protocol.messages import BookLost
from tests.engine.mischief import Alter, Of, rewrite
from tests.engine.stage import BOOKS, Stage

AUDIT_MAX_S = 75.0  # a round of all books takes a minute


def test_a_book_that_is_silently_wrong_is_found_by_an_audit(stage: Stage) -> None:
    """Nobody can know before somebody looks: until then, and no longer, readers are wrong."""
    ticker = min(stage.truth.tickers, key=stage.truth.changes)  # else it would soon be negative
    twice = rewrite(rb'"delta_fp":"1\.00"', b'"delta_fp":"2.00"')
    armed = stage.arm(Alter(Of(type=BOOKS, ticker=ticker), twice), times=1)
    body = {"side": "bid", "count": "1.00", "price": "0.0100"}
    stage.engine.deed("external", ticker=ticker, **body)
    stage.until_hit(armed)
    stage.reader.until(
        lambda: stage.reader.heard(BookLost, stage.began, ticker), AUDIT_MAX_S, "found to be wrong"
    )
    stage.heal()
    assert {said.ticker for said in stage.reader.heard(BookLost, stage.began)} == {ticker}
    assert {trusted for trusted, _ in stage.reader.wrong} == {ticker}
    assert stage.causes("reconnect_scheduled") == []
    stage.engine.until_system(
        lambda s: s.processes["stream"].counters["audit_differences"] >= 1, 5.0
    )
    stage.reader.forget()
