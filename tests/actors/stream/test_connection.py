"""Stories of one socket's life: opening, silence, refusals, pauses, and the next try."""


def test_a_closed_socket_is_opened_again_with_new_numbers() -> None:
    scene = Scene()
    scene.go_live(A, B)
    effects = scene.feed(SocketClosed(scene.at, MARKET, "closed 1006"))
    assert published(effects) == [BookLost(A, "closed 1006"), BookLost(B, "closed 1006")]
    ((signal, subject),) = (s for s in signals(effects) if s[0] == "reconnect_scheduled")
    assert subject.startswith("market1 in 0.")
    assert scene.core._health._reasons(False)[0].startswith("market1: reconnecting in 0.")
    assert scene.core._health._reasons(False)[0].endswith("s: closed 1006")
    scene.wait(SECOND // 2)  # the first retry is quick
    assert OpenSocket(MARKET) in scene.take()
    effects = scene.open()
    assert ("await_disconnect", MARKET) in signals(effects)
    (subscribe,) = sent(effects)
    for sid, channel in enumerate(("orderbook_delta", "trade", "ticker"), start=11):
        scene.frame(
            {
                "type": "subscribed",
                "id": subscribe["id"],
                "msg": {"channel": channel, "sid": sid},
            }
        )
    body = {"market_ticker": A}
    scene.frame({"type": "orderbook_snapshot", "sid": 1, "seq": 3, "msg": body})
    assert scene.ask_book(A).state == "lost"  # the number of a former life
    scene.frame({"type": "orderbook_snapshot", "sid": 11, "seq": 800, "msg": body})
    assert scene.ask_book(A).state == "live"
    assert (scene.core.tally.gaps, scene.core.tally.strays) == (0, 1)
    assert scene.counters["reconnects"] == 1


def test_a_silent_socket_is_closed_and_a_ping_is_not_silence() -> None:
    scene = Scene()
    scene.go_live(A)
    for _ in range(5):
        scene.wait(SILENCE_MAX - SECOND)
        scene.feed(PingReceived(scene.at, MARKET))
    assert CloseSocket(MARKET) not in scene.take()
    scene.wait(SILENCE_MAX)
    effects = scene.take()
    assert CloseSocket(MARKET) in effects
    assert published(effects)[0].reason == "closing: silent for 25 s"


def test_what_still_arrives_on_a_socket_given_up_does_not_count() -> None:
    scene = Scene()
    scene.go_live(A)
    scene.wait(SILENCE_MAX)
    scene.take()
    assert published(scene.snapshot(A, [["0.5000", "1.00"]])) == []
    scene.feed(SocketClosed(scene.at, MARKET, "closed 1000"))
    assert scene.line.connection.why.endswith("silent for 25 s")


def test_an_unanswered_command_means_a_new_connection() -> None:
    scene = Scene()
    scene.markets(A)
    scene.open()
    scene.frame({"type": "subscribed", "id": 1, "msg": {"channel": "trade", "sid": 2}})
    scene.wait(COMMAND_MAX)
    assert CloseSocket(MARKET) in scene.take()


def test_a_handshake_that_takes_too_long_is_given_up() -> None:
    scene = Scene()
    scene.wait(CONNECT_MAX)
    assert CloseSocket(MARKET) in scene.take()
    scene.open()  # too late
    assert not scene.line.connection.up


def test_later_each_time_but_never_later_than_the_bound() -> None:
    delays = []
    scene = Scene()
    for _ in range(40):
        scene.feed(OpenFailed(scene.at, MARKET, 503, "HTTP 503"))
        deadline = scene.line.deadline()
        assert deadline is not None
        delays.append(deadline - scene.now)
        scene.wait(delays[-1])
    assert delays[0] <= SECOND // 2
    assert all(SECOND // 4 <= delay <= RECONNECT_MAX for delay in delays)
    assert max(delays) > RECONNECT_MAX // 2


def test_a_wrong_key_is_said_and_tried_only_each_minute() -> None:
    scene = Scene()
    for _ in range(3):
        scene.feed(OpenFailed(scene.at, MARKET, 401, "HTTP 401 authentication_error"))
        scene.wait(SECOND)
    assert "market1: auth: HTTP 401 authentication_error" in scene.core._health._reasons(False)
    scene.take()
    scene.wait(RECONNECT_MAX - 2 * SECOND)
    assert OpenSocket(MARKET) not in scene.take()
    scene.wait(2 * SECOND)
    assert OpenSocket(MARKET) in scene.take()
    assert "market1: auth: HTTP 401 authentication_error" in scene.core._health._reasons(False)
    scene.open()
    assert scene.line.connection.why == "subscribing"


def test_asked_to_stop_it_closes_its_sockets_and_ends() -> None:
    scene = Scene()
    scene.go_live(A)
    effects = scene.feed(Stopping(scene.at))
    assert CloseSocket(MARKET) in effects
    assert published(effects) == [BookLost(A, "stopping")]
    assert Finish(0) in effects
