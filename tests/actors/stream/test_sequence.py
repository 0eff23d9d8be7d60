"""Stories of numbers: next, duplicate, gap and out of order; and of what can't be read."""

from actors.stream.core import CloseSocket
from protocol.limits import RESYNC_MIN, SECOND
from protocol.machine import Report
from protocol.messages import BookLost, BookSnapshot
from protocol.units import Count, Price
from tests.actors.stream.scene import MARKET, A, B, Scene, published, sent


def levels(*pairs: tuple[int, int]) -> tuple[tuple[Price, Count], ...]:
    return tuple((Price(price), Count(count)) for price, count in pairs)


def test_a_gap_loses_every_book_until_its_snapshot_comes() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.seq(1)
    effects = scene.delta(B, "yes", "0.4700", "1.00")
    assert published(effects) == [BookLost(A, "sequence: gap"), BookLost(B, "sequence: gap")]
    (command,) = sent(effects)
    assert command["params"] == {"sids": [1], "market_tickers": [A, B], "action": "get_snapshot"}
    answer = scene.ask_book(A)
    assert (answer.state, answer.yes, answer.reason) == ("lost", (), "sequence: gap")
    assert published(scene.delta(A, "yes", "0.4700", "1.00")) == []
    assert len(published(scene.snapshot(B, [["0.5000", "1.00"]]))) == 1
    assert published(scene.delta(A, "yes", "0.4700", "1.00")) == []
    assert len(published(scene.delta(B, "yes", "0.5000", "1.00"))) == 1
    scene.snapshot(A, [["0.4700", "9.00"]])
    assert scene.ask_book(A).yes == levels((470_000, 900))
    assert scene.ask_book(B).yes == levels((500_000, 200))
    assert scene.core.tally.gaps == 1


def test_a_gap_counts_while_other_channels_are_not_acknowledged_yet() -> None:
    """Books are live with their first snapshot, and the acknowledgement of another channel may
    never come (simulation, seeds 221 and 2008)."""
    scene = Scene()
    scene.markets(A, B)
    scene.open()
    msg = {"channel": "orderbook_delta", "sid": 1}
    scene.frame({"type": "subscribed", "id": 1, "msg": msg})
    for ticker in (A, B):
        scene.snapshot(ticker, [["0.4700", "3.00"]])
    scene.seq(1)
    effects = scene.delta(B, "yes", "0.4700", "1.00")
    assert published(effects) == [BookLost(A, "sequence: gap"), BookLost(B, "sequence: gap")]
    (command,) = sent(effects)
    assert command["params"] == {"sids": [1], "market_tickers": [A, B], "action": "get_snapshot"}


def test_a_snapshot_that_shows_the_gap_is_itself_good() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.seq(1)
    scene.snapshot(A, [["0.5000", "1.00"]])
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("live", "lost")


def test_answers_to_commands_consume_numbers_too() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.frame({"type": "ok", "id": 9, "sid": 1, "seq": scene.seq(1), "msg": {}})
    scene.frame({"type": "error", "sid": 1, "seq": scene.seq(1), "msg": {"code": 11, "msg": "no"}})
    scene.frame({"type": "something_new", "sid": 1, "seq": scene.seq(1), "msg": [1]})
    assert len(published(scene.delta(A, "yes", "0.4700", "1.00"))) == 1
    assert (scene.core.tally.gaps, scene.core.tally.unknown_types) == (0, 1)


def test_a_frame_that_comes_twice_counts_once() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.delta(A, "yes", "0.4700", "1.00")
    assert published(scene.delta(A, "yes", "0.4700", "1.00", seq=scene.seqs[1])) == []
    assert scene.ask_book(A).yes == levels((470_000, 400))
    assert (scene.core.tally.duplicates, scene.core.tally.gaps) == (1, 0)


def test_a_number_that_goes_backwards_proves_nothing_not_even_a_snapshot() -> None:
    scene = Scene()
    scene.go_live(A)
    for _ in range(3):
        scene.delta(A, "yes", "0.4700", "1.00")
    effects = scene.snapshot(A, [["0.0100", "1.00"]], seq=1)
    assert published(effects) == [BookLost(A, "sequence: out of order")]
    assert scene.ask_book(A).state == "lost"


def test_a_level_that_would_be_negative_loses_that_book_only() -> None:
    scene = Scene()
    scene.go_live(A, B)
    effects = scene.delta(A, "yes", "0.4700", "-4.00")
    assert [body.ticker for body in published(effects)] == [A]
    assert sent(effects)[0]["params"]["market_tickers"] == [A]
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("lost", "live")


def test_a_price_above_a_dollar_loses_that_book_only() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.delta(A, "yes", "1.0100", "1.00")
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("lost", "live")


