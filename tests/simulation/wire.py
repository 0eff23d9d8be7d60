"""What lies between the gateway and the exchange: calls that get no answer, or land late."""

import json
from typing import TYPE_CHECKING, Any

from actors.gateway.desk import CallAnswered, CallFailed
from actors.gateway.halt import STOPPED
from actors.gateway.passes import Pass
from protocol.kalshi.calls import BATCHED_PATH, ORDERS_PATH, Call
from protocol.limits import ABSENCE_AFTER, MS, SECOND
from tests.simulation.amending import amend_id, terms_of
from tests.simulation.rates import budget_of, cost_of

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

LATE_MAX = ABSENCE_AFTER - MS  # a lost call may land so long after it left, and no later
TAKEN = 409, b'{"error":{"code":"order_already_exists","message":"exists"}}'

Answer = tuple[int, bytes] | None


class Wire:
    def __init__(self, world: "World") -> None:
        self._world = world

    def call(self, process: "Process", id: int, call: Call, passed: Pass | None = None) -> None:
        """Sign a call and send it, once. The latch is looked at before an order leaves."""
        world, faults, dice = self._world, self._world.faults, self._world.dice
        risky = call.method == "POST" and call.name != "decrease"
        if risky and (passed is None or not passed.covers(call)):
            world.feed_later(process, CallFailed(world.wall, id, "no pass", False))
            return
        why = self._stopped() if risky else ""
        if why:
            world.feed_later(process, CallFailed(world.wall, id, f"{STOPPED}{why}", False))
            return
        there, back = self.delay(), dice.randint(1, faults.call_delay_max)
        fate = self._fate(call)
        if fate == "lost before" and dice.random() < 0.5:
            failed = CallFailed(world.wall, id, "no answer", False)
            world.at(world.now + there, lambda: world.feed(process, failed))
            return
        self._note(process, call)
        signed_at = world.wall
        late = world.now + there
        if fate == "lost at last" or (
            fate == "lost after" and dice.random() < faults.call_lost_late
        ):
            soonest = LATE_MAX - SECOND
            if fate == "lost after":
                soonest = dice.choice((there, soonest))
            fate = "lost after"
            late = world.now + dice.randint(soonest, LATE_MAX)
            world.happened["a lost call landed late"] += 1

        def arrive() -> None:
            answer = world.exchange.arrive(call, signed_at)
            if answer is None and fate == "lost after":
                world.at(late, lambda: world.exchange.call(call))
            if answer is None and fate == "fails" and dice.random() < 0.5:
                world.exchange.call(call)
            if answer is None and not fate:
                answer = world.exchange.call(call)
            if answer is not None and answer[0] == 201 and dice.random() < faults.call_doubled:
                answer = TAKEN
            if fate == "fails":
                answer = 503, b"<html>busy</html>"
            if fate == "lost after":
                answer = None
            world.at(world.now + back, lambda: self._end(process, id, call, answer))

        if fate == "lost before":
            world.at(world.now + there, lambda: self._end(process, id, call, None))
        else:
            world.at(world.now + there, arrive)

    def delay(self) -> int:
        """How long what leaves now is on its way to the exchange."""
        return self._world.dice.randint(1, self._world.faults.call_delay_max)

    def _stopped(self) -> str:
        """Why no order may leave: the wire looks at the latch right before the first byte."""
        return self._world.disk.halt

    def _fate(self, call: Call) -> str:
        """What befalls a call; "" if it is answered."""
        faults, dice = self._world.faults, self._world.dice
        if call.method == "POST" and faults.creates_lost and dice.random() < faults.creates_lost:
            return "lost at last"
        roll = dice.random()
        if roll < faults.call_lost_before:
            return "lost before"
        if roll < faults.call_lost_before + faults.call_lost_after:
            return "lost after"
        return "fails" if dice.random() < faults.call_fails else ""

    def _end(self, process: "Process", id: int, call: Call, answer: Answer) -> None:
        world = self._world
        if answer is None:
            world.feed(process, CallFailed(world.wall, id, "no answer", True))
            return
        status, body = answer
        told_limits = call.path == "/account/limits" and status == 200
        if told_limits and world.processes["gateway"] is process:
            world.exchange.rates.answered(int(json.loads(body)["usage_tier"]))
        world.feed(process, CallAnswered(world.wall, id, status, body))

    def _note(self, process: "Process", call: Call) -> None:
        """A byte of it leaves. Only the word NEW, heard in this very life, lets an order go."""
        if not call.writes:
            return
        if call.name in ("amend", "renew"):
            self._note_amend(process, call)
            return
        what, names = "cancel", [call.path.rpartition("/")[2]]
        rows: list[dict[str, Any]] = []
        if call.name == "decrease":
            what, names = "decrease", [call.path.split("/")[-2]]
        elif call.method == "POST":
            what, rows = "create", members(call)
            names = [row["client_order_id"] for row in rows]
        elif call.path == BATCHED_PATH:
            names = [row["order_id"] for row in members(call)]
        elif call.path == ORDERS_PATH:
            what, names = "cancel all", [""]
        budget, cost = budget_of(call), cost_of(call) // len(names)
        world = self._world
        for i, name in enumerate(names):
            lease, until = 0, 0
            if rows:
                lease = world.client.orders[name].lease_s
                until = rows[i].get("expiration_time", 0)
            new = world.bus.released.get(f"intent:{name}") == process.life
            world.log(
                "left", name, call=what, new=new or what != "create", budget=budget, cost=cost,
                excused=world.clock_jumps, lease=lease, lasts=self._lasts(until),
            )  # fmt: skip

    def _note_amend(self, process: "Process", call: Call) -> None:
        """The same of an amend, or of the renewal of a lease, which has no intent."""
        world, (id, cents, whole, until) = self._world, terms_of(call)
        name = f"{id} {amend_id(cents, whole)}"
        new = world.bus.released.get(f"amend:{name}") == process.life
        world.log(
            "left", name, call=call.name, new=new or call.name == "renew", budget=budget_of(call),
            cost=cost_of(call), excused=world.clock_jumps, lease=world.client.orders[id].lease_s,
            lasts=self._lasts(until),
        )  # fmt: skip

    def _lasts(self, until: int) -> int:
        """Microseconds from now to an expiry, by the host's clock; 0: none is named."""
        return until * 1_000_000 - self._world.wall if until else 0


def members(call: Call) -> list[dict[str, Any]]:
    """The bodies in a call of a batch; of another one its own."""
    body = json.loads(call.body)
    found: list[dict[str, Any]] = body["orders"] if call.path == BATCHED_PATH else [body]
    return found
