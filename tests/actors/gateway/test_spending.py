"""What the account may spend, told: what was drawn is gone, and stands under who drew it."""

from protocol.limits import SECOND
from protocol.messages import BudgetAnswer, BudgetRequest
from tests.actors.gateway.scene import Scene, order


def told(scene: Scene) -> BudgetAnswer:
    scene.ask(BudgetRequest())
    found = scene.answers[-1]
    assert isinstance(found, BudgetAnswer), found
    return found


def test_what_an_order_costs_is_gone_from_the_budget_and_stands_under_orders() -> None:
    scene = Scene().ready()
    scene.pass_time(30 * SECOND).beat().settle()
    before = told(scene)
    budgets = {budget.name: budget for budget in before.budgets}
    assert list(budgets)[:2] == ["read", "write"]
    assert budgets["write"].tokens == budgets["write"].holds, "nothing was drawn for long"
    assert 0 < budgets["write"].kept < budgets["write"].holds
    assert budgets["write"].a_second > 0
    assert "orders" not in {spender.name for spender in before.spenders}
    scene.ask(order("c1"))
    scene.settle()
    after = told(scene)
    [write] = [budget for budget in after.budgets if budget.name == "write"]
    assert write.tokens == budgets["write"].tokens - 10
    [spender] = [spender for spender in after.spenders if spender.name == "orders"]
    assert (spender.tokens, spender.calls) == (10, 1)
    assert after.in_flight == 1
    assert sum(after.waiting.values()) == 0
    assert [s.tokens for s in after.spenders] == sorted(s.tokens for s in after.spenders)[::-1]