def test_a_malformed_frame_loses_what_may_rest_on_it() -> None:
    scene = Scene()
    scene.go_live(A, B)
    seq = scene.seq(1)
    effects = scene.frame({"type": "orderbook_delta", "sid": 1, "seq": seq, "msg": {"side": 3}})
    assert [type(body) for body in published(effects)] == [BookLost, BookLost]
    assert sent(effects)[0]["params"]["action"] == "get_snapshot"
    scene.snapshot(A, [["0.4700", "1.00"]])
    assert (scene.core.tally.gaps, scene.core.tally.malformed) == (0, 1)
    seq = scene.seq(2)
    scene.frame({"type": "trade", "sid": 2, "seq": seq, "msg": {}})
    assert scene.ask_book(A).state == "live"  # a print is not worth a book
    effects = scene.raw(b'{"type":"orderbook_delta","sid":')
    assert CloseSocket(MARKET) in effects  # whose it was can't be told
    assert published(effects)[0].ticker == A


def test_the_first_number_is_the_baseline_whatever_it_is() -> None:
    scene = Scene()
    scene.markets(A)
    scene.open()
    scene.subscribed()
    scene.snapshot(A, [["0.4700", "3.00"]], seq=80_000)
    assert len(published(scene.delta(A, "yes", "0.4700", "1.00", seq=80_001))) == 1
    assert scene.counters["gaps"] == 0


def test_the_same_number_with_another_content_is_no_duplicate() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.delta(A, "yes", "0.4700", "1.00")
    effects = scene.delta(A, "yes", "0.4700", "2.00", seq=scene.seqs[1])
    assert published(effects) == [
        BookLost(A, "sequence: out of order"), BookLost(B, "sequence: out of order"),
    ]  # fmt: skip
    assert scene.counters["out_of_order"] == 1


def test_a_gap_in_another_channel_costs_no_book() -> None:
    scene = Scene()
    scene.go_live(A)
    for sid in (2, 3):
        scene.frame({"type": "ok", "id": 77, "sid": sid, "seq": 5})
        scene.frame({"type": "ok", "id": 77, "sid": sid, "seq": 9})
        scene.frame({"type": "ok", "id": 77, "sid": sid, "seq": 1})
    assert (scene.counters["gaps"], scene.counters["out_of_order"]) == (2, 2)
    assert scene.ask_book(A).state == "live"


def test_a_control_frame_shows_a_gap_as_well_as_data_does() -> None:
    for frame in ({"type": "ok", "id": 9}, {"type": "something_new"}, {"type": "unsubscribed"}):
        scene = Scene()
        scene.go_live(A)
        scene.seq(1)
        effects = scene.frame({**frame, "sid": 1, "seq": scene.seq(1)})
        assert published(effects)[0] == BookLost(A, "sequence: gap")


def test_gaps_that_follow_one_another_ask_again_since_older_snapshots_are_worth_nothing() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.seq(1)
    scene.delta(A, "yes", "0.4700", "1.00")
    assert len(sent(scene.effects)) == 1
    scene.seq(1)
    scene.delta(A, "yes", "0.4700", "1.00")
    assert len(sent(scene.effects)) == 1  # two gaps at once, one request
    assert [type(body) for body in published(scene.snapshot(A, [["0.4700", "5.00"]]))] == [
        BookSnapshot
    ]
    scene.seq(1)
    scene.delta(A, "yes", "0.4700", "1.00")
    scene.take()
    scene.wait(RESYNC_MIN)
    (again,) = sent(scene.take())
    assert again["params"]["action"] == "get_snapshot"


def test_a_change_that_says_nothing_at_a_price_that_is_none_is_the_exchanges_error() -> None:
    scene = Scene()
    scene.go_live(A, B)
    scene.delta(A, "yes", "1.0100", "0.00")
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("lost", "live")


def test_a_level_on_no_grid_loses_that_book_only() -> None:
    scene = Scene()
    scene.go_live(A, B)
    effects = scene.delta(A, "yes", "0.123450", "1.00")
    assert published(effects) == [BookLost(A, "delta: yes level 0.123450 is off grid")]
    assert sent(effects)[0]["params"]["market_tickers"] == [A]
    effects = scene.snapshot(A, [["0.000050", "1.00"]])
    assert (scene.ask_book(A).state, scene.ask_book(B).state) == ("lost", "live")
    scene.snapshot(A, [["0.1234", "1.00"]])
    assert scene.ask_book(A).state == "live"


def test_numbers_as_strings_and_strings_as_numbers_cost_nothing() -> None:
    scene = Scene()
    scene.go_live(A)
    body = {"market_ticker": A, "side": "yes", "price_dollars": 0.47, "delta_fp": 2}
    frame = {"type": "orderbook_delta", "sid": "1", "seq": str(scene.seq(1)), "msg": body}
    scene.frame(frame)
    assert scene.ask_book(A).yes == levels((470_000, 500))
    assert (scene.counters["malformed"], scene.counters["gaps"]) == (0, 0)


def test_unknown_types_are_named_once_and_a_flood_of_malformed_frames_at_a_bounded_pace() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.go_private()
    for _ in range(1_000):
        scene.frame({"type": "pyth_value", "sid": 9, "msg": 1})
        scene.now += SECOND // 200
        scene.frame({"type": "trade", "sid": 2, "seq": scene.seq(2), "msg": {"count_fp": []}})
    said = [e.text for e in scene.effects if isinstance(e, Report)]
    assert sum("pyth_value" in text for text in said) == 1
    assert 5 <= sum(text.startswith("malformed") for text in said) <= 6
    assert scene.counters["malformed"] == 1_000
    assert len(said) < 20
