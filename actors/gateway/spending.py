"""What the account may spend and who spent it, for whoever asks."""

from actors.gateway.allowance import READ, WRITE
from actors.gateway.lanes import Lanes
from protocol.messages import BudgetAnswer, BudgetState, Spender


def told(now: int, lanes: Lanes) -> BudgetAnswer:
    """All of it, as of now. Of the shards those whose budget is not full, or waited for."""
    allowance = lanes.allowance
    states: list[BudgetState] = []
    for key, budget in allowance.budgets.items():
        tokens, holds, owed = budget.bucket.level(now), budget.bucket.holds, lanes.owed(key)
        if key in (READ, WRITE) or owed or tokens < holds:
            a_second, kept = allowance.refill(key), allowance.keep("read", key)
            states.append(BudgetState(budget.name, tokens, holds, a_second, kept, owed))
    spent = sorted(allowance.spent.items(), key=lambda item: -item[1][0])
    spenders = tuple(Spender(name, tokens, count) for name, (tokens, count) in spent)
    sure = allowance.limits_sure and allowance.costs_sure
    return BudgetAnswer(tuple(states), spenders, lanes.waiting(), lanes.in_flight, sure)
