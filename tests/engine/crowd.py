"""Clients that trade as real ones do: what is not known is asked again under the same id, what was
refused for now waits, and what can never go is placed anew under a new id."""

import queue
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

import requests
from msgspec import Struct

from actors.api.replies import NOT_NOW
from tests.engine.running import Engine

PAUSE_S: Final = 0.05  # a client's, when there is nothing that it could ask at once
BUSY: Final = 500  # wishes: with so many, a client has others to ask first
TIMEOUT_S: Final = 20.0


class Wish(Struct):
    """One order of one client, until its end is known; then its cancel, if it is to have one."""

    number: int
    terms: dict[str, Any]
    cancels: bool
    tries: int = 0  # ids used so far
    placed: bool = False
    made: str = ""  # the id under which it was accepted

    @property
    def id(self) -> str:
        return f"n{self.number}-{self.tries}"


class Crowd:
    """So many clients at once, with one list of wishes among them."""

    def __init__(self, engine: Engine, tickers: list[str], count: int, dice: random.Random) -> None:
        self._address = f"{engine.api}/v1/orders"
        secret = Path(engine.settings.var_dir, "token.trade").read_text().strip()
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._wishes: queue.Queue[Wish] = queue.Queue()
        self._count = count
        self._done = 0
        self._moved = threading.Condition()
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self.answers: Counter[tuple[int, str]] = Counter()
        for number in range(count):
            self._wishes.put(self._wish(number, tickers, dice))

    @staticmethod
    def _wish(number: int, tickers: list[str], dice: random.Random) -> Wish:
        kind = dice.choice(("buy", "sell", "rest", "rest"))
        side, price = {"buy": ("bid", "0.9900"), "sell": ("ask", "0.0200")}.get(
            kind, ("bid", "0.0100")
        )
        rests = kind == "rest"
        terms = {
            "ticker": dice.choice(tickers),
            "side": side,
            "price": price,
            "count": f"{dice.randint(1, 3)}.00",
            "time_in_force": "good_till_canceled" if rests else "immediate_or_cancel",
        }
        return Wish(number, terms, rests and dice.random() < 0.5)

    def start(self, clients: int) -> None:
        for number in range(clients):
            threading.Thread(target=self._trade, name=f"client {number}", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def until(self, done: int, seconds: float) -> None:
        """Until so many wishes have come to their end."""
        with self._moved:
            enough = self._moved.wait_for(lambda: self._done >= done or self._failures, seconds)
        if self._failures:
            raise self._failures[0]
        assert enough, f"{self._done} of {done} in {seconds} s; {self.answers.most_common(12)}"

    def _trade(self) -> None:
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.headers.update(self._headers)
                while not self._over.is_set():
                    self._next(session)
        except BaseException as e:
            with self._moved:
                self._failures.append(e)
                self._moved.notify_all()

    def _next(self, session: requests.Session) -> None:
        try:
            wish = self._wishes.get(timeout=PAUSE_S)
        except queue.Empty:
            return
        try:
            over = self._cancel(session, wish) if wish.placed else self._place(session, wish)
        except requests.RequestException as e:
            self.answers[0, type(e).__name__] += 1
            over = False
            self._over.wait(PAUSE_S)
        if not over:
            self._wishes.put(wish)
            return
        with self._moved:
            self._done += 1
            self._moved.notify_all()

    def _place(self, session: requests.Session, wish: Wish) -> bool:
        body = {**wish.terms, "client_order_id": wish.id}
        answer = session.post(self._address, json=body, timeout=TIMEOUT_S)
        code = str(answer.json().get("code", ""))
        self.answers[answer.status_code, code] += 1
        match answer.status_code, code:
            case 201, _:
                wish.placed, wish.made = True, wish.id
                return not wish.cancels
            case (422, "absent" | "withdrawn") | (503, "withdrawn" | "not_recorded"):
                wish.tries += 1  # it never was at the exchange, and will not be
            case 422, _ if code in NOT_NOW:
                wish.tries += 1  # a denial on record, asked about again
            case 503, "unreachable":
                wish.tries += 1
            case 503, "unresolved_order" if self._wishes.qsize() > BUSY:
                pass  # there is enough to do in other markets
            case 202 | 429 | 503, _:
                self._over.wait(PAUSE_S)
            case _:
                raise AssertionError(f"{wish}: {answer.status_code} {answer.text}")
        return False

    def _cancel(self, session: requests.Session, wish: Wish) -> bool:
        answer = session.delete(f"{self._address}/{wish.made}", timeout=TIMEOUT_S)
        code = str(answer.json().get("code", ""))
        self.answers[answer.status_code, f"cancel {code}"] += 1
        match answer.status_code, code:
            case (200, _) | (409, "gone"):
                return True
            case 202 | 429 | 503, _:
                self._over.wait(PAUSE_S)
                return False
        raise AssertionError(f"{wish}: {answer.status_code} {answer.text}")
